// The Why page: one comparison on screen, one selection {variant, block, component, step} for all.

import { arrive } from "../kit/js/arrive.js";
import { blockChart, blockFrame } from "../kit/js/blocks.js";
import { button, choices, download, part, setHtml } from "../kit/js/dom.js";
import { ramp, sequential } from "../kit/js/draw.js";
import { escape, patchName, percent, plural, probability, short, times } from "../kit/js/format.js";
import { legend } from "../kit/js/legend.js";
import { drawMap, mapFigure } from "../kit/js/map.js";
import { clamp, range } from "../kit/js/numbers.js";
import { Picture, hear, plain, unpack } from "../kit/js/packing.js";
import { createStore } from "../kit/js/store.js";
import { timeline, timelineFrame } from "../kit/js/timeline.js";

const VARIANTS = [
  ["baseline", "MI-FGSM", "", "dot"],
  ["gamma", "Gamma only", "7 3", "dot"],
  ["zeroing", "Zeroing only", "2 3", "dot"],
  ["both", "Both: TGR", "", "diamond"],
  ["random", "Random tokens", "1 4", "ring"],
].map(([name, title, dash, marker]) => ({ name, title, dash, marker, role: `why-${name}` }));
const COMPONENTS = ["Attention", "QKV", "MLP"];
const WORDS = {
  variance: "variance",
  dispersion: "dispersion (variance / mean |g|²)",
  kurtosis: "kurtosis",
};
const ALL = -1; // also the last row of what comes by step and by block: see `effects.py`
const HEIGHT = 196;

const FIRST = {
  variant: "both",
  block: ALL,
  component: 0,
  step: ALL,
  white: "probability",
  free: "dispersion",
};
const store = createStore(FIRST, (sel, it) => {
  sel.block = clamp(sel.block, ALL, it.depth - 1);
  sel.step = clamp(sel.step, ALL, Math.max(ALL, done(it) - 1));
  if (lacks(it, sel.component)) sel.component = range(3).findIndex((c) => !lacks(it, c));
});
export const { select, selection, on } = store;
const { sel } = store;

const done = (it) => it.report.settings.steps_taken;
const lacks = (it, c) => it.lacking.includes(COMPONENTS[c].toLowerCase());
const label = (it) => it.report.true_class.name;

let root = null;
let parts = {};

// Messages: open -> live -> ... -> ended, or restore when nothing came of it. Each live one comes with
// the one that opens, which alone has the picture.
function receive(message) {
  if (message.kind === "restore") return store.fail();
  if (message.kind === "open" && message.run === store.live?.run) return;
  if (message.run === store.live?.run) store.step(drawable(message));
  else store.begin(drawable(message));
  if (message.kind !== "ended") return;
  store.end(store.live);
  arrive(root);
}

function drawable(message) {
  if (!message.picture) return message;
  const clean = new Picture(message.picture);
  clean.ready.then(() => store.redraw());
  return { ...message, clean };
}

// A measure of each block, at the step looked at or over all.
const byBlock = (it, measure, variant, c) =>
  (sel.step === ALL
    ? it.effects[measure][variant].blocks
    : it.report.attacks[variant][measure][sel.step]
  ).map((row) => row[c]);
const ratio = (it, measure, variant, c) => it.effects[measure][variant].ratio.at(sel.step)[c];

// The tokens zeroed in a component, in the blocks and at the step looked at.
function zeroed(it, c) {
  const found = it.zeroed?.[sel.variant]?.at(sel.block)[c];
  if (!found) return null;
  const { prefix, grid, mean, top } = found;
  const rows = (found.rows ??= shares(found.steps));
  const all = (found.means ??= shares(found.all));
  const from = sel.step * all.length;
  const values = sel.step === ALL ? all : rows.subarray(from, from + all.length);
  return { prefix, grid, mean: mean.at(sel.step), top: top.at(sel.step), values };
}

const shares = (packed) =>
  packed.type === "u1" ? Float32Array.from(unpack(packed), (v) => v / 255) : unpack(packed);

