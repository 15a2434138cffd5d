// The Cost page: what an attack costs an int8 model. One threshold and one layer move all views.

import { blockChart } from "../kit/js/blocks.js";
import { axis } from "../kit/js/chart.js";
import { choices, setHtml } from "../kit/js/dom.js";
import { css, diverging, ramp, sequential, sharp } from "../kit/js/draw.js";
import { escape, percent, plural, probability, say, short } from "../kit/js/format.js";
import { swatches } from "../kit/js/legend.js";
import { drawMap } from "../kit/js/map.js";
import { clamp, range } from "../kit/js/numbers.js";
import { Picture, plain, toHalf, unpack } from "../kit/js/packing.js";
import { onTheme } from "../kit/js/theme.js";

const ROLES = ["clean", "adversarial", "noise"];
const NAMES = { clean: "clean", adversarial: "attacked", noise: "noise of equal size" };
const SLOTS = { qkv: "qkv", proj: "attention output", fc1: "MLP first", fc2: "MLP second" };
const EMPTY =
  "Press Run to see which columns of an int8 model an attack pushes into high precision, and what that costs.";
const NOTCHES = 400;
const NOWHERE = -99; // a block left of every chart
const BINS = 44;
const LEAST_SHARE = 1 / 256;
const FILES = {
  png: ["Adversarial PNG", "image/png"],
  csv: ["Layers CSV", "text/csv;charset=utf-8"],
  json: ["Report JSON", "application/json"],
};
const COMMAND = "python -m engine claims quant FOLDER --model";

let root = null;
let data = null;
let t = 0; // the threshold looked at
let layer = -1; // the layer looked at; -1 is all of them
let order = "own"; // columns of the heat maps sorted by themselves or as in the clean picture
let chosen = null; // what the controls stand for now; null until one has been touched
let working = null; // what a run under way is of
let failed = false; // whether the last Run ended in an error
let awaited = false; // whether a Run was pressed here whose report has not come
const parts = {};

const sum = (list) => list.reduce((a, b) => a + b, 0);
const thousands = (n) => String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
const blockName = ({ block, slot }) => `block ${block + 1}, ${SLOTS[slot] || slot}`;
const times = (ratio) => (ratio >= 10 ? ratio.toFixed(0) : ratio.toFixed(1));

function splitLayers(packed, layers) {
  const all = unpack(packed);
  let from = 0;
  return layers.map(({ k }) => all.subarray(from, (from += k)));
}
function prepare(message) {
  const found = { ...message, prepared: {}, mates: {} };
  for (const role of ROLES) {
    const seen = message.seen[role];
    const columns = splitLayers(seen.columns, message.layers);
    const tokens = seen.tokens && unpack(seen.tokens);
    const length = tokens ? tokens.length / message.layers.length : 0;
    found.prepared[role] = {
      ...seen,
      columns,
      tokens: tokens && message.layers.map((_, i) => tokens.subarray(i * length, (i + 1) * length)),
      image: new Picture(seen.picture),
    };
    found.prepared[role].image.ready.then(() => data === found && draw());
  }
  for (const [size, packed] of Object.entries(message.merged))
    found.mates[size] = splitLayers(packed, message.layers);
  found.top = Math.max(...ROLES.flatMap((r) => found.prepared[r].columns.map((c) => largestOf(c))));
  found.floor = Math.min(found.threshold.value, found.top) / 4;
  found.total = sum(message.layers.map((each) => each.k));
  found.depthOf = Math.max(...message.layers.map((each) => each.block)) + 1;
  return found;
}
const largestOf = (list) => list.reduce((a, b) => Math.max(a, b), 0);
const countOf = (peaks, at = t) => peaks.reduce((n, p) => n + (p >= at ? 1 : 0), 0);
const countsOf = (role) => data.prepared[role].columns.map((c) => countOf(c));

// Messages: working (a run is under way), report (all that is known of it), restore.
const show = (value) => {
  if (!value || !root) return;
  const message = plain(value);
  working = message.kind === "working" ? message.choice : null;
  if (message.kind !== "restore") failed = false;
  const first = message.kind === "report" && (!data || data.run !== message.run);
  if (message.kind === "report") {
    const moved = first ? null : t;
    data = prepare(message);
    t = moved ?? toHalf(data.threshold.value);
    if (first || layer >= data.layers.length) layer = -1;
    root.dataset.state = "run";
    parts.board.hidden = false;
  }
  draw();
  if (first && awaited) {
    awaited = false;
    bring();
  }
};
// Where the result is below or above what is seen, the visitor who asked for it is taken there, once.
function bring() {
  const { top, bottom } = parts.board.getBoundingClientRect();
  const seen = top >= 0 && Math.min(bottom, top + 160) <= innerHeight;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (!seen) parts.board.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
}

// Whether what stands there is what Run would give now.
const ORDER = ["picture", "model", "attack", "eps", "steps", "threshold"];
const take = (value) => {
  chosen = plain(value);
  tell();
};
const inWords = (choice, keys = ORDER) =>
  keys
    .filter((key) => choice[key])
    .map((key) => `<b>${escape(choice[key])}</b>`)
    .join(", ");
