// Which input columns of the linear layers LLM.int8 would send to 16 bits, at any threshold.

import { blockChart } from "../../kit/js/blocks.js";
import { setHtml } from "../../kit/js/dom.js";
import { ramp, sequential } from "../../kit/js/draw.js";
import { escape, percent, plural, short } from "../../kit/js/format.js";
import { swatches } from "../../kit/js/legend.js";
import { range } from "../../kit/js/numbers.js";
import { toHalf, unpack } from "../../kit/js/packing.js";
import { chartFrame, drawMap, frameValue, insideView, largest, twoMaps } from "./inside.js";
import { store } from "./store.js";
import { attackName, frameName, stepName } from "./words.js";

const SLOT_WORDS = {
  qkv: "qkv",
  proj: "attention output (proj)",
  fc1: "MLP first (fc1)",
  fc2: "MLP second (fc2)",
};
const NOTCHES = 400;

export const outliers = insideView({
  empty: "Press Run to see which columns an int8 model would have to compute in 16 bits.",
  key: ["outliers"],
  build(view, parts) {
    parts.tools.innerHTML =
      `<label class="lab-threshold"><span>Threshold <b></b></span><input type="range" min="0" max="${NOTCHES}" step="1" aria-label="Outlier threshold"></label>` +
      `<button type="button" class="lab-reset">Default</button>`;
    view.range = parts.tools.querySelector("input");
    view.value = parts.tools.querySelector("b");
    view.range.addEventListener("input", () => {
      store.select({ threshold: thresholdAt(view, Number(view.range.value)) });
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
    if (view.run !== run) {
      view.run = run;
      view.top = Math.max(...data.frames.map((f) => f.largest));
      for (const frame of data.frames) {
        const peaks = unpack(frame.peaks);
        let from = 0;
        frame.layers = frame.counts.map((n) => peaks.subarray(from, (from += n)));
        const values = unpack(frame.tokens);
        let start = 0;
        frame.byToken = data.lengths.map((n) => values.subarray(start, (start += n)));
      }
    }
    const t = sel.threshold ?? data.default;
    view.range.value = notchOf(view, t);
    const shown = thresholdName(t);
    view.value.textContent = shown;
    view.range.setAttribute("aria-valuetext", `threshold ${shown}`);
    view.words.textContent = thresholdWords(view, data, t);
    const count = (frame) =>
      frame.layers.map((peaks) => peaks.reduce((sum, p) => sum + (p >= t ? 1 : 0), 0));
    const counts = {
      clean: count(data.frames[0]),
      now: count(data.frames[sel.step]),
      noise: count(data.frames[run.noise]),
    };
    const most = Math.max(1, ...data.frames.flatMap(count));
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
    const [left, right] = [
      data.frames[0].byToken[sel.layer],
      data.frames[sel.step].byToken[sel.layer],
    ];
    const fits = left.length === shape.prefix + shape.grid[0] * shape.grid[1];
    view.maps.hidden = !fits;
    const max = Math.max(largest([left, right], 0), t);
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
    const sum = (list) => list.reduce((x, y) => x + y, 0);
    const hf = (list) =>
      list.reduce((x, y, i) => x + y * (data.layers[i].slot === "qkv" ? 3 : 1), 0);
    const columns = sum(data.widths);
    setHtml(
      parts.finding,
      sel.step === 0
        ? `On the clean picture ${sum(counts.clean)} of the float model’s ${columns} columns (${percent(sum(counts.clean) / columns)}) reach ${shown}; random noise of equal size: ${sum(counts.noise)}.`
        : `Outlier columns in the float model: ${sum(counts.clean)} clean, ${sum(counts.now)} ${escape(frameName(run, sel.step))}, ${sum(counts.noise)} under random noise, of ${columns}. ` +
            `Counted with q, k and v as three layers, as Hugging Face has them: ${hf(counts.clean)}, ${hf(counts.now)}, ${hf(counts.noise)}.`,
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

const thresholdName = (t) => (t === 6 ? "6.0" : t.toFixed(2));

// The slider runs in equal ratios from the lowest threshold shipped to the largest input seen.
const thresholdAt = (view, notch) =>
  Math.max(
    view.run.outliers.floor,
    toHalf(view.run.outliers.floor * (view.top / view.run.outliers.floor) ** (notch / NOTCHES)),
  );
function notchOf(view, t) {
  const { floor } = view.run.outliers;
  return Math.round((NOTCHES * Math.log(t / floor)) / Math.log(view.top / floor || 2)) || 0;
}

function thresholdWords(view, data, t) {
  const ratio = `largest input in this run ${short(view.top)}`;
  if (Math.abs(t - data.default) > 1e-6) return `Chosen by you; ${ratio}.`;
  const by = data.set_by;
  if (!by) return `6.0 as published for LLM.int8; ${ratio}.`;
  return (
    `Set for this model, as on the Cost page: ${percent(by.share, 1)} of the columns of ${by.pictures} clean sample pictures reach ${t.toFixed(2)}. ` +
    `${by.at_published ? `Only ${percent(by.at_published, 2)} reach` : "None reaches"} the published 6.0; ${ratio}.`
  );
}
