// The claims board: a row a claim, its comparisons behind it; two filters, by paper and by verdict.

import { BARRED, mark, pictures, table, tally } from "../../kit/js/claims.js";
import { choices, part, setHtml } from "../../kit/js/dom.js";
import { escape, plural } from "../../kit/js/format.js";

const ALL = "all";

export function claims(element, props) {
  const root = element.querySelector("section");
  const found = JSON.parse(props.value);
  const papers = Object.fromEntries(found.papers.map((each) => [each.name, each]));
  const wanted = { paper: ALL, verdict: ALL };
  const open = new Set();

  const list = part("div", "claims");
  const said = part("p", "lab-muted claims-said");
  said.setAttribute("role", "status");
  root.append(words(found), tools(found, wanted, draw), said, list);
  list.addEventListener("click", ({ target }) => {
    const { claim } = target.closest("button")?.dataset ?? {};
    if (claim === undefined) return;
    if (!open.delete(claim)) open.add(claim);
    draw();
    list.querySelector(`[data-claim="${claim}"]`).focus();
  });

  const fits = (line) => wanted.verdict === ALL || line.verdict === wanted.verdict;

  function draw() {
    const shown = found.claims
      .map((claim, index) => ({ ...claim, index: String(index), fit: claim.lines.filter(fits) }))
      .filter((claim) => wanted.paper === ALL || claim.paper === wanted.paper)
      .filter((claim) => wanted.verdict === ALL || claim.fit.length);
    const count = shown.reduce((sum, claim) => sum + claim.fit.length, 0);
    said.textContent = `${plural(shown.length, "claim")}, ${plural(count, "comparison")}. What is decided comes first.`;
    setHtml(list, shown.map((claim) => row(found, papers, claim, open.has(claim.index))).join(""));
  }
  draw();
}

function words(found) {
  const made = part("div", "claims-words");
  const problems = found.problems.map((each) => `<p class="claims-problem">${escape(each)}</p>`);
  made.innerHTML =
    `<p>${escape(found.counted)}</p><p class="lab-muted">${escape(found.rule)}</p>` +
    problems.join("");
  return made;
}

function tools(found, wanted, draw) {
  const made = part("div", "lab-tools");
  const add = (name, label, options) =>
    made.append(
      choices(label, [[ALL, "All"], ...options], ALL, (value) => {
        wanted[name] = value;
        draw();
      }).element,
    );
  add(
    "paper",
    "Paper",
    found.papers.map((each) => [each.name, each.short]),
  );
  add(
    "verdict",
    "Verdict",
    BARRED.map((each) => [each, found.verdicts[each]]),
  );
  return made;
}

// A claim: what the paper says; the first comparison; how all fared; where to see it and to run it.
function row(found, papers, claim, open) {
  const paper = papers[claim.paper];
  const id = `claim-${claim.index}`;
  return (
    `<article class="claim" data-paper="${paper.name}" aria-labelledby="${id}">` +
    `<div class="claim-says"><p class="claim-of"><b>${escape(paper.short)}</b> ${escape(claim.letters)}</p>` +
    `<h3 id="${id}">${escape(claim.says)}</h3><p class="lab-muted">${escape(claim.where)}</p></div>` +
    `<div class="claim-first">${first(found, claim)}</div>` +
    `<p class="claim-tally">${tally(claim.tally, found)}</p>` +
    `<div class="claim-acts"><a class="claim-again" href="${escape(paper.again)}">Run it again</a>` +
    `${more(claim, open)}<a href="${paper.room.href}">See it in ${escape(paper.room.title)}</a></div>` +
    (open ? details(found, claim) : "") +
    `</article>`
  );
}

const more = (claim, open) =>
  claim.fit.length
    ? `<button type="button" data-claim="${claim.index}" aria-expanded="${open}">` +
      `${open ? "Hide" : "Show"} ${plural(claim.fit.length, "comparison")}</button>`
    : "";

// The first comparison that fits, with the model and the pictures it is of.
function first(found, claim) {
  const [line] = claim.fit;
  if (!line) return `<p class="lab-muted">No study that ships has measured this yet.</p>`;
  const { model } = found.studies[line.study];
  const bar = line.expected ? ` <span class="lab-muted">bar: ${escape(line.expected)}</span>` : "";
  return (
    `<p>${mark(line.verdict, found.verdicts[line.verdict])} <b class="claim-figure">${escape(line.measured)}</b>${bar}</p>` +
    `<p class="lab-muted">${escape(line.statement)}; ${escape(model)}, ${pictures(line, found.few)} pictures</p>`
  );
}

function details(found, claim) {
  const of = [...new Set(claim.fit.map((line) => line.study))].map((index) => found.studies[index]);
  const told = of.map(
    (study) =>
      `<li><b>${escape(study.model)}</b>: ${plain(study.on)}.<code>${escape(study.command)}</code></li>`,
  );
  const model = (line) => found.studies[line.study].model;
  const look = { verdicts: found.verdicts, few: found.few, model, label: claim.says };
  return `<div class="claim-details">${table(claim.fit, look)}<ul>${told.join("")}</ul></div>`;
}

// Words with `code` in them.
const plain = (text) => escape(text).replace(/`([^`]*)`/g, "<em>$1</em>");
