// One store for all views: the run on screen, the run under way, and a single selection.

const lab = (window.lab = { run: null, live: null, views: {}, sel: null });

const emptySelection = () => ({ step: 0, block: 0, head: "mean", patch: -1, slot: "", layer: 0 });
lab.sel = emptySelection();

const READERS = {
  u1: (bytes) => bytes,
  f4: (bytes) => new Float32Array(bytes.buffer),
  f2: (bytes) => Float32Array.from(new Uint16Array(bytes.buffer), half),
};

function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent
    ? sign * 2 ** (exponent - 15) * (1 + fraction / 1024)
    : sign * 2 ** -14 * (fraction / 1024);
}

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

const unpack = (packed) => READERS[packed.type](bytesOf(packed.data));

// Rows packed in 8 bits, each with its own scale, as one flat array of numbers.
function unpackRows({ values, scales }) {
  const small = unpack(values);
  const scale = unpack(scales);
  const length = small.length / scale.length;
  return Float32Array.from(small, (v, i) => v * scale[Math.floor(i / length)]);
}

// A picture, decoded once; given a clean one, the PNG holds the change from it, plus 128, mod 256.
class Picture {
  constructor(base64, clean) {
    this.canvas = null;
    this.ready = this.decode(base64, clean);
  }
  async decode(base64, clean) {
    const blob = new Blob([bytesOf(base64)], { type: "image/png" });
    const bitmap = await createImageBitmap(blob, {
      colorSpaceConversion: "none",
      premultiplyAlpha: "none",
    });
    const canvas = document.createElement("canvas");
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
    if (clean) {
      await clean.ready;
      const { data } = pixels;
      for (let i = 0; i < data.length; i++)
        if (i % 4 !== 3) data[i] = (data[i] + clean.data[i] + 128) & 255;
      context.putImageData(pixels, 0, 0);
    }
    this.data = pixels.data;
    this.canvas = canvas;
    lab.redraw();
  }
  get grey() {
    if (!this.greyed) {
      const copy = document.createElement("canvas");
      copy.width = this.canvas.width;
      copy.height = this.canvas.height;
      const context = copy.getContext("2d");
      const pixels = this.canvas.getContext("2d").getImageData(0, 0, copy.width, copy.height);
      const d = pixels.data;
      for (let i = 0; i < d.length; i += 4)
        d[i] = d[i + 1] = d[i + 2] = 0.299 * d[i] + 0.587 * d[i + 1] + 0.114 * d[i + 2];
      context.putImageData(pixels, 0, 0);
      this.greyed = copy;
    }
    return this.greyed;
  }
}

// Attention rows of one query for every frame (the noise control last), unpacked when first used.
class Rows {
  constructor(packed, shapes) {
    this.query = packed.query;
    this.packed = packed.frames;
    this.unpacked = [];
    this.floats = new Map();
    this.places = [];
    let row = 0;
    let start = 0;
    for (const { heads, prefix, grid } of shapes) {
      const length = prefix + grid[0] * grid[1];
      this.places.push({ row, start, heads, length });
      row += heads;
      start += heads * length;
    }
  }
  frame(index) {
    return (this.unpacked[index] ??= (() => {
      const { values, scales, rollout } = this.packed[index];
      return {
        values: unpack(values),
        scales: unpack(scales),
        rollout: rollout && unpack(rollout),
      };
    })());
  }
  head(index, block, head) {
    const { row, start, length } = this.places[block];
    const { values, scales } = this.frame(index);
    const from = start + head * length;
    const scale = scales[row + head];
    const key = index * 1e6 + row + head;
    let out = this.floats.get(key);
    if (!out) {
      out = new Float32Array(length);
      for (let i = 0; i < length; i++) out[i] = values[from + i] * scale;
      this.floats.set(key, out);
    }
    return out;
  }
  mean(index, block) {
    const { heads, length } = this.places[block];
    const sum = new Float32Array(length);
    for (let h = 0; h < heads; h++)
      this.head(index, block, h).forEach((v, i) => (sum[i] += v / heads));
    return sum;
  }
  read(index, block, head) {
    if (head === "rollout") return this.frame(index).rollout;
    return head === "mean" ? this.mean(index, block) : this.head(index, block, head);
  }
}

function prepare(message) {
  const run = { ...message };
  run.noise = message.steps.length;
  run.last = message.steps.length - 1;
  const clean = new Picture(message.clean);
  run.pictures = message.changes.map((each, i) => (i === 0 ? clean : new Picture(each, clean)));
  run.depthOf = message.shapes.length;
  if (!message.attention.missing)
    run.rows = { home: new Rows(message.attention, message.shapes), asked: new Map() };
  return run;
}

