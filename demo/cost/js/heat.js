// Layer x column, columns by rank on a log axis: the edge of the warm colour is the count.

import { choices, setHtml } from "../../kit/js/dom.js";
import { css, diverging, ramp, sharp } from "../../kit/js/draw.js";
import { clamp } from "../../kit/js/numbers.js";
import { NAMES, now, ROLES, store, thousands } from "./store.js";

const [TOP, LEFT, RIGHT, FOOT] = [4, 34, 14, 34];
const ORDERS = { own: "each picture’s largest first", clean: "clean picture’s order" };
const AXIS = { own: "largest first", clean: "in the clean picture’s order" };
const TICKS = [0.01, 0.1, 1];

export function heat(root) {
  root.innerHTML =
    `<h2>Layer × column: where the colour turns warm, columns leave int8</h2><div class="lab-tools"></div>` +
    `<div class="cost-three cost-heats">` +
    ROLES.map(
      (role) =>
        `<figure class="cost-heat" data-role="${role}"><figcaption><b class="lab-${role}"></b></figcaption><canvas role="img"></canvas></figure>`,
    ).join("") +
    `</div><div class="lab-scale"></div>`;
  const { element, set } = choices(
    "Order of columns",
    Object.entries(ORDERS),
    store.sel.order,
    (order) => store.select({ order }),
  );
  root.querySelector(".lab-tools").append(element);
  for (const canvas of root.querySelectorAll("canvas"))
    canvas.addEventListener("click", (event) => pick(canvas, event));
  setHtml(
    root.querySelector(".lab-scale"),
    `<span>largest |input| of a column, divided by the threshold; a row is a linear layer, in the order of a pass</span>${ramp(edged, -1, 1, ["¼", "1", "4"])}`,
  );
  return (run) => {
    set(store.sel.order);
    for (const role of ROLES) draw(root.querySelector(`[data-role="${role}"]`), run, role);
  };
}

function pick(canvas, event) {
  const { top, height } = canvas.getBoundingClientRect();
  const rows = store.shown.layers.length;
  const row = Math.floor(((event.clientY - top - TOP) / (height - FOOT - TOP)) * rows);
  if (row >= 0 && row < rows) store.select({ layer: row === store.sel.layer ? -1 : row });
}

// One octave is half of the scale; the colour jumps at the threshold, so that its edge is a count.
const warmth = (value) =>
  value > 0 ? clamp(Math.log2(value / store.sel.threshold) / 2, -1, 1) : -1;
const edged = (v) => diverging(v < 0 ? 0.9 * v - 0.1 : 0.45 + 0.55 * v);

function draw(figure, run, role) {
  const { layers, bins, sweep } = run;
  figure.querySelector("b").textContent =
    `${NAMES[role]}: ${thousands(sweep.totals[role][now()])} columns`;
  const canvas = figure.querySelector("canvas");
  canvas.setAttribute(
    "aria-label",
    `${NAMES[role]}: size of each layer’s columns against the threshold`,
  );
  const width = figure.clientWidth;
  if (!width) return;
  const tall = clamp(Math.round(300 / layers.length), 5, 10);
  const height = tall * layers.length + FOOT + TOP;
  canvas.style.height = `${height}px`;
  const context = sharp(canvas, width, height);
  const rows = bins[store.sel.order][role];
  const count = rows[0].length;
  const x = (i) => LEFT + ((width - LEFT - RIGHT) * i) / count;
  rows.forEach((row, layer) =>
    row.forEach((value, i) => {
      context.fillStyle = css(edged(warmth(value)));
      context.fillRect(x(i), TOP + layer * tall, x(i + 1) - x(i) + 0.6, tall - (tall > 6 ? 1 : 0));
    }),
  );
  axes(context, run, {
    width,
    tall,
    x: (share) => x(count * (1 - Math.log(share) / Math.log(bins.least))),
  });
  if (store.sel.layer < 0) return;
  context.lineWidth = 1.5;
  context.strokeStyle = context.fillStyle;
  context.strokeRect(LEFT - 1, TOP - 0.5 + store.sel.layer * tall, width - LEFT - RIGHT + 2, tall);
}

// Blocks down the side, shares of a layer's columns below.
function axes(context, { layers, blocks }, { width, tall, x }) {
  const style = getComputedStyle(context.canvas);
  context.font = `12px ${style.fontFamily}`;
  context.fillStyle = style.color;
  context.textAlign = "right";
  context.textBaseline = "middle";
  const every = Math.max(1, Math.ceil((15 * blocks) / (tall * layers.length)));
  layers.forEach(({ block }, row) => {
    if (block !== layers[row - 1]?.block && block % every === 0)
      context.fillText(String(block + 1), LEFT - 6, TOP + row * tall + tall / 2 + 2);
  });
  context.textAlign = "center";
  const foot = TOP + tall * layers.length;
  for (const share of TICKS)
    context.fillText(`${100 * share} %`, x(share) - (share === 1 ? 6 : 0), foot + 9);
  context.fillText(
    `share of a layer’s columns, ${AXIS[store.sel.order]}`,
    (width + LEFT) / 2,
    foot + 25,
  );
  context.save();
  context.translate(8, foot / 2);
  context.rotate(-Math.PI / 2);
  context.fillText("block", 0, 0);
  context.restore();
}
