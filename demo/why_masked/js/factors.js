// What AAS learns on the clean picture: a factor for each block or head, and how far that takes it.

import { blockChart, blockFrame, frameValue } from "../../kit/js/blocks.js";
import { part, setHtml } from "../../kit/js/dom.js";
import { short } from "../../kit/js/format.js";
import { range } from "../../kit/js/numbers.js";
import { timeline } from "../../kit/js/timeline.js";
import { BLOCKS, rungOf, selectedBlock, store } from "./store.js";

const HEIGHT = 240;

export function factors(root) {
  root.innerHTML = `<h2>Which factors does AAS learn? Here the right ones are known: 1/c</h2>`;
  const frame = blockFrame("Learned factors", BLOCKS, { height: HEIGHT });
  const about = part("p", "lab-muted");
  root.append(frame, about);
  return (run) => {
    const { c, factors: found } = rungOf(run);
    const byHead = Array.isArray(found[0]);
    const lines = byHead ? range(found[0].length).map((h) => found.map((row) => row[h])) : [found];
    const all = [...lines.flat(), 1 / Math.max(...run.cs)].filter((v) => v > 0);
    const at = selectedBlock();
    setHtml(
      frame,
      blockChart({
        width: frame.clientWidth,
        height: HEIGHT,
        count: run.blocks,
        kind: "log",
        low: Math.min(...all),
        high: 1,
        exact: true,
        selected: at,
        title: byHead ? "factor on the scores, a line a head" : "factor on the scores",
        rules: [
          {
            value: 1 / c,
            text: c === 1 ? "1: nothing to undo" : `1/c = ${short(1 / c)} undoes it`,
          },
        ],
        readout: at === null ? [] : [["aas", lines.map((line) => short(line[at])).join(", ")]],
        series: lines.map((values) => ({ values, role: "aas" })),
      }),
    );
    const told = (l) => lines.map((line) => short(line[l])).join(", ");
    frameValue(
      frame,
      run.blocks,
      store.sel.block,
      at === null ? range(run.blocks).map(told).join("; ") : told(at),
    );
    setHtml(
      about,
      "AAS is told nothing of c: it climbs away from the features that the model has now, and may only make scores smaller.",
    );
  };
}

export function ascent(root) {
  root.innerHTML = `<h2>How far the factors have come, step by step</h2>`;
  const chart = part("div", "lab-chart mask-still");
  chart.setAttribute("role", "img");
  root.append(chart);
  return (run) => {
    const { path } = rungOf(run);
    const high = Math.max(...run.rungs.flatMap((each) => each.path), 1e-9) * 1.08;
    chart.setAttribute("aria-label", `Distance of features by step: ${path.map(short).join(", ")}`);
    setHtml(
      chart,
      timeline({
        width: root.clientWidth,
        height: HEIGHT,
        top: 26,
        last: path.length - 1,
        high,
        across: true,
        ticks: [0, 0.5, 1].map((share) => [share * high, short(share * high)]),
        steps: range(path.length),
        lines: [{ points: path.map((v, i) => [i, v]), role: "aas" }],
        title: "distance of the features, summed over blocks",
        foot: "step of the ascent",
      }),
    );
  };
}
