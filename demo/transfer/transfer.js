// The transfer heat map: one list of marks, laid out for a width, drawn as SVG or on a canvas.

import { arrive } from "../kit/js/arrive.js";
import { setHtml } from "../kit/js/dom.js";
import { css, ramp, sequential } from "../kit/js/draw.js";
import { escape, plural, short } from "../kit/js/format.js";
import { clamp } from "../kit/js/numbers.js";
import { plain } from "../kit/js/packing.js";
import { isDark, onTheme } from "../kit/js/theme.js";

const GAP = 3;
const HIGH = 52;
const FAMILY = '"IBM Plex Sans", system-ui, sans-serif';
const LIGHT = { ink: "#1b1f24", muted: "#57606a", hair: "#c9d0d8", paper: "#ffffff" };
const DARK = { ink: "#e6e8eb", muted: "#9aa4af", hair: "#48515d", paper: "#14171b" };
const PAPERS = "count clean errors as success, as the papers do";
const FEW = 32;
const EMPTY =
  "Press Run. Each cell will say which share of the pictures that a model had right " +
  "it gets wrong after the attack.";
const INVITE =
  "Point at a cell, tap it, or move with the arrow keys to read all that is known of it.";

let root = null;
let data = null; // what is on screen
let own = null; // the visitor's latest message, or the first frame
let good = null; // the last of them that is of a finished or stopped experiment
let earlier = null; // the map that was measured earlier, to be called back at any time
let aside = true; // whether that one is looked at
let papers = false;
let at = null; // [row, column] of the cell that is read out
let slim = false; // on a phone the means stand beside the attacks' names, not in a column

const whole = (share) => (share === null ? "–" : `${Math.round(100 * share)}`);
const span = ([, low, high]) => `${Math.round(100 * low)}–${Math.round(100 * high)}`;
const rate = (cell) => cell && (papers ? cell.papers : cell.success);

const ruler = document.createElement("canvas").getContext("2d");
function widthOf(text, size, weight = 400) {
  ruler.font = `${weight} ${size}px ${FAMILY}`;
  return ruler.measureText(text).width;
}
// Lines of words no wider than `most`; a word breaks after its hyphens, what is left over is cut.
function wrap(text, size, most, lines, weight = 400) {
  const words = text.split(/(?<=[\s-])/);
  const made = [""];
  for (const word of words) {
    const now = made[made.length - 1] + word;
    if (!made[made.length - 1] || widthOf(now.trimEnd(), size, weight) <= most)
      made[made.length - 1] = now;
    else made.push(word);
  }
  const kept = made.slice(0, lines).map((line) => cut(line.trimEnd(), size, most, weight));
  if (made.length > lines) kept[lines - 1] = cut(`${kept[lines - 1]}…`, size, most, weight);
  return kept;
}
function cut(line, size, most, weight) {
  if (widthOf(line, size, weight) <= most) return line;
  let text = line.replace(/…$/, "");
  while (text.length > 1 && widthOf(`${text}…`, size, weight) > most) text = text.slice(0, -1);
  return `${text}…`;
}

// Whether the attack was made on this model, alone or as a member of an ensemble.
const inside = (row, column) => data.rows[row].members.includes(column.name);

// Mean over the models that the attack was not made on, or null while one is missing. What was
// measured to the end comes with its interval; while cells fill, and in the papers' count, it is
// the plain mean of what the cells show.
const known = (row) => (papers ? null : data.means[row]);
function mean(row) {
  if (known(row)) return known(row).rate[0];
  const found = data.cells[row]
    .filter((_, c) => !inside(row, data.columns[c]))
    .map((cell) => rate(cell))
    .filter((each) => each && each[0] !== null);
  const others = othersOf(row);
  if (found.length < others || !others) return null;
  return found.reduce((sum, each) => sum + each[0], 0) / others;
}
const othersOf = (row) => data.columns.filter((each) => !inside(row, each)).length;
const averaged = () => !slim && data.rows.some((_, row) => othersOf(row) > 1);

// Ink that is legible on a colour: the better of near-black and white (always above 4.5 : 1).
const linear = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
function inkOn(rgb) {
  const light = 0.2126 * linear(rgb[0]) + 0.7152 * linear(rgb[1]) + 0.0722 * linear(rgb[2]);
  return 1.05 / (light + 0.05) > (light + 0.05) / 0.056 ? "#ffffff" : "#111418";
}

