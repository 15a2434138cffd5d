// The Lab's store: the run on screen, the run under way, and a single selection for all views.

import { hasClassToken, movePatch } from "../../kit/js/map.js";
import { clamp, nearest } from "../../kit/js/numbers.js";
import { Picture } from "../../kit/js/packing.js";
import { createStore } from "../../kit/js/store.js";
import { Rows } from "./rows.js";

const FIRST = {
  step: 0, // which of the stored steps
  block: 0,
  head: "mean", // or a number, or "rollout"
  patch: -1, // of the first block's grid; -1 is the class token
  layer: 0, // which linear layer; with the block it gives the slot
  slot: "",
  component: 0, // attention, QKV, MLP
  measure: "variance", // or "dispersion", "kurtosis"
  threshold: null, // of outliers; null is the model's own
  compare: "slider", // the pictures: or "side", "blink", "difference"
  overview: "both", // the attention maps: or "difference"
};

// A run under way has nothing to select.
export const store = createStore(
  FIRST,
  (sel, _, change) => store.run && fit(sel, store.run, change),
);

// Anything out of the run's range is brought into it.
function fit(sel, run, change) {
  sel.step = clamp(sel.step, 0, run.last);
  sel.block = clamp(sel.block, 0, Math.max(0, run.depthOf - 1));
  if (run.shapes.length) {
    const { heads } = run.shapes[sel.block];
    if (typeof sel.head === "number") sel.head = clamp(sel.head, 0, heads - 1);
    const [first] = run.shapes;
    const least = hasClassToken(first) || !run.rows ? -1 : 0;
    sel.patch = clamp(sel.patch, least, first.grid[0] * first.grid[1] - 1);
  }
  const { thresholds } = run.outliers;
  if (thresholds && sel.threshold !== null)
    sel.threshold = thresholds[nearest(thresholds, sel.threshold)];
  syncLayer(sel, run, "layer" in change ? "layer" : "block");
}

// `layer` counts linear layers; it moves with the block, and the block with it.
function syncLayer(sel, { outliers: { layers } }, by) {
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

// A picture that is drawn as soon as it is there.
function drawn(base64, clean) {
  const picture = new Picture(base64, clean);
  picture.ready.then(() => store.redraw());
  return picture;
}

function prepare(message) {
  const run = { ...message, text: JSON.stringify(message) }; // views unpack into what is in it
  run.noise = message.steps.length;
  run.last = message.steps.length - 1;
  const clean = drawn(message.clean);
  run.pictures = message.changes.map((each, i) => (i === 0 ? clean : drawn(each, clean)));
  run.depthOf = message.shapes.length;
  if (!message.attention.missing)
    run.rows = { home: new Rows(message.attention, message.shapes), asked: new Map() };
  return run;
}

let looked = false;

// A new run is looked at from its end, and keeps the block, head and patch looked at, where it has
// them; a first look goes where the attack moves attention most.
function turnTo(run) {
  const { sel } = store;
  const first = run.shapes[0];
  Object.assign(sel, { step: run.last, threshold: null });
  if (!first) return;
  if (!looked && run.rows) {
    const { block, head } = run.rows.home.turned(run.last) ?? sel;
    Object.assign(sel, { block, head });
    looked = true;
  }
  sel.block = Math.min(sel.block, run.depthOf - 1);
  if (typeof sel.head === "number" && sel.head >= run.shapes[sel.block].heads) sel.head = "mean";
  const patches = first.grid[0] * first.grid[1];
  if (sel.patch >= patches) sel.patch = -1;
  if (sel.patch < 0 && !hasClassToken(first) && run.rows)
    sel.patch = run.attention.query - first.prefix;
}

// Messages from Python: open -> live -> live ... -> run, or restore when a run failed. Each live one
// comes with the one that opens, for whoever has missed it.
const HANDLERS = {
  open(message) {
    if (store.live?.run === message.run) return;
    const clean = drawn(message.picture);
    store.begin({ ...message, clean, current: clean, step: 0, losses: [], first: message.bars });
  },
  live(message) {
    const now = store.live;
    if (!now || now.run !== message.run) return;
    const current = drawn(message.picture);
    current.ready.then(() => {
      if (store.live === now && message.step === now.step) now.current = current;
    });
    const { step, bars, success, losses } = message;
    store.step({ step, bars, success, losses });
  },
  restore: () => store.fail(),
  run(message) {
    const run = prepare(message);
    turnTo(run);
    store.end(run);
  },
};

export const receive = (message) => HANDLERS[message.kind](message);

// A run that is kept to be looked at beside those that follow, and what Python says of the two; who
// listens hears "pin" and "apart".
export const pinned = Object.assign(new EventTarget(), { run: null, apart: null });

export function pin(run) {
  Object.assign(pinned, { run, apart: null });
  pinned.dispatchEvent(new Event("pin"));
}

export function tellApart(apart) {
  pinned.apart = apart;
  pinned.dispatchEvent(new Event("apart"));
}

// A run as it was told, in the browser's hands once more.
export const recall = (text) => prepare(JSON.parse(text));

const same = (a, b) => a.run === b.run && a.done === b.done;

// The pinned run, where another one stands there to be held beside it.
export const beside = () =>
  pinned.run && store.run && !same(pinned.run, store.run) ? pinned.run : null;

// The selection as it stands for a run: the other one may have other steps, blocks, heads and patches.
// End goes with end, and any other step with the same one.
export function selectionOf(run) {
  const { run: now, sel } = store;
  if (run === now) return sel;
  const own = { ...sel };
  own.step = sel.step === now.last ? run.last : nearest(run.steps, now.steps[sel.step]);
  if (sel.patch >= 0 && run.shapes.length)
    own.patch = movePatch(sel.patch, now.shapes[0].grid, run.shapes[0].grid);
  fit(own, run, {});
  return own;
}

// What is drawn side by side is drawn on one scale: all runs that are, each with its selection, where
// `has` says that they have what is drawn.
export const sights = (has = () => true) =>
  [store.run, beside()].filter((run) => run && has(run)).map((run) => [run, selectionOf(run)]);