function build(element) {
  root = element.querySelector(".lab-view");
  root.innerHTML =
    `<div class="lab-above"><h2 class="lab-of"></h2><span class="lab-quiets"></span></div>` +
    `<div class="why-top"><figure class="why-time"><figcaption></figcaption><div class="lab-tools"></div></figure>` +
    `<div class="why-answers"></div></div><div class="why-key"></div>` +
    `<div class="lab-tools why-switches"></div><p class="lab-finding" aria-live="polite"></p><p class="why-apart"></p>` +
    `<div class="why-grid"></div><p class="lab-method"></p>` +
    `<p class="lab-empty">Press Run: five attacks on the same picture, step by step. MI-FGSM, TGR’s factors alone, its zeroing alone, both, and a control that zeroes random tokens.</p>`;
  const find = (name) => root.querySelector(name);
  parts = Object.fromEntries(
    ["of", "quiets", "finding", "method"].map((name) => [name, find(`.lab-${name}`)]),
  );
  for (const name of ["answers", "key", "switches", "apart", "grid"])
    parts[name] = find(`.why-${name}`);
  parts.time = find(".why-time figcaption");
  parts.track = timelineFrame("Step of the attacks", {
    last: () => (store.shown && done(store.shown) ? store.shown.report.settings.steps : null),
    seek: (step) => select({ step: Math.max(0, Math.round(step)) }),
    move: (by) => select({ step: sel.step + by }),
    key: (name) => name === "Escape" && (select({ step: ALL }), true),
  });
  parts.track.classList.add("why-track");
  find(".why-time").append(parts.track);
  parts.white = choices(
    "White box",
    [
      ["probability", "Probability"],
      ["loss", "Loss"],
    ],
    sel.white,
    (white) => select({ white }),
  );
  parts.variant = choices(
    "Variant",
    VARIANTS.map((each) => [each.name, each.title]),
    sel.variant,
    (variant) => select({ variant }),
  );
  parts.free = choices(
    "Scale-free measure",
    [
      ["dispersion", "Dispersion"],
      ["kurtosis", "Kurtosis"],
    ],
    sel.free,
    (free) => select({ free }),
  );
  parts.back = button("", () => store.look(!store.aside), "lab-quiet");
  parts.files = ["csv", "json"].map((kind) =>
    button(kind.toUpperCase(), () => save(kind), `lab-quiet why-save-${kind}`),
  );
  parts.quiets.append(parts.back, ...parts.files);
  const press = (text, change, name) => {
    const made = button(text, () => select(change()), "why-button");
    if (name) made.setAttribute("aria-label", name);
    return made;
  };
  parts.steps = press("All steps", () => ({ step: ALL }));
  parts.steps.dataset.go = "all";
  find(".why-time .lab-tools").append(parts.white.element, parts.steps);
  parts.every = press("All blocks", () => ({ block: ALL }));
  parts.which = part("b");
  const blocks = part("span", "why-block");
  blocks.append(
    parts.every,
    press("‹", () => ({ block: sel.block - 1 }), "One block back"),
    parts.which,
    press("›", () => ({ block: sel.block + 1 }), "One block on"),
  );
  parts.switches.append(parts.variant.element, blocks, parts.free.element);
  parts.answers.addEventListener("click", ({ target }) => {
    const { variant } = target.closest("tr[data-variant]")?.dataset ?? {};
    if (variant && variant !== "clean") select({ variant });
  });
  parts.columns = COMPONENTS.map(column);
}

// One component's column: its variance, its scale-free measure, its map.
function column(title, component) {
  const box = part("section", "why-column");
  box.dataset.component = component;
  const heading = part("h2");
  const name = button(title, () => select({ component }), "why-name");
  heading.append(name);
  const missing = part("p", "why-lacks");
  const holds = part("div");
  const choose = (block, how) =>
    select({
      component,
      block: how === "Home" || (how === "click" && block === sel.block) ? ALL : block,
    });
  const charts = ["variance", "free"].map((row) => {
    const chart = blockFrame(
      title,
      { block: () => sel.block, choose },
      {
        height: HEIGHT,
        extra: (key) => key === "Escape" && (select({ component, block: ALL }), true),
      },
    );
    chart.dataset.row = row;
    chart.setAttribute("aria-valuemin", 0);
    return chart;
  });
  const map = mapFigure("why-both", "");
  map.classList.add("why-map");
  map.querySelector("canvas").setAttribute("role", "img");
  const scale = part("div", "lab-scale");
  map.append(scale);
  holds.append(...charts, map);
  box.append(heading, missing, holds);
  parts.grid.append(box);
  return { box, name, missing, holds, charts, map, scale };
}