// Where everything goes: marks to draw, and the boxes of the cells. A PNG is never slim.
function plan(width, paint) {
  slim = width < 560;
  const columns = data.columns.length + (averaged() ? 1 : 0);
  const side = slim ? 74 : Math.min(190, Math.round(width * 0.2));
  const one = clamp((width - side - GAP * columns) / columns, slim ? 46 : 62, 128);
  const size = slim ? 12 : 13;
  // On a phone names that do not fit stand upright.
  const longest = Math.max(...data.columns.map((each) => widthOf(each.short, size, 600)));
  const upright = slim && longest > one - 2;
  const heads = data.columns.map((each) =>
    upright ? [cut(each.short, size, 110, 600)] : wrap(each.short, size, one - 2, 3, 600),
  );
  if (averaged()) heads.push(wrap("mean of others", size, one - 2, 3));
  const top = upright
    ? 14 + Math.min(longest, 110)
    : 8 + size * 1.25 * Math.max(...heads.map((each) => each.length));
  const x = (c) => side + GAP + c * (one + GAP);
  const marks = [];
  const cells = [];
  const text = (words, left, y, more = {}) =>
    marks.push({
      kind: "text",
      words,
      x: left,
      y,
      size,
      fill: paint.ink,
      anchor: "start",
      ...more,
    });
  heads.forEach((lines, c) =>
    lines.forEach((line, i) =>
      text(
        line,
        x(c) + one / 2 + (upright ? size * 0.35 : 0),
        top - 6 - size * 1.25 * (lines.length - 1 - i),
        {
          anchor: upright ? "start" : "middle",
          turn: upright ? -90 : 0,
          weight: c < data.columns.length ? 600 : 400,
          fill: c < data.columns.length ? paint.ink : paint.muted,
        },
      ),
    ),
  );
  let y = top;
  data.rows.forEach((row, r) => {
    if (!r || data.rows[r - 1].source !== row.source) {
      y += r ? 10 : 0;
      text(cut(`made on ${slim ? row.short : row.title}`, size, width, 600), 0, y + 15, {
        weight: 600,
      });
      y += 22;
    }
    const lines = wrap(row.attack, size, side - 8, 2);
    const known = data.cells[r].filter(Boolean);
    const n = known.length ? Math.min(...known.map((each) => each.n)) : 0;
    const share = mean(r);
    const partly = data.state !== "frame" && n < data.pictures;
    const more = partly
      ? [`${n} of ${data.pictures}`]
      : slim && share !== null && othersOf(r) > 1
        ? [`mean ${whole(share)} %`, lines.length > 1 ? "" : gainOf(r)].filter(Boolean)
        : [];
    const high = lines.length * size * 1.25 + 14 * more.length;
    lines.forEach((line, i) => text(line, 0, y + HIGH / 2 - high / 2 + size * (1 + 1.25 * i)));
    more.forEach((line, i) =>
      text(line, 0, y + HIGH / 2 + high / 2 - 14 * (more.length - 1 - i), {
        size: 11,
        fill: paint.muted,
      }),
    );
    data.columns.forEach((column, c) => {
      const box = { row: r, column: c, x: x(c), y, w: one, h: HIGH };
      box.marks = cellMarks(box, data.cells[r][c], inside(r, column), paint);
      cells.push(box);
    });
    if (averaged() && othersOf(r)) {
      const box = { row: r, column: data.columns.length, x: x(columns - 1), y, w: one, h: HIGH };
      box.marks = meanMarks(box, r, share, paint);
      cells.push(box);
    }
    y += HIGH + GAP;
  });
  return { width: x(columns) - GAP, height: y, marks, cells };
}

const points = (share) => {
  const rounded = Math.round(100 * share);
  return rounded ? `${rounded > 0 ? "+" : "−"}${Math.abs(rounded)}` : "0";
};
const gainOf = (row) => {
  const gain = known(row)?.gain;
  return gain ? `${points(gain[0])} [${points(gain[1])}, ${points(gain[2])}]` : "";
};

// Where all pictures are alike, resampling them says nothing of others: no interval.
const within = ({ rate }) => (rate[1] < rate[2] ? span(rate) : "");

