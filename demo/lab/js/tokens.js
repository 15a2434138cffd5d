// Which tokens the model keeps, or train-free ATS would.

import { setHtml } from "../../kit/js/dom.js";
import { escape, percent, plural } from "../../kit/js/format.js";
import { legend } from "../../kit/js/legend.js";
import { fateLegend, fates, KEPT, keptChart } from "../../kit/js/masks.js";
import { range } from "../../kit/js/numbers.js";
import { unpack } from "../../kit/js/packing.js";
import { chartFrame, drawMap, frameValue, insideView, twoMaps } from "./inside.js";
import { attackName, frameName, stepName } from "./words.js";

const PRUNERS = {
  ATS: "Train-free ATS (adaptive token sampling) put on this model: each pruning block samples the tokens the class token attends to, so their number depends on the picture. The same weights, no training. ",
  "A-ViT":
    "This model is an A-ViT: a token halts once its accumulated halting score reaches 0.99, and later blocks no longer compute it. ",
  AdaViT:
    "This model is an AdaViT: in each block small trained deciders switch patches, heads and whole sub-layers off. The map shows the patches. ",
};

export const tokens = insideView({
  empty:
    "Press Run to see which patches a token-pruning ViT would keep, before and after the attack.",
  key: ["tokens"],
  build(view, parts) {
    view.key = document.createElement("div");
    view.chart = chartFrame("Tokens kept", { height: 250 });
    parts.overview.append(view.key, view.chart);
    Object.assign(view, twoMaps(parts.detail, ["clean", "clean"], ["adversarial", "attacked"]));
    parts.tools.remove();
  },
  draw(run, sel, parts) {
    const view = this;
    const { blocks, total, frames, pruner } = run.tokens;
    const [a, b, n] = [frames[0], frames[sel.step], frames[run.noise]];
    const near = blocks.reduce(
      (best, l) => (Math.abs(l - sel.block) < Math.abs(best - sel.block) ? l : best),
      blocks[0],
    );
    const at = blocks.indexOf(near);
    setHtml(
      view.key,
      legend([
        ["clean", "clean"],
        ["adversarial", sel.step ? frameName(run, sel.step) : "attacked", "5 3", "ring"],
        ["noise", "random noise, equal size", "2 3", "diamond"],
      ]),
    );
    const full = (frame) =>
      range(run.depthOf).map((l) => (blocks.includes(l) ? frame.kept[blocks.indexOf(l)] : null));
    setHtml(
      view.chart,
      keptChart({
        width: view.chart.clientWidth,
        height: 250,
        total,
        block: sel.block,
        clean: full(a),
        noise: full(n),
        now: sel.step ? full(b) : null,
        title: "tokens kept",
      }),
    );
    const keep = (frame) =>
      (frame.masks ??= unpack(frame.keep)).subarray(at * total, (at + 1) * total);
    const shape = run.shapes[near];
    drawMap(view.left, {
      picture: run.pictures[0],
      shape,
      keep: keep(a),
      title: `clean: ${a.kept[at]} of ${total}`,
    });
    drawMap(view.right, {
      picture: run.pictures[sel.step],
      shape,
      keep: keep(b),
      was: keep(a),
      title: `${stepName(run, sel.step)}: ${b.kept[at]} of ${total}`,
    });
    frameValue(
      view.chart,
      run,
      `${a.kept[at]} kept clean, ${b.kept[at]} attacked, ${n.kept[at]} noise, of ${total}`,
    );
    setHtml(
      view.bar,
      `<span>after block ${near + 1}${near === sel.block ? "" : ` (block ${sel.block + 1} drops nothing by itself)`}</span>` +
        fateLegend([KEPT, ...fates(keep(b), keep(a))]),
    );
    setHtml(
      parts.finding,
      sel.step === 0
        ? `On the clean picture ${pruner} keeps ${percent(a.utilisation)} of the tokens over its ${blocks.length} pruning blocks; under random noise ${percent(n.utilisation)}.`
        : `${pruner} keeps ${percent(a.utilisation)} of the tokens on the clean picture, ${percent(b.utilisation)} ${escape(frameName(run, sel.step))}, and ${percent(n.utilisation)} under random noise of equal size. ` +
            `In block ${near + 1} the attack wakes ${plural(b.woken[at], "token")} and puts ${b.put[at]} to sleep.`,
    );
    const aims = run.attack.name === "desparsify";
    setHtml(
      parts.method,
      escape(PRUNERS[pruner]) +
        (aims
          ? ""
          : `${escape(attackName(run))} aims at the answer, not at this cost; DeSparsify is the attack that aims at cost. `) +
        `<a href="cost-tokens">What waking tokens costs</a> has a room of its own.`,
    );
  },
});