function draw() {
  const it = store.shown;
  root.dataset.state = !it ? "empty" : it === store.live ? "live" : "run";
  if (!it) return;
  root.dataset.variant = sel.variant;
  root.dataset.run = it.run;
  setHtml(parts.of, heading(it));
  parts.back.hidden = !store.earlier || !(store.live || store.run);
  parts.back.textContent = store.aside ? "Show your run" : "Show the first one";
  for (const each of parts.files) each.hidden = !it.zeroed;
  for (const name of ["white", "variant", "free"]) parts[name].set(sel[name]);
  parts.every.setAttribute("aria-pressed", sel.block === ALL);
  parts.steps.setAttribute("aria-pressed", sel.step === ALL);
  parts.which.textContent =
    sel.block === ALL ? plural(it.depth, "block") : `block ${sel.block + 1}`;
  setHtml(parts.key, legend(VARIANTS.map((v) => [v.role, v.title, v.dash, v.marker])));
  drawTime(it);
  drawAnswers(it);
  parts.columns.forEach((each, c) => drawColumn(it, each, c));
  if (done(it)) {
    setHtml(parts.finding, finding(it));
    setHtml(parts.apart, ["variance", sel.free].map((measure) => apart(it, measure)).join(""));
  }
  parts.method.textContent = method(it);
}

function heading(it) {
  const { picture, settings } = it.report;
  return (
    `<b>${it === store.earlier ? "Computed earlier" : "Your run"}: “${escape(picture.name.replaceAll("_", " "))}”, attacked on ${escape(it.shorts[it.report.source.name])}.</b> ` +
    `<em>One picture, eps ${settings.eps_255}/255, ${plural(settings.steps, "step")}, seed ${settings.seed}</em>`
  );
}

// The variant looked at is drawn last, over the others.
const ordered = () =>
  VARIANTS.toSorted((a, b) => (a.name === sel.variant) - (b.name === sel.variant));

function drawTime(it) {
  const { track } = parts;
  const { attacks, settings, transfer } = it.report;
  const white = sel.white === "probability";
  setHtml(
    parts.time,
    white
      ? `<b>White box: how soon the source lets go of “${escape(label(it))}”</b> <em>its probability after each step</em>`
      : `<b>White box: how far the loss is driven up</b> <em>cross-entropy on the source after each step</em>`,
  );
  const source = transfer.find((each) => each.white_box);
  const lines = ordered().map((v) => {
    const values = attacks[v.name][sel.white];
    const saved = white && source ? [source.answers[v.name].probability] : [];
    return { ...v, points: [...values, ...saved].map((value, step) => [step, value]) };
  });
  const high = white
    ? 1
    : Math.max(1e-6, ...lines.flatMap((v) => v.points.map(([, value]) => value)));
  setHtml(
    track,
    timeline({
      width: track.clientWidth,
      height: 230,
      last: settings.steps,
      high,
      ticks: [0, 0.5, 1].map((share) => [share * high, white ? share : short(share * high)]),
      across: true,
      steps: range(settings.steps + 1),
      now: sel.step === ALL ? null : sel.step,
      span: sel.step === ALL && done(it) ? [0, done(it) - 1] : null,
      lines,
      foot: "steps taken",
    }),
  );
  track.setAttribute("aria-valuemax", Math.max(0, done(it) - 1));
  track.setAttribute("aria-valuenow", Math.max(0, sel.step));
  track.setAttribute("aria-valuetext", stepWords(it));
}

