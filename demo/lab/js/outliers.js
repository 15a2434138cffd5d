// Which input columns of the linear layers LLM.int8 would send to 16 bits, at any threshold.

import { blockChart } from "../../kit/js/blocks.js";
import { setHtml } from "../../kit/js/dom.js";
import { ramp, sequential } from "../../kit/js/draw.js";
import { escape, percent, plural, short } from "../../kit/js/format.js";
import { swatches } from "../../kit/js/legend.js";
import { range } from "../../kit/js/numbers.js";
import { unpack } from "../../kit/js/packing.js";
import { chartFrame, drawMap, frameValue, insideView, largest, twoMaps } from "./inside.js";
import { sights, store } from "./store.js";
import { attackName, frameName, stepName } from "./words.js";

const SLOT_WORDS = {
  qkv: "qkv",
  proj: "attention output (proj)",
  fc1: "MLP first (fc1)",
  fc2: "MLP second (fc2)",
};

export const outliers = insideView({
  empty: "Press Run to see which columns an int8 model would have to compute in 16 bits.",
  key: ["outliers"],
  build(view, parts) {
    parts.tools.innerHTML =
      `<label class="lab-threshold"><span>Threshold <b></b></span><input type="range" min="0" step="1" aria-label="Outlier threshold"></label>` +
      `<button type="button" class="lab-reset">Default</button>`;
    view.range = parts.tools.querySelector("input");
    view.value = parts.tools.querySelector("b");
    view.range.addEventListener("input", () => {
      store.select({ threshold: view.data.thresholds[view.range.value] });
    });
    parts.tools.querySelector("button").addEventListener("click", () => {
      store.select({ threshold: null });
    });
    view.words = document.createElement("p");
    view.words.className = "lab-muted";
    parts.tools.append(view.words);
    view.key = document.createElement("div");
    view.panels = document.createElement("div");
    view.panels.className = "lab-panels lab-panels-2";
    view.charts = [];
    parts.overview.append(view.key, view.panels);
    Object.assign(view, twoMaps(parts.detail, ["clean", "clean"], ["adversarial", "attacked"]));
  },
  draw(run, sel, parts) {
    const view = this;
    const data = run.outliers;
    view.data = data;
    const at = thresholdAt(data, sel);
    const t = data.thresholds[at];
    view.range.max = data.thresholds.length - 1;
    view.range.value = at;
    const shown = thresholdName(t);
    view.value.textContent = shown;
    view.range.setAttribute("aria-valuetext", `threshold ${shown}`);
    view.words.textContent = thresholdWords(data, at);
    const [clean, now, noise] = [0, sel.step, run.noise].map((frame) => data.frames[frame]);
    const counts = {
      clean: layersAt(data, clean, at),
      now: layersAt(data, now, at),
      noise: layersAt(data, noise, at),
    };
    const seen = sights((each) => !each.outliers.missing);
    const most = Math.max(1, ...seen.map(([each, its]) => mostColumns(each.outliers, its)));
    setHtml(
      view.key,
      swatches([
        ["clean", "clean"],
        ["adversarial", sel.step ? frameName(run, sel.step) : "step 0: same as clean"],
        ["noise", "random noise, equal size"],
      ]),
    );
    const slots = [...new Set(data.layers.map((each) => each.slot))];
    panels(view, slots);
    slots.forEach((slot, s) => {
      const chart = view.charts[s];
      const of = (list) =>
        range(run.depthOf).map(
          (block) => list[data.layers.findIndex((l) => l.block === block && l.slot === slot)] ?? 0,
        );
      chart.classList.toggle("lab-chosen", slot === sel.slot);
      setHtml(
        chart,
        blockChart({
          width: chart.clientWidth,
          height: 184,
          count: run.depthOf,
          high: most,
          whole: true,
          selected: sel.block,
          title: SLOT_WORDS[slot] || slot,
          left: 38,
          readout: [
            ["clean", of(counts.clean)[sel.block]],
            ...(sel.step ? [["adversarial", of(counts.now)[sel.block]]] : []),
            ["noise", of(counts.noise)[sel.block]],
          ],
          groups: [
            { values: of(counts.clean), role: "clean" },
            { values: of(counts.now), role: "adversarial" },
            { values: of(counts.noise), role: "noise" },
          ],
        }),
      );
      frameValue(
        chart,
        run,
        `${of(counts.clean)[sel.block]} outlier columns clean, ${of(counts.now)[sel.block]} attacked, ${of(counts.noise)[sel.block]} noise`,
      );
    });
    const shape = run.shapes[sel.block];
    const layer = data.layers[sel.layer];
    const [left, right] = inputs(run, sel);
    const fits = left.length === shape.prefix + shape.grid[0] * shape.grid[1];
    view.maps.hidden = !fits;
    const max = Math.max(
      ...seen.map(([{ outliers: o }, its]) => o.thresholds[thresholdAt(o, its)]),
      ...seen.map(([each, its]) => largest(inputs(each, its), 0)),
    );
    if (fits) {
      const marks = (values) => values.map((v) => (v >= t ? 1 : 0));
      const carriers = (values) =>
        plural(
          values.reduce((sum, v) => sum + (v >= t ? 1 : 0), 0),
          "token",
        );
      drawMap(view.left, {
        picture: run.pictures[0],
        shape,
        values: left,
        max,
        marks: marks(left),
        title: `clean: ${carriers(left)}`,
      });
      drawMap(view.right, {
        picture: run.pictures[sel.step],
        shape,
        values: right,
        max,
        marks: marks(right),
        title: `${stepName(run, sel.step)}: ${carriers(right)}`,
      });
    }
    setHtml(
      view.bar,
      `<span>largest |input| per token, block ${layer.block + 1} ${escape(layer.slot)}; framed tokens reach ${shown}</span>${ramp(sequential, 0, 1, ["0", short(max)])}`,
    );
    const [a, b, n] = [clean, now, noise].map((frame) => frame.columns[at]);
    setHtml(
      parts.finding,
      sel.step === 0
        ? `On the clean picture ${a} of the float model’s ${data.total} columns (${percent(data.shares[at])}) reach ${shown}; random noise of equal size: ${n}.`
        : `Outlier columns in the float model: ${a} clean, ${b} ${escape(frameName(run, sel.step))}, ${n} under random noise, of ${data.total}. ` +
            `Counted with q, k and v as three layers, as Hugging Face has them: ${[clean, now, noise].map((frame) => frame.hugging_face[at]).join(", ")}.`,
    );
    parts.method.textContent =
      `LLM.int8 computes a column of a linear layer's input in 16 bits as soon as one token in it reaches the threshold. More such columns mean less of the work stays in int8. Counted in the float model that is attacked; ` +
      `the Cost page runs the int8 model, whose rounding moves a few. All four panels share one axis.` +
      (run.model.name.startsWith("visformer")
        ? " This model’s linear layers are 1×1 convolutions, the same product at every place; LLM.int8 as published would leave them in float."
        : "") +
      (run.attack.name === "quantattack"
        ? ""
        : ` ${attackName(run)} does not aim at this; QuantAttack does.`);
  },
});

