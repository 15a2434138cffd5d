// The transfer heat map: marks laid out for a width; one selection {row, column, papers}: the cell
// that is read out (row -1: none), and whether clean errors count as success.

import { arrive } from "../kit/js/arrive.js";
import { button, download, setHtml } from "../kit/js/dom.js";
import { css, ramp, sequential } from "../kit/js/draw.js";
import { escape, short } from "../kit/js/format.js";
import { clamp } from "../kit/js/numbers.js";
import { hear, plain } from "../kit/js/packing.js";
import { createStore } from "../kit/js/store.js";
import { isDark } from "../kit/js/theme.js";
import { box, cut, inkOn, line, text, toCanvas, toSvg, widthOf, wrap } from "./marks.js";

const GAP = 3;
const HIGH = 52;
const LIGHT = { ink: "#1b1f24", muted: "#57606a", hair: "#c9d0d8", paper: "#ffffff" };
const DARK = { ink: "#e6e8eb", muted: "#9aa4af", hair: "#48515d", paper: "#14171b" };
const PAPERS = "count clean errors as success, as the papers do";
const EMPTY =
  "Press Run. Each cell will say the attack success rate: the share of the pictures that a model " +
  "had right which it gets wrong after the attack.";
const INVITE =
  "Point at a cell, tap it, or move with the arrow keys to read all that is known of it.";

const store = createStore({ row: -1, column: -1, papers: false }, (sel, it) => {
  sel.row = clamp(sel.row, -1, it.rows.length - 1);
  sel.column = clamp(sel.column, sel.row < 0 ? -1 : 0, last(it));
});
export const { select, selection, on } = store;
const { sel } = store;

let root = null;
let slim = false; // on a phone the means stand beside the attacks' names, not in a column

const whole = (share) => (share === null ? "–" : `${Math.round(100 * share)}`);
const span = ([, low, high]) => `${Math.round(100 * low)}–${Math.round(100 * high)}`;
const rate = (cell) => cell && (sel.papers ? cell.papers : cell.success);

// Whether the attack was made on this model, alone or as a member of an ensemble.
const inside = (row, column) => row.members.includes(column.name);

// A row's mean over the models that the attack was not made on, or null while one is missing. What
// was measured to the end comes with its interval; while cells fill, and in the papers' count, it
// is the plain mean of the cells.
const known = (row) => (sel.papers ? null : row.mean);
const mean = (row) => known(row)?.rate[0] ?? row.plain[sel.papers ? "papers" : "success"];
const averaged = (it, narrow = slim) => !narrow && it.rows.some((row) => row.others > 1);
const last = (it) => it.columns.length - (averaged(it) ? 0 : 1);

const points = (share) => {
  const rounded = Math.round(100 * share);
  return rounded ? `${rounded > 0 ? "+" : "−"}${Math.abs(rounded)}` : "0";
};
const gainOf = (row) => {
  const gain = known(row)?.gain;
  return gain ? `${points(gain[0])} [${points(gain[1])}, ${points(gain[2])}]` : "";
};
// Where all pictures are alike, resampling them says nothing of others: no interval.
const within = (found) => (found && found.rate[1] < found.rate[2] ? span(found.rate) : "");

// Where everything goes: marks to draw, and the cells with theirs. A PNG is never narrow.
function plan(it, width, narrow, paint) {
  const means = averaged(it, narrow);
  const columns = it.columns.length + (means ? 1 : 0);
  const side = narrow ? 74 : Math.min(190, Math.round(width * 0.2));
  const one = clamp((width - side - GAP * columns) / columns, narrow ? 46 : 62, 128);
  const size = narrow ? 12 : 13;
  const x = (c) => side + GAP + c * (one + GAP);
  const { marks, top } = heads(it, { narrow, means, one, size, x, paint });
  const cells = [];
  let y = top;
  it.rows.forEach((row, r) => {
    if (it.rows[r - 1]?.source !== row.source) {
      y += r ? 10 : 0;
      const made = cut(`made on ${narrow ? row.short : row.title}`, size, width, 600);
      marks.push(text(made, 0, y + 15, paint.ink, { size, weight: 600 }));
      y += 22;
    }
    marks.push(...labels(it, row, { narrow, size, side, y, paint }));
    it.columns.forEach((column, c) => {
      const place = { x: x(c), y, w: one, h: HIGH };
      const drawn = cellMarks(place, row.cells[c], inside(row, column), narrow, paint);
      cells.push({ ...place, row: r, column: c, marks: drawn });
    });
    if (means && row.others) {
      const place = { x: x(columns - 1), y, w: one, h: HIGH };
      cells.push({
        ...place,
        row: r,
        column: it.columns.length,
        marks: meanMarks(place, row, paint),
      });
    }
    y += HIGH + GAP;
  });
  return { width: x(columns) - GAP, height: y, marks, cells };
}

