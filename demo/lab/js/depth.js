// Where in depth clean and attacked part, and what each block would answer.

import { blockChart } from "../../kit/js/blocks.js";
import { setHtml } from "../../kit/js/dom.js";
import { ramp, sequential } from "../../kit/js/draw.js";
import { percent, probability, short } from "../../kit/js/format.js";
import { legend } from "../../kit/js/legend.js";
import { unpackRows } from "../../kit/js/packing.js";
import { chartFrame, drawMap, frameValue, insideView, largest, twoMaps } from "./inside.js";
import { sights } from "./store.js";
import { frameName, stepName } from "./words.js";

export const depth = insideView({
  empty: "Press Run to see at which block the attacked picture leaves the clean one.",
  key: ["depth"],
  build(view, parts) {
    view.key = document.createElement("div");
    view.chart = chartFrame("Divergence", { height: 220 });
    view.lensKey = document.createElement("div");
    view.lens = chartFrame("Logit lens", { height: 200 });
    view.lensNote = document.createElement("p");
    view.lensNote.className = "lab-finding lab-second";
    parts.overview.append(view.key, view.chart, view.lensKey, view.lens, view.lensNote);
    Object.assign(view, twoMaps(parts.detail, ["adversarial", "attacked"], ["noise", "noise"]));
    parts.tools.remove();
  },
  draw(run, sel, parts) {
    const view = this;
    const { frames, limits } = run.depth;
    const [now, noise] = [frames[sel.step], frames[run.noise]];
    const values = sights((each) => !each.depth.missing)
      .flatMap(([each]) => each.depth.frames.slice(1))
      .flatMap((f) => f.cosine)
      .filter((v) => v > 1e-6);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const kind = high > 30 * low ? "log" : "linear";
    const apart = sel.step ? now.parting.block : null;
    setHtml(
      view.key,
      legend([
        [
          "adversarial",
          sel.step
            ? `clean vs ${frameName(run, sel.step)}`
            : "clean vs attacked (step 0: no difference)",
          "5 3",
          "ring",
        ],
        ["noise", "clean vs random noise, equal size", "2 3", "diamond"],
      ]),
    );
    setHtml(
      view.chart,
      blockChart({
        width: view.chart.clientWidth,
        height: 220,
        count: run.depthOf,
        kind,
        low: kind === "log" ? low : 0,
        high,
        selected: sel.block,
        title: `1 − cosine, mean over tokens${kind === "log" ? " (log scale)" : ""}`,
        readout: [
          ...(sel.step ? [["adversarial", short(now.cosine[sel.block])]] : []),
          ["noise", short(noise.cosine[sel.block])],
        ],
        flags:
          apart === null
            ? []
            : [
                {
                  at: apart,
                  text: `parts: ${short(now.parting.times)} × noise`,
                  role: "adversarial",
                },
              ],
        series: [
          { values: noise.cosine, role: "noise", dash: "2 3", marker: "diamond" },
          ...(sel.step
            ? [{ values: now.cosine, role: "adversarial", dash: "5 3", marker: "ring" }]
            : []),
        ],
      }),
    );
    frameValue(
      view.chart,
      run,
      `divergence ${short(now.cosine[sel.block])} attacked, ${short(noise.cosine[sel.block])} noise`,
    );
    drawLens(view, run, sel);
    const shape = run.shapes[sel.block];
    const [left, right] = apartOf(run, sel);
    const fits = left.length === shape.prefix + shape.grid[0] * shape.grid[1];
    view.maps.hidden = !fits;
    const max = Math.max(
      ...sights((each) => !each.depth.missing).map(([each, its]) =>
        largest(apartOf(each, its), each.shapes[its.block].prefix),
      ),
    );
    if (fits) {
      drawMap(view.left, {
        picture: run.pictures[sel.step],
        shape,
        values: left,
        max,
        title: sel.step ? stepName(run, sel.step) : "step 0: none",
      });
      drawMap(view.right, {
        picture: run.pictures[run.noise],
        shape,
        values: right,
        max,
        title: "random noise",
      });
    }
    setHtml(
      view.bar,
      `<span>1 − cosine to the clean token after block ${sel.block + 1}, both on one scale</span>${ramp(sequential, 0, 1, ["0", short(max)])}`,
    );
    setHtml(parts.finding, depthFinding(run, sel, now, noise));
    parts.method.textContent =
      `Every token's vector after each block is compared with the same token on the clean picture. They part at the first block from which the attack stays more than ${limits.apart} times as far away as noise of the same size. ` +
      `The logit lens reads each block with the model's own final norm and head: early blocks were not trained to be read that way.`;
  },
});

