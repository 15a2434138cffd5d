// What one attacked picture does to a batch: bars for all clean and for one attacked, by size.

import { setHtml } from "../../kit/js/dom.js";
import { swatches } from "../../kit/js/legend.js";
import { clamp } from "../../kit/js/numbers.js";
import { pairBars } from "../../kit/js/pairs.js";
import { now, times } from "./store.js";

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
      name: String(size),
      clean: clean[now()],
      hit: adversarial[now()],
      words: ratio[now()] === null ? "" : times(ratio[now()]),
    }));
    chart.setAttribute(
      "aria-label",
      found
        .map((b) => `batch of ${b.name}: ${b.clean} columns clean, ${b.hit} with one attacked`)
        .join("; "),
    );
    const look = {
      width: clamp(root.clientWidth, 240, 560),
      title: "outlier columns of the batch",
      foot: "pictures in the batch",
      whole: true,
    };
    setHtml(chart, pairBars(found, look));
  };
}
