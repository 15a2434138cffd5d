// What every SVG chart is made of: an axis, marks, text.

import { escape, short, superscript } from "./format.js";
import { range } from "./numbers.js";

// y axis: linear from `low` to `high`, or decades.
export function axis(kind, low, high, top, bottom, { exact, whole }) {
  if (kind === "log") {
    const a = Math.floor(Math.log10(low) + 1e-9);
    const last = exact ? Math.log10(high) : Math.max(Math.ceil(Math.log10(high) - 1e-9), a + 1);
    const at = (v) => bottom - ((Math.log10(v) - a) / (last - a)) * (bottom - top);
    const every = Math.ceil((last - a) / 5);
    const ticks = range(Math.floor(last - a) + 1)
      .map((i) => a + i)
      .filter((e) => (e - a) % every === 0);
    return { at, low: 10 ** a, high: 10 ** last, ticks: ticks.map((e) => [10 ** e, decade(e)]) };
  }
  const step = whole
    ? Math.max(1, niceStep((high - low) / 4, [1, 2, 5, 10]))
    : niceStep((high - low) / 4);
  const to = Math.max(step, Math.ceil(high / step - 1e-9) * step);
  const at = (v) => bottom - ((v - low) / (to - low)) * (bottom - top);
  const count = Math.round((to - low) / step);
  return {
    at,
    low,
    high: to,
    ticks: range(count + 1).map((i) => [low + i * step, short(low + i * step)]),
  };
}
const decade = (e) =>
  e >= -2 && e <= 3 ? String(Number((10 ** e).toPrecision(1))) : `10${superscript(e)}`;
function niceStep(raw, steps = [1, 2, 2.5, 5, 10]) {
  const base = 10 ** Math.floor(Math.log10(raw || 1));
  return steps.find((m) => m * base >= raw - 1e-12) * base;
}

export function mark(kind, x, y, role, r) {
  if (kind === "none") return "";
  const cls = `lab-mark lab-stroke-${role} lab-fill-${role}`;
  if (kind === "ring")
    return `<circle class="lab-mark lab-ring lab-stroke-${role}" cx="${x}" cy="${y}" r="${r}"/>`;
  if (kind === "diamond")
    return `<path class="${cls}" d="M${x} ${y - r * 1.2}L${x + r * 1.2} ${y}L${x} ${y + r * 1.2}L${x - r * 1.2} ${y}Z"/>`;
  return `<circle class="${cls}" cx="${x}" cy="${y}" r="${r}"/>`;
}

export const text = (x, y, words, anchor = "start", className = "lab-tick") =>
  `<text class="${className}" x="${x}" y="${y}" text-anchor="${anchor}">${escape(words)}</text>`;

export const svg = (width, height, parts) =>
  `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" aria-hidden="true">${parts.join("")}</svg>`;
