// The Why page: one comparison on screen, one selection {variant, block, component, step} for all.

import { arrive } from "../kit/js/arrive.js";
import { blockChart } from "../kit/js/blocks.js";
import { mark, niceStep } from "../kit/js/chart.js";
import { choices, setHtml } from "../kit/js/dom.js";
import { ramp, sequential } from "../kit/js/draw.js";
import { escape, patchName, percent, plural, probability, short, times } from "../kit/js/format.js";
import { legend } from "../kit/js/legend.js";
import { drawMap, movePatch } from "../kit/js/map.js";
import { clamp, range } from "../kit/js/numbers.js";
import { Picture, plain, unpack } from "../kit/js/packing.js";
import { onTheme } from "../kit/js/theme.js";

const VARIANTS = [
  ["baseline", "MI-FGSM", "", "dot"],
  ["gamma", "Gamma only", "7 3", "dot"],
  ["zeroing", "Zeroing only", "2 3", "dot"],
  ["both", "Both: TGR", "", "diamond"],
  ["random", "Random tokens", "1 4", "ring"],
].map(([name, title, dash, marker]) => ({ name, title, dash, marker, role: `why-${name}` }));
const titleOf = (name) => VARIANTS.find((each) => each.name === name).title;
const COMPONENTS = ["Attention", "QKV", "MLP"];
const WORDS = {
  variance: "variance",
  dispersion: "dispersion (variance / mean |g|²)",
  kurtosis: "kurtosis",
};
const ALL = -1;
const TIME = { left: 46, right: 14, top: 14, bottom: 34, height: 230 };
const HEIGHT = 196;

let root = null;
let parts = {};
let shown = null; // the visitor's last comparison that ended
let now = null; // the one under way
let earlier = null; // the one that was computed earlier, to be called back at any time
let aside = true; // whether that one is looked at
const sel = { variant: "both", block: ALL, component: 0, step: ALL, white: "probabilities", free: "dispersion" };
const run = () => (aside && earlier) || now || shown;

const select = (change) => {
  const it = run();
  if (!it) return;
  Object.assign(sel, change);
  sel.block = clamp(sel.block, ALL, it.shapes.length - 1);
  sel.step = clamp(sel.step, ALL, Math.max(ALL, it.done - 1));
  document.dispatchEvent(new CustomEvent("why:select", { detail: { ...sel } }));
  redraw();
};

let waiting = false;
const redraw = () => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    if (root && root.isConnected && root.offsetWidth) draw();
  });
};

// Messages: open -> live -> ... -> ended, or restore when nothing came of it.
const receive = (value) => {
  if (!value) return;
  const message = plain(value);
  if (message.kind === "open") {
    now = { ...message, done: 0, clean: new Picture(message.picture) };
    now.clean.ready.then(redraw);
    aside = false;
  } else if (message.kind === "restore") {
    now = null;
    aside = !shown;
  } else if (now && now.run === message.run) {
    Object.assign(now, message);
    if (message.kind === "ended") {
      shown = now;
      now = null;
      shown.offsets = offsets(shown.extremes.lengths);
      draw();
      arrive(root);
    }
  }
  fit();
};

const keep = (value) => {
  if (!value) return;
  const message = plain(value);
  earlier = { ...message, clean: new Picture(message.picture) };
  earlier.offsets = offsets(earlier.extremes.lengths);
  earlier.clean.ready.then(redraw);
  fit();
};

const look = (back) => {
  aside = back;
  fit();
};

// What is selected stays, as far as the comparison on screen has it.
function fit() {
  const it = run();
  if (it) {
    sel.block = clamp(sel.block, ALL, it.shapes.length - 1);
    sel.step = clamp(sel.step, ALL, Math.max(ALL, it.done - 1));
    if (it.lacking.includes(COMPONENTS[sel.component].toLowerCase()))
      sel.component = COMPONENTS.findIndex((each) => !it.lacking.includes(each.toLowerCase()));
  }
  redraw();
}

function offsets(lengths) {
  let total = 0;
  const starts = lengths.map((row) => row.map((n) => (total += n) - n));
  return { starts, total };
}

const steps = (it) => (sel.step === ALL ? range(it.done) : [sel.step]);

// One number per block: at the step looked at, or the geometric mean over all.
function perBlock(it, measure, variant, component) {
  return range(it.shapes.length).map((block) => {
    const found = steps(it)
      .map((step) => it[measure][variant][step]?.[block][component])
      .filter((v) => v !== null && v !== undefined && v > 0);
    return found.length ? geometric(found) : null;
  });
}