const stepWords = (it) =>
  sel.step === ALL
    ? `all ${done(it)} steps`
    : sel.step === 0
      ? "the clean picture"
      : `after ${plural(sel.step, "step")}`;

function drawAnswers(it) {
  const models = it.zeroed ? it.report.transfer : [];
  if (!models.length)
    return void setHtml(
      parts.answers,
      `<p class="lab-hint">What every model says to the five pictures follows when the run ends.</p>`,
    );
  const head = models.map(
    (each) =>
      `<th scope="col" title="${escape(each.title)}">${escape(it.shorts[each.model])}<small>${each.white_box ? "white box" : "target"}</small></th>`,
  );
  const rows = [{ name: "clean", title: "Clean picture" }, ...VARIANTS].map(
    (v) =>
      `<tr data-variant="${v.name}"><th scope="row">${v.role ? `<i class="lab-swatch lab-bg-${v.role}"></i>` : ""}${escape(v.title)}</th>` +
      models.map((each) => cell(each.answers[v.name], v)).join("") +
      `</tr>`,
  );
  const counts = VARIANTS.map((v) => `${escape(v.title)} ${it.fooled[v.name]}`);
  const summary =
    models.length > 1
      ? `Fooled, of ${plural(it.judged, "target")} that had the clean picture right: ${counts.join(" · ")}.`
      : "No other model was asked.";
  const below = document.querySelector("#why-study-view h2")
    ? ` and in the <a href="#why-study-view">ablation below</a>`
    : "";
  setHtml(
    parts.answers,
    `<p class="why-caption"><b>Does it transfer?</b> <em>Probability of “${escape(label(it))}” on the saved pictures; below it what a fooled model says instead</em></p>` +
      `<div class="why-scroll" aria-label="What every model says to each picture"><table>` +
      `<thead><tr><th scope="col">attack</th>${head.join("")}</tr></thead><tbody>${rows.join("")}</tbody></table></div>` +
      `<p>${summary} <b>One picture is an anecdote, not evidence</b>: rates over many pictures, with intervals, are on the <a href="transfer">Transfer page</a>${below}.</p>`,
  );
  reachable(parts.answers.querySelector(".why-scroll"));
  for (const row of parts.answers.querySelectorAll("tr[data-variant]"))
    row.classList.toggle("why-chosen", row.dataset.variant === sel.variant);
}

// What scrolls can be scrolled by keyboard; what does not is no stop on the way.
function reachable(box) {
  const scrolls = box.scrollWidth > box.clientWidth + 1;
  for (const [name, value] of [
    ["tabindex", "0"],
    ["role", "region"],
  ])
    if (scrolls) box.setAttribute(name, value);
    else box.removeAttribute(name);
}

function cell({ answer, probability: p, fooled }, v) {
  if (p === null) return `<td><em>does not know this class</em></td>`;
  const bar = `<span class="why-bar"><i class="${v.role ? `lab-bg-${v.role}` : "why-plain"}" style="width:${(100 * p).toFixed(1)}%"></i></span>`;
  const says = fooled
    ? `<small class="why-fooled">${v.role ? "" : "wrong already: "}${escape(answer)}</small>`
    : `<small>&nbsp;</small>`;
  return `<td data-fooled="${fooled}">${bar}<b>${probability(p)}</b>${says}</td>`;
}

function drawColumn(it, { box, name, missing, holds, charts, map, scale }, c) {
  const title = it.convolutional && c === 2 ? "Residual branch" : COMPONENTS[c];
  const { title: source } = it.report.source;
  box.classList.toggle("why-chosen", c === sel.component);
  name.textContent = title;
  missing.hidden = !lacks(it, c);
  holds.hidden = lacks(it, c);
  missing.textContent = it.convolutional
    ? `${source} is a convolutional network: it has no ${COMPONENTS[c]}${c ? " projection" : ""} whose gradient could be regularised.`
    : `${source} does not show its ${COMPONENTS[c]} gradients here.`;
  if (lacks(it, c) || !done(it)) return;
  drawChart(it, charts[0], "variance", c);
  drawChart(it, charts[1], sel.free, c);
  drawMapOf(it, map, scale, c);
}

