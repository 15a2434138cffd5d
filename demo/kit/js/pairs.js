// Bars in pairs, clean beside attacked.

import { axis, svg, text } from "./chart.js";

const HEIGHT = 200;

// `pairs` are {name, clean, hit, words}: what stands under a pair and above it.
export function pairBars(pairs, { width, title, foot, whole }) {
  const [left, right, top, bottom] = [44, width - 8, 22, 160];
  const high = Math.max(whole ? 1 : 0, ...pairs.flatMap(({ clean, hit }) => [clean, hit]));
  const y = axis("linear", 0, high, top, bottom, { whole });
  const band = (right - left) / pairs.length;
  const w = band * 0.34;
  const bar = (role, x, value) =>
    `<rect class="lab-fill-${role}" x="${x}" y="${y.at(value)}" width="${w}" height="${bottom - y.at(value)}"/>`;
  return svg(width, HEIGHT, [
    ...y.ticks.map(
      ([v, words]) =>
        `<line class="lab-grid" x1="${left}" x2="${right}" y1="${y.at(v)}" y2="${y.at(v)}"/>` +
        text(left - 6, y.at(v) + 4, words, "end"),
    ),
    ...pairs.map(({ name, clean, hit, words }, i) => {
      const from = left + band * (i + 0.14);
      return (
        bar("clean", from, clean) +
        bar("adversarial", from + w + 2, hit) +
        text(from + w, y.at(Math.max(clean, hit)) - 6, words, "middle", "lab-note") +
        text(from + w, bottom + 16, name, "middle")
      );
    }),
    text((left + right) / 2, bottom + 34, foot, "middle"),
    text(2, 12, title),
  ]);
}