// The share of channels in which each token is zeroed, over the blocks and steps looked at.
function extremes(it, variant, component) {
  const { lengths } = it.extremes;
  const { starts, total } = it.offsets;
  const bytes = ((it.unpacked ??= {})[variant] ??= unpack(it.extremes.values[variant]));
  const blocks = (sel.block === ALL ? range(it.shapes.length) : [sel.block]).filter(
    (block) => lengths[block][component],
  );
  if (!blocks.length) return null;
  const shape = {
    grid: it.shapes[blocks[0]].grid,
    prefix: Math.max(...blocks.map((block) => it.shapes[block].prefix)),
  };
  const cells = shape.grid[0] * shape.grid[1];
  const sum = new Float64Array(shape.prefix + cells);
  const weight = 1 / (255 * steps(it).length);
  const holders = blocks.filter((block) => it.shapes[block].prefix).length;
  for (const block of blocks) {
    const { grid, prefix } = it.shapes[block];
    const places = range(cells).map((cell) => movePatch(cell, shape.grid, grid));
    for (const step of steps(it)) {
      const at = step * total + starts[block][component];
      for (let i = 0; i < prefix; i++) sum[i] += (bytes[at + i] * weight) / holders;
      for (let i = 0; i < cells; i++)
        sum[shape.prefix + i] += (bytes[at + prefix + places[i]] * weight) / blocks.length;
    }
  }
  return { shape, values: sum };
}

function build(element) {
  root = element.querySelector(".lab-view");
  root.innerHTML =
    `<div class="lab-above"><h2 class="lab-of"></h2><span class="lab-quiets"></span></div>` +
    `<div class="why-top"><figure class="why-time"><figcaption></figcaption><div class="lab-tools"></div>` +
    `<div class="why-track" tabindex="0" role="slider" aria-label="Step of the attacks" aria-valuemin="0"></div></figure>` +
    `<div class="why-answers"></div></div>` +
    `<div class="why-key"></div>` +
    `<div class="lab-tools why-switches"></div><p class="lab-finding" aria-live="polite"></p><p class="why-apart"></p>` +
    `<div class="why-grid"></div><p class="lab-method"></p>` +
    `<p class="lab-empty">Press Run: five attacks on the same picture, step by step. MI-FGSM, TGR’s factors alone, its zeroing alone, both, and a control that zeroes random tokens.</p>`;
  const find = (name) => root.querySelector(name);
  parts = {
    of: find(".lab-of"),
    quiets: find(".lab-quiets"),
    time: find(".why-time figcaption"),
    timeTools: find(".why-time .lab-tools"),
    track: find(".why-track"),
    answers: find(".why-answers"),
    key: find(".why-key"),
    switches: find(".why-switches"),
    finding: find(".lab-finding"),
    apart: find(".why-apart"),
    grid: find(".why-grid"),
    method: find(".lab-method"),
  };
  parts.white = choices(
    "White box",
    [
      ["probabilities", "Probability"],
      ["losses", "Loss"],
    ],
    sel.white,
    (white) => select({ white }),
  );
  parts.back = button("", () => look(!aside), "lab-quiet");
  const files = ["csv", "json"].map((kind) =>
    button(kind.toUpperCase(), () => save(kind), `lab-quiet why-save-${kind}`),
  );
  parts.quiets.append(parts.back, ...files);
  parts.steps = button("All steps", () => select({ step: ALL }));
  parts.steps.dataset.go = "all";
  parts.timeTools.append(parts.white.element, parts.steps);
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
  parts.block = document.createElement("span");
  parts.block.className = "why-block";
  parts.switches.append(parts.variant.element, parts.block, parts.free.element);
  const back = button("‹", () => select({ block: sel.block - 1 }));
  const on = button("›", () => select({ block: sel.block + 1 }));
  back.setAttribute("aria-label", "One block back");
  on.setAttribute("aria-label", "One block on");
  parts.every = button("All blocks", () => select({ block: ALL }));
  parts.which = document.createElement("b");
  parts.block.append(parts.every, back, parts.which, on);
  parts.columns = COMPONENTS.map(column);
  parts.answers.addEventListener("click", (event) => {
    const variant = event.target.closest("tr[data-variant]")?.dataset.variant;
    if (variant && variant !== "clean") select({ variant });
  });
  seekable();
  new ResizeObserver(redraw).observe(root);
  onTheme(redraw);
}

function button(text, press, className = "why-button") {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.className = className;
  made.addEventListener("click", press);
  return made;
}

