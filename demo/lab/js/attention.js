// Where a token looks: blocks x heads, clean and attacked.

import { choices, setHtml } from "../../kit/js/dom.js";
import { colourOf, diverging, ramp, rooted, sequential, sharp } from "../../kit/js/draw.js";
import { escape, patchName, percent, plural } from "../../kit/js/format.js";
import { hasClassToken } from "../../kit/js/map.js";
import { clamp, range } from "../../kit/js/numbers.js";
import { drawMap, insideView, largest, twoMaps } from "./inside.js";
import { Rows } from "./rows.js";
import { sights, store } from "./store.js";
import { stepName } from "./words.js";

export const attention = insideView({
  empty: "Press Run to see where the class token looks, block by block and head by head.",
  key: ["attention"],
  build(view, parts) {
    view.modes = choices(
      "Overview shows",
      [
        ["both", "Maps"],
        ["difference", "Difference"],
      ],
      store.sel.overview,
      (overview) => store.select({ overview }),
    );
    view.heads = choices("Map", [["mean", "Mean"]], "mean", (v) =>
      store.select({ head: Number.isNaN(Number(v)) ? v : Number(v) }),
    );
    view.heads.element.classList.add("lab-heads");
    view.query = document.createElement("span");
    view.query.className = "lab-query";
    view.query.addEventListener(
      "click",
      (e) => e.target.closest("button") && store.select({ patch: -1 }),
    );
    parts.tools.append(view.modes.element, view.query);
    view.matrix = document.createElement("div");
    view.matrix.className = "lab-matrix";
    view.matrix.innerHTML = `<canvas></canvas><i class="lab-cell"></i>`;
    view.matrix.tabIndex = 0;
    view.matrix.setAttribute("role", "application");
    view.matrix.setAttribute(
      "aria-roledescription",
      "matrix of attention maps, blocks across, heads down",
    );
    view.matrix.addEventListener("click", (event) => {
      if (!store.run?.rows) return;
      const { x, y, cell, tall } = view.layout;
      const box = view.matrix.getBoundingClientRect();
      const block = Math.floor((event.clientX - box.left - x) / cell);
      const head = Math.floor((event.clientY - box.top - y) / tall);
      if (block < 0 || head < 0) return;
      store.select({ block, head });
    });
    view.matrix.addEventListener("keydown", (event) => {
      if (!store.run?.rows) return;
      const head = typeof store.sel.head === "number" ? store.sel.head : -1;
      if (event.key === "ArrowLeft") store.select({ block: store.sel.block - 1 });
      else if (event.key === "ArrowRight") store.select({ block: store.sel.block + 1 });
      else if (event.key === "ArrowUp") store.select({ head: Math.max(0, head - 1) });
      else if (event.key === "ArrowDown") store.select({ head: head + 1 });
      else return;
      event.preventDefault();
    });
    view.scale = document.createElement("div");
    view.scale.className = "lab-scale";
    parts.overview.append(view.matrix, view.scale);
    parts.detail.append(view.heads.element);
    Object.assign(view, twoMaps(parts.detail, ["clean", "clean"], ["adversarial", "attacked"]));
  },
  draw(run, sel, parts) {
    const view = this;
    const rows = asked(view, run, sel);
    const { heads } = run.shapes[sel.block];
    const { head, shape, clean, now, rollout } = looks(run, sel, rows);
    const options = [["mean", "Mean"], ...(rollout ? [["rollout", "Rollout"]] : [])];
    for (const h of range(heads)) options.push([h, heads > 4 ? String(h + 1) : `Head ${h + 1}`]);
    view.heads.fill(options, head);
    const patch = sel.patch >= 0 && rows.query === queryOf(run, sel);
    setHtml(
      view.query,
      `Query: <b>${escape(patch || !hasClassToken(run.shapes[0]) ? patchName(sel.patch, run.shapes[0].grid) : "class token")}</b>` +
        (sel.patch >= 0 && hasClassToken(run.shapes[0])
          ? ` <button type="button">back to class token</button>`
          : "") +
        (view.waiting ? ` <em>${view.waiting}</em>` : ""),
    );
    drawMatrix(view, run, sel, rows);
    const max = Math.max(
      ...sights(({ rows }) => rows).map(([each, its]) => {
        const { shape, clean, now } = looks(each, its, known(each, its));
        return largest([clean, now], shape.prefix);
      }),
    );
    const look = { shape, max, scale: rooted, unit: percent };
    drawMap(view.left, { ...look, picture: run.pictures[0], values: clean, title: "clean" });
    drawMap(view.right, {
      ...look,
      picture: run.pictures[sel.step],
      values: now,
      title: sel.step ? stepName(run, sel.step) : "step 0: same",
    });
    const name =
      head === "rollout"
        ? "rollout over all blocks"
        : `block ${sel.block + 1}, ${head === "mean" ? `mean of ${plural(heads, "head")}` : `head ${head + 1}`}`;
    setHtml(
      view.bar,
      `<span>${name}, both on one scale</span>${ramp(sequential, 0, 1, ["0", percent(max / 4), percent(max)])}`,
    );
    view.matrix.setAttribute(
      "aria-label",
      `Attention maps. ${name}. Arrow keys: left and right choose the block, up and down the head.`,
    );
    setHtml(parts.finding, attentionFinding(run, sel, rows, patch));
    parts.method.textContent =
      `Each map is one row of the softmax attention matrix: how the query ${patch ? "patch" : "token"} shares its attention out over the picture (sums to 100 % with the tokens beside the map). ` +
      (run.shapes.some((s) => s.queries)
        ? "In the class-attention blocks at the end only the class token asks. "
        : "") +
      `Colour goes with the square root of attention. Rollout multiplies (half attention, half identity) through all blocks, mean over heads. ` +
      `Attention tells where information is fetched, not why the model answers as it does.`;
  },
});

