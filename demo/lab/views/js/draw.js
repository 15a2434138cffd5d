// Colour scales and pictures with a map over them.

const VIRIDIS = [
  [68, 1, 84],
  [72, 26, 108],
  [71, 47, 125],
  [65, 68, 135],
  [57, 86, 140],
  [49, 104, 142],
  [42, 120, 142],
  [35, 136, 142],
  [31, 152, 139],
  [34, 168, 132],
  [53, 183, 121],
  [84, 197, 104],
  [122, 209, 81],
  [165, 219, 54],
  [210, 226, 27],
  [253, 231, 37],
];
const BLUE = [0, 114, 178];
const WHITE = [255, 255, 255];
const VERMILION = [213, 94, 0];

const mix = (a, b, t) => a.map((v, i) => v + (b[i] - v) * t);

function sequential(t) {
  const at = clamp(t, 0, 1) * (VIRIDIS.length - 1);
  const i = Math.min(Math.floor(at), VIRIDIS.length - 2);
  return mix(VIRIDIS[i], VIRIDIS[i + 1], at - i);
}

// Attention is spread over decades: its colour goes with the square root, and the bar says so.
const rooted = (t) => sequential(Math.sqrt(clamp(t, 0, 1)));

// t in [-1, 1]: blue, white, vermilion.
const diverging = (t) => mix(WHITE, t < 0 ? BLUE : VERMILION, clamp(Math.abs(t), 0, 1));

// A scale as 256 colours, for maps of many cells.
const table = (scale, from) =>
  Array.from({ length: 256 }, (_, i) => scale(from + ((1 - from) * i) / 255).map(Math.round));
const SCALES = new Map();
function colourOf(scale) {
  if (!SCALES.has(scale)) {
    const from = scale === diverging ? -1 : 0;
    const colours = table(scale, from);
    SCALES.set(scale, (t) => colours[clamp(Math.round((255 * (t - from)) / (1 - from)), 0, 255)]);
  }
  return SCALES.get(scale);
}

const css = (rgb) => `rgb(${rgb.map(Math.round).join(" ")})`;

const rampCss = (scale, from, to) =>
  `linear-gradient(90deg, ${Array.from({ length: 17 }, (_, i) => css(scale(from + ((to - from) * i) / 16))).join(", ")})`;

// A colour bar with its numbers.
const ramp = (scale, from, to, labels) =>
  `<span class="lab-ramp"><i style="background:${rampCss(scale, from, to)}"></i>` +
  `<span>${labels.map((l) => `<small>${escape(l)}</small>`).join("")}</span></span>`;

// Make a canvas as sharp as the screen at its size on the page; returns its context in CSS pixels.
function sharp(canvas, width, height) {
  const ratio = Math.max(1, window.devicePixelRatio || 1);
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

// Cells of a grid with edges on whole device pixels, so that neighbours meet without a seam.
function cells(context, grid, size, paint) {
  const ratio = context.getTransform().a;
  const [rows, columns] = grid;
  const edge = (i, n) => Math.round((i * size * ratio) / n) / ratio;
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) {
      const x = edge(c, columns);
      const y = edge(r, rows);
      paint(r * columns + c, x, y, edge(c + 1, columns) - x, edge(r + 1, rows) - y);
    }
}

const MAP_WEIGHT = 0.65;

// Element: a picture with a map over it, its prefix tokens apart, and a caption of two lines.
function mapFigure(role, title) {
  const figure = document.createElement("figure");
  figure.className = "lab-map";
  figure.innerHTML =
    `<figcaption><span class="lab-dot lab-bg-${role}"></span><b></b></figcaption>` +
    `<div class="lab-stack"><canvas></canvas><i class="lab-pick" hidden></i></div>` +
    `<div class="lab-prefix"></div>`;
  figure.querySelector("b").textContent = title;
  pickable(figure.querySelector(".lab-stack"), title);
  return figure;
}

// values: one number per token (prefix first); max: the number that gets the last colour.
function drawMap(
  figure,
  { title, picture, shape, values, max, scale = sequential, unit = short, keep, marks },
) {
  const canvas = figure.querySelector("canvas");
  const size = canvas.parentElement.clientWidth;
  if (!size || !shape) return;
  if (title) figure.querySelector("figcaption b").textContent = title;
  const context = sharp(canvas, size, size);
  const { prefix, grid } = shape;
  if (picture && picture.canvas) {
    context.imageSmoothingEnabled = true;
    context.drawImage(keep ? picture.canvas : picture.grey, 0, 0, size, size);
  }
  if (keep) {
    cells(context, grid, size, (i, x, y, w, h) => {
      if (keep[prefix + i]) return;
      context.fillStyle = "rgb(17 20 26 / 0.86)";
      context.fillRect(x, y, w, h);
    });
  } else {
    context.globalAlpha = MAP_WEIGHT;
    cells(context, grid, size, (i, x, y, w, h) => {
      context.fillStyle = css(scale(max > 0 ? values[prefix + i] / max : 0));
      context.fillRect(x, y, w, h);
    });
    context.globalAlpha = 1;
  }
  if (marks)
    cells(context, grid, size, (i, x, y, w, h) => {
      if (!marks[prefix + i]) return;
      context.lineWidth = 1.5;
      context.strokeStyle = "#fff";
      context.strokeRect(x + 1.75, y + 1.75, w - 3.5, h - 3.5);
    });
  placePick(figure.querySelector(".lab-pick"), grid);
  drawPrefix(figure.querySelector(".lab-prefix"), { prefix, values, max, scale, unit, keep });
}