function tell() {
  if (!data || !root) return;
  const parted = (other) =>
    ORDER.filter((key) => data.choice[key] !== other[key] || (key === "picture" && data.choice.source !== other.source));
  const ahead = working || chosen;
  const apart = ahead ? parted(ahead) : [];
  const twins = apart.includes("picture") && data.choice.picture === ahead.picture;
  const next = ahead && inWords(ahead, apart) + (twins ? " (another picture of that name)" : "");
  parts.board.dataset.old = working || failed || apart.length ? "yes" : "";
  const now = inWords(data.choice, apart);
  setHtml(
    parts.note,
    working
      ? `At work on ${next || "the same again"}. Until it reports, this is of ${now || "the run before"}.`
      : failed
        ? `The last Run failed. What stands here is still of ${inWords(data.choice)}.`
        : apart.length
          ? `What stands here is of ${now || "less"}. Run will do ${next || "the rest alone"}.`
          : "",
  );
  parts.note.hidden = !parts.board.dataset.old;
}

const mount = (element) => {
  root = element.querySelector(".lab-view");
  if (root.dataset.mounted) return;
  root.dataset.mounted = "yes";
  root.dataset.state = "empty";
  root.innerHTML =
    `<p class="lab-empty">${EMPTY}</p><div class="cost-board" hidden>` +
    `<p class="cost-note" role="status" hidden></p>` +
    `<p class="cost-finding"></p><p class="cost-second"></p>` +
    `<div class="cost-files" role="group" aria-label="Downloads">` +
    Object.entries(FILES)
      .map(([kind, [words]]) => `<button type="button" class="lab-reset" data-file="${kind}">${words}</button>`)
      .join("") +
    `</div>` +
    `<div class="cost-threshold"><label class="lab-threshold"><span>Threshold <b></b></span>` +
    `<input type="range" min="0" max="${NOTCHES}" step="1" aria-label="Outlier threshold"></label>` +
    `<button type="button" class="lab-reset">As run</button><p class="lab-muted"></p></div>` +
    [
      "tokens",
      "layers",
      "heat",
      '<div class="cost-two">',
      "price",
      "time",
      "</div>",
      '<div class="cost-two">',
      "batch",
      "path",
      "</div>",
      "defence",
      "detect",
    ]
      .map((each) => (each.startsWith("<") ? each : `<section data-part="${each}"></section>`))
      .join("") +
    `</div>`;
  parts.board = root.querySelector(".cost-board");
  for (const part of ["note", "finding", "second"]) parts[part] = root.querySelector(`.cost-${part}`);
  for (const section of root.querySelectorAll("section")) parts[section.dataset.part] = section;
  parts.range = root.querySelector("input");
  parts.value = root.querySelector(".lab-threshold b");
  parts.words = root.querySelector(".cost-threshold p");
  parts.range.addEventListener("input", () => {
    t = toHalf(data.floor * (data.top / data.floor) ** (Number(parts.range.value) / NOTCHES));
    draw();
  });
  root.querySelector(".cost-threshold .lab-reset").addEventListener("click", () => {
    t = toHalf(data.threshold.value);
    draw();
  });
  mountTokens();
  mountLayers();
  mountHeat();
  root.addEventListener("click", (event) => {
    if (event.target.closest("[data-all]")) choose(-1);
    const file = event.target.closest("[data-file]");
    if (file) download(file.dataset.file);
  });
  watchControls();
  new ResizeObserver(() => requestAnimationFrame(draw)).observe(root);
  onTheme(draw);
};
function download(kind) {
  const { stem, [kind]: content } = data.files;
  const bytes = kind === "png" ? Uint8Array.from(atob(content), (c) => c.charCodeAt(0)) : content;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes], { type: FILES[kind][1] }));
  link.download = `${stem}.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// Run, and the line beside it; gradio may lay them out after the board.
function watchControls() {
  const line = document.querySelector("#status");
  if (!line || !document.querySelector("#run")) return void setTimeout(watchControls, 100);
  document.querySelector("#run").addEventListener("click", () => (awaited = true));
  new MutationObserver(() => {
    if (!awaited || failed || !line.querySelector('[data-kind="error"]')) return;
    failed = true;
    tell();
  }).observe(line, { childList: true, subtree: true, characterData: true, attributes: true });
  const recipe = document.querySelector("#cost #recipe");
  recipe.addEventListener("blur", takenBack, true);
  recipe.addEventListener("input", ({ target }) => target.closest(".block")?.querySelector(".cost-refused")?.remove());
}
// Gradio moves a number that is out of range into it without a word.
function takenBack({ target: box }) {
  const typed = box.type === "number" && box.dataset.testid === "number-input" ? box.value : "";
  const name = typed && box.closest(".block").querySelector("[data-testid=block-info]").textContent;
  setTimeout(() => {
    if (!typed || Number(box.value) === Number(typed)) return;
    const said = document.createElement("p");
    said.className = "cost-refused";
    said.setAttribute("role", "status");
    said.textContent = `${name.trim()}: ${typed} is not from ${box.min} to ${box.max}, so it is ${box.value} now.`;
    box.closest(".block").querySelector(".cost-refused")?.remove();
    box.closest(".block").append(said);
  }, 50);
}

const choose = (index) => {
  layer = index < 0 ? -1 : clamp(index, 0, data.layers.length - 1);
  draw();
};

function draw() {
  if (!data || !root.offsetWidth) return;
  const counts = Object.fromEntries(ROLES.map((role) => [role, countsOf(role)]));
  tell();
  words(counts);
  drawTokens();
  drawLayers(counts);
  drawHeat(counts);
  drawPrice(counts);
  drawTime();
  drawBatch();
  drawPath();
  drawDefence();
  drawDetect();
}

const atRun = () => Math.abs(t - toHalf(data.threshold.value)) < 1e-9;
const naming = (value) => (value === 6 ? "6.0" : value.toFixed(2));

function words(counts) {
  const n = Object.fromEntries(ROLES.map((role) => [role, sum(counts[role])]));
  const { clean, adversarial } = data.prepared;
  const ratio = n.clean ? ` (×${times(n.adversarial / n.clean)})` : "";
  const kept =
    clean.answer === adversarial.answer
      ? `The int8 model still answers “${escape(clean.answer)}”.`
      : `The int8 model’s answer changes from “${escape(clean.answer)}” to “${escape(adversarial.answer)}”.`;
  setHtml(
    parts.finding,
    `Of the int8 model’s ${thousands(data.total)} input columns, ${say("clean", n.clean)} leave int8 on the clean picture and ` +
      `${say("adversarial", n.adversarial)} under attack${ratio}; with noise of the same size ${n.noise}. ${kept}`,
  );
  const share = (role) => percent(shareOf(counts[role]), 1);
  setHtml(
    parts.second,
    !data.asked
      ? `Nothing may change at a budget of 0: the control. That is ${share("clean")} of all multiplications in high precision, with or without.`
      : `That is ${share("adversarial")} of all multiplications in high precision instead of ${share("clean")}, ` +
      `by a change of at most ${data.linf}/255 (${escape(data.attack.title)}` +
      (data.attack.name === "universal"
        ? `, made once for any picture: ${data.attack.pictures} pictures, ${data.attack.epochs} epochs, threshold ${naming(data.attack.threshold)}).`
        : `, ${data.steps === data.asked ? plural(data.steps, "step") : `stopped at step ${data.steps} of ${data.asked}`}).`) +
      (data.model.name.startsWith("visformer")
        ? " Its linear layers are 1×1 convolutions, the same product at every place; LLM.int8 as published would leave them in float."
        : ""),
  );
  parts.range.value = Math.round(
    (NOTCHES * Math.log(t / data.floor)) / Math.log(data.top / data.floor || 2),
  );
  parts.value.textContent = naming(t);
  parts.range.setAttribute("aria-valuetext", `threshold ${naming(t)}`);
  const { share: at, at_published, pictures, calibrated } = data.threshold;
  const others = `the float model’s columns on ${pictures} clean sample pictures`;
  parts.words.textContent = !atRun()
    ? `Moved by you: columns, shares, maps and batches follow. The attack, the times and the countermeasures are of ${naming(data.threshold.value)}.`
    : calibrated
      ? `Calibrated: ${percent(at, 2)} of ${others} reach ${naming(t)}. At the published 6.0 ${at_published ? `only ${percent(at_published, 2)} would` : "none would"}: small networks have few outliers.`
      : `${t === 6 ? "6.0 as published for LLM.int8" : "Chosen as a number"}: ${at ? percent(at, 2) : "none"} of ${others} reach it.`;
}
const macsOf = (list) => sum(list.map((c, i) => c * data.layers[i].column));
const shareOf = (list) => macsOf(list) / sum(data.layers.map((l) => l.k * l.column));
const hfOf = (list) => sum(list.map((c, i) => c * data.layers[i].hf));

// Which tokens carry outliers.
function mountTokens() {
  parts.tokens.innerHTML =
    `<h2></h2><div class="cost-three cost-pictures">` +
    ROLES.map(
      (role) =>
        `<figure class="cost-picture" data-role="${role}"><figcaption><b class="lab-${role}"></b><span></span></figcaption>` +
        `<div class="lab-stack"><canvas role="img"></canvas></div><div class="lab-prefix"></div></figure>`,
    ).join("") +
    `</div><div class="lab-scale"></div>`;
}
function drawTokens() {
  const all = layer < 0;
  const { grid, prefix, layers, prepared } = data;
  const has = ROLES.every((role) => prepared[role].tokens) && grid;
  setHtml(
    parts.tokens.querySelector("h2"),
    !has
      ? "The pictures"
      : all
        ? "Tokens that carry outliers, over all layers"
        : `Tokens that carry outliers, ${escape(blockName(layers[layer]))} <button type="button" class="lab-reset" data-all>all layers</button>`,
  );
  const valuesOf = (role) => {
    const tokens = prepared[role].tokens;
    if (!all) return tokens[layer];
    return Float32Array.from(tokens[0], (_, i) => sum(tokens.map((each) => (each[i] >= t ? 1 : 0))));
  };
  const values = has && Object.fromEntries(ROLES.map((role) => [role, valuesOf(role)]));
  const most = !has ? 1 : Math.max(all ? 1 : t, ...ROLES.map((role) => largestOf(values[role])));
  for (const role of ROLES) {
    const figure = parts.tokens.querySelector(`[data-role="${role}"]`);
    const { answer, p, image } = prepared[role];
    const carriers = has ? values[role].reduce((n, v) => n + (v >= (all ? 1 : t) ? 1 : 0), 0) : 0;
    figure.querySelector("b").textContent = NAMES[role];
    figure.querySelector("span").textContent =
      `${answer} ${probability(p)}` + (has ? ` · ${carriers} of ${plural(values[role].length, "token")}` : "");
    const own = has && values[role];
    drawMap(figure, {
      label: `${NAMES[role]}: ${carriers} tokens carry outliers`,
      picture: image,
      ...(has && {
        shape: { prefix, grid },
        values: own,
        max: most,
        marks: all ? null : own.map((v) => v >= t),
      }),
    });
  }
  setHtml(
    parts.tokens.querySelector(".lab-scale"),
    !has
      ? "This model’s tokens change between stages or stay in windows: no map over the picture."
      : all
        ? `<span>in how many of the ${layers.length} layers a token reaches ${naming(t)}</span>${ramp(sequential, 0, 1, ["0", String(most)])}`
        : `<span>largest |input| of a token; framed tokens reach ${naming(t)}</span>${ramp(sequential, 0, 1, ["0", short(most)])}`,
  );
}

// Columns by layer.
function mountLayers() {
  parts.layers.innerHTML =
    `<h2>Outlier columns by layer: where the attack acts</h2><div class="lab-key"></div>` +
    `<div class="lab-panels lab-panels-2"></div>` +
    `<p class="lab-muted">All panels share one axis. Choose a layer here or in the heat maps to see its tokens.</p>`;
  parts.layers.addEventListener("click", (event) => {
    const hit = event.target.closest("[data-block]");
    const slot = hit && hit.closest("[data-slot]").dataset.slot;
    if (hit) choose(at(Number(hit.dataset.block), slot));
  });
  parts.layers.addEventListener("keydown", (event) => {
    const slot = event.target.dataset && event.target.dataset.slot;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!slot || !(step || event.key === "Escape")) return;
    event.preventDefault();
    if (event.key === "Escape") return choose(-1);
    const now = layer >= 0 && data.layers[layer].slot === slot ? data.layers[layer].block + step : 0;
    const next = at(clamp(now, 0, data.depthOf - 1), slot);
    if (next >= 0) choose(next);
  });
}
const at = (block, slot) => data.layers.findIndex((l) => l.block === block && l.slot === slot);
function drawLayers(counts) {
  setHtml(
    parts.layers.querySelector(".lab-key"),
    swatches(ROLES.map((role) => [role, NAMES[role]])),
  );
  const slots = [...new Set(data.layers.map((each) => each.slot))];
  const box = parts.layers.querySelector(".lab-panels");
  if (box.dataset.slots !== slots.join()) {
    box.dataset.slots = slots.join();
    box.innerHTML = slots
      .map((s) => `<div class="lab-chart cost-pick" data-slot="${escape(s)}" tabindex="0" role="slider"></div>`)
      .join("");
  }
  const high = Math.max(1, ...ROLES.flatMap((role) => counts[role]));
  slots.forEach((slot, s) => {
    const of = (role) => range(data.depthOf).map((block) => counts[role][at(block, slot)] ?? 0);
    const chosen = layer >= 0 && data.layers[layer].slot === slot ? data.layers[layer].block : NOWHERE;
    const chart = box.children[s];
    chart.classList.toggle("lab-chosen", chosen >= 0);
    setHtml(
      chart,
      blockChart({
        width: chart.clientWidth,
        height: 170,
        count: data.depthOf,
        high,
        whole: true,
        selected: chosen,
        title: SLOTS[slot] || slot,
        left: 38,
        readout: chosen === NOWHERE ? [] : ROLES.map((role) => [role, of(role)[chosen]]),
        groups: ROLES.map((role) => ({ values: of(role), role })),
      }),
    );
    const place = Math.max(0, chosen);
    chart.setAttribute("aria-label", `Outlier columns in ${SLOTS[slot] || slot}: block`);
    chart.setAttribute("aria-valuemin", 1);
    chart.setAttribute("aria-valuemax", data.depthOf);
    chart.setAttribute("aria-valuenow", place + 1);
    chart.setAttribute(
      "aria-valuetext",
      `block ${place + 1}: ${ROLES.map((role) => `${of(role)[place]} ${NAMES[role]}`).join(", ")}`,
    );
  });
}

// Layer x column, columns by rank on a log axis: the edge of the warm colour is the count.
function mountHeat() {
  parts.heat.innerHTML =
    `<h2>Layer × column: where the colour turns warm, columns leave int8</h2><div class="lab-tools"></div>` +
    `<div class="cost-three cost-heats">` +
    ROLES.map(
      (role) =>
        `<figure class="cost-heat" data-role="${role}"><figcaption><b class="lab-${role}"></b></figcaption><canvas role="img"></canvas></figure>`,
    ).join("") +
    `</div><div class="lab-scale"></div>`;
  const sorting = choices(
    "Order of columns",
    [
      ["own", "each picture’s largest first"],
      ["clean", "clean picture’s order"],
    ],
    order,
    (value) => {
      order = value;
      draw();
    },
  );
  parts.heat.querySelector(".lab-tools").append(sorting.element);
  for (const canvas of parts.heat.querySelectorAll("canvas"))
    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      const row = Math.floor(((event.clientY - box.top - 4) / (box.height - HEAT_FOOT - 4)) * data.layers.length);
      if (row >= 0 && row < data.layers.length) choose(row === layer ? -1 : row);
    });
}
const HEAT_FOOT = 34;
const HEAT_LEFT = 34;
// Edges of the bins as shares of a layer's columns, in equal ratios after the first.
const EDGES = [0, ...range(BINS).map((i) => LEAST_SHARE ** (1 - (i + 1) / BINS))];
function drawHeat(counts) {
  const { layers, prepared } = data;
  for (const role of ROLES) {
    const figure = parts.heat.querySelector(`[data-role="${role}"]`);
    figure.querySelector("b").textContent = `${NAMES[role]}: ${thousands(sum(counts[role]))} columns`;
    const canvas = figure.querySelector("canvas");
    canvas.setAttribute("aria-label", `${NAMES[role]}: size of each layer’s columns against the threshold`);
    const width = figure.clientWidth;
    if (!width) continue;
    const tall = clamp(Math.round(300 / layers.length), 5, 10);
    const height = tall * layers.length + HEAT_FOOT + 4;
    canvas.style.height = `${height}px`;
    const context = sharp(canvas, width, height);
    const style = getComputedStyle(root);
    const x = (i) => HEAT_LEFT + ((width - HEAT_LEFT - 14) * i) / BINS;
    layers.forEach((each, row) => {
      const key = order === "own" ? prepared[role].columns[row] : prepared.clean.columns[row];
      const ranks = sorted(key);
      const peaks = prepared[role].columns[row];
      for (let i = 0; i < BINS; i++) {
        let value = 0;
        const from = Math.floor(EDGES[i] * each.k + 1e-9);
        for (let r = from; r < Math.max(from + 1, Math.floor(EDGES[i + 1] * each.k + 1e-9)); r++)
          value = Math.max(value, peaks[ranks[r]]);
        context.fillStyle = css(edged(warmth(value)));
        context.fillRect(x(i), 4 + row * tall, x(i + 1) - x(i) + 0.6, tall - (tall > 6 ? 1 : 0));
      }
    });
    context.font = `12px ${style.fontFamily}`;
    context.fillStyle = style.getPropertyValue("color");
    context.textAlign = "right";
    context.textBaseline = "middle";
    const every = Math.max(1, Math.ceil((15 * data.depthOf) / (tall * layers.length)));
    layers.forEach((each, row) => {
      const first = !row || layers[row - 1].block !== each.block;
      if (first && each.block % every === 0)
        context.fillText(String(each.block + 1), HEAT_LEFT - 6, 4 + row * tall + tall / 2 + 2);
    });
    context.textAlign = "center";
    const foot = 4 + tall * layers.length;
    for (const tick of [0.01, 0.1, 1])
      context.fillText(`${100 * tick} %`, x(BINS * (1 - Math.log(tick) / Math.log(LEAST_SHARE))) - (tick === 1 ? 6 : 0), foot + 9);
    const sortedBy = order === "own" ? "largest first" : "in the clean picture’s order";
    context.fillText(`share of a layer’s columns, ${sortedBy}`, (width + HEAT_LEFT) / 2, foot + 25);
    context.save();
    context.translate(8, foot / 2);
    context.rotate(-Math.PI / 2);
    context.fillText("block", 0, 0);
    context.restore();
    if (layer >= 0) {
      context.lineWidth = 1.5;
      context.strokeStyle = style.getPropertyValue("color");
      context.strokeRect(HEAT_LEFT - 1, 3.5 + layer * tall, width - HEAT_LEFT - 12, tall);
    }
  }
  setHtml(
    parts.heat.querySelector(".lab-scale"),
    `<span>largest |input| of a column, divided by the threshold; a row is a linear layer, in the order of a pass</span>${ramp(edged, -1, 1, ["¼", "1", "4"])}`,
  );
}
// One octave is half of the scale; the colour jumps at the threshold, so that its edge is a count.
const warmth = (value) => (value > 0 ? clamp(Math.log2(value / t) / 2, -1, 1) : -1);
const edged = (v) => diverging(v < 0 ? 0.9 * v - 0.1 : 0.45 + 0.55 * v);
const ranked = new WeakMap();
function sorted(peaks) {
  if (!ranked.has(peaks))
    ranked.set(
      peaks,
      Uint32Array.from(range(peaks.length)).toSorted((a, b) => peaks[b] - peaks[a]),
    );
  return ranked.get(peaks);
}

const row = (name, values, note = "") =>
  `<tr><th scope="row">${name}${note ? `<br><em>${note}</em>` : ""}</th>${values.map((v) => `<td>${v}</td>`).join("")}</tr>`;
const head = (names) =>
  `<thead><tr>${names.map((name) => (name ? `<th scope="col">${name}</th>` : "<td></td>")).join("")}</tr></thead>`;

function drawPrice(counts) {
  const { prepared, energy, memory, metered, meter } = data;
  const roles = ["clean", "noise", "adversarial"];
  const each = (f) => roles.map((role) => f(role));
  const mega = (n) => `${(n / 1e6).toFixed(n < 1e7 ? 2 : 0)} M`;
  const kilo = (n) => (n < 1e6 ? `${(n / 1e3).toFixed(0)} kB` : `${(n / 1e6).toFixed(1)} MB`);
  const where = `at the run’s ${naming(data.threshold.value)}`;
  const rows = [
    row("Outlier columns, int8 model", each((r) => thousands(sum(counts[r]))), `at ${naming(t)}`),
    row("Outlier columns, float model", each((r) => thousands(prepared[r].float_columns)), `${where}; what the Lab counts`),
    row("The same as Hugging Face counts", each((r) => thousands(hfOf(counts[r]))), "q, k and v are three layers there"),
    row("Share of multiplications outside int8", each((r) => percent(shareOf(counts[r]), 2)), "weighted by what a column multiplies"),
    row("Multiplications in int8", each((r) => mega(prepared[r].cost.int8)), `${where}; bitsandbytes: over all columns`),
    row("the same, compact", each((r) => mega(prepared[r].compact.int8)), "as the paper idealises: outliers left out"),
    row("Multiplications outside int8", each((r) => mega(prepared[r].cost.high)), where),
    row("Bytes gathered for them", each((r) => kilo(prepared[r].cost.moved)), "computed, not measured"),
  ];
  if (memory) rows.push(row("Peak GPU memory", each((r) => kilo(memory[r])), "measured"));
  if (energy)
    rows.push(
      metered
        ? row("Energy of a pass", each((r) => `${short(energy[r] * 1e3)} mJ`), `measured by ${escape(meter)}, idle power included`)
        : row("Energy, modelled", each((r) => `${short(energy[r] * 1e6)} µJ`), "0.23 pJ an int8, 1.5 pJ a float16 multiply-add (Horowitz, ISSCC 2014); not of this machine"),
    );
  setHtml(
    parts.price,
    `<h2>What a pass multiplies: the attack adds work, it replaces none</h2><div class="cost-scroll" tabindex="0" role="region" aria-label="What a pass multiplies"><table>${head(["", "clean", "noise", "attacked"])}<tbody>${rows.join("")}</tbody></table></div>` +
      (energy && !metered ? `<p class="lab-muted">${escape(meter)} So energy is modelled.</p>` : ""),
  );
}

const svg = (width, height, inner) =>
  `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" aria-hidden="true">${inner}</svg>`;
