// The Lab page: what its components call, and what lessons drive.

import { hear } from "../kit/js/packing.js";
import { attention } from "./js/attention.js";
import { bars } from "./js/bars.js";
import { depth } from "./js/depth.js";
import { gradients } from "./js/gradients.js";
import { keep } from "./js/keep.js";
import { outliers } from "./js/outliers.js";
import { pair } from "./js/pair.js";
import { scrubber } from "./js/scrubber.js";
import { receive, store } from "./js/store.js";
import { tokens } from "./js/tokens.js";
import { headline, verdict } from "./js/verdict.js";

export const { select, selection, on } = store;

// A view is `{build(root, view), draw(run, sel), drawLive(live, run)}`; the last is for a run under
// way, and without it the last result stays.
const VIEWS = {
  attention,
  bars,
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

export const carry = (props, watch) => hear(props, watch, receive);

export function mount(name, element, server) {
  const root = element.querySelector(".lab-view");
  if (!root || root.dataset.mounted) return;
  root.dataset.mounted = "yes";
  const view = { ...VIEWS[name], name, root, server };
  view.build(root, view);
  store.view(name, root, () => draw(view));
}

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
