// Small SVG charts over blocks: lines, whisker boxes and bars on one axis.

const range = (n) => Array.from({ length: n }, (_, i) => i);

// y axis: linear from `low` to `high`, or decades.
function axis(kind, low, high, top, bottom, { exact, whole }) {
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

// A chart over blocks. Returns an SVG string; columns carry data-block for picking.
function blockChart({
  width,
  height,
  count,
  kind = "linear",
  low = 0,
  high = 1,
  exact = false,
  whole = false,
  selected,
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
      if (i === selected || Math.abs(i - selected) * band >= 15)
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

function mark(kind, x, y, role, r) {
  const cls = `lab-mark lab-stroke-${role} lab-fill-${role}`;
  if (kind === "ring")
    return `<circle class="lab-mark lab-ring lab-stroke-${role}" cx="${x}" cy="${y}" r="${r}"/>`;
  if (kind === "diamond")
    return `<path class="${cls}" d="M${x} ${y - r * 1.2}L${x + r * 1.2} ${y}L${x} ${y + r * 1.2}L${x - r * 1.2} ${y}Z"/>`;
  return `<circle class="${cls}" cx="${x}" cy="${y}" r="${r}"/>`;
}

const legend = (entries) =>
  `<div class="lab-legend">${entries
    .map(
      ([role, text, dash = "", marker = "dot"]) =>
        `<span><svg width="26" height="10" aria-hidden="true"><path class="lab-line lab-stroke-${role}" d="M1 5H25" stroke-dasharray="${dash}"/>${mark(marker, 13, 5, role, 2.8)}</svg>${escape(text)}</span>`,
    )
    .join("")}</div>`;

const swatches = (entries) =>
  `<div class="lab-legend">${entries.map(([role, text]) => `<span><i class="lab-swatch lab-bg-${role}"></i>${escape(text)}</span>`).join("")}</div>`;

// A chart's frame: click or arrow keys choose a block; `extra` handles the other two arrows.
function chartFrame(label, { height, className = "", extra } = {}) {
  const frame = document.createElement("div");
  frame.className = `lab-chart ${className}`;
  if (height) frame.style.minHeight = `${height}px`;
  frame.tabIndex = 0;
  frame.setAttribute("role", "slider");
  frame.setAttribute("aria-label", `${label}: block`);
  frame.setAttribute("aria-valuemin", 1);
  frame.addEventListener("click", (event) => {
    const hit = event.target.closest("[data-block]");
    if (hit) lab.select({ block: Number(hit.dataset.block) });
  });
  frame.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) lab.select({ block: lab.sel.block + step });
    else if (event.key === "Home") lab.select({ block: 0 });
    else if (event.key === "End") lab.select({ block: 1e9 });
    else if (!(extra && extra(event.key))) return;
    event.preventDefault();
  });
  return frame;
}
function frameValue(frame, run, text) {
  frame.setAttribute("aria-valuemax", run.depthOf);
  frame.setAttribute("aria-valuenow", lab.sel.block + 1);
  frame.setAttribute("aria-valuetext", `block ${lab.sel.block + 1}: ${text}`);
}

// The frame all inside views share: finding, tools, overview | detail, how to read it.
function insideView({ empty, key, build, draw }) {
  return {
    build(root, view) {
      root.classList.add("lab-inside");
      root.innerHTML =
        `<p class="lab-finding"></p><div class="lab-tools"></div>` +
        `<div class="lab-body"><div class="lab-overview"></div><div class="lab-detail"></div></div>` +
        `<p class="lab-method"></p><p class="lab-empty">${escape(empty)}</p>`;
      view.parts = {};
      for (const part of ["finding", "tools", "overview", "detail", "method", "empty"])
        view.parts[part] = root.querySelector(`.lab-${part}`);
      build(view, view.parts);
    },
    draw(run, sel) {
      const { root, parts } = this;
      const why = key.map((each) => run[each].missing).find(Boolean);
      root.dataset.missing = why ? "yes" : "";
      parts.empty.textContent = why || empty;
      if (!why) draw.call(this, run, sel, parts);
    },
    drawLive(live, run) {
      this.parts.empty.textContent = `The run is under way. ${empty.replace(/^Press Run to see/, "When it ends you see")}`;
      if (run) this.draw(run, lab.sel);
      else this.root.dataset.state = "empty";
    },
  };
}