const text = (x, y, words, anchor = "start", cls = "lab-tick") =>
  `<text class="${cls}" x="${x}" y="${y}" text-anchor="${anchor}">${escape(words)}</text>`;
const widthOf = (section) => Math.max(240, Math.min(560, section.clientWidth));

function drawTime() {
  const { times: found, machine, earlier } = data;
  const title = earlier
    ? "<h2>What a pass took where this report was made: another day, perhaps another machine</h2>"
    : "<h2>What a pass takes on this machine: measured, one picture at a time</h2>";
  if (!found) {
    setHtml(parts.time, `${title}<p class="lab-muted">The times follow when the run has come to its end.</p>`);
    return;
  }
  const bars = [
    ["float", "float model", "muted"],
    ["clean", "int8, clean", "clean"],
    ["noise", "int8, noise", "noise"],
    ["adversarial", "int8, attacked", "adversarial"],
  ];
  const width = widthOf(parts.time);
  const left = 96;
  const right = width - 62;
  const high = Math.max(...bars.map(([name]) => found[name].high));
  const y = axis("linear", 0, high, right, left, {});
  const x = (v) => y.at(v);
  const out = y.ticks.map(
    ([v, words]) => `<line class="lab-grid" x1="${x(v)}" x2="${x(v)}" y1="0" y2="140"/>${text(x(v), 156, words, "middle")}`,
  );
  bars.forEach(([name, words, role], i) => {
    const { median, low, high: top } = found[name];
    const mid = 18 + i * 35;
    const fill = role === "muted" ? 'style="fill: var(--lab-muted)"' : `class="lab-fill-${role}"`;
    out.push(
      `${text(left - 8, mid + 4, words, "end")}<rect ${fill} x="${left}" y="${mid - 10}" width="${x(median) - left}" height="20"/>` +
        `<path class="lab-axis" style="fill:none;stroke:var(--lab-ink);stroke-width:1.5" d="M${x(low)} ${mid}H${x(top)}M${x(low)} ${mid - 4}v8M${x(top)} ${mid - 4}v8"/>` +
        text(right + 8, mid + 4, `${median.toFixed(1)} ms`),
    );
  });
  out.push(text((left + right) / 2, 174, "milliseconds a pass", "middle"));
  const ratio = found.adversarial.median / found.clean.median;
  setHtml(
    parts.time,
    `${title}<div class="lab-chart" role="img" aria-label="${bars.map(([name, words]) => `${words} ${found[name].median} ms`).join(", ")}">${svg(width, 180, out.join(""))}</div>` +
      `<p>Attacked over clean: ×${ratio.toFixed(2)}; int8 over float, clean: ×${(found.clean.median / found.float.median).toFixed(2)}.</p>` +
      `<p class="lab-muted">Median and quartiles of ${plural(found.float.rounds, "round")}, the four taken in turn, on ${escape(machine.device)} of ${escape(machine.processor)} with ${plural(machine.cores, "core")}, batch of one, eager PyTorch; ` +
      `the product over all columns in int8, outliers in float32 beside it. ` +
      (machine.others === null ? "" : `Other programs kept ${machine.others.toFixed(1)} of the cores busy meanwhile. `) +
      (earlier ? "Press Run to measure the machine that serves this page. " : "") +
      `GPU times of the paper cannot be had from a CPU.</p>`,
  );
}

