// What the Cost page has been told, prepared for drawing, and what is looked at: a threshold of those
// offered, and a layer, or -1 for all of them.

import { createStore } from "../../kit/js/store.js";
import { clamp, nearest } from "../../kit/js/numbers.js";
import { Picture, unpack } from "../../kit/js/packing.js";

export const ROLES = ["clean", "adversarial", "noise"];
export const NAMES = { clean: "clean", adversarial: "attacked", noise: "noise of equal size" };
const SLOTS = { qkv: "qkv", proj: "attention output", fc1: "MLP first", fc2: "MLP second" };

// A run's first report is looked at as it was run; later ones leave the selection alone.
let looked = null;
function fit(sel, shown) {
  if (looked !== shown.run) Object.assign(sel, { threshold: null, layer: -1 });
  looked = shown.run;
  const { thresholds, at } = shown.sweep;
  const index = sel.threshold === null ? at : nearest(thresholds, sel.threshold);
  sel.threshold = thresholds[index];
  sel.layer = sel.layer < 0 ? -1 : clamp(sel.layer, 0, shown.layers.length - 1);
}

export const store = createStore({ threshold: null, layer: -1, order: "own" }, fit);

// The number of the threshold looked at among those offered.
export const now = () => store.shown.sweep.thresholds.indexOf(store.sel.threshold);

// One row of a table with a row for each threshold.
export const rowOf = (table, i) => {
  const width = table.length / store.shown.sweep.thresholds.length;
  return Array.from(table.subarray(i * width, (i + 1) * width));
};

export const slotName = (slot) => SLOTS[slot] || slot;
export const layerName = ({ block, slot }) => `block ${block + 1}, ${slotName(slot)}`;
export const naming = (value) => (value === 6 ? "6.0" : value.toFixed(2));
export const thousands = (n) => String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
export const times = (ratio) => `×${ratio >= 10 ? ratio.toFixed(0) : ratio.toFixed(1)}`;

const each = (byRole, make) =>
  Object.fromEntries(Object.entries(byRole).map(([role, value]) => [role, make(value)]));

// A message with its arrays unpacked and its pictures on their way.
export function prepare(message) {
  const { sweep, bins, seen, layers } = message;
  const split = (packed) => {
    const all = unpack(packed);
    const width = all.length / layers.length;
    return layers.map((_, i) => all.subarray(i * width, (i + 1) * width));
  };
  const found = {
    ...message,
    sweep: {
      ...sweep,
      columns: each(sweep.columns, unpack),
      reach: each(sweep.reach, unpack),
      carriers: each(sweep.carriers, unpack),
    },
    bins: { ...bins, own: each(bins.own, split), clean: each(bins.clean, split) },
    seen: each(seen, (one) => ({
      ...one,
      tokens: one.tokens && split(one.tokens),
      image: new Picture(one.picture),
    })),
  };
  for (const { image } of Object.values(found.seen)) image.ready.then(() => store.redraw("tokens"));
  return found;
}