// How far every token is from the clean one, attacked and under noise.
const apartOf = ({ depth: { frames }, noise }, { step, block }) =>
  [frames[step], frames[noise]].map(
    (frame) => (frame.unpacked ??= frame.tokens.map(unpackRows))[block],
  );

function depthFinding(run, sel, now, noise) {
  const end = run.depthOf - 1;
  const { limits } = run.depth;
  const { block: apart, end: ratio } = now.parting;
  if (sel.step === 0)
    return `Step 0 is the clean picture itself. Random noise of the attack's size moves the last block by ${short(noise.cosine[end])} (1 − cosine). Move to a later step.`;
  if (apart === null)
    return `The attack never leaves the clean picture for good by more than ${limits.apart} times what noise does; at the last block it is ${short(now.cosine[end])} away, noise ${short(noise.cosine[end])}.`;
  return (
    `Clean and attacked part in <button type="button" class="lab-jump" data-select='{"block":${apart}}'>block ${apart + 1}</button>: from there on the attack stays more than ${limits.apart} times as far away as noise of equal size. ` +
    `After the last block it is ${short(ratio)} times as far (${short(now.cosine[end])} against ${short(noise.cosine[end])}).`
  );
}

function drawLens(view, run, sel) {
  const { frames, lens_classes: classes } = run.depth;
  const [a, b] = [frames[0].lens, frames[sel.step].lens];
  view.lens.hidden = view.lensKey.hidden = view.lensNote.hidden = !a;
  if (!a) return;
  const dashes = ["", "5 3", "1 3"];
  const markers = ["dot", "ring", "diamond"];
  const entries = [];
  const series = [];
  classes.forEach((each, c) => {
    entries.push(["clean", `${each.name}, clean`, dashes[c], markers[c]]);
    series.push({
      values: a.map((row) => row[c]),
      role: "clean",
      dash: dashes[c],
      marker: markers[c],
    });
    if (!sel.step) return;
    entries.push(["adversarial", `${each.name}, attacked`, dashes[c], markers[c]]);
    series.push({
      values: b.map((row) => row[c]),
      role: "adversarial",
      dash: dashes[c],
      marker: markers[c],
    });
  });
  setHtml(view.lensKey, legend(entries));
  setHtml(
    view.lens,
    blockChart({
      width: view.lens.clientWidth,
      height: 200,
      count: run.depthOf,
      high: 1,
      selected: sel.block,
      series,
      title: "logit lens: probability read off each block",
    }),
  );
  frameValue(
    view.lens,
    run,
    classes
      .map(
        (each, c) =>
          `${each.name} ${probability(a[sel.block][c])} clean, ${probability(b[sel.block][c])} attacked`,
      )
      .join("; "),
  );
  view.lensNote.textContent = lensNote(run, sel, classes);
}

// From which block on a class keeps most of the probability, in words.
function lensNote(run, sel, classes) {
  const { frames, limits } = run.depth;
  const from = ({ lens, read_from: read }, c) =>
    read[c] === null
      ? `is not read as ${classes[c].name} with ${percent(limits.read)} at the end (${probability(lens[run.depthOf - 1][c])})`
      : `is read as ${classes[c].name} with ${percent(limits.read)} or more from block ${read[c] + 1} on`;
  const clean = `Through the lens the clean picture ${from(frames[0], 0)}`;
  return sel.step
    ? `${clean}; the attacked one ${from(frames[sel.step], classes.length > 1 ? 1 : 0)}.`
    : `${clean}.`;
}
