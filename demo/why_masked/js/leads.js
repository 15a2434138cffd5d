// Block by block: how far the surest row leads, and the share of rows beyond what each format can hold.

import { blockChart, blockFrame, frameValue } from "../../kit/js/blocks.js";
import { setHtml } from "../../kit/js/dom.js";
import { escape, percent, short } from "../../kit/js/format.js";
import { legend } from "../../kit/js/legend.js";
import { range } from "../../kit/js/numbers.js";
import { BLOCKS, placeOf, rungOf, selectedBlock, store } from "./store.js";

const HEIGHT = 240;
const SERIES = [
  ["clean", "clean", "clean", ""],
  ["base", "adversarial", "attacked", "5 3"],
];

export function largest(root) {
  root.innerHTML = `<h2>The surest row of each block, against the limits</h2><div></div>`;
  const frame = blockFrame("Largest lead", BLOCKS, { height: HEIGHT });
  root.append(frame);
  return (run) => {
    const rung = rungOf(run);
    const head = placeOf(run)[1];
    const drawn = SERIES.filter(([name]) => rung.gaps[name]);
    const of = (each, name) => range(run.blocks).map((l) => each.gaps[name].largest[l][head]);
    const all = run.rungs.flatMap((each) => of(each, "clean")).filter((v) => v > 0);
    const { "float32 rounds": rounds, "float32 underflows": zero } = run.thresholds;
    setHtml(
      root.children[1],
      legend(
        drawn.map(([, role, words, dash]) => [
          role,
          words,
          dash,
          role === "clean" ? "dot" : "ring",
        ]),
      ),
    );
    const at = selectedBlock();
    const values = Object.fromEntries(drawn.map(([name]) => [name, of(rung, name)]));
    setHtml(
      frame,
      blockChart({
        width: frame.clientWidth,
        height: HEIGHT,
        count: run.blocks,
        kind: "log",
        low: Math.min(1, ...all),
        high: Math.max(2 * zero, ...all),
        selected: at,
        title: "largest lead of a row, z₁ − z₂",
        rules: [
          { value: rounds, text: `float32: top rounds to 1 (${rounds})`, side: "start" },
          { value: zero, text: `float32: the rest is 0 (${zero})`, side: "start" },
        ],
        readout: at === null ? [] : drawn.map(([name, role]) => [role, short(values[name][at])]),
        series: drawn.map(([name, role, , dash]) => ({
          values: values[name],
          role,
          dash,
          marker: role === "clean" ? "dot" : "ring",
        })),
      }),
    );
    const said = values.clean.map((v, l) => `block ${l + 1}: ${short(v)}`);
    frameValue(
      frame,
      run.blocks,
      store.sel.block,
      at === null ? said.join(", ") : short(values.clean[at]),
    );
  };
}

export function shares(root) {
  return (run) => {
    const { past } = rungOf(run).gaps.clean;
    const head = placeOf(run)[1];
    const columns = [...range(run.blocks).map((l) => String(l + 1)), "all"];
    const rows = Object.entries(run.thresholds).map(([name, limit]) => {
      const [format, what] = name.split(" ");
      const cells = past[name].map((row) => cell(row[head])).join("");
      return (
        `<tr><th scope="row">${escape(format)} ≥ ${limit}` +
        `<br><em>${what === "rounds" ? "top rounds to 1" : "the rest is 0"}</em></th>${cells}</tr>`
      );
    });
    setHtml(
      root,
      `<h2>Share of rows beyond each limit, clean picture, by block</h2>` +
        `<div class="report-scroll" tabindex="0" role="region" aria-label="Share of rows beyond each limit">` +
        `<table class="mask-heat"><thead><tr><td></td>${columns.map((each) => `<th scope="col">${each}</th>`).join("")}</tr></thead>` +
        `<tbody>${rows.join("")}</tbody></table></div>` +
        `<p class="lab-muted">% of all rows (queries) of ${store.sel.head < 0 ? "all heads" : `head ${store.sel.head + 1}`}; darker is more.</p>`,
    );
  };
}

const cell = (share) =>
  `<td style="--share:${share.toFixed(3)}">${share === 0 ? "0" : percent(share).replace(" %", "")}</td>`;
