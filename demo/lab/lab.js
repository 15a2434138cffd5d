// The Lab page: what its components call, and what lessons drive.

import { part } from "../kit/js/dom.js";
import { hear } from "../kit/js/packing.js";
import { attention } from "./js/attention.js";
import { bars } from "./js/bars.js";
import { compare } from "./js/compare.js";
import { depth } from "./js/depth.js";
import { gradients } from "./js/gradients.js";
import { keep } from "./js/keep.js";
import { outliers } from "./js/outliers.js";
import { pair } from "./js/pair.js";
import { scrubber } from "./js/scrubber.js";
import { beside, pinned, receive, selectionOf, store } from "./js/store.js";
import { tokens } from "./js/tokens.js";
import { headline, verdict } from "./js/verdict.js";
import { attackName } from "./js/words.js";

export const { select, selection, on } = store;

// A view is `{build(root, view), draw(run, sel), drawLive(live, run)}`; the last is for a run under
// way, and without it the last result stays.
const VIEWS = {
  attention,
  bars,
  compare,
  depth,
  gradients,
  headline,
  keep,
  outliers,
  pair,
  scrubber,
  tokens,
  verdict,
};

// One is enough of these, also where two runs are looked at.
const ALONE = new Set(["compare", "keep", "scrubber"]);

export const carry = (props, watch) => hear(props, watch, receive);

export function mount(name, element, server) {
  const root = element.querySelector(".lab-view");
  if (!root || root.dataset.mounted) return;
  root.dataset.mounted = "yes";
  const view = built(name, root, { server, pinned: false });
  store.view(name, root, () => draw(view));
  if (ALONE.has(name)) return;
  pairs.set(name, { name, view, twin: null });
  arrange(); // a tab's view is mounted when it is first looked at
}

function built(name, root, more) {
  const view = { ...VIEWS[name], root, ...more };
  view.build(root, view);
  return view;
}

// Each view and, once a run is held beside another, its twin, which draws the pinned one.
const pairs = new Map();

function twin({ name, view: { root, server } }) {
  const own = part("section", "lab-view lab-pinned");
  own.dataset.view = name;
  const whose = [part("p", "lab-whose"), part("p", "lab-whose lab-whose-pinned")];
  root.before(whose[0]);
  root.after(whose[1], own);
  const view = built(name, own, { server, pinned: true });
  store.view(`${name} pinned`, own, () => {
    const other = beside();
    if (!other) return;
    own.dataset.state = "run";
    view.draw(other, selectionOf(other));
  });
  return { view, whose };
}

function arrange() {
  const other = beside();
  const { apart } = pinned;
  const words = other && [
    `now: ${apart?.after ?? attackName(store.run)}`,
    `pinned: ${apart?.before ?? attackName(other)}`,
  ];
  for (const each of pairs.values()) {
    each.view.root.parentElement.dataset.beside = other ? "yes" : "";
    if (!other) continue;
    each.twin ??= twin(each);
    each.twin.whose.forEach((label, i) => (label.textContent = words[i]));
  }
  store.redraw();
}
store.on("result", arrange);
for (const event of ["pin", "apart"]) pinned.addEventListener(event, arrange);

function draw(view) {
  const { run, live, sel } = store;
  view.root.dataset.state = live ? "live" : run ? "run" : "empty";
  if (live && view.drawLive) view.drawLive(live, run);
  else if (run) view.draw(run, sel);
}

// Findings name a block or head; pressing the name goes there.
document.addEventListener("click", (event) => {
  const jump = event.target.closest?.(".lab-jump");
  if (jump) select(JSON.parse(jump.dataset.select));
});