// Class token and registers stand beside the grid, never in it.
function drawPrefix(box, { prefix, values, max, scale, unit, keep }) {
  const parts = [];
  for (let i = 0; i < prefix; i++) {
    const name = i === 0 ? "class token" : prefix === 2 ? "distillation token" : `register ${i}`;
    const state = keep
      ? `<i class="${keep[i] ? "lab-kept" : "lab-dropped"}"></i>${name} ${keep[i] ? "kept" : "dropped"}`
      : `<i style="background:${css(scale(max > 0 ? values[i] / max : 0))}"></i>${name} ${unit(values[i])}`;
    parts.push(`<span>${state}</span>`);
  }
  const html = parts.join("");
  if (box.innerHTML !== html) box.innerHTML = html;
}

// The selected patch as a frame in percent of the picture: nothing to redraw when it moves.
function placePick(pick, grid) {
  const place = patchIn(grid);
  pick.hidden = place < 0;
  if (place < 0) return;
  const [rows, columns] = grid;
  Object.assign(pick.style, {
    left: `${(100 * (place % columns)) / columns}%`,
    top: `${(100 * Math.floor(place / columns)) / rows}%`,
    width: `${100 / columns}%`,
    height: `${100 / rows}%`,
  });
}

// The selected patch (of the first block's grid) as a cell of another grid, and back.
function patchIn(grid) {
  const { shapes } = lab.live || lab.run;
  return shapes.length && lab.sel.patch >= 0 ? movePatch(lab.sel.patch, shapes[0].grid, grid) : -1;
}
function movePatch(patch, from, to) {
  const row = Math.floor(((Math.floor(patch / from[1]) + 0.5) * to[0]) / from[0]);
  const column = Math.floor((((patch % from[1]) + 0.5) * to[1]) / from[1]);
  return row * to[1] + column;
}

function patchAt(element, event) {
  const box = element.getBoundingClientRect();
  const grid = lab.run.shapes[0].grid;
  const row = clamp(Math.floor(((event.clientY - box.top) / box.height) * grid[0]), 0, grid[0] - 1);
  const column = clamp(
    Math.floor(((event.clientX - box.left) / box.width) * grid[1]),
    0,
    grid[1] - 1,
  );
  return row * grid[1] + column;
}

// Click or arrows choose a patch; Escape goes back to the class token.
function pickable(element, title) {
  element.tabIndex = 0;
  element.setAttribute("role", "application");
  element.setAttribute("aria-roledescription", "picture with a grid of patches");
  element.setAttribute(
    "aria-label",
    `${title}. Arrow keys choose a patch, Escape the class token.`,
  );
  element.addEventListener("click", (event) => {
    if (!lab.run || lab.live || !lab.run.shapes.length) return;
    const patch = patchAt(element, event);
    lab.select({ patch: patch === lab.sel.patch ? -1 : patch });
    announcePatch();
  });
  element.addEventListener("keydown", (event) => {
    if (!lab.run || lab.live || !lab.run.shapes.length || event.target !== element) return;
    const { grid } = lab.run.shapes[0];
    const [rows, columns] = grid;
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (event.key === "Escape") lab.select({ patch: -1 });
    else if (moves[event.key]) {
      const now = lab.sel.patch;
      const [r, c] =
        now < 0 ? [rows >> 1, columns >> 1] : [Math.floor(now / columns), now % columns];
      const [dr, dc] = now < 0 ? [0, 0] : moves[event.key];
      lab.select({ patch: clamp(r + dr, 0, rows - 1) * columns + clamp(c + dc, 0, columns - 1) });
    } else return;
    event.preventDefault();
    announcePatch();
  });
}

let announcer = null;
function announce(text) {
  if (!announcer) {
    announcer = document.createElement("div");
    announcer.className = "lab-hidden";
    announcer.setAttribute("aria-live", "polite");
    document.body.append(announcer);
  }
  announcer.textContent = text;
}
const announcePatch = () =>
  announce(
    lab.sel.patch < 0 && !lab.run.shapes[0].prefix
      ? "no patch selected"
      : patchName(lab.sel.patch, lab.run.shapes[0].grid),
  );

// A row of exclusive choices; `change(value)` is called when another is taken.
function choices(label, options, value, change) {
  const group = document.createElement("div");
  group.className = "lab-choices";
  group.setAttribute("role", "radiogroup");
  group.setAttribute("aria-label", label);
  const set = (next) => {
    for (const button of group.children) {
      const on = button.dataset.value === String(next);
      button.setAttribute("aria-checked", on);
      button.tabIndex = on ? 0 : -1;
    }
  };
  const fill = (list, current) => {
    const key = JSON.stringify(list);
    if (group.dataset.key !== key) {
      group.dataset.key = key;
      group.innerHTML = list
        .map(
          ([v, text]) =>
            `<button type="button" role="radio" data-value="${escape(v)}">${escape(text)}</button>`,
        )
        .join("");
    }
    set(current);
  };
  fill(options, value);
  group.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    set(button.dataset.value);
    change(button.dataset.value);
  });
  group.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (!step) return;
    const all = [...group.children];
    const next = all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
    event.preventDefault();
    next.focus();
    next.click();
  });
  return { element: group, set, fill };
}

const setHtml = (element, html) => {
  if (element.dataset.html !== html) {
    element.dataset.html = html;
    element.innerHTML = html;
  }
};