// The rows that are at hand for what is selected: those of the class token until others have come.
function known(run, sel) {
  const found = run.rows.asked.get(queryOf(run, sel));
  return found instanceof Rows ? found : run.rows.home;
}

// What the selected map shows, clean and now; a model without a rollout shows the mean instead.
function looks(run, { step, block, head: wanted }, rows) {
  const rollout = rows.frame(0).rollout !== null;
  const head = wanted === "rollout" && !rollout ? "mean" : wanted;
  const shape = head === "rollout" ? run.shapes[0] : run.shapes[block];
  const [clean, now] = [0, step].map((frame) => rows.read(frame, block, head));
  return { rollout, head, shape, clean, now };
}

const queryOf = (run, sel) =>
  sel.patch < 0 ? run.attention.query : run.shapes[0].prefix + sel.patch;

const GONE = "This run is no longer on the server. Press Run again.";
const ALONE = "What this patch looks at is kept by the Lab’s server, not in this file.";

// The rows of the selected query: at hand for the class token, fetched once for a patch.
function asked(view, run, sel) {
  const query = queryOf(run, sel);
  const { home, asked } = run.rows;
  view.waiting = "";
  if (query === home.query) return home;
  if (!view.server) {
    view.waiting = ALONE;
    return home;
  }
  const known = asked.get(query);
  if (known instanceof Rows) return (run.rows.latest = known);
  if (!known) {
    asked.set(query, "waiting");
    clearTimeout(view.asking);
    view.asking = setTimeout(() => {
      view.server
        .rows(JSON.stringify([run.run, query]))
        .then((slab) =>
          asked.set(query, slab && slab.frames ? new Rows(slab, run.shapes) : slab?.error || GONE),
        )
        .catch(() => asked.set(query, GONE))
        .finally(() => store.redraw()); // of two side by side both: their scale is one
    }, 60);
    for (const [key, value] of asked) if (value === "waiting" && key !== query) asked.delete(key);
  }
  view.waiting = typeof known === "string" && known !== "waiting" ? known : "asking the server …";
  return home;
}

const MATRIX_HEIGHT = 440;
const GAP = 2;

// The larger thumbnails win: clean above attacked, or beside it.
function arrange(width, depth, heads, both) {
  const [across, down] = [width / depth, MATRIX_HEIGHT / heads];
  const fit = (w, h) => Math.floor(clamp(Math.min(w, h), 10, 60));
  if (!both) {
    const side = fit(across - 2 * GAP, down - 2 * GAP);
    return { side, cell: side + 2 * GAP, tall: side + 2 * GAP, right: 0, down: 0 };
  }
  const stacked = fit(across - 2 * GAP, (down - 2 * GAP - 4) / 2);
  const beside = fit((across - 2 * GAP - 3) / 2, down - 2 * GAP);
  if (beside > 0.7 * stacked)
    return {
      side: beside,
      cell: 2 * beside + 2 * GAP + 3,
      tall: beside + 2 * GAP,
      right: beside + 1,
      down: 0,
    };
  return {
    side: stacked,
    cell: stacked + 2 * GAP,
    tall: 2 * stacked + 2 * GAP + 4,
    right: 0,
    down: stacked + 1,
  };
}