// One component's column: its variance, its scale-free measure, its map.
function column(title, component) {
  const box = document.createElement("section");
  box.className = "why-column";
  box.dataset.component = component;
  box.innerHTML =
    `<h2><button type="button" class="why-name">${title}</button></h2>` +
    `<p class="why-lacks" hidden></p><div class="why-holds"></div>`;
  const holds = box.querySelector(".why-holds");
  const charts = ["variance", "free"].map((row) => {
    const chart = document.createElement("div");
    chart.className = "lab-chart";
    chart.dataset.row = row;
    chart.style.minHeight = `${HEIGHT}px`;
    chart.tabIndex = 0;
    chart.setAttribute("role", "slider");
    chart.setAttribute("aria-valuemin", 0);
    chart.addEventListener("click", (event) => {
      const hit = event.target.closest("[data-block]");
      if (!hit) return;
      const block = Number(hit.dataset.block);
      select({ component, block: block === sel.block ? ALL : block });
    });
    chart.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (by) select({ component, block: sel.block + by });
      else if (event.key === "Escape" || event.key === "Home") select({ component, block: ALL });
      else if (event.key === "End") select({ component, block: 1e9 });
      else return;
      event.preventDefault();
    });
    holds.append(chart);
    return chart;
  });
  const map = document.createElement("figure");
  map.className = "lab-map why-map";
  map.innerHTML =
    `<figcaption></figcaption><div class="lab-stack"><canvas role="img"></canvas></div>` +
    `<div class="lab-prefix"></div><div class="lab-scale"></div>`;
  holds.append(map);
  const name = box.querySelector(".why-name");
  name.addEventListener("click", () => select({ component }));
  parts.grid.append(box);
  return { box, name, holds, charts, map, lacks: box.querySelector(".why-lacks") };
}

function seekable() {
  const { track } = parts;
  const seek = (event) => {
    const box = track.getBoundingClientRect();
    const width = box.width - TIME.left - TIME.right;
    const at = Math.round(((event.clientX - box.left - TIME.left) / width) * run().asked);
    select({ step: clamp(at, 0, run().done - 1) });
  };
  let held = false;
  track.addEventListener("pointerdown", (event) => {
    if (event.button || !run() || !run().done) return;
    held = true;
    track.setPointerCapture(event.pointerId);
    seek(event);
  });
  track.addEventListener("pointermove", (event) => held && seek(event));
  for (const end of ["pointerup", "pointercancel"])
    track.addEventListener(end, () => (held = false));
  track.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (by) select({ step: sel.step + by });
    else if (event.key === "Escape" || event.key === "Home") select({ step: ALL });
    else if (event.key === "End") select({ step: 1e9 });
    else return;
    event.preventDefault();
  });
}

function draw() {
  const it = run();
  root.dataset.state = !it ? "empty" : it === now ? "live" : "run";
  if (!it) return;
  setHtml(parts.of, heading(it));
  parts.back.hidden = !earlier || !(now || shown);
  parts.back.textContent = aside ? "Show your run" : "Show the first one";
  for (const each of parts.quiets.querySelectorAll("[class*=why-save]")) each.hidden = !it.models;
  root.dataset.variant = sel.variant;
  root.dataset.run = it.run;
  parts.white.set(sel.white);
  parts.variant.set(sel.variant);
  parts.free.set(sel.free);
  parts.every.setAttribute("aria-pressed", sel.block === ALL);
  parts.steps.setAttribute("aria-pressed", sel.step === ALL);
  parts.which.textContent =
    sel.block === ALL ? plural(it.shapes.length, "block") : `block ${sel.block + 1}`;
  setHtml(parts.key, legend(VARIANTS.map((v) => [v.role, v.title, v.dash, v.marker])));
  drawTime(it);
  drawAnswers(it);
  if (it.done) {
    drawColumns(it);
    setHtml(parts.finding, finding(it));
    setHtml(parts.apart, apart(it));
  }
  parts.method.textContent = method(it);
}

const nameOf = (it) => it.original.name.replaceAll("_", " ");
const heading = (it) =>
  `<b>${it === earlier ? "Computed earlier" : "Your run"}: “${escape(nameOf(it))}”, attacked on ${escape(it.source.short)}.</b> ` +
  `<em>One picture, eps ${it.eps}/255, ${plural(it.asked, "step")}, seed ${it.seed}</em>`;

