// Colour scales, and canvases as sharp as the screen.

import { escape } from "./format.js";
import { clamp } from "./numbers.js";

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

export function sequential(t) {
  const at = clamp(t, 0, 1) * (VIRIDIS.length - 1);
  const i = Math.min(Math.floor(at), VIRIDIS.length - 2);
  return mix(VIRIDIS[i], VIRIDIS[i + 1], at - i);
}

// Attention is spread over decades: its colour goes with the square root, and the bar says so.
export const rooted = (t) => sequential(Math.sqrt(clamp(t, 0, 1)));

// t in [-1, 1]: blue, white, vermilion.
export const diverging = (t) => mix(WHITE, t < 0 ? BLUE : VERMILION, clamp(Math.abs(t), 0, 1));

// A scale as 256 colours, for maps of many cells.
const table = (scale, from) =>
  Array.from({ length: 256 }, (_, i) => scale(from + ((1 - from) * i) / 255).map(Math.round));
const SCALES = new Map();
export function colourOf(scale) {
  if (!SCALES.has(scale)) {
    const from = scale === diverging ? -1 : 0;
    const colours = table(scale, from);
    SCALES.set(scale, (t) => colours[clamp(Math.round((255 * (t - from)) / (1 - from)), 0, 255)]);
  }
  return SCALES.get(scale);
}

export const css = (rgb) => `rgb(${rgb.map(Math.round).join(" ")})`;

const rampCss = (scale, from, to) =>
  `linear-gradient(90deg, ${Array.from({ length: 17 }, (_, i) => css(scale(from + ((to - from) * i) / 16))).join(", ")})`;

// A colour bar with its numbers.
export const ramp = (scale, from, to, labels) =>
  `<span class="lab-ramp"><i style="background:${rampCss(scale, from, to)}"></i>` +
  `<span>${labels.map((l) => `<small>${escape(l)}</small>`).join("")}</span></span>`;

// Make a canvas as sharp as the screen at its size on the page; returns its context in CSS pixels.
export function sharp(canvas, width, height) {
  const ratio = Math.max(1, window.devicePixelRatio || 1);
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

// Cells of a grid with edges on whole device pixels, so that neighbours meet without a seam.
export function cells(context, grid, size, paint) {
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
