// What a class predicts: bars of options or of ranges of a scale, or the marks of all on one grid.

import { escape, plural } from "../../kit/js/format.js";
import { clamp, range } from "../../kit/js/numbers.js";

// `chart` is as Python counts it; `answer`, once it is known, is what was measured.
export function drawn(chart, predicted, answer) {
  const said = `What the class predicts: ${predicted}`;
  const inside = DRAWN[chart.kind](chart, answer);
  return `<figure class="class-${chart.kind}"><figcaption>${said}</figcaption>${inside}</figure>`;
}

const DRAWN = { options, scale, grid };

const most = (counts) => Math.max(1, ...counts);

function marks(own, measured) {
  const said = [own && "<b>you</b>", measured && "<em>measured</em>"].filter(Boolean);
  return said.length ? ` ${said.join(" ")}` : "";
}

function options({ bars, keys, counts, own }, answer) {
  const rows = bars.map(
    (
      label,
      i,
    ) => `<li data-own="${i === own}"><span>${escape(label)}${marks(i === own, keys[i] === answer)}</span>
      <i style="--part:${counts[i] / most(counts)}"></i><b>${counts[i]}</b></li>`,
  );
  return `<ul>${rows.join("")}</ul>`;
}

// The bars say their ranges when they are pointed at; below them stand the ends of every other one.
function scale({ bars, counts, own, scale: [low, high] }, answer) {
  const columns = bars.map(
    (label, i) => `<li title="${escape(label)}: ${counts[i]}" data-own="${i === own}">
      <b>${counts[i] || ""}</b><i style="--part:${counts[i] / most(counts)}"></i>
      <span>${escape(label.replace(/[ –].*/, ""))}</span></li>`,
  );
  const at = typeof answer === "number" ? clamp((answer - low) / (high - low), 0, 1) : null;
  const line =
    at === null ? "" : `<s style="--at:${at}" data-late="${at > 0.6}"><em>measured</em></s>`;
  return `<ul>${columns.join("")}${line}</ul>${legend(own !== null, at !== null)}`;
}

function grid({ grid: [rows, columns], counts, own }, answer) {
  const right = Array.isArray(answer) ? answer : [];
  const cells = range(rows * columns).map(
    (cell) => `<i data-own="${own.includes(cell)}" data-measured="${right.includes(cell)}"
      title="row ${Math.floor(cell / columns) + 1}, column ${(cell % columns) + 1}: ${counts[cell]}"
      style="--part:${counts[cell] / most(counts)}"></i>`,
  );
  const darkest = `<span>darkest: ${plural(Math.max(0, ...counts), "mark")}</span>`;
  return `<div style="--columns:${columns}">${cells.join("")}</div>
    ${legend(own.length > 0, right.length > 0, darkest)}`;
}

const legend = (own, measured, more = "") =>
  `<p class="class-legend">${own ? '<span class="class-own">yours</span>' : ""}${
    measured ? '<span class="class-measured">measured</span>' : ""
  }${more}</p>`;