function panels(view, slots) {
  if (view.slots === slots.join()) return;
  view.slots = slots.join();
  view.panels.textContent = "";
  view.charts = slots.map((slot, i) => {
    const layer = (block) =>
      store.run.outliers.layers.findIndex((l) => l.block === block && l.slot === slot);
    const chart = chartFrame(`Outlier columns in ${SLOT_WORDS[slot] || slot}`, {
      height: 184,
      extra: (key) => {
        const step = { ArrowUp: -1, ArrowDown: 1 }[key];
        if (!step) return false;
        view.charts[(i + step + slots.length) % slots.length].focus();
        return true;
      },
    });
    const take = () =>
      store.sel.slot !== slot &&
      layer(store.sel.block) >= 0 &&
      store.select({ layer: layer(store.sel.block) });
    chart.addEventListener("focus", take);
    chart.addEventListener("pointerdown", take);
    view.panels.append(chart);
    return chart;
  });
}

const thresholdAt = ({ default: usual, thresholds }, sel) =>
  sel.threshold === null ? usual : thresholds.indexOf(sel.threshold);

// The most outlier columns that a layer has in any frame.
function mostColumns(data, sel) {
  const at = thresholdAt(data, sel);
  return Math.max(...data.frames.flatMap((frame) => [...layersAt(data, frame, at)]));
}

// The largest input of each token to the layer that is looked at, clean and attacked.
const inputs = ({ outliers: data }, { step, layer }) =>
  [data.frames[0], data.frames[step]].map((frame) => tokensOf(data, frame)[layer]);

const thresholdName = (t) => (t === 6 ? "6.0" : t.toFixed(2));

// The outlier columns of each layer at a threshold on offer.
function layersAt({ layers }, frame, at) {
  frame.counts ??= unpack(frame.layers);
  return frame.counts.subarray(at * layers.length, (at + 1) * layers.length);
}

// The largest input of each token, by layer.
function tokensOf({ lengths }, frame) {
  let from = 0;
  return (frame.byToken ??= ((values) => lengths.map((n) => values.subarray(from, (from += n))))(
    unpack(frame.tokens),
  ));
}

function thresholdWords({ largest: most, origin, default: usual }, at) {
  return `${at === usual ? origin : "Chosen by you"}; largest input in this run ${short(most)}.`;
}