function drawBatch() {
  const sizes = Object.keys(data.mates).map(Number);
  const union = (role, size) =>
    sum(data.prepared[role].columns.map((own, i) => own.reduce((n, p, c) => n + (Math.max(p, data.mates[size][i][c]) >= t ? 1 : 0), 0)));
  const values = sizes.map((size) => [union("clean", size), union("adversarial", size)]);
  const width = widthOf(parts.batch);
  const [left, right, top, bottom] = [44, width - 8, 22, 160];
  const y = axis("linear", 0, Math.max(1, ...values.flat()), top, bottom, { whole: true });
  const band = (right - left) / sizes.length;
  const out = y.ticks.map(
    ([v, words]) => `<line class="lab-grid" x1="${left}" x2="${right}" y1="${y.at(v)}" y2="${y.at(v)}"/>${text(left - 6, y.at(v) + 4, words, "end")}`,
  );
  values.forEach(([clean, hit], i) => {
    const from = left + band * (i + 0.14);
    const w = band * 0.34;
    out.push(
      `<rect class="lab-fill-clean" x="${from}" y="${y.at(clean)}" width="${w}" height="${bottom - y.at(clean)}"/>` +
        `<rect class="lab-fill-adversarial" x="${from + w + 2}" y="${y.at(hit)}" width="${w}" height="${bottom - y.at(hit)}"/>` +
        text(from + w, Math.min(y.at(clean), y.at(hit)) - 6, clean ? `×${times(hit / clean)}` : "", "middle", "lab-note") +
        text(from + w, bottom + 16, String(sizes[i]), "middle"),
    );
  });
  out.push(text((left + right) / 2, bottom + 34, "pictures in the batch", "middle"), text(2, 12, "outlier columns of the batch"));
  setHtml(
    parts.batch,
    `<h2>One attacked picture makes the whole batch pay; a larger batch dilutes it</h2>` +
      swatches([
        ["clean", "all clean"],
        ["adversarial", "one of them attacked"],
      ]) +
      `<div class="lab-chart" role="img" aria-label="${sizes.map((size, i) => `batch of ${size}: ${values[i][0]} columns clean, ${values[i][1]} with one attacked`).join("; ")}">${svg(width, 200, out.join(""))}</div>` +
      `<p class="lab-muted">A column is outside int8 for all pictures of a batch as soon as one token of one of them reaches the threshold: the union of what each does alone. The others are sample pictures.</p>`,
  );
}

