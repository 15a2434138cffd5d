// Which tokens carry outliers: in the layer looked at, or in how many of all layers.

import { setHtml } from "../../kit/js/dom.js";
import { ramp, sequential } from "../../kit/js/draw.js";
import { escape, plural, probability, short } from "../../kit/js/format.js";
import { drawMap } from "../../kit/js/map.js";
import { layerName, NAMES, naming, now, ROLES, rowOf, store } from "./store.js";

const ALL = `<button type="button" class="lab-reset" data-all>all layers</button>`;

export function tokens(root) {
  root.innerHTML =
    `<h2></h2><div class="cost-three cost-pictures">` +
    ROLES.map(
      (role) =>
        `<figure class="cost-picture" data-role="${role}"><figcaption><b class="lab-${role}"></b><span></span></figcaption>` +
        `<div class="lab-stack"><canvas role="img"></canvas></div><div class="lab-prefix"></div></figure>`,
    ).join("") +
    `</div><div class="lab-scale"></div>`;
  root.addEventListener("click", ({ target }) => {
    if (target.closest("[data-all]")) store.select({ layer: -1 });
  });
  return (run) => draw(root, run);
}

function draw(root, run) {
  const { layer, threshold } = store.sel;
  const known = ROLES.every((role) => run.sweep.reach[role]) && run.grid;
  const values = Object.fromEntries(
    ROLES.map((role) => [role, known ? valuesOf(run, role) : null]),
  );
  const least = layer < 0 ? 1 : threshold;
  const most = known ? Math.max(least, ...ROLES.flatMap((role) => values[role])) : 1;
  setHtml(root.querySelector("h2"), title(run, known));
  setHtml(root.querySelector(".lab-scale"), scale(run, known, most));
  for (const role of ROLES) {
    const figure = root.querySelector(`[data-role="${role}"]`);
    const { answer, p, image } = run.seen[role];
    const carriers = known ? rowOf(run.sweep.carriers[role], now())[layer + 1] : 0;
    figure.querySelector("span").textContent =
      `${answer} ${probability(p)}` +
      (known ? ` · ${carriers} of ${plural(values[role].length, "token")}` : "");
    drawMap(figure, {
      title: NAMES[role],
      label: `${NAMES[role]}: ${carriers} tokens carry outliers`,
      picture: image,
      ...(known && {
        shape: run,
        values: values[role],
        max: most,
        marks: layer < 0 ? null : values[role].map((value) => value >= threshold),
      }),
    });
  }
}

const valuesOf = ({ sweep, seen }, role) =>
  store.sel.layer < 0
    ? rowOf(sweep.reach[role], now())
    : Array.from(seen[role].tokens[store.sel.layer]);

function title({ layers }, known) {
  if (!known) return "The pictures";
  if (store.sel.layer < 0) return "Tokens that carry outliers, over all layers";
  return `Tokens that carry outliers, ${escape(layerName(layers[store.sel.layer]))} ${ALL}`;
}

function scale({ layers }, known, most) {
  const at = naming(store.sel.threshold);
  if (!known)
    return "This model’s tokens change between stages or stay in windows: no map over the picture.";
  const [said, end] =
    store.sel.layer < 0
      ? [`in how many of the ${layers.length} layers a token reaches ${at}`, String(most)]
      : [`largest |input| of a token; framed tokens reach ${at}`, short(most)];
  return `<span>${said}</span>${ramp(sequential, 0, 1, ["0", end])}`;
}
