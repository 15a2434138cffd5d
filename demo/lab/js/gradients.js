// How uneven the gradients are that the attack followed, and whether float32 could carry them.

import { blockChart } from "../../kit/js/blocks.js";
import { choices, setHtml } from "../../kit/js/dom.js";
import { ramp, sequential } from "../../kit/js/draw.js";
import { percent, short, times } from "../../kit/js/format.js";
import { legend } from "../../kit/js/legend.js";
import { unpackRows } from "../../kit/js/packing.js";
import { chartFrame, drawMap, frameValue, insideView, largest, twoMaps } from "./inside.js";
import { sights, store } from "./store.js";
import { attackName, frameName, stepName } from "./words.js";

const MEASURES = {
  variance: "variance of the gradient",
  dispersion: "variance / mean |g|²",
  kurtosis: "kurtosis",
};

export const gradients = insideView({
  empty: "Press Run to see how strong and how uneven the gradients are that the attack follows.",
  key: ["gradients"],
  build(view, parts) {
    view.modes = choices(
      "Measure",
      [
        ["variance", "Variance"],
        ["dispersion", "Dispersion"],
        ["kurtosis", "Kurtosis"],
      ],
      store.sel.measure,
      (measure) => store.select({ measure }),
    );
    const hint = document.createElement("span");
    hint.className = "lab-hint";
    hint.textContent = "The last two ignore scale.";
    parts.tools.append(view.modes.element, hint);
    view.key = document.createElement("div");
    view.panels = document.createElement("div");
    view.panels.className = "lab-panels lab-panels-3";
    view.charts = ["Attention", "QKV", "MLP"].map((name, i) => {
      const chart = chartFrame(`${name} gradient`, {
        height: 206,
        extra: (key) => {
          const step = { ArrowUp: -1, ArrowDown: 1 }[key];
          if (!step) return false;
          view.charts[(store.sel.component + step + 3) % 3].focus();
          return true;
        },
      });
      for (const taken of ["pointerdown", "focus"])
        chart.addEventListener(taken, () => store.select({ component: i }));
      view.panels.append(chart);
      return chart;
    });
    view.gapTitle = document.createElement("p");
    view.gapTitle.className = "lab-subhead";
    view.gap = chartFrame("Gap between the two largest pre-softmax scores", { height: 210 });
    view.gapNote = document.createElement("p");
    view.gapNote.className = "lab-finding lab-second";
    parts.overview.append(view.key, view.panels, view.gapTitle, view.gap, view.gapNote);
    view.parts3 = choices(
      "Component",
      [
        [0, "Attention"],
        [1, "QKV"],
        [2, "MLP"],
      ],
      0,
      (component) => store.select({ component: Number(component) }),
    );
    parts.detail.append(view.parts3.element);
    Object.assign(view, twoMaps(parts.detail, ["clean", "clean"], ["adversarial", "attacked"]));
  },
  draw(run, sel, parts) {
    const view = this;
    const { frames, components } = run.gradients;
    const [a, b] = [frames[0], frames[sel.step]];
    const name = components[sel.component];
    view.modes.set(sel.measure);
    view.parts3.set(sel.component);
    setHtml(
      view.key,
      legend([
        ["clean", "clean (step 0)"],
        ["adversarial", frameName(run, sel.step || run.last), "5 3", "ring"],
      ]),
    );
    const seen = sights((each) => !each.gradients.missing);
    const all = seen
      .flatMap(([each]) => each.gradients.frames.flatMap((f) => f[sel.measure].flat()))
      .filter((v) => v !== null && v > 0);
    const low = Math.min(...all);
    const high = Math.max(...all);
    components.forEach((title, i) => {
      const chart = view.charts[i];
      chart.classList.toggle("lab-chosen", i === sel.component);
      const column = (f) => f[sel.measure].map((row) => row[i]);
      setHtml(
        chart,
        blockChart({
          width: chart.clientWidth,
          height: 206,
          count: run.depthOf,
          kind: "log",
          low,
          high,
          selected: sel.block,
          title,
          readout: [
            ["clean", short(column(a)[sel.block])],
            ...(sel.step ? [["adversarial", short(column(b)[sel.block])]] : []),
          ],
          series: [
            { values: column(a), role: "clean" },
            ...(sel.step
              ? [{ values: column(b), role: "adversarial", dash: "5 3", marker: "ring" }]
              : []),
          ],
        }),
      );
      frameValue(
        chart,
        run,
        `${MEASURES[sel.measure]} ${short(a[sel.measure][sel.block][i])} clean, ${short(b[sel.measure][sel.block][i])} attacked`,
      );
    });
    drawGaps(view, run, sel);
    const shape = run.shapes[sel.block];
    const [left, right] = shares(run, sel);
    const max = Math.max(
      ...seen.map(([each, its]) => largest(shares(each, its), each.shapes[its.block].prefix)),
    );
    const fits = left.length === shape.prefix + shape.grid[0] * shape.grid[1];
    view.maps.hidden = !fits;
    if (fits) {
      drawMap(view.left, {
        picture: run.pictures[0],
        shape,
        values: left,
        max,
        unit: percent,
        title: "clean",
      });
      drawMap(view.right, {
        picture: run.pictures[sel.step],
        shape,
        values: right,
        max,
        unit: percent,
        title: sel.step ? stepName(run, sel.step) : "step 0: same",
      });
    }
    setHtml(
      view.bar,
      `<span>share of |gradient| per token, ${name}, block ${sel.block + 1}</span>${ramp(sequential, 0, 1, ["0", percent(max)])}`,
    );
    setHtml(parts.finding, gradientFinding(run, sel));
    parts.method.textContent =
      `The gradients are those the attack followed: of the loss of ${attackName(run)}, after its own rules, where it has any, had edited them on the way back through each block. ` +
      `Attention: pre-softmax scores; QKV: their projections; MLP: the block's MLP output. Variance is over all entries and shrinks with any rescaling; dispersion and kurtosis do not, so only they show that extremes were removed. The random-noise control has no gradient: nothing is attacked there. A line has a gap where the gradient is exactly zero.`;
  },
});

