// Outlier columns by layer, a chart for each kind of layer.

import { blockChart, blockFrame, frameValue } from "../../kit/js/blocks.js";
import { setHtml } from "../../kit/js/dom.js";
import { swatches } from "../../kit/js/legend.js";
import { clamp, range } from "../../kit/js/numbers.js";
import { NAMES, now, ROLES, rowOf, slotName, store } from "./store.js";

const HEIGHT = 170;

export function layers(root) {
  root.innerHTML =
    `<h2>Outlier columns by layer: where the attack acts</h2>` +
    swatches(ROLES.map((role) => [role, NAMES[role]])) +
    `<div class="lab-panels lab-panels-2"></div>` +
    `<p class="lab-muted">All panels share one axis. Choose a layer here or in the heat maps to see its tokens.</p>`;
  const box = root.querySelector(".lab-panels");
  return (run) => {
    const slots = [...new Set(run.layers.map(({ slot }) => slot))];
    if (box.dataset.slots !== slots.join()) {
      box.dataset.slots = slots.join();
      box.replaceChildren(...slots.map(frame));
    }
    const counts = Object.fromEntries(
      ROLES.map((role) => [role, rowOf(run.sweep.columns[role], now())]),
    );
    const high = Math.max(1, ...ROLES.flatMap((role) => counts[role]));
    slots.forEach((slot, i) => draw(box.children[i], run, slot, counts, high));
  };
}

const find = (block, slot) =>
  store.shown.layers.findIndex((each) => each.block === block && each.slot === slot);
const blockOf = (slot) => {
  const chosen = store.shown?.layers[store.sel.layer];
  return chosen?.slot === slot ? chosen.block : -1;
};

function frame(slot) {
  const choose = (block) => {
    const layer = find(clamp(block, 0, store.shown.blocks - 1), slot);
    if (layer >= 0) store.select({ layer });
  };
  const leave = (key) => key === "Escape" && (store.select({ layer: -1 }), true);
  const label = `Outlier columns in ${slotName(slot)}`;
  const made = blockFrame(
    label,
    { block: () => blockOf(slot), choose },
    { className: "cost-pick", extra: leave },
  );
  made.dataset.slot = slot;
  return made;
}

function draw(chart, run, slot, counts, high) {
  const of = (role) => range(run.blocks).map((block) => counts[role][find(block, slot)] ?? 0);
  const chosen = blockOf(slot);
  chart.classList.toggle("lab-chosen", chosen >= 0);
  const groups = ROLES.map((role) => ({ role, values: of(role) }));
  setHtml(
    chart,
    blockChart({
      width: chart.clientWidth,
      height: HEIGHT,
      count: run.blocks,
      high,
      whole: true,
      selected: chosen < 0 ? null : chosen,
      title: slotName(slot),
      left: 38,
      readout: chosen < 0 ? [] : groups.map(({ role, values }) => [role, values[chosen]]),
      groups,
    }),
  );
  const place = Math.max(0, chosen);
  const said = groups.map(({ role, values }) => `${values[place]} ${NAMES[role]}`);
  frameValue(chart, run.blocks, place, said.join(", "));
}
