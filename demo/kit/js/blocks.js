// Charts over a model's blocks: lines, whisker boxes and bars on one axis; a block is chosen on them.

import { axis, mark } from "./chart.js";
import { part } from "./dom.js";
import { escape } from "./format.js";
import { clamp, range } from "./numbers.js";

// A chart over `count` blocks as SVG; its columns carry data-block for picking, and `selected` is the
// one looked at. `series` are lines, `boxes` five numbers a block, `groups` bars side by side, `rules`
// heights, `flags` blocks to point out, `readout` what the selected block says.
export function blockChart({
  width,
  height,
  count,
  kind = "linear",
  low = 0,
  high = 1,
  exact = false,
  whole = false,
  selected = null,
  series = [],
  boxes = [],
  groups = [],
  rules = [],
  flags = [],
  left = 44,
  title = "",
  readout = [],
}) {
  const [top, right, bottom] = [readout.length ? 44 : title ? 26 : 12, 10, 34];
  const inner = { l: left, r: width - right, t: top, b: height - bottom };
  const band = (inner.r - inner.l) / count;
  const x = (i) => inner.l + (i + 0.5) * band;
  const y = axis(kind, low, high, inner.t, inner.b, { exact, whole });
  const put = (v) => clamp(y.at(clamp(v, y.low, y.high)), inner.t, inner.b);
  const out = [];
  if (selected !== null)
    out.push(
      `<rect class="lab-now" x="${inner.l + selected * band}" y="${inner.t}" width="${band}" height="${inner.b - inner.t}"/>`,
    );
  for (const [v, text] of y.ticks)
    out.push(
      `<line class="lab-grid" x1="${inner.l}" x2="${inner.r}" y1="${put(v)}" y2="${put(v)}"/>` +
        `<text class="lab-tick" x="${inner.l - 6}" y="${put(v) + 4}" text-anchor="end">${text}</text>`,
    );
  for (const { value, text, side = "end" } of rules)
    out.push(
      `<line class="lab-rule" x1="${inner.l}" x2="${inner.r}" y1="${put(value)}" y2="${put(value)}"/>` +
        `<text class="lab-note" x="${side === "end" ? inner.r - 2 : inner.l + 4}" y="${put(value) - 4}" text-anchor="${side}">${escape(text)}</text>`,
    );
  for (const { at, text, role } of flags) {
    const near = at > count * 0.6;
    out.push(
      `<line class="lab-flag lab-stroke-${role}" x1="${x(at)}" x2="${x(at)}" y1="${inner.t}" y2="${inner.b}"/>` +
        `<text class="lab-note" x="${x(at) + (near ? -5 : 5)}" y="${inner.b - 6}" text-anchor="${near ? "end" : "start"}">${escape(text)}</text>`,
    );
  }
  for (const { values, role, offset, spread } of boxes)
    values.forEach(([a, q1, m, q3, b], i) => {
      const cx = x(i) + offset * band;
      const w = Math.max(2, band * spread);
      const [yq1, yq3] = [put(q1), put(q3)];
      out.push(
        `<g class="lab-box lab-stroke-${role} lab-fill-${role}"><line x1="${cx}" x2="${cx}" y1="${put(a)}" y2="${put(b)}"/>` +
          `<rect x="${cx - w / 2}" y="${yq3}" width="${w}" height="${Math.max(1, yq1 - yq3)}"/>` +
          `<line class="lab-median" x1="${cx - w / 2 - 1}" x2="${cx + w / 2 + 1}" y1="${put(m)}" y2="${put(m)}"/></g>`,
      );
    });
  groups.forEach(({ values, role, pattern }, g) => {
    const w = (band * 0.78) / groups.length;
    values.forEach((v, i) => {
      const h = inner.b - put(v);
      out.push(
        `<rect class="lab-bar lab-fill-${role} ${pattern || ""}" x="${inner.l + i * band + band * 0.11 + g * w}" y="${inner.b - h}" width="${Math.max(1, w - 0.5)}" height="${Math.max(v > 0 ? 1 : 0, h)}"/>`,
      );
    });
  });
  for (const { values, role, dash = "", marker = "dot", start = 0 } of series) {
    let path = "";
    let pen = "M";
    values.forEach((v, i) => {
      if (v === null || v === undefined || (kind === "log" && v <= 0)) return void (pen = "M");
      path += `${pen}${x(i + start).toFixed(1)} ${put(v).toFixed(1)}`;
      pen = "L";
    });
    out.push(`<path class="lab-line lab-stroke-${role}" d="${path}" stroke-dasharray="${dash}"/>`);
    values.forEach((v, i) => {
      if (v === null || v === undefined || (kind === "log" && v <= 0)) return;
      out.push(mark(marker, x(i + start), put(v), role, i + start === selected ? 4.5 : 2.6));
    });
  }
  const every = band < 17 ? Math.ceil(17 / band) : 1;
  for (const i of range(count))
    if (i % every === 0 || i === selected)
      if (i === selected || selected === null || Math.abs(i - selected) * band >= 15)
        out.push(
          `<text class="lab-tick ${i === selected ? "lab-tick-now" : ""}" x="${x(i)}" y="${inner.b + 15}" text-anchor="middle">${i + 1}</text>`,
        );
  out.push(
    `<line class="lab-axis" x1="${inner.l}" x2="${inner.r}" y1="${inner.b}" y2="${inner.b}"/>`,
  );
  out.push(
    `<text class="lab-tick" x="${(inner.l + inner.r) / 2}" y="${height - 4}" text-anchor="middle">block</text>`,
  );
  if (title) out.push(`<text class="lab-title" x="1" y="13">${escape(title)}</text>`);
  if (readout.length)
    out.push(
      `<text class="lab-tick" x="1" y="31">${width < 260 ? "" : `block ${selected + 1}: `}${readout.map(([role, text]) => `<tspan class="lab-ink-${role}">${escape(text)}</tspan>`).join(" · ")}</text>`,
    );
  for (const i of range(count))
    out.push(
      `<rect class="lab-hit" data-block="${i}" x="${inner.l + i * band}" y="0" width="${band}" height="${height}"/>`,
    );
  return `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" aria-hidden="true">${out.join("")}</svg>`;
}

// A chart's frame: click or arrow keys choose a block; `extra` handles the other keys, and says
// whether it did. `choosing` is {block(): the one chosen; choose(block, how): any
// number, by "click" or by that key}.
export function blockFrame(label, { block, choose }, { height, className = "", extra } = {}) {
  const frame = part("div", `lab-chart ${className}`);
  if (height) frame.style.minHeight = `${height}px`;
  frame.tabIndex = 0;
  frame.setAttribute("role", "slider");
  frame.setAttribute("aria-label", `${label}: block`);
  frame.setAttribute("aria-valuemin", 1);
  frame.addEventListener("click", (event) => {
    const hit = event.target.closest("[data-block]");
    if (hit) choose(Number(hit.dataset.block), "click");
  });
  frame.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) choose(block() + step, event.key);
    else if (event.key === "Home") choose(0, event.key);
    else if (event.key === "End") choose(1e9, event.key);
    else if (!extra?.(event.key)) return;
    event.preventDefault();
  });
  return frame;
}

export function frameValue(frame, count, block, text) {
  frame.setAttribute("aria-valuemax", count);
  frame.setAttribute("aria-valuenow", block + 1);
  frame.setAttribute("aria-valuetext", `block ${block + 1}: ${text}`);
}