// The part of the gradient that each token has, clean and attacked.
const shares = ({ gradients: { frames } }, { step, block, component }) =>
  [frames[0], frames[step]].map((frame) => {
    const flat = (frame.unpacked ??= frame.tokens.map(unpackRows))[block];
    const n = flat.length / 3;
    return flat.subarray(component * n, (component + 1) * n);
  });

function gradientFinding(run, sel) {
  const { frames, components, top } = run.gradients;
  const { measure, component: i } = sel;
  const of = (frame, block) => short(frames[frame][measure][block][i]);
  if (sel.step === 0) {
    const at = top[measure][i];
    return `On the clean picture the ${components[i]} gradient is ${measure === "variance" ? "strongest" : "most uneven"} in block ${at + 1} (${MEASURES[measure]} ${of(0, at)}).`;
  }
  const { against } = frames[sel.step];
  const far = against[measure].far[i];
  if (far < 0)
    return `The ${components[i]} gradient is zero in every block at this step: there is nothing to compare.`;
  const other = measure === "variance" ? "dispersion" : "variance";
  return (
    `${frameName(run, sel.step).replace("after", "After")} the ${components[i]} gradient’s ${measure} is ${times(against[measure].typical[i])} its clean value (geometric mean over blocks), ` +
    `most apart in <button type="button" class="lab-jump" data-select='{"block":${far}}'>block ${far + 1}</button>: ${of(0, far)} → ${of(sel.step, far)}. ` +
    `Its ${other}${other === "dispersion" ? ", which ignores scale," : ""} is ${times(against[other].typical[i])} the clean one.`
  );
}

function drawGaps(view, run, sel) {
  const missing = run.gaps.missing;
  view.gap.hidden = view.gapNote.hidden = view.gapTitle.hidden = Boolean(missing);
  if (missing) return;
  const { frames, limits } = run.gaps;
  const [a, b] = [frames[0], frames[sel.step]];
  view.gapTitle.textContent =
    "Gap between the two largest pre-softmax scores of a row (box: quartiles; whisker: minimum, drawn from 0.001, to maximum)";
  const boxes = [
    { values: a.quantiles, role: "clean", offset: sel.step ? -0.17 : 0, spread: 0.26 },
  ];
  if (sel.step)
    boxes.push({ values: b.quantiles, role: "adversarial", offset: 0.17, spread: 0.26 });
  setHtml(
    view.gap,
    blockChart({
      width: view.gap.clientWidth,
      height: 210,
      count: run.depthOf,
      kind: "log",
      low: 0.001,
      high: 200,
      exact: true,
      selected: sel.block,
      boxes,
      rules: [
        {
          value: limits.cancels,
          text: `${limits.cancels}: float32 loses the row's top gradient`,
          side: "start",
        },
        {
          value: limits.underflows,
          text: `${limits.underflows}: float32 loses the whole row`,
          side: "start",
        },
      ],
    }),
  );
  frameValue(
    view.gap,
    run,
    `median gap ${short(a.quantiles[sel.block][2])} clean, ${short(b.quantiles[sel.block][2])} attacked`,
  );
  const { gap, block, cancels, cancels_block: most, underflows } = b.widest;
  view.gapNote.textContent =
    cancels === 0
      ? `No row reaches ${limits.cancels} (largest gap ${short(gap)}, block ${block + 1}): float32 underflow is absent in this model on this picture.`
      : `Up to ${percent(cancels)} of the rows of block ${most + 1} have a gap of ${limits.cancels} or more (largest ${short(gap)}, block ${block + 1}), where float32 rounds the top probability to 1; ` +
        (underflows > 0
          ? `up to ${percent(underflows)} pass ${limits.underflows} and carry no gradient at all.`
          : `none passes ${limits.underflows}, so no row loses its whole gradient.`);
}
