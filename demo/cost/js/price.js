// What a pass multiplies, as a table.

import { setHtml } from "../../kit/js/dom.js";
import { escape, percent, short } from "../../kit/js/format.js";
import { naming, now, store, thousands } from "./store.js";

const ROLES = ["clean", "noise", "adversarial"];
const TITLE = "What a pass multiplies: the attack adds work, it replaces none";

const mega = (n) => `${(n / 1e6).toFixed(n < 1e7 ? 2 : 0)} M`;
const kilo = (n) => (n < 1e6 ? `${(n / 1e3).toFixed(0)} kB` : `${(n / 1e6).toFixed(1)} MB`);
const line = ([name, cell, note]) =>
  `<tr><th scope="row">${name}<br><em>${note}</em></th>${ROLES.map((role) => `<td>${cell(role)}</td>`).join("")}</tr>`;

export function price(root) {
  return (run) => {
    const head = ["clean", "noise", "attacked"]
      .map((name) => `<th scope="col">${name}</th>`)
      .join("");
    const unmetered = run.energy && !run.metered;
    setHtml(
      root,
      `<h2>${TITLE}</h2><div class="report-scroll" tabindex="0" role="region" aria-label="What a pass multiplies">` +
        `<table><thead><tr><td></td>${head}</tr></thead><tbody>${rows(run).map(line).join("")}</tbody></table></div>` +
        (unmetered ? `<p class="lab-muted">${escape(run.meter)} So energy is modelled.</p>` : ""),
    );
  };
}

// [name, what it is of a picture, a note], row by row.
function rows({ sweep, seen, threshold, memory, energy, metered, meter }) {
  const at = now();
  const own = `at the run’s ${naming(threshold.value)}`;
  const found = [
    [
      "Outlier columns, int8 model",
      (r) => thousands(sweep.totals[r][at]),
      `at ${naming(store.sel.threshold)}`,
    ],
    [
      "Outlier columns, float model",
      (r) => thousands(seen[r].float_columns),
      `${own}; what the Lab counts`,
    ],
    [
      "The same as Hugging Face counts",
      (r) => thousands(sweep.hf[r][at]),
      "q, k and v are three layers there",
    ],
    [
      "Share of multiplications outside int8",
      (r) => percent(sweep.shares[r][at], 2),
      "weighted by what a column multiplies",
    ],
    [
      "Multiplications in int8",
      (r) => mega(seen[r].cost.int8),
      `${own}; bitsandbytes: over all columns`,
    ],
    [
      "the same, compact",
      (r) => mega(seen[r].compact.int8),
      "as the paper idealises: outliers left out",
    ],
    ["Multiplications outside int8", (r) => mega(seen[r].cost.high), own],
    ["Bytes gathered for them", (r) => kilo(seen[r].cost.moved), "computed, not measured"],
  ];
  if (memory) found.push(["Peak GPU memory", (r) => kilo(memory[r]), "measured"]);
  if (energy && metered)
    found.push([
      "Energy of a pass",
      (r) => `${short(energy[r] * 1e3)} mJ`,
      `measured by ${escape(meter)}, idle power included`,
    ]);
  if (energy && !metered)
    found.push([
      "Energy, modelled",
      (r) => `${short(energy[r] * 1e6)} µJ`,
      "0.23 pJ an int8, 1.5 pJ a float16 multiply-add (Horowitz, ISSCC 2014); not of this machine",
    ]);
  return found;
}