function lines({ width, height, x: [x0, x1, xWords], y: [y0, y1, yWords], series, whole, rule }) {
  const [left, right, top, bottom] = [46, width - 10, 22, height - 40];
  const y = axis("linear", y0, y1, top, bottom, { whole });
  const across = axis("linear", x0, x1, right, left, { whole });
  const put = (v) => left + ((v - x0) / (x1 - x0 || 1)) * (right - left);
  const out = y.ticks.map(
    ([v, words]) => `<line class="lab-grid" x1="${left}" x2="${right}" y1="${y.at(v)}" y2="${y.at(v)}"/>${text(left - 6, y.at(v) + 4, words, "end")}`,
  );
  for (const [v, words] of across.ticks) if (v <= x1) out.push(text(put(v), bottom + 16, words, "middle"));
  if (rule) out.push(`<path class="lab-rule" d="M${put(rule[0][0])} ${y.at(rule[0][1])}L${put(rule[1][0])} ${y.at(rule[1][1])}"/>`);
  for (const { points, role } of series)
    out.push(
      `<path class="lab-line lab-stroke-${role}" d="M${points.map(([a, b]) => `${put(a).toFixed(1)} ${y.at(b).toFixed(1)}`).join("L")}"/>`,
    );
  out.push(
    `<line class="lab-axis" x1="${left}" x2="${right}" y1="${bottom}" y2="${bottom}"/>`,
    text((left + right) / 2, height - 6, xWords, "middle"),
    text(2, 12, yWords),
  );
  return svg(width, height, out.join(""));
}