// A row's mean: with its interval, and the gain on MI-FGSM, in bold where zero lies outside.
function meanMarks(box, row, share, paint) {
  if (share === null) return [];
  const middle = { kind: "text", x: box.x + box.w / 2, anchor: "middle" };
  const marks = [
    { ...middle, words: `${whole(share)} %`, y: box.y + 20, size: 15, weight: 600, fill: paint.ink },
  ];
  const found = known(row);
  if (!found) return marks;
  marks.push({ ...middle, words: within(found), y: box.y + 34, size: 11, fill: paint.muted });
  if (!found.gain) return marks;
  const apart = found.gain[1] > 0 || found.gain[2] < 0;
  marks.push({
    ...middle,
    words: gainOf(row),
    y: box.y + 48,
    size: 11,
    weight: apart ? 600 : 400,
    fill: apart ? paint.ink : paint.muted,
  });
  return marks;
}

// A cell: its colour, rate, interval in numbers and as a line on an axis from 0 to 100 %.
function cellMarks({ x, y, w, h }, cell, own, paint) {
  const found = rate(cell);
  const share = found && found[0];
  const known = found && share !== null;
  const fill = known ? sequential(share) : null;
  const ink = known ? inkOn(fill) : paint.muted;
  const marks = [
    {
      kind: "rect",
      x,
      y,
      w,
      h,
      fill: fill ? css(fill) : "none",
      stroke: fill ? "none" : paint.hair,
    },
  ];
  const middle = { kind: "text", x: x + w / 2, fill: ink, anchor: "middle" };
  if (found)
    marks.push(
      {
        ...middle,
        words: known ? `${whole(share)} %` : "–",
        y: y + 20,
        size: slim ? 13 : 15,
        weight: 600,
      },
      { ...middle, words: known ? span(found) : "none right", y: y + 34, size: 11 },
    );
  if (known) {
    const [from, to, axis] = [x + 8, x + w - 8, y + h - 9];
    const put = (v) => from + v * (to - from);
    marks.push(
      { kind: "line", x1: from, x2: to, y1: axis, y2: axis, stroke: ink, thick: 1, faint: 0.35 },
      {
        kind: "line",
        x1: put(found[1]),
        x2: put(found[2]),
        y1: axis,
        y2: axis,
        stroke: ink,
        thick: 2,
      },
      {
        kind: "line",
        x1: put(share),
        x2: put(share),
        y1: axis - 4,
        y2: axis + 4,
        stroke: ink,
        thick: 2,
      },
    );
  }
  if (own)
    marks.push({
      kind: "rect",
      x: x + 2.5,
      y: y + 2.5,
      w: w - 5,
      h: h - 5,
      fill: "none",
      stroke: ink,
      dash: true,
    });
  return marks;
}

const toSvg = (mark) => {
  if (mark.kind === "rect")
    return `<rect x="${mark.x}" y="${mark.y}" width="${mark.w}" height="${mark.h}" rx="3" fill="${mark.fill}" stroke="${mark.stroke || "none"}" ${mark.dash ? 'stroke-dasharray="4 3"' : ""}/>`;
  if (mark.kind === "line")
    return `<line x1="${mark.x1}" x2="${mark.x2}" y1="${mark.y1}" y2="${mark.y2}" stroke="${mark.stroke}" stroke-width="${mark.thick}" stroke-opacity="${mark.faint || 1}"/>`;
  return `<text x="${mark.x}" y="${mark.y}" ${mark.turn ? `transform="rotate(${mark.turn} ${mark.x} ${mark.y})"` : ""} text-anchor="${mark.anchor}" style="font:${mark.weight || 400} ${mark.size}px var(--font, sans-serif);fill:${mark.fill}">${escape(mark.words)}</text>`;
};

function toCanvas(context, mark) {
  context.globalAlpha = mark.faint || 1;
  context.setLineDash(mark.dash ? [4, 3] : []);
  if (mark.kind === "rect") {
    context.beginPath();
    context.roundRect(mark.x, mark.y, mark.w, mark.h, 3);
    context.fillStyle = mark.fill;
    if (mark.fill !== "none") context.fill();
    context.lineWidth = 1;
    context.strokeStyle = mark.stroke;
    if (mark.stroke && mark.stroke !== "none") context.stroke();
  } else if (mark.kind === "line") {
    context.beginPath();
    context.moveTo(mark.x1, mark.y1);
    context.lineTo(mark.x2, mark.y2);
    context.lineWidth = mark.thick;
    context.strokeStyle = mark.stroke;
    context.stroke();
  } else {
    context.font = `${mark.weight || 400} ${mark.size}px ${FAMILY}`;
    context.textAlign = mark.anchor === "middle" ? "center" : "left";
    context.fillStyle = mark.fill;
    context.fillText(mark.words, mark.x, mark.y);
  }
  context.globalAlpha = 1;
}

