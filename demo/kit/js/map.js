// A map over a picture, one number per token: the grid on the picture, prefix tokens beside it.

import { cells, css, sequential, sharp } from "./draw.js";
import { escape, short } from "./format.js";
import { clamp } from "./numbers.js";
import { part, setHtml } from "./dom.js";
import { fates, paintFates } from "./masks.js";

const MAP_WEIGHT = 0.65;

// A figure for `drawMap`; with `picking` (see `pickable`) a patch can be chosen on it.
export function mapFigure(role, title, picking) {
  const figure = part("figure", "lab-map");
  figure.innerHTML =
    `<figcaption><span class="lab-dot lab-bg-${role}"></span><b></b></figcaption>` +
    `<div class="lab-stack"><canvas></canvas><i class="lab-pick" hidden></i></div>` +
    `<div class="lab-prefix"></div>`;
  figure.querySelector("b").textContent = title;
  if (picking) pickable(figure.querySelector(".lab-stack"), title, picking);
  return figure;
}

// `shape` is {prefix, grid, tokens}: so many of the prefix, its last ones, are Robustness Tokens.
// `values`: a number per token, prefix first, `max` gets the last colour; without, the picture stands alone. `keep`: which tokens stay bright instead, and `was`: which did on
// the clean picture, so that what has changed is marked. `marks`: tokens to frame. `picked`: the patch
// to frame, or -1. `label`: the canvas in words.
export function drawMap(
  figure,
  {
    title,
    label,
    picture,
    shape,
    values,
    max,
    scale = sequential,
    unit = short,
    keep,
    was,
    marks,
    picked,
  },
) {
  const canvas = figure.querySelector("canvas");
  const size = canvas.parentElement.clientWidth;
  if (!size) return;
  if (title) figure.querySelector("figcaption b").textContent = title;
  if (label) canvas.setAttribute("aria-label", label);
  const context = sharp(canvas, size, size);
  if (picture?.canvas) {
    context.imageSmoothingEnabled = true;
    context.drawImage(values ? picture.grey : picture.canvas, 0, 0, size, size);
  }
  const { prefix, grid, tokens } = shape ?? {};
  if (keep) paintFates(context, grid, size, fates(keep, was).slice(prefix));
  else if (values) {
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
  const pick = figure.querySelector(".lab-pick");
  if (pick) placePick(pick, grid, picked);
  const beside = figure.querySelector(".lab-prefix");
  setHtml(
    beside,
    values || keep ? besides({ prefix, tokens, values, max, scale, unit, keep }) : "",
  );
}

// Class token, registers and Robustness Tokens stand beside the grid, never in it.
function besides({ prefix, tokens = 0, values, max, scale, unit, keep }) {
  const parts = [];
  for (let i = 0; i < prefix; i++) {
    const name = prefixName(i, prefix - tokens);
    const state = keep
      ? `<i class="${keep[i] ? "lab-kept" : "lab-dropped"}"></i>${name} ${keep[i] ? "kept" : "dropped"}`
      : `<i style="background:${css(scale(max > 0 ? values[i] / max : 0))}"></i>${name} ${escape(unit(values[i]))}`;
    parts.push(`<span>${state}</span>`);
  }
  return parts.join("");
}

// Whether the first token is a class token, and not one of a defence of a model that has none.
export const hasClassToken = ({ prefix, tokens = 0 }) => prefix > tokens;

function prefixName(i, own) {
  if (i >= own) return `token r${i - own + 1}`;
  if (i === 0) return "class token";
  return own === 2 ? "distillation token" : `register ${i}`;
}

// The selected patch as a frame in percent of the picture: nothing to redraw when it moves.
export function placePick(pick, grid, patch = -1) {
  pick.hidden = !grid || patch < 0;
  if (pick.hidden) return;
  const [rows, columns] = grid;
  Object.assign(pick.style, {
    left: `${(100 * (patch % columns)) / columns}%`,
    top: `${(100 * Math.floor(patch / columns)) / rows}%`,
    width: `${100 / columns}%`,
    height: `${100 / rows}%`,
  });
}

// The cell of grid `to` at the place of cell `patch` of grid `from`; nowhere stays nowhere.
export function movePatch(patch, from, to) {
  if (patch < 0) return -1;
  const row = Math.floor(((Math.floor(patch / from[1]) + 0.5) * to[0]) / from[0]);
  const column = Math.floor((((patch % from[1]) + 0.5) * to[1]) / from[1]);
  return row * to[1] + column;
}

function patchAt(element, event, [rows, columns]) {
  const box = element.getBoundingClientRect();
  const row = clamp(Math.floor(((event.clientY - box.top) / box.height) * rows), 0, rows - 1);
  const column = clamp(
    Math.floor(((event.clientX - box.left) / box.width) * columns),
    0,
    columns - 1,
  );
  return row * columns + column;
}

// Click or arrows choose a patch; Escape none. `picking` is {grid(): rows and columns, or null while
// nothing can be chosen; patch(): the one chosen, or -1; choose(patch)}.
export function pickable(element, title, { grid, patch, choose }) {
  element.tabIndex = 0;
  element.setAttribute("role", "application");
  element.setAttribute("aria-roledescription", "picture with a grid of patches");
  element.setAttribute(
    "aria-label",
    `${title}. Arrow keys choose a patch, Escape the class token.`,
  );
  element.addEventListener("click", (event) => {
    if (!grid()) return;
    const hit = patchAt(element, event, grid());
    choose(hit === patch() ? -1 : hit);
  });
  element.addEventListener("keydown", (event) => {
    if (!grid() || event.target !== element) return;
    const [rows, columns] = grid();
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (event.key === "Escape") choose(-1);
    else if (moves[event.key]) {
      const now = patch();
      const [r, c] =
        now < 0 ? [rows >> 1, columns >> 1] : [Math.floor(now / columns), now % columns];
      const [dr, dc] = now < 0 ? [0, 0] : moves[event.key];
      choose(clamp(r + dr, 0, rows - 1) * columns + clamp(c + dc, 0, columns - 1));
    } else return;
    event.preventDefault();
  });
}
