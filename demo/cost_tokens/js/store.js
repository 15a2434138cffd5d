// What the tokens room has been told, prepared for drawing, and what is looked at: a step of the attack
// (of those told), a block, a patch (-1: none), and one of the three pictures.

import { clamp } from "../../kit/js/numbers.js";
import { Picture, unpack } from "../../kit/js/packing.js";
import { createStore } from "../../kit/js/store.js";

export const ROLES = ["clean", "noise", "adversarial"];
export const NAMES = { clean: "clean", noise: "noise", adversarial: "attacked" };
const GIGA = 1e9;

// A run's first report is looked at from its end, in the block where most tokens have been woken.
let looked = null;
function fit(sel, shown) {
  const { frames, seen, blocks, grid } = shown;
  if (looked !== shown.run) {
    const { woken } = seen.adversarial;
    const block = Math.max(...woken) ? woken.indexOf(Math.max(...woken)) : shown.sparse[0];
    Object.assign(sel, { step: frames.length - 1, block: block ?? 0 });
    looked = shown.run;
  }
  sel.step = clamp(sel.step, 0, frames.length - 1);
  sel.block = clamp(sel.block, 0, blocks - 1);
  sel.patch = clamp(sel.patch, -1, grid[0] * grid[1] - 1);
  if (!ROLES.includes(sel.role)) sel.role = "adversarial";
}

export const store = createStore({ step: 0, block: 0, patch: -1, role: "adversarial" }, fit);

// What one of the pictures made the model do; the attacked one, at the step looked at.
export function passOf(run, role) {
  const last = store.sel.step >= run.frames.length - 1;
  if (role === "adversarial" && !last) return run.frames[store.sel.step];
  return run.seen[role];
}
export const stepOf = (run) => run.frames[store.sel.step].step;

// "attacked", or that it is so as far as a step.
export const nameOf = (run, role) =>
  role === "adversarial" && store.sel.step < run.frames.length - 1
    ? `after step ${stepOf(run)}`
    : NAMES[role];

// The rows of a pass's masks in one block, prefix first.
export const rowOf = (packed, block, width) => packed.subarray(block * width, (block + 1) * width);

export const giga = (macs) => (macs / GIGA).toFixed(macs < 10 * GIGA ? 3 : 2);

// Whether a view has something to show; one that has not keeps its width, or it would not be drawn again.
export function present(root, evidence) {
  root.classList.toggle("tok-none", !evidence);
  return Boolean(evidence);
}

const opened = (pass) => ({
  ...pass,
  keep: unpack(pass.keep),
  heads: pass.heads && unpack(pass.heads),
  sublayers: pass.sublayers && unpack(pass.sublayers),
});

// A message with its arrays unpacked and its pictures on their way.
export function prepare(message) {
  const seen = Object.fromEntries(
    Object.entries(message.seen).map(([role, pass]) => [
      role,
      { ...opened(pass), image: new Picture(pass.picture) },
    ]),
  );
  for (const { image } of Object.values(seen)) image.ready.then(() => store.redraw());
  return { ...message, seen, frames: message.frames.map(opened) };
}