function drawMatrix(view, run, sel, rows) {
  const canvas = view.matrix.firstChild;
  const most = Math.max(...run.shapes.map((s) => s.heads));
  view.modes.set(sel.overview);
  const both = sel.overview === "both";
  const [x, y] = [46, 20];
  const width = view.matrix.clientWidth;
  const plan = arrange(width - x, run.depthOf, most, both);
  const { side, cell, tall } = plan;
  const height = y + most * tall + 4;
  view.layout = { x, y, cell, tall };
  view.matrix.style.height = `${height}px`;
  const context = sharp(canvas, width, height);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const ink = getComputedStyle(view.scale).color;
  const strong = getComputedStyle(view.root).color;
  context.font = `12px ${getComputedStyle(view.root).fontFamily}`;
  context.textAlign = "center";
  for (const block of range(run.depthOf)) {
    context.fillStyle = block === sel.block ? strong : ink;
    if (cell >= 18 || block % 2 === 0 || block === sel.block)
      context.fillText(String(block + 1), x + block * cell + cell / 2, 13);
  }
  context.textAlign = "right";
  for (const head of range(most)) {
    context.fillStyle = head === sel.head ? strong : ink;
    context.fillText(`head ${head + 1}`, x - 5, y + head * tall + tall / 2 + 4);
  }
  const changes = both ? [] : changed(run, sel, rows);
  const moved = both
    ? 0
    : Math.max(
        ...sights(({ rows }) => rows)
          .flatMap(([each, its]) => changed(each, its, known(each, its)))
          .map(({ most }) => most),
      );
  if (both)
    for (const block of range(run.depthOf))
      for (const head of range(run.shapes[block].heads)) {
        const [a, b] = [rows.head(0, block, head), rows.head(sel.step, block, head)];
        const shape = run.shapes[block];
        const max = largest([a, b], shape.prefix);
        const at = [x + block * cell + GAP, y + head * tall + GAP];
        thumbnail(context, shape, a, max, rooted, at[0], at[1], side);
        thumbnail(context, shape, b, max, rooted, at[0] + plan.right, at[1] + plan.down, side);
      }
  else
    for (const { block, head, change } of changes)
      thumbnail(
        context,
        run.shapes[block],
        change,
        moved,
        diverging,
        x + block * cell + GAP,
        y + head * tall + GAP,
        side,
      );
  const marker = view.matrix.lastChild;
  const one = typeof sel.head === "number";
  Object.assign(marker.style, {
    left: `${x + sel.block * cell}px`,
    top: `${one ? y + sel.head * tall : y}px`,
    width: `${cell}px`,
    height: `${one ? tall : most * tall}px`,
  });
  marker.hidden = sel.head === "rollout";
  setHtml(
    view.scale,
    both
      ? `<span>blocks across, heads down; ${plan.down ? "above" : "left"} clean, ${plan.down ? "below" : "right"} ${escape(stepName(run, sel.step))}; each pair on its own scale</span>`
      : `<span>attacked minus clean, one scale for all</span>${ramp(diverging, -1, 1, [`−${percent(moved)}`, "0", `+${percent(moved)}`])}`,
  );
}

// By how much each head's row has changed since the clean picture, and the most that a patch has.
function changed(run, sel, rows) {
  return range(run.depthOf).flatMap((block) =>
    range(run.shapes[block].heads).map((head) => {
      const [a, b] = [rows.head(0, block, head), rows.head(sel.step, block, head)];
      const change = b.map((v, i) => v - a[i]);
      const { prefix } = run.shapes[block];
      return { block, head, change, most: largest([change, change.map((v) => -v)], prefix) };
    }),
  );
}

function thumbnail(context, { prefix, grid }, values, max, scale, x, y, side) {
  const [rows, columns] = grid;
  const image = new ImageData(columns, rows);
  const colour = colourOf(scale);
  for (let i = 0; i < rows * columns; i++) {
    image.data.set(colour(max > 0 ? values[prefix + i] / max : 0), i * 4);
    image.data[i * 4 + 3] = 255;
  }
  const small = (thumbnail.canvas ??= document.createElement("canvas"));
  small.width = columns;
  small.height = rows;
  small.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, x, y, side, side);
}

function attentionFinding(run, sel, rows, patch) {
  const who = patch || !hasClassToken(run.shapes[0]) ? "this patch" : "the class token";
  if (sel.step === 0) {
    const { narrow, wide } = rows;
    return `On the clean picture ${who} looks most narrowly in block ${narrow.block + 1} (${narrow.bits.toFixed(1)} bits of entropy, mean over heads) and most widely in block ${wide.block + 1} (${wide.bits.toFixed(1)} bits).`;
  }
  const { block, head, share, noise, bits } = rows.turned(sel.step);
  return (
    `The attack moves ${who}’s attention most in <button type="button" class="lab-jump" data-select='{"block":${block},"head":${head}}'>block ${block + 1}, head ${head + 1}</button>: ` +
    `${percent(share)} of it goes to other tokens (random noise of equal size: ${percent(noise)}), ` +
    `and its entropy goes from ${bits[0].toFixed(1)} to ${bits[1].toFixed(1)} bits.`
  );
}