function drawPath() {
  const { path, threshold, asked } = data;
  const title = "<h2>How the columns grow while the attack works</h2>";
  if (!asked) {
    setHtml(parts.path, `${title}<p class="lab-muted">Nothing may change at a budget of 0, so no step is taken.</p>`);
    return;
  }
  if (path.length < 2) {
    const measured = data.attack.measured;
    setHtml(
      parts.path,
      `${title}<p class="lab-muted">A universal perturbation was trained beforehand and takes one addition.` +
        (measured
          ? ` On ${measured.pictures} pictures it had never seen it raised the columns from ${short(measured.clean)} to ${short(measured.attacked)} on average; noise of its size: ${short(measured.noise)}.`
          : "") +
        `</p>`,
    );
    return;
  }
  const width = widthOf(parts.path);
  const most = Math.max(1, ...path.map(([, columns]) => columns));
  const chart = lines({
    width,
    height: 200,
    x: [0, asked, "step"],
    y: [0, most, `outlier columns at ${naming(threshold.value)}`],
    series: [{ points: path, role: "adversarial" }],
    whole: true,
  });
  const half = path.find(([, columns]) => columns >= (path[0][1] + most) / 2) || path[0];
  setHtml(
    parts.path,
    `${title}<div class="lab-legend"></div><div class="lab-chart" role="img" aria-label="from ${path[0][1]} to ${path[path.length - 1][1]} columns in ${data.steps} steps">${chart}</div>` +
      `<p class="lab-muted">Half of the rise is done by step ${half[0]}. Counted on the int8 model; the attack itself works on the float one.</p>`,
  );
}