function drawChart(it, chart, measure, c) {
  const all = COMPONENTS.flatMap((_, each) =>
    VARIANTS.flatMap((v) => byBlock(it, measure, v.name, each)),
  ).filter((v) => v > 0);
  const { block, variant } = sel;
  const at = (name) => short(byBlock(it, measure, name, c)[block]);
  const own = ratio(it, measure, variant, c);
  const said =
    block !== ALL
      ? `block ${block + 1}: ${[...new Set(["baseline", variant])].map(at).join(" → ")}`
      : variant === "baseline"
        ? "the baseline itself"
        : own === null
          ? "zero everywhere"
          : `${times(own)} MI-FGSM’s`;
  setHtml(
    chart,
    `<p class="why-head"><b>${measure === "variance" ? "Variance of the gradient" : `Scale-free: ${measure}`}</b> <em>${escape(said)}</em></p>` +
      blockChart({
        width: chart.clientWidth,
        height: HEIGHT,
        count: it.depth,
        kind: "log",
        low: Math.min(...all),
        high: Math.max(...all),
        selected: block === ALL ? null : block,
        series: ordered().map((v) => ({ values: byBlock(it, measure, v.name, c), ...v })),
      }),
  );
  chart.setAttribute("aria-label", `${COMPONENTS[c]}, ${WORDS[measure]}: block`);
  chart.setAttribute("aria-valuemax", it.depth);
  chart.setAttribute("aria-valuenow", block + 1);
  chart.setAttribute("aria-valuetext", block === ALL ? `all blocks: ${said}` : said);
}

function drawMapOf(it, figure, scale, c) {
  const { settings, source } = it.report;
  const where = sel.block === ALL ? "all blocks" : `block ${sel.block + 1}`;
  const which = c ? "channels" : "heads";
  const zeroes =
    ["zeroing", "both", "random"].includes(sel.variant) &&
    settings.components.includes(COMPONENTS[c].toLowerCase()) &&
    settings.k > 0;
  const what = zeroes
    ? `${sel.variant === "random" ? "Random tokens" : "Tokens"} zeroed`
    : "Tokens that would be zeroed";
  const found = zeroed(it, c);
  const { prefix, grid, mean, values } = found ?? {};
  const max = found ? Math.max(...values.subarray(prefix), 1e-9) : 0;
  figure.querySelector(".lab-dot").className = `lab-dot lab-bg-why-${sel.variant}`;
  drawMap(figure, {
    title: `${what}: ${where}`,
    label: found
      ? `${COMPONENTS[c]}, ${where}: share of ${which} in which a token is zeroed, mean ${percent(mean)}, largest patch ${percent(max)}`
      : `${COMPONENTS[c]}: the clean picture`,
    picture: it.clean,
    shape: { prefix, grid },
    values,
    max,
    unit: percent,
  });
  setHtml(
    scale,
    found
      ? `<span>share of ${which}; mean ${percent(mean)}</span>${ramp(sequential, 0, 1, ["0", percent(max)])}`
      : it.zeroed
        ? `${escape(source.title)} works in windows here: its tokens have no single map.`
        : "The maps follow when the run ends.",
  );
}

function finding(it) {
  const { variant, component: c, free } = sel;
  if (variant === "baseline")
    return `MI-FGSM edits nothing: it is the measure of the other four. ${tokenWords(it)}`;
  const name = VARIANTS.find((each) => each.name === variant).title.replace("Both: ", "");
  const [scaled, own] = ["variance", free].map((measure) => ratio(it, measure, variant, c));
  if (scaled === null)
    return `${name} leaves the ${COMPONENTS[c]} gradient zero at every block looked at.`;
  const so = it.effects[free][variant].so.at(sel.step)[c];
  return (
    `<b class="lab-ink">${name}</b>, ${COMPONENTS[c]} gradient: variance ${times(scaled)} MI-FGSM’s, ` +
    `scale-free ${free} ${times(own)}, <b>${it.so[so] ?? "which has no ratio"}</b> ` +
    `<em>(geometric mean over blocks, ${stepWords(it)})</em>. ${tokenWords(it)}`
  );
}

