// The pictures as tokens: every block small, one block large, and what becomes of a patch.

import { blockFrame, frameValue } from "../../kit/js/blocks.js";
import { announce, choices, part, setHtml } from "../../kit/js/dom.js";
import { sharp } from "../../kit/js/draw.js";
import { patchName, plural } from "../../kit/js/format.js";
import { drawMap, mapFigure, placePick } from "../../kit/js/map.js";
import { fateLegend, fates, paintFates } from "../../kit/js/masks.js";
import { range } from "../../kit/js/numbers.js";
import { NAMES, nameOf, passOf, ROLES, rowOf, store } from "./store.js";

const WORDS = [
  "dropped: asleep",
  "kept: computed",
  "put to sleep by attack or noise",
  "woken by attack or noise",
];

export function pictures(root) {
  let hovered = -1;
  const looked = () => (hovered < 0 ? store.sel.patch : hovered);
  const picking = {
    grid: () => store.shown?.grid ?? null,
    patch: () => store.sel.patch,
    choose(patch) {
      hovered = -1;
      store.select({ patch });
      announce(fate.textContent);
    },
  };
  root.innerHTML = `<h2></h2><div class="tok-key"></div>`;
  const [title, key] = root.children;
  const which = choices("Picture", Object.entries(NAMES), store.sel.role, (role) =>
    store.select({ role }),
  );
  which.element.classList.add("tok-which");
  const maps = part("div", "tok-maps");
  const figures = ROLES.map((role) => mapFigure(role, NAMES[role], picking));
  const fate = part("p", "tok-fate");
  const strip = stripFrame();
  maps.append(...figures);
  root.append(which.element, maps, fate, strip);

  const tell = () => {
    const { grid } = store.shown;
    for (const figure of figures) placePick(figure.querySelector(".lab-pick"), grid, looked());
    fate.textContent = fateOf(store.shown, looked());
  };
  maps.addEventListener("pointermove", ({ target, clientX, clientY, pointerType }) => {
    const stack = target.closest(".lab-stack");
    if (!stack || !store.shown || pointerType !== "mouse") return;
    const { left, top, width } = stack.getBoundingClientRect();
    const [rows, columns] = store.shown.grid;
    const row = Math.min(rows - 1, Math.floor(((clientY - top) / width) * rows));
    hovered =
      row * columns + Math.min(columns - 1, Math.floor(((clientX - left) / width) * columns));
    tell();
  });
  maps.addEventListener("pointerleave", () => {
    hovered = -1;
    if (store.shown) tell();
  });

  return (run) => {
    const { block, role } = store.sel;
    const clean = run.seen.clean.keep;
    title.textContent = `Which tokens are computed in block ${block + 1}`;
    which.set(role);
    ROLES.forEach((each, i) => {
      const { keep, tokens } = passOf(run, each);
      figures[i].classList.toggle("tok-chosen", each === role);
      drawMap(figures[i], {
        title: `${nameOf(run, each)}: ${tokens[block]} of ${run.tokens}`,
        label: `${nameOf(run, each)}: ${tokens[block]} of ${run.tokens} tokens computed in block ${block + 1}`,
        picture:
          each === "adversarial" && !store.sel.step ? run.seen.clean.image : run.seen[each].image,
        shape: run,
        keep: rowOf(keep, block, run.tokens),
        was: rowOf(clean, block, run.tokens),
      });
    });
    const occurring = new Set(ROLES.flatMap((each) => fates(passOf(run, each).keep, clean)));
    setHtml(key, fateLegend([...occurring], WORDS));
    drawStrip(strip, run);
    tell();
  };
}

// All blocks by all pictures, small; clicks and arrows choose both.
function stripFrame() {
  const turn = (by) => {
    const at = ROLES.indexOf(store.sel.role) + by;
    if (ROLES[at]) store.select({ role: ROLES[at] });
    return true;
  };
  const frame = blockFrame(
    "Tokens computed, by block",
    { block: () => store.sel.block, choose: (block) => store.select({ block }) },
    {
      className: "tok-strip",
      extra: (name) =>
        ({ ArrowUp: -1, ArrowDown: 1 })[name] && turn({ ArrowUp: -1, ArrowDown: 1 }[name]),
    },
  );
  frame.addEventListener("click", ({ target }) => {
    const role = target.closest("[data-role]")?.dataset.role;
    if (role) store.select({ role });
  });
  return frame;
}