const counting = () =>
  papers
    ? "wrong under attack, of all pictures (clean errors count as success)"
    : "fooled, of the pictures that the model had right";

// What is read aloud begins with what is to be seen, so that a voice can name the cell by it.
function words(row, column) {
  const { title, attack } = data.rows[row];
  const made = `${attack} made on ${title}`;
  if (column === data.columns.length) {
    const share = mean(row);
    const over = `${made}, mean over ${othersOf(row)} other models`;
    if (share === null) return `${over}: not measured yet`;
    const found = known(row);
    const seen = [`${whole(share)} %`, found && within(found), gainOf(row)].filter(Boolean);
    return `${seen.join(" ")}: ${over}${found && within(found) ? ", with 95 % interval" : ""}${found?.gain ? ` and gain on ${found.on} in points` : ""}`;
  }
  const target = data.columns[column];
  const found = rate(data.cells[row][column]);
  const own = inside(row, target) ? ", the model attacked (white box)" : "";
  const shown = `${made}, shown to ${target.title}${own}`;
  if (!found) return `${shown}: not measured yet`;
  return found[0] === null
    ? `– none right: ${shown}`
    : `${whole(found[0])} % ${span(found)}: ${shown}, with 95 % interval`;
}

function draw() {
  if (!root || !data || !root.offsetWidth) return;
  const part = (name) => root.querySelector(name);
  const holder = part(".transfer-map");
  const focused = document.activeElement && document.activeElement.closest(".transfer-cell");
  if (at && (at[0] >= data.rows.length || at[1] > data.columns.length)) at = null;
  const laid = plan(holder.clientWidth - 4, isDark() ? DARK : LIGHT);
  const home = at || [0, 0];
  const rows = data.rows.map((_, r) =>
    laid.cells
      .filter((box) => box.row === r)
      .map(
        (box) =>
          `<g class="transfer-cell" role="gridcell" data-row="${r}" data-column="${box.column}" ` +
          `tabindex="${box.row === home[0] && box.column === home[1] ? 0 : -1}" aria-label="${escape(words(r, box.column))}">` +
          `<rect class="transfer-hit" x="${box.x}" y="${box.y}" width="${box.w}" height="${box.h}" rx="3"/>` +
          `${box.marks.map(toSvg).join(" ")}<rect class="transfer-ring" x="${box.x - 1.5}" y="${box.y - 1.5}" width="${box.w + 3}" height="${box.h + 3}" rx="4"/></g>`,
      )
      .join(""),
  );
  holder.innerHTML =
    `<svg viewBox="0 0 ${laid.width} ${laid.height}" width="${laid.width}" height="${laid.height}" role="grid" ` +
    `aria-label="Success of each attack (rows) on each model (columns)"><g aria-hidden="true">${laid.marks.map(toSvg).join("")}</g>` +
    `${rows.map((cells) => `<g role="row">${cells}</g>`).join("")}</svg>`;
  root.dataset.state = data.state;
  setHtml(part(".lab-of"), heading());
  part(".lab-of").hidden = !data.of;
  part(".transfer-back").hidden = !earlier || own === null || !own.run;
  part(".transfer-back").textContent = aside ? "Show your map" : "Show the measured map";
  // The files are of the visitor's own run: beside another map they would be taken for its.
  const files = document.getElementById("downloads");
  if (files) files.dataset.of = data === earlier ? "earlier" : "own";
  part(".transfer-findings").innerHTML = saying()
    .map((line) => `<p>${escape(line)}</p>`)
    .join("");
  part(".transfer-note").textContent = note();
  mark();
  if (focused) focus(home);
}