const span = ({ value, low, high }, digits = 1) =>
  value.toFixed(digits) + (high - low < 1e-9 ? "" : ` <small>${low.toFixed(digits)} to ${high.toFixed(digits)}</small>`);

// Where all pictures agree an interval from resampling has no width: the exact bound is said instead.
const price = (rate) =>
  rate.agreed
    ? `0 of ${rate.pictures} <small>at most ${rate.high.toFixed(0)} points</small>`
    : span(rate, 1);
const rated = ({ value, low, high }) => `${value.toFixed(0)} % [${low.toFixed(0)}, ${high.toFixed(0)}]`;

function about({ about: a }) {
  const set = a.share
    ? ` (set for the study: ${percent(a.share, 1)} of the columns of ${a.calibration} photographs reach it)`
    : "";
  return (
    `The study: ${a.pictures} labelled pictures that calibrated nothing, threshold ${naming(a.threshold)}${set}, ` +
    `QuantAttack (${escape(a.form)}) at ${short(a.eps * 255)}/255 in ${a.steps} steps, on ${escape(a.device)}; ` +
    `accuracy ${a.float_accuracy.toFixed(1)} % float, ${a.int8_accuracy.toFixed(1)} % int8. 95 % intervals.`
  );
}

function drawDefence() {
  const { defences, study } = data;
  const has = study && study.about;
  const known = new Map(has ? study.defended.map((each) => [each.name, each]) : []);
  const title = "<h2>Countermeasures: what they leave of the cost, and their price</h2>";
  if (!defences.length && !has) {
    setHtml(parts.defence, `${title}<p class="lab-muted">They follow when the run has come to its end.</p>`);
    return;
  }
  const none = defences[0];
  const names = defences.length ? defences.map((each) => each.name) : [...known.keys()];
  const by = new Map(defences.map((each) => [each.name, each]));
  const share = (v) => (v ? percent(v, 2) : "0");
  const rows = names.map((name) => {
    const here = by.get(name);
    const there = known.get(name);
    const cells = here
      ? [
          `${share(here.clean)} → ${share(here.attacked)}`,
          none && none.attacked ? percent(here.attacked / none.attacked) : "–",
          here.kept ? "kept" : "lost",
          percent(here.error, 2),
        ]
      : ["–", "–", "–", "–"];
    if (has)
      cells.push(
        ...(there
          ? [span({ ...there.left, value: there.left.value * 100, low: there.left.low * 100, high: there.left.high * 100 }), price(there.price), span(there.attacked)]
          : ["100", "–", "–"]),
      );
    return row(name === "none" ? "none: plain int8" : escape(name), cells);
  });
  const columns = ["", "outside int8, clean → attacked", "left of the attack’s cost", "answer", "error of logits"];
  if (has) columns.push("left, %, in the study", "change of accuracy, points", "accuracy under attack, %");
  setHtml(
    parts.defence,
    `${title}<div class="cost-scroll" tabindex="0" role="region" aria-label="Countermeasures"><table>${head(columns)}<tbody>${rows.join("")}</tbody></table></div>` +
      `<p class="lab-muted">First columns: this picture, at ${naming(data.threshold.value)}; error: |logits − float logits| / |float logits|, mean over the ${data.others} other samples. ` +
      `The attack does not know of the countermeasure; an attacker who does may do better. ${has ? about(study) : ""}</p>` +
      (has ? "" : missing(study)),
  );
}
const missing = (study) =>
  study && study.missing
    ? `<p class="lab-muted">${escape(study.missing)}</p>`
    : `<p>There is no study for ${escape(data.model.title)} yet: what a countermeasure costs in accuracy needs hundreds of labelled pictures, not this one. <code>${COMMAND} ${escape(data.model.name)} --out assets/studies/quant_${escape(data.model.name)}.json</code> makes it.</p>`;