function drawTime(it) {
  const white = sel.white === "probabilities";
  setHtml(
    parts.time,
    white
      ? `<b>White box: how soon the source lets go of “${escape(it.label)}”</b> <em>its probability after each step</em>`
      : `<b>White box: how far the loss is driven up</b> <em>cross-entropy on the source after each step</em>`,
  );
  const width = parts.track.clientWidth;
  const { left, right, top, bottom, height } = TIME;
  const base = height - bottom;
  const x = (step) => left + ((width - left - right) * step) / it.asked;
  const lines = VARIANTS.map((v, i) => {
    const values = it[sel.white]?.[v.name] ?? [];
    const last = white && it.models?.length ? it.models[0].answers[i + 1].p : null;
    return [v, last === null ? values : [...values, last]];
  });
  const high = white ? 1 : Math.max(1e-6, ...lines.flatMap(([, values]) => values));
  const y = (v) => base - (clamp(v, 0, high) / high) * (base - top);
  const out = [];
  for (const part of [0, 0.5, 1])
    out.push(
      `<line class="lab-grid" x1="${left}" x2="${width - right}" y1="${y(part * high)}" y2="${y(part * high)}"/>` +
        `<text class="lab-tick" x="${left - 6}" y="${y(part * high) + 4}" text-anchor="end">${white ? part : short(part * high)}</text>`,
    );
  const every = Math.ceil(it.asked / 10);
  for (const step of range(it.asked + 1))
    if (step % every === 0)
      out.push(
        `<text class="lab-tick ${step === sel.step ? "lab-tick-now" : ""}" x="${x(step)}" y="${base + 15}" text-anchor="middle">${step}</text>`,
      );
  out.push(
    `<text class="lab-tick" x="${(left + width - right) / 2}" y="${height - 3}" text-anchor="middle">steps taken</text>`,
  );
  if (sel.step === ALL && it.done)
    out.push(
      `<rect class="lab-now" x="${x(0)}" y="${top}" width="${x(it.done - 1) - x(0)}" height="${base - top}"/>`,
    );
  else if (it.done)
    out.push(
      `<line class="lab-needle" x1="${x(sel.step)}" x2="${x(sel.step)}" y1="${top - 6}" y2="${base}"/>` +
        `<circle class="lab-thumb" cx="${x(sel.step)}" cy="${base}" r="8"/>`,
    );
  for (const [v, values] of ordered(lines)) {
    if (!values.length) continue;
    const points = values.map((p, step) => [x(step).toFixed(1), y(p ?? 0).toFixed(1)]);
    out.push(
      `<path class="lab-line lab-stroke-${v.role}" stroke-dasharray="${v.dash}" d="M${points.map((p) => p.join(" ")).join("L")}"/>`,
      ...points.map(([px, py]) => mark(v.marker, Number(px), Number(py), v.role, 2.4)),
    );
  }
  setHtml(
    parts.track,
    `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" aria-hidden="true">${out.join("")}</svg>`,
  );
  parts.track.setAttribute("aria-valuemax", Math.max(0, it.done - 1));
  parts.track.setAttribute("aria-valuenow", Math.max(0, sel.step));
  parts.track.setAttribute("aria-valuetext", stepWords(it));
}

// The variant looked at is drawn last, over the others.
const ordered = (lines) =>
  lines.toSorted(([a], [b]) => (a.name === sel.variant) - (b.name === sel.variant));

const stepWords = (it) =>
  sel.step === ALL
    ? `all ${it.done} steps`
    : sel.step === 0
      ? "the clean picture"
      : `after ${plural(sel.step, "step")}`;