function saying() {
  if (data.state === "frame") return [EMPTY];
  if (data.state === "running")
    return ["The map fills picture by picture; the intervals narrow as it does."];
  return data.findings.length ? data.findings : ["Too little was measured for a comparison."];
}
const heading = () =>
  data.of ? `<b>${escape(data.of)}.</b> <em>${escape(data.settings)}</em>` : "";
const note = () =>
  data.of &&
  `Success: ${counting()}; judged on the 8-bit pixels that a saved PNG holds. Intervals: 95 %, Wilson.` +
    (data.means.some(Boolean)
      ? ` Means are over the models that the attack was not made on; below a mean stands the gain on ${data.means.find((each) => each?.on)?.on ?? "MI-FGSM"} in points, paired by picture. Clean errors are left out of both, and their intervals are bootstraps over pictures.`
      : "") +
    (data.pictures < FEW
      ? ` ${plural(data.pictures, "picture")} settle little: mind the intervals${earlier ? `, or go to the map measured on ${earlier.pictures} photographs` : ""}.`
      : "");

// The cell that is read out: a ring around it, its numbers below.
function mark() {
  for (const cell of root.querySelectorAll(".transfer-cell"))
    cell.classList.toggle(
      "transfer-at",
      !!at && Number(cell.dataset.row) === at[0] && Number(cell.dataset.column) === at[1],
    );
  root.querySelector(".transfer-detail").innerHTML = detail();
}
function detail() {
  if (!at || data.state === "frame") return `<p class="lab-muted">${INVITE}</p>`;
  const [row, column] = at;
  const { title, attack } = data.rows[row];
  if (column === data.columns.length)
    return `<p><b>${escape(attack)}</b> made on ${escape(title)}: the mean over ${othersOf(row)} models that it was not made on.</p>${meanDetail(known(row))}`;
  const target = data.columns[column];
  const cell = data.cells[row][column];
  const own = inside(row, target);
  const head =
    `<p><b>${escape(attack)}</b> made on ${escape(title)}, shown to ` +
    `<b>${escape(own && data.rows[row].members.length === 1 ? "the same model" : target.title)}</b>${own ? " (white box)" : ""}.</p>`;
  if (!cell) return `${head}<p class="lab-muted">Not measured yet.</p>`;
  const figure = (name, [value, low, high, count, of]) =>
    `<div><dt>${name}</dt><dd>${value === null ? "–" : `${(100 * value).toFixed(1)} %`} <em>[${(100 * low).toFixed(1)}, ${(100 * high).toFixed(1)}] ${count} of ${of}</em></dd></div>`;
  return (
    `${head}<dl>${figure("success, clean errors left out", cell.success)}` +
    `${figure("success, clean errors counted", cell.papers)}${figure("accuracy, clean", cell.clean)}` +
    `${figure("accuracy under attack", cell.attacked)}` +
    `<div><dt>pictures</dt><dd>${cell.n}</dd></div><div><dt>time to make</dt><dd>${cell.seconds.toFixed(1)} s <em>${(cell.seconds / cell.n).toFixed(2)} s each</em></dd></div></dl>`
  );
}

function meanDetail(found) {
  if (!found) return "";
  const figure = ([value, low, high], unit) =>
    `${(100 * value).toFixed(1)}${unit}` +
    (low < high ? ` <em>[${(100 * low).toFixed(1)}, ${(100 * high).toFixed(1)}]</em>` : "");
  const gain = found.gain
    ? `<div><dt>gain on ${escape(found.on)}</dt><dd>${figure(found.gain, " points")}</dd></div>` +
      `<div><dt>McNemar p</dt><dd>${short(found.p)}</dd></div>`
    : "";
  return (
    `<dl><div><dt>success</dt><dd>${figure(found.rate, " %")}</dd></div>${gain}` +
    `<div><dt>pictures</dt><dd>${data.judged} <em>${found.known} that at least one of them had right</em></dd></div></dl>`
  );
}

