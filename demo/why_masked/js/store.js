// What the masked room has been told, prepared for drawing, and what is looked at: a rung (what scores
// are multiplied by), a block and a head (-1: all).

import { clamp } from "../../kit/js/numbers.js";
import { unpack } from "../../kit/js/packing.js";
import { createStore } from "../../kit/js/store.js";

export const ALL = -1;

// How an attack, or a gradient, came about: its colour everywhere in this room.
export const ROLES = {
  base: "adversarial",
  undone: "undone",
  aas: "aas",
  shuffled: "noise",
  uniform: "uniform",
  float64: "exact",
};

// A run is looked at from the model as it is; no further than it has come.
function fit(sel, { rungs, blocks, heads }) {
  sel.rung = clamp(sel.rung, 0, rungs.length - 1);
  sel.block = clamp(sel.block, ALL, blocks - 1);
  const most = sel.block === ALL ? Math.max(...heads) : heads[sel.block];
  if (sel.head >= most) sel.head = ALL;
}

export const store = createStore({ rung: 0, block: ALL, head: ALL }, fit);

export const rungOf = (run) => run.rungs[store.sel.rung];

// Where the selected block and head stand in what is told by both: all stand last.
export function placeOf(run) {
  const { block, head } = store.sel;
  const most = Math.max(...run.heads);
  return [block === ALL ? run.blocks : block, head === ALL ? most : head];
}

export const outcomeOf = (rung, name) => rung.outcomes.find((each) => each.name === name);

// "all blocks, head 3"
export function whereWords() {
  const { block, head } = store.sel;
  const of = block === ALL ? "all blocks" : `block ${block + 1}`;
  return head === ALL ? `${of}, all heads` : `${of}, head ${head + 1}`;
}

// A block chart's way to choose a block; the one chosen again is let go.
export const BLOCKS = {
  block: () => store.sel.block,
  choose: (block, how) =>
    store.select({ block: how === "click" && block === store.sel.block ? ALL : block }),
};
export const selectedBlock = () => (store.sel.block === ALL ? null : store.sel.block);

const opened = ({ shares, ...more }) => ({
  ...more,
  shares: unpack(shares),
  shape: shares.shape,
});

// A message with its arrays unpacked.
export function prepare(message) {
  const rungs = message.rungs.map((rung) => ({
    ...rung,
    gaps: Object.fromEntries(Object.entries(rung.gaps).map(([name, each]) => [name, opened(each)])),
  }));
  return { ...message, rungs };
}
