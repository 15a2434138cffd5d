// Time: curves over the steps of an attack, and the step looked at, which a visitor moves.

import { mark, svg, text } from "./chart.js";
import { part } from "./dom.js";
import { escape } from "./format.js";
import { clamp } from "./numbers.js";

const [LEFT, RIGHT] = [46, 12];

// Curves over steps 0 to `last` as SVG. `lines` are {points: [[step, value], ...], role, dash, marker,
// marks(step)}; `ticks` are [value, text], with a line across where `across`; `steps` can be chosen;
// `now` is the one chosen, or `span`, [from, to], are; `flag` is {step, text}, in a row of its own
// above the curves.
export function timeline({
  width,
  height,
  top = 14,
  bottom = 34,
  last,
  low = 0,
  high,
  ticks = [],
  across = false,
  steps = [],
  now = null,
  span = null,
  flag = null,
  lines = [],
  title = "",
  foot = "",
}) {
  const base = height - bottom;
  const [from, to] = [LEFT, width - RIGHT];
  const x = (step) => from + ((to - from) * step) / Math.max(1, last);
  const y = (v) => base - ((clamp(v, low, high) - low) / (high - low)) * (base - top);
  const out = [];
  for (const [v, words] of ticks) {
    if (across)
      out.push(`<line class="lab-grid" x1="${from}" x2="${to}" y1="${y(v)}" y2="${y(v)}"/>`);
    out.push(text(from - 6, y(v) + 4, words, "end"));
  }
  out.push(`<line class="lab-axis" x1="${from}" x2="${to}" y1="${base}" y2="${base}"/>`);
  if (title) out.push(text(from, 10, title));
  if (foot) out.push(text((from + to) / 2, height - 3, foot, "middle"));
  const every = steps.length > 24 ? Math.ceil(steps.length / 12) : steps.length > 12 ? 2 : 1;
  steps.forEach((s, i) => {
    out.push(`<line class="lab-notch" x1="${x(s)}" x2="${x(s)}" y1="${base}" y2="${base + 5}"/>`);
    const clear = (other) => other === null || s === other || Math.abs(x(s) - x(other)) > 20;
    if (s === now || ((i % every === 0 || s === last) && clear(now) && clear(last)))
      out.push(
        text(x(s), base + 19, s, "middle", s === now ? "lab-tick lab-tick-now" : "lab-tick"),
      );
  });
  if (span)
    out.push(
      `<rect class="lab-now" x="${x(span[0])}" y="${top}" width="${x(span[1]) - x(span[0])}" height="${base - top}"/>`,
    );
  if (flag) {
    const late = x(flag.step) + 7 * flag.text.length > to;
    out.push(
      `<line class="lab-flag lab-stroke-adversarial" x1="${x(flag.step)}" x2="${x(flag.step)}" y1="${top - 18}" y2="${base}"/>`,
      text(x(flag.step) + (late ? -5 : 5), top - 11, flag.text, late ? "end" : "start", "lab-note"),
    );
  }
  if (now !== null)
    out.push(
      `<line class="lab-needle" x1="${x(now)}" x2="${x(now)}" y1="${top - 6}" y2="${base}"/>`,
    );
  for (const { points, role, dash = "", marker = "dot", marks = () => true } of lines) {
    const placed = points.map(([s, v]) => [x(s).toFixed(1), y(v ?? low).toFixed(1), s]);
    if (placed.length > 1)
      out.push(
        `<path class="lab-line lab-stroke-${role}" stroke-dasharray="${escape(dash)}" d="M${placed.map(([a, b]) => `${a} ${b}`).join("L")}"/>`,
      );
    for (const [a, b, s] of placed)
      if (marks(s)) out.push(mark(marker, Number(a), Number(b), role, 2.4));
  }
  if (now !== null) out.push(`<circle class="lab-thumb" cx="${x(now)}" cy="${base}" r="8"/>`);
  return svg(width, height, out);
}

// The frame of a timeline: pointers and keys choose a step. `steering` is {last(): the last step, or
// null while nothing can be chosen; seek(step), any number; move(by), to the ends by Infinity;
// key(name), for the others, says whether it did}.
export function timelineFrame(label, { last, seek, move, key = () => false }) {
  const frame = part("div", "lab-track");
  frame.tabIndex = 0;
  frame.setAttribute("role", "slider");
  frame.setAttribute("aria-label", label);
  frame.setAttribute("aria-valuemin", 0);
  let held = false;
  const follow = (event) => {
    const { left, width } = frame.getBoundingClientRect();
    seek(((event.clientX - left - LEFT) / (width - LEFT - RIGHT)) * last());
  };
  frame.addEventListener("pointerdown", (event) => {
    if (event.button || last() === null) return;
    held = true;
    frame.setPointerCapture(event.pointerId);
    follow(event);
  });
  frame.addEventListener("pointermove", (event) => held && last() !== null && follow(event));
  for (const end of ["pointerup", "pointercancel"])
    frame.addEventListener(end, () => (held = false));
  const MOVES = {
    ArrowLeft: -1,
    ArrowDown: -1,
    ArrowRight: 1,
    ArrowUp: 1,
    PageDown: -5,
    PageUp: 5,
    Home: -Infinity,
    End: Infinity,
  };
  frame.addEventListener("keydown", (event) => {
    if (last() === null) return;
    if (MOVES[event.key]) move(MOVES[event.key]);
    else if (!key(event.key)) return;
    event.preventDefault();
  });
  return frame;
}