function drawDetect() {
  const { study } = data;
  const title = "<h2>A detector that counts columns: what it catches at what price</h2>";
  if (!study || !study.about) {
    setHtml(
      parts.detect,
      `${title}<p class="lab-muted">Its ROC curve comes from a study of many pictures, too; there is none for this model yet.</p>`,
    );
    return;
  }
  const { detected } = study;
  const apart = detected.area.high - detected.area.low < 1e-9;
  const width = Math.min(420, widthOf(parts.detect));
  const chart = lines({
    width,
    height: 260,
    x: [0, 1, "share of clean pictures flagged"],
    y: [0, 1, "share of attacked pictures caught"],
    series: [{ points: detected.false_alarms.map((v, i) => [v, detected.hits[i]]), role: "adversarial" }],
    rule: [
      [0, 0],
      [1, 1],
    ],
  });
  setHtml(
    parts.detect,
    `${title}<div class="lab-chart" role="img" aria-label="ROC curve, area ${detected.area.value.toFixed(2)}">${chart}</div>` +
      `<p>Area under the curve ${detected.area.value.toFixed(3)}${apart ? `: each of ${study.about.pictures} attacked pictures lies above each clean one` : ` [${detected.area.low.toFixed(3)}, ${detected.area.high.toFixed(3)}]`}. ` +
      `Calibrated to ${percent(detected.alarm)} false alarms (flag above ${short(detected.limit)} columns) it caught ${rated(detected.caught)} of attacks and flagged ${rated(detected.flagged)} of clean pictures.</p>` +
      `<p class="lab-muted">${about(study)}</p>`,
  );
}

export function see(element, props, watch) {
  mount(element);
  show(props.value);
  watch("value", () => show(props.value));
}
export const note = (props, watch) => watch("value", () => take(props.value));
