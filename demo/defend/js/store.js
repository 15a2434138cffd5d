// What Defend has been told, prepared for drawing, what was measured on photographs, and what is looked
// at: a budget, in 255ths.

import { nearest } from "../../kit/js/numbers.js";
import { Picture, plain } from "../../kit/js/packing.js";
import { createStore } from "../../kit/js/store.js";

// Plain models in ink, the control in grey, robust ones in colours of their own, in order.
const LOOKS = [
  { role: "robust-1", dash: "", marker: "dot" },
  { role: "robust-2", dash: "8 3", marker: "diamond" },
  { role: "robust-3", dash: "2 3", marker: "ring" },
  { role: "robust-4", dash: "10 3 2 3", marker: "dot" },
];
const OTHERS = {
  plain: { role: "plain", dash: "", marker: "dot" },
  control: { role: "noise", dash: "3 3", marker: "ring" },
};

// How a model is drawn, the same in every view, whatever stands beside it.
const met = [];
export function lookOf({ name, role }) {
  if (role !== "robust") return OTHERS[role];
  if (!met.includes(name)) met.push(name);
  return LOOKS[met.indexOf(name) % LOOKS.length];
}

// The budgets that can be looked at, the clean picture first.
export const budgets = (run) => [0, ...run.ladder];

// A first report is looked at where the last of those trained to resist has fallen.
let looked = null;
function fit(sel, run) {
  if (looked !== run.run) {
    const fell = run.models.filter(({ role }) => role === "robust").map(({ falls }) => falls);
    const known = fell.filter((eps) => eps !== null);
    sel.eps = known.length === fell.length && known.length ? Math.max(...known) : run.eps;
    if (run.whole) looked = run.run;
  }
  sel.eps = budgets(run)[nearest(budgets(run), sel.eps)];
}

export const store = createStore({ eps: 0 }, fit);

// What the photographs say; null where nothing is measured.
let study = null;
export const studied = () => study;
export function measured(props) {
  study = JSON.parse(props.value);
  store.redraw();
}

// What is known of a model at a budget: its try, or the one that fooled it at a smaller one.
export const tryAt = (model, eps) => model.tries.filter((each) => each.eps <= eps).at(-1);

// A message with its pictures on their way.
export function prepare(message) {
  const models = message.models.map((model) => {
    const [first, ...rest] = model.tries;
    const clean = new Picture(first.picture);
    const tries = [
      { ...first, image: clean },
      ...rest.map((each) => ({ ...each, image: new Picture(each.picture, clean) })),
    ];
    for (const { image } of tries) image.ready.then(() => store.redraw("pictures"));
    return { ...model, tries };
  });
  return { ...plain(message), models };
}
