// What becomes of a token, a head or a sub-layer in a block: it is kept or dropped, and where an attack
// made it so, that is marked: woken by a frame, put to sleep by hatching.

import { blockChart } from "./blocks.js";
import { cells } from "./draw.js";
import { escape } from "./format.js";

export const [DROPPED, KEPT, PUT, WOKEN] = [0, 1, 2, 3];
const DARK = "#11141a";
const LIGHT = "#b9c0c8";
const YELLOW = "#f0e442";
const BLUE = "#56b4e9";
const SHADE = "rgb(17 20 26 / 0.86)";
const GLOW = "rgb(240 228 66 / 0.82)";
const NAMES = {
  [KEPT]: "kept: computed",
  [DROPPED]: "dropped: asleep",
  [WOKEN]: "woken by the attack",
  [PUT]: "put to sleep by the attack",
};

// From what is kept now and, where given, was kept on the clean picture.
export const fates = (keep, was = keep) =>
  Array.from(keep, (kept, i) => (kept ? (was[i] ? KEPT : WOKEN) : was[i] ? PUT : DROPPED));

// Cells over a picture that is drawn already; a cell of a `small` one has no room for a frame.
export function paintFates(context, grid, size, fate, small = false) {
  cells(context, grid, size, (i, x, y, w, h) => {
    const [kept, changed] = [fate[i] & 1, fate[i] > 1];
    if (!kept || (changed && small)) {
      context.fillStyle = kept ? GLOW : SHADE;
      context.fillRect(x, y, w, h);
    }
    if (!changed) return;
    if (!kept) hatch(context, x, y, w, h);
    else if (!small) frame(context, x, y, w, h);
  });
}

function frame(context, x, y, w, h) {
  const pen = Math.max(1, Math.min(2, w / 10));
  for (const [colour, inset] of [
    [SHADE, 1.5 * pen],
    [YELLOW, 0.75 * pen],
  ]) {
    context.lineWidth = pen;
    context.strokeStyle = colour;
    context.strokeRect(x + inset, y + inset, w - 2 * inset, h - 2 * inset);
  }
}

function hatch(context, x, y, w, h) {
  context.strokeStyle = BLUE;
  context.lineWidth = Math.min(2, w / 5);
  context.beginPath();
  for (const [x0, y0, x1, y1] of HATCHES) {
    context.moveTo(x + x0 * w, y + y0 * h);
    context.lineTo(x + x1 * w, y + y1 * h);
  }
  context.stroke();
}
const HATCHES = [
  [0, 0.5, 0.5, 0],
  [0, 1, 1, 0],
  [0.5, 1, 1, 0.5],
];

// One cell as SVG.
export function fateCell(fate, x, y, w, h) {
  const kept = fate & 1;
  const box = `<rect x="${x}" y="${y}" width="${w}" height="${h}" rx="1" fill="${kept ? LIGHT : DARK}" stroke="#7f868f" stroke-width="0.8"/>`;
  if (fate < 2) return box;
  const inner = (colour, pen) =>
    `<rect x="${x + 1.5}" y="${y + 1.5}" width="${w - 3}" height="${h - 3}" fill="none" stroke="${colour}" stroke-width="${pen}"/>`;
  if (kept) return box + inner(DARK, 4) + inner(YELLOW, 2.5);
  const path = HATCHES.map(
    ([x0, y0, x1, y1]) => `M${x + x0 * w} ${y + y0 * h}L${x + x1 * w} ${y + y1 * h}`,
  );
  return `${box}<path d="${path.join("")}" stroke="${BLUE}" stroke-width="1.8"/>`;
}

// The fates that occur, each with its mark.
export const fateLegend = (occurring, names = NAMES) =>
  `<div class="lab-legend">${[KEPT, DROPPED, WOKEN, PUT]
    .filter((fate) => occurring.includes(fate))
    .map(
      (fate) =>
        `<span><svg width="16" height="16" aria-hidden="true">${fateCell(fate, 1, 1, 14, 14)}</svg>${escape(names[fate])}</span>`,
    )
    .join("")}</div>`;

// Tokens kept by block as a line each for clean, noise and now; null where a block drops none by itself.
export const keptChart = ({ width, height, total, block, clean, noise, now, title = "" }) =>
  blockChart({
    width,
    height,
    count: clean.length,
    high: total,
    whole: true,
    selected: block,
    title,
    readout:
      clean[block] === null
        ? [["muted", "drops no token"]]
        : [
            ["clean", clean[block]],
            ...(now ? [["adversarial", now[block]]] : []),
            ["noise", noise[block]],
          ],
    rules: [{ value: total, text: `all ${total}` }],
    series: [
      { values: noise, role: "noise", dash: "2 3", marker: "diamond" },
      { values: clean, role: "clean" },
      ...(now ? [{ values: now, role: "adversarial", dash: "5 3", marker: "ring" }] : []),
    ],
  });
