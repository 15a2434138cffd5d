// What one attacked picture does to a batch: bars for all clean and for one attacked, by size.

import { axis, svg, text } from "../../kit/js/chart.js";
import { setHtml } from "../../kit/js/dom.js";
import { swatches } from "../../kit/js/legend.js";
import { clamp } from "../../kit/js/numbers.js";
import { now, times } from "./store.js";

const HEIGHT = 200;
const LEGEND = swatches([
  ["clean", "all clean"],
  ["adversarial", "one of them attacked"],
]);

export function batch(root) {
  root.innerHTML =
    `<h2>One attacked picture makes the whole batch pay; a larger batch dilutes it</h2>${LEGEND}` +
    `<div class="lab-chart" role="img"></div>` +
    `<p class="lab-muted">A column is outside int8 for all pictures of a batch as soon as one token of one of them reaches the threshold: the union of what each does alone. The others are sample pictures.</p>`;
  const chart = root.querySelector(".lab-chart");
  return ({ sweep }) => {
    const found = sweep.batches.map(({ size, clean, adversarial, ratio }) => ({
      size,
      clean: clean[now()],
      hit: adversarial[now()],
      ratio: ratio[now()],
    }));
    chart.setAttribute(
      "aria-label",
      found
        .map((b) => `batch of ${b.size}: ${b.clean} columns clean, ${b.hit} with one attacked`)
        .join("; "),
    );
    setHtml(chart, drawn(found, clamp(root.clientWidth, 240, 560)));
  };
}

function drawn(found, width) {
  const [left, right, top, bottom] = [44, width - 8, 22, 160];
  const high = Math.max(1, ...found.flatMap(({ clean, hit }) => [clean, hit]));
  const y = axis("linear", 0, high, top, bottom, { whole: true });
  const band = (right - left) / found.length;
  const w = band * 0.34;
  const bar = (role, x, value) =>
    `<rect class="lab-fill-${role}" x="${x}" y="${y.at(value)}" width="${w}" height="${bottom - y.at(value)}"/>`;
  return svg(width, HEIGHT, [
    ...y.ticks.map(
      ([v, words]) =>
        `<line class="lab-grid" x1="${left}" x2="${right}" y1="${y.at(v)}" y2="${y.at(v)}"/>` +
        text(left - 6, y.at(v) + 4, words, "end"),
    ),
    ...found.map(({ size, clean, hit, ratio }, i) => {
      const from = left + band * (i + 0.14);
      const words = ratio === null ? "" : times(ratio);
      return (
        bar("clean", from, clean) +
        bar("adversarial", from + w + 2, hit) +
        text(from + w, y.at(Math.max(clean, hit)) - 6, words, "middle", "lab-note") +
        text(from + w, bottom + 16, String(size), "middle")
      );
    }),
    text((left + right) / 2, bottom + 34, "pictures in the batch", "middle"),
    text(2, 12, "outlier columns of the batch"),
  ]);
}