function drawAnswers(it) {
  if (!it.models?.length)
    return void setHtml(
      parts.answers,
      `<p class="lab-hint">What every model says to the five pictures follows when the run ends.</p>`,
    );
  const targets = it.models.filter((each) => !each.source);
  const judged = targets.filter((each) => each.answers[0].fooled === false);
  const counts = VARIANTS.map(
    (v, i) => `${escape(v.title)} ${judged.filter((each) => each.answers[i + 1].fooled).length}`,
  );
  const head = it.models
    .map(
      (each) =>
        `<th scope="col" title="${escape(each.title)}">${escape(each.short)}<small>${each.source ? "white box" : "target"}</small></th>`,
    )
    .join("");
  const rows = [{ name: "clean", title: "Clean picture" }, ...VARIANTS].map(
    (v, i) =>
      `<tr data-variant="${v.name}"><th scope="row">${v.role ? `<i class="lab-swatch lab-bg-${v.role}"></i>` : ""}${escape(v.title)}</th>` +
      it.models.map((each) => cell(each.answers[i], v, i)).join("") +
      `</tr>`,
  );
  const summary = targets.length
    ? `Fooled, of ${plural(judged.length, "target")} that had the clean picture right: ${counts.join(" · ")}.`
    : "No other model was asked.";
  setHtml(
    parts.answers,
    `<p class="why-caption"><b>Does it transfer?</b> <em>Probability of “${escape(it.label)}” on the saved pictures; below it what a fooled model says instead</em></p>` +
      `<div class="why-scroll" aria-label="What every model says to each picture"><table>` +
      `<thead><tr><th scope="col">attack</th>${head}</tr></thead><tbody>${rows.join("")}</tbody></table></div>` +
      `<p>${summary} <b>One picture is an anecdote, not evidence</b>: rates over many pictures, with intervals, are on the <a href="transfer">Transfer page</a>${ablation ? ` and in the <a href="#why-study-view">ablation below</a>` : ""}.</p>`,
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

function cell({ answer, p, fooled }, v, i) {
  if (p === null) return `<td><em>does not know this class</em></td>`;
  const bar = `<span class="why-bar"><i class="${v.role ? `lab-bg-${v.role}` : "why-plain"}" style="width:${(100 * p).toFixed(1)}%"></i></span>`;
  const says = fooled
    ? `<small class="why-fooled">${i ? "" : "wrong already: "}${escape(answer)}</small>`
    : `<small>&nbsp;</small>`;
  return `<td data-fooled="${fooled}">${bar}<b>${probability(p)}</b>${says}</td>`;
}

function drawColumns(it) {
  const every = ["variance", sel.free].map((measure) =>
    COMPONENTS.map((_, c) =>
      VARIANTS.map((v) => [v, { values: perBlock(it, measure, v.name, c), ...v }]),
    ),
  );
  const live = it.extremes ? "" : "The maps follow when the run ends.";
  parts.columns.forEach((column, c) => {
    const lacks = it.lacking.includes(COMPONENTS[c].toLowerCase());
    column.box.classList.toggle("why-chosen", c === sel.component);
    column.name.textContent = it.convolutional && c === 2 ? "Residual branch" : COMPONENTS[c];
    column.lacks.hidden = !lacks;
    column.holds.hidden = lacks;
    if (lacks) {
      column.lacks.textContent = it.convolutional
        ? `${it.source.title} is a convolutional network: it has no ${COMPONENTS[c]}${c ? " projection" : ""} whose gradient could be regularised.`
        : `${it.source.title} does not show its ${COMPONENTS[c]} gradients here.`;
      return;
    }
    column.charts.forEach((chart, row) => {
      const measure = row ? sel.free : "variance";
      const all = every[row].flat().flatMap(([, { values }]) => values).filter((v) => v > 0);
      const found = every[row][c];
      const at = (name) => found.find(([v]) => v.name === name)[1].values;
      const block = sel.block;
      const pair = [...new Set(["baseline", sel.variant])].map((name) => short(at(name)[block]));
      const said = block === ALL ? ratioWords(found) : `block ${block + 1}: ${pair.join(" → ")}`;
      setHtml(
        chart,
        `<p class="why-head"><b>${row ? `Scale-free: ${measure}` : "Variance of the gradient"}</b> <em>${escape(said)}</em></p>` +
          blockChart({
            width: chart.clientWidth,
            height: HEIGHT,
            count: it.shapes.length,
            kind: "log",
            low: Math.min(...all),
            high: Math.max(...all),
            selected: block === ALL ? -99 : block,
            series: ordered(found).map(([, series]) => series),
          }),
      );
      chart.setAttribute("aria-label", `${COMPONENTS[c]}, ${WORDS[measure]}: block`);
      chart.setAttribute("aria-valuemax", it.shapes.length);
      chart.setAttribute("aria-valuenow", block + 1);
      chart.setAttribute(
        "aria-valuetext",
        block === ALL ? `all blocks: ${said}` : said,
      );
    });
    drawMapOf(it, column.map, c, live);
  });
}

const ratios = (found) => {
  const [base, own] = ["baseline", sel.variant].map(
    (name) => found.find(([v]) => v.name === name)[1].values,
  );
  return own.map((v, i) => v / base[i]).filter((r) => Number.isFinite(r) && r > 0);
};
function ratioWords(found) {
  if (sel.variant === "baseline") return "the baseline itself";
  const own = ratios(found);
  return own.length ? `${times(geometric(own))} MI-FGSM’s` : "zero everywhere";
}

function drawMapOf(it, figure, component, live) {
  const where = sel.block === ALL ? "all blocks" : `block ${sel.block + 1}`;
  const found = it.extremes ? extremes(it, sel.variant, component) : null;
  const chosen = it.chosen.includes(COMPONENTS[component].toLowerCase());
  const zeroes = ["zeroing", "both", "random"].includes(sel.variant) && chosen && it.k > 0;
  setHtml(
    figure.querySelector("figcaption"),
    `<b>${zeroes ? (sel.variant === "random" ? "Random tokens zeroed" : "Tokens zeroed") : "Tokens that would be zeroed"}</b> <em>${where}</em>`,
  );
  const scale = figure.querySelector(".lab-scale");
  if (!found) {
    drawMap(figure, { picture: it.clean });
    setHtml(
      scale,
      live || `${it.source.title} works in windows here: its tokens have no single map.`,
    );
    return;
  }
  const { shape, values } = found;
  const max = Math.max(...values.subarray(shape.prefix), 1e-9);
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  drawMap(figure, {
    label: `${COMPONENTS[component]}, ${where}: share of ${component ? "channels" : "heads"} in which a token is zeroed, mean ${percent(mean)}, largest patch ${percent(max)}`,
    picture: it.clean,
    shape,
    values,
    max,
    unit: percent,
  });
  setHtml(
    scale,
    `<span>share of ${component ? "channels" : "heads"}; mean ${percent(mean)}</span>${ramp(sequential, 0, 1, ["0", percent(max)])}`,
  );
}

function finding(it) {
  const c = sel.component;
  const of = (measure) =>
    VARIANTS.map((v) => [v, { values: perBlock(it, measure, v.name, c) }]);
  const [variance, free] = [ratios(of("variance")), ratios(of(sel.free))];
  const name = titleOf(sel.variant).replace("Both: ", "");
  const tokens = it.extremes ? tokenWords(it, c) : "";
  if (sel.variant === "baseline")
    return `MI-FGSM edits nothing: it is the measure of the other four. ${tokens}`;
  if (!variance.length)
    return `${escape(name)} leaves the ${COMPONENTS[c]} gradient zero at every block looked at.`;
  const [a, b] = [geometric(variance), geometric(free)];
  const verdict =
    b > 1.15
      ? "so what is left of it is <b>more</b> uneven"
      : b < 1 / 1.15
        ? "so it is really <b>more even</b>, whatever its scale"
        : "so its <b>scale</b> changed and its unevenness hardly did";
  return (
    `<b class="lab-ink">${escape(name)}</b>, ${COMPONENTS[c]} gradient: variance ${times(a)} MI-FGSM’s, ` +
    `scale-free ${sel.free} ${times(b)}, ${verdict} ` +
    `<em>(geometric mean over blocks, ${stepWords(it)})</em>. ${tokens}`
  );
}

// The effects side by side, in the component looked at.
function apart(it) {
  const line = (measure) => {
    const of = (name) => perBlock(it, measure, name, sel.component);
    const base = of("baseline");
    return VARIANTS.slice(1)
      .map((v) => {
        const own = of(v.name)
          .map((value, i) => value / base[i])
          .filter((r) => Number.isFinite(r) && r > 0);
        return `<span><i class="lab-swatch lab-bg-${v.role}"></i>${escape(v.title)} <b>${own.length ? `×${short(geometric(own))}` : "zero"}</b></span>`;
      })
      .join("");
  };
  return ["variance", sel.free]
    .map((measure) => `<span class="why-line"><em>${COMPONENTS[sel.component]} ${measure}</em>${line(measure)}</span>`)
    .join("");
}

function tokenWords(it, component) {
  const found = extremes(it, sel.variant, component);
  if (!found || sel.variant === "random" || it.k === 0) return "";
  const { shape, values } = found;
  const mean = values.reduce((x, y) => x + y, 0) / values.length;
  const top = values.indexOf(Math.max(...values));
  if (!(values[top] > 0)) return "";
  const what =
    top < shape.prefix ? (top ? "a prefix token" : "the class token") : patchName(top - shape.prefix, shape.grid);
  return `Most often extreme is ${what}, in ${percent(values[top])} of ${component ? "channels" : "heads"}; the mean token in ${percent(mean)}.`;
}

const method = (it) =>
  `A factor γ alone multiplies the variance by γ² and leaves dispersion and kurtosis as they are, but for what it changes in the mix of branches that deeper blocks send back: a lower variance by itself shows no calmer gradient, only the scale-free row can. ` +
  `All are read in the attacks’ own passes, after each one’s edits, where TGR acts on ${it.source.title} (attention: ${it.site === "map" ? "the map" : "pre-softmax scores"}). ` +
  `Settings: ${plural(it.k, "extreme")} a side, factors ${it.factors.join(" / ")}, eps ${it.eps}/255; regularised: ${it.chosen.map((c) => COMPONENTS.find((each) => each.toLowerCase() === c)).join(", ")}. ` +
  `The control keeps the factors and zeroes as many tokens, drawn at random. After 0 steps all five stand at the same picture; later the variance also follows how far each has come. Lines have gaps where a gradient is exactly zero: on a model with a class token only that token has a gradient in the last block, so the rule wipes it out.`;

// The comparison on screen as files, with the numbers as they came: four significant figures.
const MEASURES = ["variance", "dispersion", "kurtosis"];
const called = (it) =>
  `why_${it.original.name}_${it.source.name}_tgr_eps${it.eps}_seed${it.seed}`.replace(/[^\w.-]+/g, "-");

function csv(it) {
  const rows = [["attack", "steps_taken", "block", "component", "model", "measure", "value"]];
  for (const { name } of VARIANTS)
    for (const step of range(it.done)) {
      rows.push([name, step, "", "", it.source.name, "loss", it.losses[name][step]]);
      rows.push([name, step, "", "", it.source.name, "probability", it.probabilities[name][step]]);
      for (const measure of MEASURES)
        it[measure][name][step].forEach((parts, block) =>
          parts.forEach((value, c) => {
            if (!it.lacking.includes(COMPONENTS[c].toLowerCase()))
              rows.push([name, step, block + 1, COMPONENTS[c].toLowerCase(), it.source.name, measure, value]);
          }),
        );
    }
  for (const model of it.models)
    ["clean", ...VARIANTS.map((v) => v.name)].forEach((name, i) => {
      const { answer, p, fooled } = model.answers[i];
      const taken = i ? it.done : 0;
      rows.push([name, taken, "", "", model.name, "saved_probability", p]);
      rows.push([name, taken, "", "", model.name, "saved_answer", answer]);
      rows.push([name, taken, "", "", model.name, "saved_fooled", fooled]);
    });
  const field = (value) =>
    /[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value ?? "");
  return rows.map((row) => row.map(field).join(",")).join("\n") + "\n";
}

function json(it) {
  const named = (list) => Object.fromEntries(COMPONENTS.map((c, i) => [c.toLowerCase(), list[i]]));
  const report = {
    schema: "vit-adversarial-lab/why/1",
    picture: it.original,
    true_class: { name: it.label, given: it.label_given },
    source: it.source,
    settings: {
      eps_255: it.eps,
      steps: it.asked,
      steps_taken: it.done,
      k: it.k,
      factors: named(it.factors),
      components: it.chosen,
      site: it.site,
      mode: it.mode,
      seed: it.seed,
    },
    read_as: "the value at step s is of the picture after s steps; measures are [step][block][attention, qkv, mlp]; four significant figures",
    attacks: Object.fromEntries(
      VARIANTS.map(({ name, title }) => [
        name,
        {
          title,
          loss: it.losses[name],
          probability: it.probabilities[name],
          ...Object.fromEntries(MEASURES.map((measure) => [measure, it[measure][name]])),
        },
      ]),
    ),
    transfer: it.models.map(({ name, title, sha256, source, answers }) => ({
      model: name,
      title,
      sha256,
      white_box: source,
      answers: Object.fromEntries(
        ["clean", ...VARIANTS.map((v) => v.name)].map((of, i) => [
          of,
          { answer: answers[i].answer, probability: answers[i].p, fooled: answers[i].fooled },
        ]),
      ),
    })),
  };
  return JSON.stringify(report, null, 1) + "\n";
}

function save(kind) {
  const it = run();
  if (!it?.models) return;
  const [text, type] = kind === "csv" ? [csv(it), "text/csv"] : [json(it), "application/json"];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = `${called(it)}.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const see = (element, props, watch) => {
  build(element);
  keep(props.earlier);
  receive(props.value);
  watch("value", () => receive(props.value));
  redraw();
};

// The stored ablation: gains on MI-FGSM, largest first, with their intervals.
let ablation = null;
let studyRoot = null;
let open = false;
const FEW = 14;
const seeStudy = (element, props, watch) => {
  studyRoot = element.querySelector(".lab-view");
  studyRoot.dataset.state = "run";
  const take = () => {
    ablation = plain(props.value);
    drawStudy();
    redraw();
  };
  watch("value", take);
  new ResizeObserver(drawStudy).observe(studyRoot);
  studyRoot.addEventListener("click", (event) => {
    if (!event.target.closest(".why-more")) return;
    open = !open;
    drawStudy();
  });
  take();
};

function drawStudy() {
  if (!studyRoot) return;
  studyRoot.hidden = !ablation;
  if (!ablation) return void setHtml(studyRoot, "");
  const wide = studyRoot.clientWidth > 760;
  const width = (studyRoot.clientWidth - (wide ? 28 : 0)) / (wide ? 2 : 1);
  const all = ablation.panels.flatMap((panel) => panel.rows.flatMap((row) => row.gain));
  const [low, high] = [Math.min(0, ...all) * 100, Math.max(0, ...all) * 100];
  const most = Math.max(...ablation.panels.map((panel) => panel.rows.length));
  setHtml(
    studyRoot,
    `<h2>Measured: which setting gains on MI-FGSM, attacked on ${escape(ablation.source)}</h2>` +
      `<p>${escape(ablation.tokens)}</p>` +
      `<p class="lab-hint">Mean success on ${escape(ablation.targets.join("; "))}, minus that of MI-FGSM at the same budget, in points. ${plural(ablation.pictures, "photograph")}, each model judged on those it had right (${ablation.known} ${ablation.targets.length > 1 ? "had at least one of them right" : "had it right"}); 95 % intervals over pictures drawn in pairs. Right of the line helps.</p>` +
      `<div class="why-panels">${ablation.panels.map((panel) => gains(panel, width, low, high)).join("")}</div>` +
      (most > FEW
        ? `<button type="button" class="why-button why-more">${open ? "Show the ends only" : `Show all ${most} settings`}</button>`
        : ""),
  );
}

function gains({ eps, rows }, width, low, high) {
  const half = FEW / 2;
  const list =
    open || rows.length <= FEW ? rows : [...rows.slice(0, half), null, ...rows.slice(-half)];
  const row = 19;
  const [left, right, top] = [Math.min(230, width * 0.5), 14, 26];
  const height = top + list.length * row + 26;
  const x = (v) => left + ((v - low) / (high - low || 1)) * (width - left - right);
  const out = [`<text class="lab-title" x="1" y="13">eps ${eps}/255</text>`];
  const step = niceStep((high - low) / 4 || 1);
  for (let v = Math.ceil(low / step) * step; v <= high + 1e-9; v += step)
    out.push(
      `<line class="${Math.abs(v) < 1e-9 ? "lab-axis" : "lab-grid"}" x1="${x(v)}" x2="${x(v)}" y1="${top}" y2="${top + list.length * row}"/>` +
        `<text class="lab-tick" x="${x(v)}" y="${height - 12}" text-anchor="middle">${v > 0 ? "+" : ""}${short(v)}</text>`,
    );
  list.forEach((each, i) => {
    const y = top + (i + 0.5) * row;
    if (!each) {
      out.push(
        `<text class="lab-tick" x="${left - 8}" y="${y + 4}" text-anchor="end">… ${rows.length - FEW} between …</text>`,
      );
      return;
    }
    const [value, a, b] = each.gain.map((v) => v * 100);
    const text = each.text.length * 6.1 > left - 8 ? `${each.text.slice(0, Math.floor((left - 14) / 6.1))}…` : each.text;
    out.push(
      `<g><title>${escape(each.text)}: ${value.toFixed(1)} points [${a.toFixed(1)}, ${b.toFixed(1)}], success ${(100 * each.rate[0]).toFixed(1)} %, McNemar p ${short(each.p)}</title>` +
        `<rect class="lab-hit" x="0" y="${y - row / 2}" width="${width}" height="${row}"/>` +
        `<text class="lab-tick" x="${left - 8}" y="${y + 4}" text-anchor="end">${escape(text)}</text>` +
        `<line class="lab-line lab-stroke-why-${each.role}" x1="${x(a)}" x2="${x(b)}" y1="${y}" y2="${y}"/>` +
        `${mark(VARIANTS.find((v) => v.name === each.role).marker, x(value), y, `why-${each.role}`, 3.6)}</g>`,
    );
  });
  return `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="Gains at eps ${eps}/255">${out.join("")}</svg>`;
}

const geometric = (ratios) => {
  const logs = ratios.filter((r) => Number.isFinite(r) && r > 0).map(Math.log);
  return Math.exp(logs.reduce((x, y) => x + y, 0) / logs.length);
};

export const selection = () => ({ ...sel });
export { see, select, seeStudy as study };
