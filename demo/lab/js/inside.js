// What the views share that look inside the model.

import { blockFrame, frameValue as valueOf } from "../../kit/js/blocks.js";
import { announce, part } from "../../kit/js/dom.js";
import { escape, patchName } from "../../kit/js/format.js";
import { drawMap as mapOf, hasClassToken, mapFigure, movePatch } from "../../kit/js/map.js";
import { store } from "./store.js";

// The frame all inside views share: finding, tools, overview | detail, how to read it.
export function insideView({ empty, key, build, draw }) {
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
      if (run) this.draw(run, store.sel);
      else this.root.dataset.state = "empty";
    },
  };
}

// Patches are chosen once a run is there and no other is under way.
export const PATCHES = {
  grid: () => (!store.live && store.run?.shapes[0]?.grid) || null,
  patch: () => store.sel.patch,
  choose(patch) {
    store.select({ patch });
    const [first] = store.run.shapes;
    const none = store.sel.patch < 0 && !hasClassToken(first);
    announce(none ? "no patch selected" : patchName(store.sel.patch, first.grid));
  },
};

// The selected patch (of the first block's grid) as a cell of another grid.
export function patchIn(grid) {
  const { shapes } = store.live ?? store.run;
  return grid && shapes.length ? movePatch(store.sel.patch, shapes[0].grid, grid) : -1;
}

// Two maps side by side, with one colour bar.
export function twoMaps(box, [role, title], [otherRole, other]) {
  const maps = part("div", "lab-maps");
  const [left, right] = [mapFigure(role, title, PATCHES), mapFigure(otherRole, other, PATCHES)];
  maps.append(left, right);
  const bar = part("div", "lab-scale");
  box.append(maps, bar);
  return { maps, left, right, bar };
}

export const drawMap = (figure, look) =>
  look.shape && mapOf(figure, { ...look, picked: patchIn(look.shape.grid) });

export const largest = (lists, prefix) => Math.max(0, ...lists.map((list) => most(list, prefix)));
const most = (list, from) => {
  let max = 0;
  for (let i = from; i < list.length; i++) if (list[i] > max) max = list[i];
  return max;
};

const BLOCKS = { block: () => store.sel.block, choose: (block) => store.select({ block }) };

export const chartFrame = (label, look) => blockFrame(label, BLOCKS, look);

export const frameValue = (frame, run, text) => valueOf(frame, run.depthOf, store.sel.block, text);