// The models' names over their columns; on a phone those that do not fit stand upright.
function heads(it, { narrow, means, one, size, x, paint }) {
  const longest = Math.max(...it.columns.map((each) => widthOf(each.short, size, 600)));
  const upright = narrow && longest > one - 2;
  const names = it.columns.map((each) =>
    upright ? [cut(each.short, size, 110, 600)] : wrap(each.short, size, one - 2, 3, 600),
  );
  if (means) names.push(wrap("mean of others", size, one - 2, 3));
  const high = size * 1.25;
  const top = upright
    ? 14 + Math.min(longest, 110)
    : 8 + high * Math.max(...names.map((each) => each.length));
  const marks = names.flatMap((lines, c) => {
    const model = c < it.columns.length;
    const look = { size, weight: model ? 600 : 400 };
    const turned = upright ? { anchor: "start", turn: -90 } : { anchor: "middle" };
    const at = x(c) + one / 2 + (upright ? size * 0.35 : 0);
    return lines.map((words, i) =>
      text(words, at, top - 6 - high * (lines.length - 1 - i), model ? paint.ink : paint.muted, {
        ...look,
        ...turned,
      }),
    );
  });
  return { marks, top };
}

// An attack's name before its row; below it how far it is, and on a phone its mean.
function labels(it, row, { narrow, size, side, y, paint }) {
  const lines = wrap(row.attack, size, side - 8, 2);
  const share = mean(row);
  const more =
    it.kind !== "frame" && row.judged < it.pictures
      ? [`${row.judged} of ${it.pictures}`]
      : narrow && share !== null && row.others > 1
        ? [`mean ${whole(share)} %`, lines.length > 1 ? "" : gainOf(row)].filter(Boolean)
        : [];
  const high = lines.length * size * 1.25 + 14 * more.length;
  const middle = y + HIGH / 2;
  return [
    ...lines.map((words, i) =>
      text(words, 0, middle - high / 2 + size * (1 + 1.25 * i), paint.ink, { size }),
    ),
    ...more.map((words, i) =>
      text(words, 0, middle + high / 2 - 14 * (more.length - 1 - i), paint.muted, { size: 11 }),
    ),
  ];
}

// A row's mean: with its interval, and the gain on MI-FGSM, in bold where zero lies outside.
function meanMarks({ x, y, w }, row, paint) {
  const share = mean(row);
  if (share === null) return [];
  const found = known(row);
  const put = (words, at, fill, size, weight = 400) =>
    text(words, x + w / 2, y + at, fill, { anchor: "middle", size, weight });
  return [
    put(`${whole(share)} %`, 20, paint.ink, 15, 600),
    put(within(found), 34, paint.muted, 11),
    put(gainOf(row), 48, found?.apart ? paint.ink : paint.muted, 11, found?.apart ? 600 : 400),
  ];
}

// A cell: its colour, rate, interval in numbers and as a line on an axis from 0 to 100 %.
function cellMarks({ x, y, w, h }, cell, own, narrow, paint) {
  const found = rate(cell);
  const share = found ? found[0] : null;
  const fill = share === null ? null : sequential(share);
  const ink = fill ? inkOn(fill) : paint.muted;
  const marks = [box(x, y, w, h, fill ? css(fill) : "none", fill ? "none" : paint.hair)];
  const put = (words, at, size, weight = 400) =>
    marks.push(text(words, x + w / 2, y + at, ink, { anchor: "middle", size, weight }));
  if (found) {
    put(share === null ? "–" : `${whole(share)} %`, 20, narrow ? 13 : 15, 600);
    put(share === null ? "none right" : span(found), 34, 11);
  }
  if (share !== null) {
    const [from, to, axis] = [x + 8, x + w - 8, y + h - 9];
    const at = (v) => from + v * (to - from);
    marks.push(
      line(from, axis, to, axis, ink, 1, 0.35),
      line(at(found[1]), axis, at(found[2]), axis, ink),
      line(at(share), axis - 4, at(share), axis + 4, ink),
    );
  }
  if (own) marks.push(box(x + 2.5, y + 2.5, w - 5, h - 5, "none", ink, true));
  return marks;
}

