// AdaViT's other switches: heads and sub-layers of every block, on or off, clean and attacked.

import { blockFrame, frameValue } from "../../kit/js/blocks.js";
import { svg, text } from "../../kit/js/chart.js";
import { part, setHtml } from "../../kit/js/dom.js";
import { fateCell, fateLegend, fates } from "../../kit/js/masks.js";
import { clamp, range } from "../../kit/js/numbers.js";
import { NAMES, nameOf, passOf, present, ROLES, store } from "./store.js";

const WORDS = [
  "switched off",
  "in use",
  "switched off by attack or noise",
  "switched on by attack or noise",
];
const SUBLAYERS = ["attention", "MLP"];
const [LEFT, TOP, GAP] = [76, 4, 8];

export function switches(root) {
  root.innerHTML = `<h2>Heads and sub-layers, by block</h2><div></div>`;
  const grids = part("div", "tok-grids");
  const frames = ROLES.map((role) => {
    const box = part("figure");
    box.innerHTML = `<figcaption><b class="lab-${role}"></b><span></span></figcaption>`;
    const frame = blockFrame(
      `Heads and sub-layers, ${NAMES[role]}`,
      { block: () => store.sel.block, choose: (block) => store.select({ block }) },
      {},
    );
    box.append(frame);
    grids.append(box);
    return frame;
  });
  root.append(grids);
  return (run) => {
    if (!present(root, run.seen.clean.heads)) return;
    const before = rows(run, run.seen.clean).map(([, on]) => on);
    const occurring = new Set();
    ROLES.forEach((role, i) => {
      const pass = passOf(run, role);
      const found = rows(run, pass).map(([name, on], at) => [name, fates(on, before[at])]);
      for (const [, row] of found) for (const fate of row) occurring.add(fate);
      const [title, said] = frames[i].previousSibling.children;
      title.textContent = nameOf(run, role);
      said.textContent = ` ${pass.heads_on} of ${run.blocks * run.heads} heads, ${pass.sublayers_on} of ${2 * run.blocks} sub-layers`;
      setHtml(frames[i], drawn(found, run.blocks, clamp(frames[i].clientWidth, 200, 420)));
      const at = store.sel.block;
      frameValue(
        frames[i],
        run.blocks,
        at,
        found.map(([name, row]) => `${name} ${row[at] & 1 ? "on" : "off"}`).join(", "),
      );
    });
    setHtml(root.children[1], fateLegend([...occurring], WORDS));
  };
}

// [name, on or off by block], a row for each head and sub-layer.
const rows = ({ heads, blocks }, pass) => [
  ...range(heads).map((h) => [
    `head ${h + 1}`,
    range(blocks).map((l) => pass.heads[l * heads + h]),
  ]),
  ...SUBLAYERS.map((name, s) => [name, range(blocks).map((l) => pass.sublayers[2 * l + s])]),
];

function drawn(found, blocks, width) {
  const side = Math.min(26, (width - LEFT) / blocks);
  const y = (at) => TOP + at * side + (at >= found.length - SUBLAYERS.length ? GAP : 0);
  const foot = y(found.length);
  return svg(width, foot + 22, [
    `<rect class="lab-now" x="${LEFT + store.sel.block * side}" y="0" width="${side}" height="${foot + 22}"/>`,
    ...found.flatMap(([name, row], at) => [
      text(LEFT - 8, y(at) + side / 2 + 4, name, "end"),
      ...row.map((fate, l) =>
        fateCell(fate, LEFT + l * side + 1.5, y(at) + 1.5, side - 3, side - 3),
      ),
    ]),
    ...range(blocks).flatMap((l) => [
      text(
        LEFT + (l + 0.5) * side,
        foot + 16,
        l + 1,
        "middle",
        l === store.sel.block ? "lab-tick lab-tick-now" : "lab-tick",
      ),
      `<rect class="lab-hit" data-block="${l}" x="${LEFT + l * side}" y="0" width="${side}" height="${foot + 22}"/>`,
    ]),
  ]);
}
