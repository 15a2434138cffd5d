// Run a claim again: a paper's claims on the visitor's own model and pictures, each comparison beside
// what ships of it.

import { arrive } from "../kit/js/arrive.js";
import { mark, pictures, tally } from "../kit/js/claims.js";
import { button, download, part, setHtml } from "../kit/js/dom.js";
import { escape } from "../kit/js/format.js";
import { told } from "../kit/js/packing.js";
import { createStore } from "../kit/js/store.js";

const store = createStore({});
export const { select, selection, on } = store;

export function see(element, props, watch) {
  const root = element.querySelector("section");
  const head = part("div", "rerun-head");
  const list = part("div", "rerun-claims");
  const take = button("Result JSON", save, "lab-reset");
  root.append(head, list, take);
  store.view("rows", root, () => draw(head, list, take));
  const receive = () => {
    if (told(props.value).filter(hear).length) arrive(root);
    draw(head, list, take);
  };
  watch("value", receive);
  receive();
}

// Whether these are the first rows of a run that was asked for here.
function hear(message) {
  if (message.kind === "restore") {
    store.fail();
    return false;
  }
  const fresh = message.claims.length && message.run !== store.shown?.run;
  if (message.kind === "done") store.end(message);
  else if (message.run === store.live?.run) store.step(message);
  else store.begin(message);
  return fresh;
}

function draw(head, list, take) {
  const found = store.shown;
  take.hidden = !found?.files;
  if (!found) return;
  setHtml(
    head,
    `<p><b>${escape(found.of)}</b></p>` +
      found.said.map((each) => `<p>${escape(each)}</p>`).join("") +
      (found.claims.length ? "" : `<p class="lab-muted">Comparisons come at the end.</p>`),
  );
  setHtml(list, found.claims.map((claim) => card(found, claim)).join("") + command(found));
}

function card(found, claim) {
  const id = `rerun-${claim.letters}`;
  return (
    `<article class="claim rerun" aria-labelledby="${id}"><div class="claim-says">` +
    `<p class="claim-of"><b>${escape(claim.letters)}</b></p><h3 id="${id}">${escape(claim.says)}</h3>` +
    `<p class="lab-muted">${escape(claim.where)}</p></div>` +
    `<p class="claim-tally">${tally(claim.tally, found)}</p>` +
    `<div class="claim-details">${rows(found, claim)}</div></article>`
  );
}

function rows(found, claim) {
  const body = claim.lines.map(
    (line) =>
      `<tr data-verdict="${line.verdict}"><th scope="row">${escape(line.statement)}</th>` +
      `<td data-name="Verdict">${mark(line.verdict, found.verdicts[line.verdict])}</td>` +
      `<td data-name="Measured"><b>${escape(line.measured)}</b></td>` +
      `<td data-name="Bar">${escape(line.expected ?? "none")}</td>` +
      `<td data-name="Pictures">${pictures(line, found.few)}</td>` +
      `<td data-name="Shipped">${line.beside.map((each) => shipped(found, each)).join("")}</td></tr>`,
  );
  const names = [
    "Comparison",
    "Yours",
    "Measured (95 %)",
    "Bar",
    "Pictures",
    "In the studies that ship",
  ];
  const heads = names.map((name) => `<th scope="col">${name}</th>`).join("");
  return (
    `<div class="claim-scroll" tabindex="0" role="region" aria-label="${escape(claim.says)}">` +
    `<table class="claim-lines"><thead><tr>${heads}</tr></thead><tbody>${body.join("")}</tbody></table></div>`
  );
}

const shipped = (found, line) =>
  `<p>${mark(line.verdict, `${line.model}: ${line.measured}`)} ` +
  `<small><span class="lab-hidden">${escape(found.verdicts[line.verdict])}, </span>` +
  `${line.pictures} pictures</small></p>`;

const command = (found) =>
  found.command
    ? `<p class="lab-muted">The same without the page:</p><code class="rerun-command">${escape(found.command)}</code>`
    : "";

function save() {
  const { stem, json } = store.shown.files;
  download(`${stem}.json`, json, "application/json");
}
