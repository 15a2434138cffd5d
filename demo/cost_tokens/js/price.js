// What a pass computes: the bill as bars, the sum it comes from, and what goes with it.

import { bars } from "../../kit/js/bars.js";
import { setHtml } from "../../kit/js/dom.js";
import { escape, percent, short } from "../../kit/js/format.js";
import { giga, NAMES, ROLES } from "./store.js";

const kilo = (n) => (n < 1e6 ? `${(n / 1e3).toFixed(0)} kB` : `${(n / 1e6).toFixed(1)} MB`);
const line = ([name, cells, note]) =>
  `<tr><th scope="row">${name}<br><em>${note}</em></th>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;

export function price(root) {
  return (run) =>
    setHtml(
      root,
      `<h2>The bill of a pass</h2><div class="tok-brief">${drawn(run)}</div>${table(run)}${sum(run)}`,
    );
}

function drawn({ seen, dense }) {
  const high = Math.max(dense, ...ROLES.map((role) => seen[role].macs));
  const bar = (role, macs) => [role, macs, `${giga(macs)} GMAC · ${percent(macs / dense)}`];
  const rows = ROLES.map((role) => ({ name: NAMES[role], bars: [bar(role, seen[role].macs)] }));
  return bars([...rows, { name: "dense", bars: [bar("dense", dense)] }], high);
}

function table(run) {
  const { seen, memory, energy, metered, meter, mechanism } = run;
  const of = (make) => ROLES.map((role) => make(seen[role], role));
  const rows = [
    [
      "Tokens computed",
      of((s) => percent(s.utilisation)),
      `of ${run.tokens} in each of ${run.sparse.length} blocks that may drop some`,
    ],
    [
      "Of the saving, gone",
      of((s) => (s.gap === null ? "–" : percent(s.gap).replace("-", "−"))),
      "(pass − clean) / (dense − clean)",
    ],
  ];
  if (seen.clean.heads) {
    rows.push([
      "Heads in use",
      of((s) => s.heads_on),
      `of ${run.blocks * run.heads}; ${escape(mechanism)} decides`,
    ]);
    rows.push(["Sub-layers in use", of((s) => s.sublayers_on), `of ${2 * run.blocks}`]);
  }
  if (memory)
    rows.push(["Peak GPU memory", of((_, role) => kilo(memory[role])), "measured, compacted path"]);
  if (energy)
    rows.push([
      metered ? "Energy of a pass" : "Energy, modelled",
      of((_, role) =>
        metered ? `${short(energy[role] * 1e3)} mJ` : `${short(energy[role] * 1e6)} µJ`,
      ),
      escape(meter),
    ]);
  const head = ROLES.map((role) => `<th scope="col">${NAMES[role]}</th>`).join("");
  return (
    `<div class="report-scroll" tabindex="0" role="region" aria-label="What a pass computes"><table>` +
    `<thead><tr><td></td>${head}</tr></thead><tbody>${rows.map(line).join("")}</tbody></table></div>`
  );
}

function sum({ formula, dense, blocks, mechanism }) {
  const parts = [
    `${giga(formula.embed)} patch embedding`,
    `${blocks} × ${giga(formula.block)} blocks`,
    `${giga(formula.head)} head`,
  ];
  const own = formula.deciders
    ? ` ${escape(mechanism)} adds ${short(formula.deciders / 1e6)} MMAC of its own for deciding, so that woken all through it costs more than the dense model.`
    : "";
  return (
    `<p class="lab-muted">Dense: ${parts.join(" + ")} = ${giga(dense)} GMAC (10⁹ multiply-adds of matrix products and convolutions). ` +
    `With n tokens in and m out, width D, A = heads in use × their width, a block costs 3nDA + n²A + mnA + mAD + 2rmD².${own} ` +
    `Counted from the pass’s own record of what it skipped.</p>`
  );
}