// What is read aloud begins with what is to be seen, so that a voice can name the cell by it.
function words(it, row, column) {
  const made = `${row.attack} made on ${row.title}`;
  if (column === it.columns.length) {
    const share = mean(row);
    const over = `${made}, mean over ${row.others} other models`;
    if (share === null) return `${over}: not measured yet`;
    const found = known(row);
    const seen = [`${whole(share)} %`, within(found), gainOf(row)].filter(Boolean);
    return `${seen.join(" ")}: ${over}${within(found) ? ", with 95 % interval" : ""}${found?.gain ? ` and gain on ${found.on} in points` : ""}`;
  }
  const target = it.columns[column];
  const found = rate(row.cells[column]);
  const own = inside(row, target) ? ", the model attacked (white box)" : "";
  const shown = `${made}, shown to ${target.title}${own}`;
  if (!found) return `${shown}: not measured yet`;
  return found[0] === null
    ? `– none right: ${shown}`
    : `${whole(found[0])} % ${span(found)}: ${shown}, with 95 % interval`;
}

function draw() {
  const it = store.shown;
  if (!it) return;
  const find = (name) => root.querySelector(name);
  const holder = find(".transfer-map");
  const width = holder.clientWidth - 4;
  if (slim !== width < 560) {
    slim = width < 560;
    sel.column = Math.min(sel.column, last(it));
  }
  root.dataset.state = it.kind;
  setHtml(find(".lab-of"), it.of ? `<b>${escape(it.of)}.</b> <em>${escape(it.settings)}</em>` : "");
  find(".lab-of").hidden = !it.of;
  const back = find(".transfer-back");
  back.hidden = !store.earlier || !(store.live ?? store.run)?.run;
  back.textContent = store.aside ? "Show your map" : "Show the measured map";
  // The files are of the visitor's own run: beside another map they would be taken for its.
  const files = document.getElementById("downloads");
  if (files) files.dataset.of = it === store.earlier ? "earlier" : "own";
  find("input").checked = sel.papers;
  setHtml(
    find(".transfer-findings"),
    saying(it)
      .map((each) => `<p>${escape(each)}</p>`)
      .join(""),
  );
  find(".transfer-note").textContent = note(it);
  const focused = document.activeElement?.closest(".transfer-cell");
  setHtml(holder, grid(it, plan(it, width, slim, isDark() ? DARK : LIGHT)));
  mark(it);
  if (focused && !focused.isConnected) focus(Math.max(0, sel.row), Math.max(0, sel.column));
}

function grid(it, { width, height, marks, cells }) {
  const drawn = cells.map(
    ({ row, column, x, y, w, h, marks: own }) =>
      `<g class="transfer-cell" role="gridcell" data-row="${row}" data-column="${column}" aria-label="${escape(words(it, it.rows[row], column))}">` +
      `<rect class="transfer-hit" x="${x}" y="${y}" width="${w}" height="${h}" rx="3"/>` +
      `${toSvg(own)}<rect class="transfer-ring" x="${x - 1.5}" y="${y - 1.5}" width="${w + 3}" height="${h + 3}" rx="4"/></g>`,
  );
  const rows = it.rows.map(
    (_, r) => `<g role="row">${drawn.filter((_each, i) => cells[i].row === r).join("")}</g>`,
  );
  return (
    `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="grid" ` +
    `aria-label="Success rate of each attack (rows) on each model (columns)"><g aria-hidden="true">${toSvg(marks)}</g>${rows.join("")}</svg>`
  );
}