const cellOf = (event) => event.target.closest && event.target.closest(".transfer-cell");
function read(event) {
  const cell = cellOf(event);
  if (!cell) return;
  at = [Number(cell.dataset.row), Number(cell.dataset.column)];
  mark();
}
function focus([row, column]) {
  const cell = root.querySelector(`.transfer-cell[data-row="${row}"][data-column="${column}"]`);
  if (!cell) return;
  for (const other of root.querySelectorAll(".transfer-cell[tabindex='0']"))
    other.setAttribute("tabindex", -1);
  cell.setAttribute("tabindex", 0);
  cell.focus({ preventScroll: false });
}
const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
function move(event) {
  const step = MOVES[event.key];
  if (!step || !cellOf(event)) return;
  event.preventDefault();
  const last = data.columns.length - (averaged() ? 0 : 1);
  const [row, column] = at || [0, 0];
  focus([clamp(row + step[0], 0, data.rows.length - 1), clamp(column + step[1], 0, last)]);
}

// The map as a PNG of its own: title, map, scale and what was measured, on white at twice the size.
async function save() {
  if (!data || data.state === "frame") return;
  await document.fonts.ready;
  const width = 1000;
  const edge = 28;
  const laid = plan(width - 2 * edge, LIGHT);
  draw(); // the page's own width again
  const below = [`${data.of}; ${data.settings}.`, ...data.findings, note()].flatMap((line) =>
    wrap(line, 13, width - 2 * edge, 12),
  );
  const height = laid.height + 130 + below.length * 19;
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: 2 * width, height: 2 * height });
  const context = canvas.getContext("2d");
  context.scale(2, 2);
  context.fillStyle = LIGHT.paper;
  context.fillRect(0, 0, width, height);
  context.translate(edge, 0);
  const text = (words, x, y, size, weight = 400, fill = LIGHT.ink) =>
    toCanvas(context, { kind: "text", words, x, y, size, weight, fill, anchor: "start" });
  text("Transfer: share of pictures for which the attack succeeds", 0, 38, 18, 600);
  context.translate(0, 54);
  for (const each of [...laid.marks, ...laid.cells.flatMap((box) => box.marks)])
    toCanvas(context, each);
  context.translate(0, laid.height + 14);
  for (let i = 0; i < 190; i++) {
    context.fillStyle = css(sequential(i / 189));
    context.fillRect(i, 0, 1.5, 10);
  }
  text("0 %", 0, 25, 11, 400, LIGHT.muted);
  text("100 %", 160, 25, 11, 400, LIGHT.muted);
  text("dashed frame: the model that was attacked (white box)", 220, 11, 12, 400, LIGHT.muted);
  below.forEach((line, i) => text(line, 0, 52 + 19 * i, 13));
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${data.file}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function mount(element, measured) {
  root = element.querySelector(".lab-view");
  root.innerHTML =
    `<div class="lab-above"><h2 class="lab-of"></h2><button type="button" class="lab-quiet transfer-back" hidden></button></div>` +
    `<div class="transfer-findings" aria-live="polite"></div>` +
    `<div class="lab-tools"><label class="transfer-switch"><input type="checkbox" role="switch">${PAPERS}</label>` +
    `<span class="transfer-legend">${ramp(sequential, 0, 1, ["0 %", "success", "100 %"])}` +
    `<span><i class="transfer-own"></i>white box</span></span></div>` +
    `<div class="transfer-map"></div><p class="transfer-note lab-method"></p><div class="transfer-detail"></div>`;
  root.querySelector(".transfer-back").addEventListener("click", () => look(!aside));
  root.querySelector("input").addEventListener("change", (event) => {
    papers = event.target.checked;
    draw();
  });
  const map = root.querySelector(".transfer-map");
  map.addEventListener("pointerover", read);
  map.addEventListener("focusin", read);
  map.addEventListener("click", (event) => cellOf(event) && focus(at));
  map.addEventListener("keydown", move);
  new ResizeObserver(draw).observe(map);
  onTheme(draw);
  earlier = measured ? plain(measured) : null;
  if (earlier) look(true);
}

// Go to the map that was measured earlier, or back to the visitor's own.
function look(back) {
  aside = back;
  data = aside ? earlier : own;
  draw();
}

function show(value) {
  if (!value) return;
  const message = plain(value);
  const before = own;
  own = message.state === "restore" ? good : message;
  if (own && own.state !== "running") good = own;
  // A run that begins is looked at; what it finds later does not call anybody away.
  if (message.run && message.run !== before?.run) aside = false;
  look(own ? aside && !!earlier : true);
  if (message.state === "done") arrive(root);
}

export function see(element, props, watch) {
  mount(element, props.earlier);
  show(props.value);
  watch("value", () => show(props.value));
}
export { save };
