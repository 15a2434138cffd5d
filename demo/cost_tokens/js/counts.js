// Tokens computed by block, and for a model that halts them: how deep each goes and how many end where.

import { blockChart, blockFrame, frameValue } from "../../kit/js/blocks.js";
import { part, setHtml } from "../../kit/js/dom.js";
import { ramp, sequential } from "../../kit/js/draw.js";
import { legend, swatches } from "../../kit/js/legend.js";
import { drawMap, mapFigure } from "../../kit/js/map.js";
import { keptChart } from "../../kit/js/masks.js";
import { NAMES, nameOf, passOf, present, ROLES, store } from "./store.js";

const HEIGHT = 220;
const BLOCKS = { block: () => store.sel.block, choose: (block) => store.select({ block }) };

export function counts(root) {
  root.innerHTML = `<h2>Tokens computed, by block</h2><div></div>`;
  const chart = blockFrame("Tokens computed", BLOCKS, { height: HEIGHT });
  root.append(chart);
  return (run) => {
    setHtml(
      root.children[1],
      legend([
        ["clean", "clean"],
        ["adversarial", nameOf(run, "adversarial"), "5 3", "ring"],
        ["noise", "noise of equal size", "2 3", "diamond"],
      ]),
    );
    const [clean, noise, now] = ROLES.map((role) => passOf(run, role).tokens);
    setHtml(
      chart,
      keptChart({
        width: chart.clientWidth,
        height: HEIGHT,
        total: run.tokens,
        block: store.sel.block,
        clean,
        noise,
        now,
      }),
    );
    const at = store.sel.block;
    frameValue(
      chart,
      run.blocks,
      at,
      `${clean[at]} clean, ${now[at]} attacked, ${noise[at]} noise, of ${run.tokens}`,
    );
  };
}

export function halting(root) {
  const maps = part("div", "lab-maps");
  const shown = ["clean", "adversarial"];
  const picking = {
    grid: () => store.shown?.grid ?? null,
    patch: () => store.sel.patch,
    choose: (patch) => store.select({ patch }),
  };
  const figures = shown.map((role) => mapFigure(role, NAMES[role], picking));
  maps.append(...figures);
  root.innerHTML =
    `<div class="report-two"><div><h2>How deep each patch goes before it halts</h2></div>` +
    `<div><h2>Who halts when: tokens by their last block</h2>${swatches(ROLES.map((role) => [role, NAMES[role]]))}</div></div>`;
  const [left, right] = root.firstChild.children;
  const scale = part("div", "lab-scale");
  const chart = blockFrame("Tokens that halt", BLOCKS, { height: HEIGHT });
  left.append(maps, scale);
  right.append(chart);
  return (run) => {
    if (!present(root, run.seen.clean.depth)) return;
    setHtml(
      scale,
      `<span>blocks that a patch is computed in</span>${ramp(sequential, 0, 1, ["0", String(run.blocks)])}`,
    );
    shown.forEach((role, i) =>
      drawMap(figures[i], {
        title: nameOf(run, role),
        label: `${nameOf(run, role)}: blocks that each patch is computed in`,
        picture: run.seen[role].image,
        shape: run,
        values: passOf(run, role).depth,
        max: run.blocks,
        unit: (depth) => `${depth} blocks`,
        picked: store.sel.patch,
      }),
    );
    const groups = ROLES.map((role) => ({ role, values: passOf(run, role).halts }));
    const at = store.sel.block;
    setHtml(
      chart,
      blockChart({
        width: chart.clientWidth,
        height: HEIGHT,
        count: run.blocks,
        high: Math.max(...groups.flatMap(({ values }) => values)),
        whole: true,
        selected: at,
        title: "tokens whose last block this is",
        readout: groups.map(({ role, values }) => [role, values[at]]),
        groups,
      }),
    );
    const said = groups.map(({ role, values }) => `${values[at]} ${NAMES[role]}`);
    frameValue(chart, run.blocks, at, said.join(", "));
  };
}