function saying(it) {
  if (it.kind === "frame") return [EMPTY];
  if (it.kind === "running")
    return ["The map fills picture by picture; the intervals narrow as it does."];
  return it.findings.length ? it.findings : ["Too little was measured for a comparison."];
}

function note(it) {
  if (!it.of) return "";
  const means = it.rows.map((row) => row.mean).filter(Boolean);
  const { earlier } = store;
  const counted = sel.papers
    ? "wrong under attack, of all pictures (clean errors count as success)"
    : "fooled, of the pictures that the model had right";
  const of = `Attack success rate: ${counted}; judged on the 8-bit pixels that a saved PNG holds. Intervals: 95 %, Wilson.`;
  const averages = `Means are over the models that the attack was not made on; below a mean stands the gain on ${means.find((each) => each.on)?.on ?? "MI-FGSM"} in points, paired by picture. Clean errors are left out of both, and their intervals are bootstraps over pictures.`;
  const elsewhere = earlier ? `, or go to the map measured on ${earlier.pictures} photographs` : "";
  const few = it.caution && `${it.caution}${elsewhere}.`;
  return [of, means.length ? averages : "", few].filter(Boolean).join(" ");
}

// The cell that is read out: a ring around it, its numbers below; it is also where Tab stops.
function mark(it) {
  for (const cell of root.querySelectorAll(".transfer-cell")) {
    const { row, column } = cell.dataset;
    cell.classList.toggle("transfer-at", Number(row) === sel.row && Number(column) === sel.column);
    const stop = Number(row) === Math.max(0, sel.row) && Number(column) === Math.max(0, sel.column);
    cell.setAttribute("tabindex", stop ? 0 : -1);
  }
  setHtml(root.querySelector(".transfer-detail"), detail(it));
}

const item = (name, value, more = "") =>
  `<div><dt>${name}</dt><dd>${value} <em>${more}</em></dd></div>`;
const percents = (low, high) => `[${(100 * low).toFixed(1)}, ${(100 * high).toFixed(1)}]`;

function detail(it) {
  if (sel.row < 0 || it.kind === "frame") return `<p class="lab-muted">${INVITE}</p>`;
  const row = it.rows[sel.row];
  const made = `<b>${escape(row.attack)}</b> made on ${escape(row.title)}`;
  if (sel.column === it.columns.length)
    return `<p>${made}: the mean over ${row.others} models that it was not made on.</p>${meanDetail(it, known(row))}`;
  const target = it.columns[sel.column];
  const own = inside(row, target);
  const cell = row.cells[sel.column];
  const head = `<p>${made}, shown to <b>${escape(own && row.members.length === 1 ? "the same model" : target.title)}</b>${own ? " (white box)" : ""}.</p>`;
  if (!cell) return `${head}<p class="lab-muted">Not measured yet.</p>`;
  const share = (name, [value, low, high, count, of]) =>
    item(
      name,
      value === null ? "–" : `${(100 * value).toFixed(1)} %`,
      `${percents(low, high)} ${count} of ${of}`,
    );
  return (
    `${head}<dl>${share("attack success rate", cell.success)}` +
    `${share("the same, clean errors counted", cell.papers)}${share("clean accuracy", cell.clean)}` +
    `${share("robust accuracy", cell.attacked)}${item("pictures", cell.n)}` +
    `${item("time to make", `${cell.seconds.toFixed(1)} s`, `${(cell.seconds / cell.n).toFixed(2)} s each`)}</dl>`
  );
}

function meanDetail(it, found) {
  if (!found) return "";
  const estimate = (name, [value, low, high], unit) =>
    item(name, `${(100 * value).toFixed(1)}${unit}`, low < high ? percents(low, high) : "");
  const gain = found.gain
    ? estimate(`gain on ${escape(found.on)}`, found.gain, " points") +
      item("McNemar p", short(found.p))
    : "";
  return (
    `<dl>${estimate("attack success rate", found.rate, " %")}${gain}` +
    `${item("pictures", it.judged, `${found.known} that at least one of them had right`)}</dl>`
  );
}