// The effects side by side, in the component looked at.
function apart(it, measure) {
  const each = VARIANTS.slice(1).map((v) => {
    const own = ratio(it, measure, v.name, sel.component);
    return `<span><i class="lab-swatch lab-bg-${v.role}"></i>${v.title} <b>${own === null ? "zero" : `×${short(own)}`}</b></span>`;
  });
  return `<span class="why-line"><em>${COMPONENTS[sel.component]} ${measure}</em>${each.join("")}</span>`;
}

function tokenWords(it) {
  const found = zeroed(it, sel.component);
  if (!found || sel.variant === "random" || !it.report.settings.k) return "";
  const { prefix, grid, mean, top, values } = found;
  if (!(values[top] > 0)) return "";
  const what =
    top >= prefix ? patchName(top - prefix, grid) : top ? "a prefix token" : "the class token";
  return `Most often extreme is ${what}, in ${percent(values[top])} of ${sel.component ? "channels" : "heads"}; the mean token in ${percent(mean)}.`;
}

function method(it) {
  const { settings, source } = it.report;
  const regularised = COMPONENTS.filter((c) => settings.components.includes(c.toLowerCase()));
  return (
    `A factor γ alone multiplies the variance by γ² and leaves dispersion and kurtosis as they are, but for what it changes in the mix of branches that deeper blocks send back: a lower variance by itself shows no calmer gradient, only the scale-free row can. ` +
    `All are read in the attacks’ own passes, after each one’s edits, where TGR acts on ${source.title} (attention: ${settings.site === "map" ? "the map" : "pre-softmax scores"}). ` +
    `Settings: ${plural(settings.k, "extreme")} a side, factors ${Object.values(settings.factors).join(" / ")}, eps ${settings.eps_255}/255; regularised: ${regularised.join(", ")}. ` +
    `The control keeps the factors and zeroes as many tokens, drawn at random. After 0 steps all five stand at the same picture; later the variance also follows how far each has come. Lines have gaps where a gradient is exactly zero: on a model with a class token only that token has a gradient in the last block, so the rule wipes it out.`
  );
}

// The comparison on screen as files, with the numbers as they came: four significant figures.
function save(kind) {
  const { report } = store.shown;
  const { picture, source, settings } = report;
  const name = `why_${picture.name}_${source.name}_tgr_eps${settings.eps_255}_seed${settings.seed}`;
  const stem = name.replace(/[^\w.-]+/g, "-");
  if (kind === "csv") download(`${stem}.csv`, csv(store.shown), "text/csv");
  else download(`${stem}.json`, JSON.stringify(report, null, 1) + "\n", "application/json");
}

function csv(it) {
  const rows = [["attack", "steps_taken", "block", "component", "model", "measure", "value"]];
  const source = it.report.source.name;
  for (const [name, read] of Object.entries(it.report.attacks))
    for (const step of range(done(it))) {
      for (const measure of ["loss", "probability"])
        rows.push([name, step, "", "", source, measure, read[measure][step]]);
      for (const measure of Object.keys(WORDS))
        read[measure][step].forEach((values, block) =>
          values.forEach((value, c) => {
            if (!lacks(it, c))
              rows.push([
                name,
                step,
                block + 1,
                COMPONENTS[c].toLowerCase(),
                source,
                measure,
                value,
              ]);
          }),
        );
    }
  for (const { model, answers } of it.report.transfer)
    for (const [name, said] of Object.entries(answers))
      for (const [key, value] of Object.entries(said))
        rows.push([name, name === "clean" ? 0 : done(it), "", "", model, `saved_${key}`, value]);
  const field = (value) =>
    /[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value ?? "");
  return rows.map((row) => row.map(field).join(",")).join("\n") + "\n";
}

// Where the page is laid out: its frame, what was computed earlier, and every message after that.
export function see(element, props, watch) {
  build(element);
  store.view("why", root, draw);
  if (props.earlier) store.keep(drawable(plain(props.earlier)));
  hear(props, watch, receive);
}