function drawStrip(frame, run) {
  const { block, role, patch } = store.sel;
  if (frame.dataset.blocks !== String(run.blocks)) {
    frame.dataset.blocks = run.blocks;
    frame.style.setProperty("--blocks", run.blocks);
    frame.innerHTML =
      `<span></span>${range(run.blocks)
        .map((i) => `<b data-block="${i}">${i + 1}</b>`)
        .join("")}` +
      ROLES.map(
        (each) =>
          `<em data-role="${each}"></em>` +
          range(run.blocks)
            .map(
              (i) =>
                `<span data-block="${i}" data-role="${each}"><canvas></canvas><small></small></span>`,
            )
            .join(""),
      ).join("");
    frame.firstChild.textContent = "block";
  }
  for (const head of frame.querySelectorAll("b"))
    head.classList.toggle("tok-now", Number(head.dataset.block) === block);
  for (const name of frame.querySelectorAll("em"))
    name.textContent = nameOf(run, name.dataset.role);
  for (const cell of frame.querySelectorAll("span[data-role]")) {
    const at = Number(cell.dataset.block);
    const { keep, tokens } = passOf(run, cell.dataset.role);
    cell.classList.toggle("tok-now", at === block);
    cell.classList.toggle("tok-here", at === block && cell.dataset.role === role);
    cell.lastChild.textContent = tokens[at];
    const size = cell.firstChild.clientWidth;
    if (!size) continue;
    const context = sharp(cell.firstChild, size, size);
    const fate = fates(rowOf(keep, at, run.tokens), rowOf(run.seen.clean.keep, at, run.tokens));
    const { image } = run.seen[cell.dataset.role];
    if (image.canvas) context.drawImage(image.canvas, 0, 0, size, size);
    paintFates(context, run.grid, size, fate.slice(run.prefix), true);
    if (patch >= 0) ring(context, run.grid, size, patch);
  }
  const counts = ROLES.map((each) => `${passOf(run, each).tokens[block]} ${nameOf(run, each)}`);
  frameValue(frame, run.blocks, block, `${counts.join(", ")}, of ${run.tokens}`);
}

function ring(context, [rows, columns], size, patch) {
  const [x, y] = [
    ((patch % columns) * size) / columns,
    (Math.floor(patch / columns) * size) / rows,
  ];
  for (const [colour, pen] of [
    ["#111", 3],
    ["#fff", 1.5],
  ]) {
    context.strokeStyle = colour;
    context.lineWidth = pen;
    context.strokeRect(x - 0.5, y - 0.5, size / columns + 1, size / rows + 1);
  }
}

// "Patch row 4, column 6: clean, blocks 1–3; noise, blocks 1–3; attacked, every block."
function fateOf(run, patch) {
  if (patch < 0)
    return "Point at a patch to read in which blocks it is computed; a click keeps it.";
  const name = patchName(patch, run.grid);
  const said = ROLES.map((role) => {
    const { keep } = passOf(run, role);
    const on = range(run.blocks).filter((l) => keep[l * run.tokens + run.prefix + patch]);
    return `${nameOf(run, role)}: ${spans(on, run.blocks)}`;
  });
  return `${name[0].toUpperCase()}${name.slice(1)} is computed in: ${said.join("; ")}.`;
}

function spans(on, blocks) {
  if (on.length === blocks) return `all ${plural(blocks, "block")}`;
  if (!on.length) return "no block";
  const runs = [];
  for (const l of on)
    if (runs.at(-1)?.[1] === l - 1) runs.at(-1)[1] = l;
    else runs.push([l, l]);
  const words = runs.map(([a, b]) => (a === b ? a + 1 : `${a + 1}–${b + 1}`)).join(", ");
  return `${on.length === 1 ? "block" : "blocks"} ${words}`;
}