const cellOf = (event) => event.target.closest?.(".transfer-cell");
function read(event) {
  const at = cellOf(event)?.dataset;
  if (at) select({ row: Number(at.row), column: Number(at.column) });
}
function focus(row, column) {
  const cell = root.querySelector(`.transfer-cell[data-row="${row}"][data-column="${column}"]`);
  cell?.setAttribute("tabindex", 0);
  cell?.focus();
}
const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
function move(event) {
  const step = MOVES[event.key];
  const at = cellOf(event)?.dataset;
  if (!step || !at) return;
  event.preventDefault();
  const it = store.shown;
  focus(
    clamp(Number(at.row) + step[0], 0, it.rows.length - 1),
    clamp(Number(at.column) + step[1], 0, last(it)),
  );
}

// The map as a PNG of its own: title, map, scale and what was measured, on white at twice the size.
export async function save() {
  const it = store.shown;
  if (!it || it.kind === "frame") return;
  await document.fonts.ready;
  const [width, edge] = [1000, 28];
  const laid = plan(it, width - 2 * edge, false, LIGHT);
  const below = [`${it.of}; ${it.settings}.`, ...it.findings, note(it)].flatMap((each) =>
    wrap(each, 13, width - 2 * edge, 12),
  );
  const height = laid.height + 130 + below.length * 19;
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: 2 * width, height: 2 * height });
  const context = canvas.getContext("2d");
  context.scale(2, 2);
  toCanvas(context, [box(0, 0, width, height, LIGHT.paper)]);
  context.translate(edge, 0);
  const title = text("Transfer: attack success rate", 0, 38, LIGHT.ink, { size: 18, weight: 600 });
  toCanvas(context, [title]);
  context.translate(0, 54);
  toCanvas(context, [...laid.marks, ...laid.cells.flatMap((each) => each.marks)]);
  context.translate(0, laid.height + 14);
  for (let i = 0; i < 190; i++) {
    context.fillStyle = css(sequential(i / 189));
    context.fillRect(i, 0, 1.5, 10);
  }
  const small = { size: 11 };
  toCanvas(context, [
    text("0 %", 0, 25, LIGHT.muted, small),
    text("100 %", 160, 25, LIGHT.muted, small),
    text("dashed frame: the model that was attacked (white box)", 220, 11, LIGHT.muted, small),
    ...below.map((each, i) => text(each, 0, 52 + 19 * i, LIGHT.ink)),
  ]);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  download(`${it.file}.png`, blob);
}

function build(element) {
  root = element.querySelector(".lab-view");
  root.innerHTML =
    `<div class="lab-above"><h2 class="lab-of"></h2></div><div class="transfer-findings" aria-live="polite"></div>` +
    `<div class="lab-tools"><label class="transfer-switch"><input type="checkbox" role="switch">${PAPERS}</label>` +
    `<span class="transfer-legend">${ramp(sequential, 0, 1, ["0 %", "attack success rate", "100 %"])}` +
    `<span><i class="transfer-own"></i>white box</span></span></div>` +
    `<div class="transfer-map"></div><p class="transfer-note lab-method"></p><div class="transfer-detail"></div>`;
  const back = button("", () => store.look(!store.aside), "lab-quiet transfer-back");
  root.querySelector(".lab-above").append(back);
  root
    .querySelector("input")
    .addEventListener("change", ({ target }) => select({ papers: target.checked }));
  const map = root.querySelector(".transfer-map");
  map.addEventListener("pointerover", read);
  map.addEventListener("focusin", read);
  map.addEventListener("click", (event) => {
    const at = cellOf(event)?.dataset;
    if (at) focus(at.row, at.column);
  });
  map.addEventListener("keydown", move);
}

// Messages: a frame; running -> ... -> done; or restore, where nothing was found.
function receive(message) {
  if (message.kind === "restore") return store.fail();
  if (message.kind === "frame") {
    store.run = message;
    return store.redraw();
  }
  // A run that begins is looked at; what it finds later does not call anybody away.
  if (message.run !== (store.live ?? store.run)?.run) store.begin(message);
  else if (message.kind === "running") store.step(message);
  if (message.kind === "done") {
    store.end(message);
    arrive(root);
  }
}

// Where the page is laid out: its frame, what was measured earlier, and every message after that.
export function see(element, props, watch) {
  build(element);
  store.view("transfer", root, draw);
  if (props.earlier) store.keep(plain(props.earlier));
  hear(props, watch, receive);
}
