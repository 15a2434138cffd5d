// Marks of a picture that is drawn twice: as SVG on the page, on a canvas for a file.

import { escape } from "../kit/js/format.js";

const FAMILY = '"IBM Plex Sans", system-ui, sans-serif';

const ruler = document.createElement("canvas").getContext("2d");
export function widthOf(text, size, weight = 400) {
  ruler.font = `${weight} ${size}px ${FAMILY}`;
  return ruler.measureText(text).width;
}

// Lines of words no wider than `most`; a word breaks after its hyphens, what is left over is cut.
export function wrap(text, size, most, lines, weight = 400) {
  const made = [""];
  for (const word of text.split(/(?<=[\s-])/)) {
    const now = made.at(-1) + word;
    if (!made.at(-1) || widthOf(now.trimEnd(), size, weight) <= most) made[made.length - 1] = now;
    else made.push(word);
  }
  const kept = made.slice(0, lines).map((line) => cut(line.trimEnd(), size, most, weight));
  if (made.length > lines) kept[lines - 1] = cut(`${kept[lines - 1]}…`, size, most, weight);
  return kept;
}

export function cut(line, size, most, weight) {
  if (widthOf(line, size, weight) <= most) return line;
  let text = line.replace(/…$/, "");
  while (text.length > 1 && widthOf(`${text}…`, size, weight) > most) text = text.slice(0, -1);
  return `${text}…`;
}

// Ink that is legible on a colour: the better of near-black and white (always above 4.5 : 1).
const linear = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
export function inkOn(rgb) {
  const light = 0.2126 * linear(rgb[0]) + 0.7152 * linear(rgb[1]) + 0.0722 * linear(rgb[2]);
  return 1.05 / (light + 0.05) > (light + 0.05) / 0.056 ? "#ffffff" : "#111418";
}

export const box = (x, y, w, h, fill, stroke = "none", dash = false) => ({
  kind: "box",
  x,
  y,
  w,
  h,
  fill,
  stroke,
  dash,
});
export const line = (x1, y1, x2, y2, stroke, thick = 2, faint = 1) => ({
  kind: "line",
  x1,
  y1,
  x2,
  y2,
  stroke,
  thick,
  faint,
});
export const text = (words, x, y, fill, more = {}) => ({
  kind: "text",
  words,
  x,
  y,
  fill,
  size: 13,
  weight: 400,
  anchor: "start",
  turn: 0,
  ...more,
});

const SVG = {
  box: (m) =>
    `<rect x="${m.x}" y="${m.y}" width="${m.w}" height="${m.h}" rx="3" fill="${m.fill}" stroke="${m.stroke}" ${m.dash ? 'stroke-dasharray="4 3"' : ""}/>`,
  line: (m) =>
    `<line x1="${m.x1}" x2="${m.x2}" y1="${m.y1}" y2="${m.y2}" stroke="${m.stroke}" stroke-width="${m.thick}" stroke-opacity="${m.faint}"/>`,
  text: (m) =>
    `<text x="${m.x}" y="${m.y}" ${m.turn ? `transform="rotate(${m.turn} ${m.x} ${m.y})"` : ""} text-anchor="${m.anchor}" style="font:${m.weight} ${m.size}px var(--font, sans-serif);fill:${m.fill}">${escape(m.words)}</text>`,
};
export const toSvg = (marks) => marks.map((mark) => SVG[mark.kind](mark)).join(" ");

const CANVAS = {
  box(context, m) {
    context.beginPath();
    context.roundRect(m.x, m.y, m.w, m.h, 3);
    context.setLineDash(m.dash ? [4, 3] : []);
    Object.assign(context, { fillStyle: m.fill, strokeStyle: m.stroke, lineWidth: 1 });
    if (m.fill !== "none") context.fill();
    if (m.stroke !== "none") context.stroke();
  },
  line(context, m) {
    context.beginPath();
    context.moveTo(m.x1, m.y1);
    context.lineTo(m.x2, m.y2);
    context.setLineDash([]);
    Object.assign(context, { strokeStyle: m.stroke, lineWidth: m.thick, globalAlpha: m.faint });
    context.stroke();
    context.globalAlpha = 1;
  },
  text(context, m) {
    context.font = `${m.weight} ${m.size}px ${FAMILY}`;
    Object.assign(context, {
      fillStyle: m.fill,
      textAlign: m.anchor === "middle" ? "center" : "left",
    });
    context.fillText(m.words, m.x, m.y);
  },
};
export const toCanvas = (context, marks) => {
  for (const mark of marks) CANVAS[mark.kind](context, mark);
};
