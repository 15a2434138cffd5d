// How a comparison of a claim is drawn wherever one stands: a sign, a word, the figure, the bar.

import { escape } from "./format.js";

const SIGNS = { holds: "✓", fails: "✕", undecided: "?", reported: "–" };
export const BARRED = ["holds", "fails", "undecided"];

// A sign and words, never a colour alone.
export const mark = (verdict, words) =>
  `<span class="claim-mark" data-verdict="${verdict}"><i aria-hidden="true">${SIGNS[verdict]}</i>` +
  `${escape(words)}</span>`;

// How many comparisons have each verdict, in words.
export const tally = (counts, { verdicts, several }) =>
  [...BARRED, "reported"]
    .filter((each) => counts[each])
    .map((each) => mark(each, `${counts[each]} ${(counts[each] > 1 ? several : verdicts)[each]}`))
    .join("");

export const pictures = (line, few) =>
  `${line.pictures}${line.pictures < few ? " <small>few</small>" : ""}`;

// The comparisons as a table whose rows become cards where there is little room. `model` says whose a
// line is.
export function table(lines, { verdicts, few, model, label }) {
  const columns = [
    ["Comparison", (line) => escape(line.statement)],
    ["Verdict", (line) => mark(line.verdict, verdicts[line.verdict])],
    ["Measured (95 %)", (line) => `<b>${escape(line.measured)}</b>`],
    ["Bar", (line) => escape(line.expected ?? "none")],
    ["Model", (line) => escape(model(line))],
    ["Pictures", (line) => pictures(line, few)],
    ["McNemar p", (line) => escape(line.p ?? "")],
    ["Gradients", (line) => escape(line.gradients ?? "")],
  ].filter(([, cell], index) => index < 6 || lines.some((line) => cell(line)));
  const heads = columns.map(([name]) => `<th scope="col">${name}</th>`).join("");
  const rows = lines.map((line) => {
    const cells = columns.map(
      ([name, cell], index) =>
        `<${index ? "td" : 'th scope="row"'} data-name="${name}">${cell(line)}</${index ? "td" : "th"}>`,
    );
    return `<tr data-verdict="${line.verdict}">${cells.join("")}</tr>`;
  });
  return (
    `<div class="claim-scroll" tabindex="0" role="region" aria-label="${escape(label)}">` +
    `<table class="claim-lines"><thead><tr>${heads}</tr></thead><tbody>${rows.join("")}</tbody></table></div>`
  );
}