// Messages from Python: open -> live -> live ... -> run, or restore when a run failed.
lab.receive = (value) => {
  if (!value) return;
  const message = JSON.parse(JSON.stringify(value)); // plain, where gradio hands out proxies
  if (message.kind === "open") {
    const clean = new Picture(message.picture);
    lab.live = { ...message, clean, current: clean, step: 0, losses: [], first: message.bars };
  } else if (message.kind === "live") {
    const now = lab.live;
    if (!now || now.run !== message.run) return;
    now.losses = message.losses;
    const current = new Picture(message.picture);
    current.ready.then(() => {
      if (lab.live === now && message.step === now.step) now.current = current;
    });
    Object.assign(now, { step: message.step, bars: message.bars, success: message.success });
  } else if (message.kind === "restore") {
    lab.live = null;
  } else {
    lab.live = null;
    lab.run = prepare(message);
    fitSelection();
  }
  document.dispatchEvent(new CustomEvent("lab:run", { detail: message }));
  lab.redraw();
};

// A new run keeps the block, head and patch looked at, where it has them.
function fitSelection() {
  const { run, sel } = lab;
  const first = run.shapes[0];
  sel.step = run.last;
  if (!first) return;
  if (!lab.looked && run.rows) {
    // A first look goes where the attack moves attention most.
    Object.assign(sel, mostMoved(run.rows.home, run.shapes, run.last));
    lab.looked = true;
  }
  sel.block = Math.min(sel.block, run.depthOf - 1);
  if (typeof sel.head === "number" && sel.head >= run.shapes[sel.block].heads) sel.head = "mean";
  const patches = first.grid[0] * first.grid[1];
  if (sel.patch >= patches) sel.patch = -1;
  if (sel.patch < 0 && !first.prefix && run.rows) sel.patch = run.attention.query;
  syncLayer("block");
}

// `layer` counts linear layers; it moves with the block, and the block with it.
function syncLayer(by) {
  const { run, sel } = lab;
  const layers = run && run.outliers.layers;
  if (!layers) return;
  if (by === "layer") {
    const at = layers[sel.layer];
    if (at) Object.assign(sel, { block: at.block, slot: at.slot });
  } else {
    const slot = sel.slot || layers[0].slot;
    const index = layers.findIndex((each) => each.block === sel.block && each.slot === slot);
    if (index >= 0) Object.assign(sel, { layer: index, slot });
  }
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// The one way to move the selection. Anything out of range is brought into it.
lab.select = (change) => {
  const { run, sel } = lab;
  if (!run) return;
  const before = JSON.stringify(sel);
  Object.assign(sel, change);
  sel.step = clamp(sel.step, 0, run.last);
  sel.block = clamp(sel.block, 0, Math.max(0, run.depthOf - 1));
  if (run.shapes.length) {
    const { heads } = run.shapes[sel.block];
    if (typeof sel.head === "number") sel.head = clamp(sel.head, 0, heads - 1);
    const { grid, prefix } = run.shapes[0];
    sel.patch = clamp(sel.patch, prefix || !run.rows ? -1 : 0, grid[0] * grid[1] - 1);
  }
  syncLayer("layer" in change ? "layer" : "block");
  if (JSON.stringify(sel) === before) return;
  document.dispatchEvent(new CustomEvent("lab:select", { detail: { ...sel } }));
  lab.redraw();
};

// A view is `{empty, build(body, api), draw(run, sel)}`; it is drawn when on screen and out of date.
const VIEWS = {};
lab.mount = (name, element, server) => {
  const root = element.querySelector(".lab-view");
  if (!root || root.dataset.mounted) return;
  root.dataset.mounted = "yes";
  const view = { ...VIEWS[name], name, root, server };
  view.build(root, view);
  lab.views[name] = view;
  new ResizeObserver(() => lab.redraw(name)).observe(root);
};

let waiting = null;
lab.redraw = (only) => {
  if (waiting) {
    if (!only) waiting.all = true;
    else waiting.names.add(only);
    return;
  }
  waiting = { all: !only, names: new Set(only ? [only] : []) };
  requestAnimationFrame(() => {
    const { all, names } = waiting;
    waiting = null;
    for (const view of Object.values(lab.views)) if (all || names.has(view.name)) drawView(view);
  });
};

function drawView(view) {
  if (!view.root.isConnected || !view.root.offsetWidth) return;
  const { run, live } = lab;
  view.root.dataset.state = live ? "live" : run ? "run" : "empty";
  if (live && view.drawLive) view.drawLive(live, run);
  else if (run) view.draw(run, lab.sel);
}

new MutationObserver(() => lab.redraw()).observe(document.documentElement, {
  attributes: true,
  attributeFilter: ["class"],
});
