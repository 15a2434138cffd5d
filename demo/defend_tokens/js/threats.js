// The threat models side by side: what each attacker made of the picture, and what is left of feature and
// answer, without tokens and with them.

import { choices, part, setHtml } from "../../kit/js/dom.js";
import { sharp } from "../../kit/js/draw.js";
import { escape, percent, short } from "../../kit/js/format.js";
import { swatches } from "../../kit/js/legend.js";
import { clamp } from "../../kit/js/numbers.js";
import { GOALS, missing, MODELS, present, store, threatOf } from "./store.js";

export function threats(root) {
  root.innerHTML = `<h2>Who attacks, and what is left</h2>`;
  const goal = choices("What attacks aim at", aims(), store.sel.goal, (to) =>
    store.select({ goal: to }),
  );
  const tools = part("div", "lab-tools");
  tools.append("Attacks aim at", goal.element);
  tools.insertAdjacentHTML("beforeend", swatches(Object.values(MODELS).map(([w, r]) => [r, w])));
  const row = part("div", "rob-threats");
  row.addEventListener("click", ({ target }) => {
    const name = target.closest("figure")?.dataset.threat;
    if (name) store.select({ threat: name });
  });
  const foot = part("p", "lab-muted");
  const which = choices("Threat that is looked into below", [], "", (threat) =>
    store.select({ threat }),
  );
  const below = part("div", "lab-tools");
  below.append("Looked into below", which.element);
  root.append(tools, row, foot, below);
  return (run) => {
    if (!present(root, run.clean)) return;
    goal.set(store.sel.goal);
    const all = [{ name: "", title: "Clean", knows: "nobody attacks" }, ...run.threats];
    if (row.children.length !== all.length) row.replaceChildren(...all.map(figure));
    all.forEach((each, i) => drawn(row.children[i], each, run));
    which.fill(
      run.threats.map(({ name, title }) => [name, title]),
      threatOf(run).name,
    );
    setHtml(foot, footOf(run));
  };
}

const aims = () => Object.entries(GOALS);

function figure() {
  const made = part("figure", "rob-threat");
  made.innerHTML = `<figcaption></figcaption><canvas role="img"></canvas><div></div>`;
  return made;
}

function drawn(made, each, run) {
  const shot = each.name ? each[store.sel.goal] : run.clean;
  const [caption, canvas, told] = made.children;
  made.dataset.threat = each.name;
  made.dataset.chosen = threatOf(run) === each ? "yes" : "";
  setHtml(caption, `<b>${escape(each.title)}</b><em>${escape(each.knows)}</em>`);
  setHtml(
    told,
    shot
      ? Object.keys(MODELS)
          .map((model) => half(model, shot[model], run))
          .join("")
      : missing(run),
  );
  canvas.setAttribute("aria-label", `The picture, ${each.title}`);
  const size = canvas.clientWidth;
  if (!size) return;
  const context = sharp(canvas, size, size);
  if (!shot?.image.canvas) return;
  context.imageSmoothingEnabled = size < shot.image.canvas.width;
  context.drawImage(shot.image.canvas, 0, 0, size, size);
}

// What is left of feature and answer in one model.
function half(model, { kept, answer, p, fooled }) {
  const [words, role] = MODELS[model];
  const width = 100 * clamp(kept, 0, 1);
  return (
    `<div class="rob-half" data-fooled="${fooled ? "yes" : "no"}"><span class="lab-hidden">${words}: cosine </span>` +
    `<i class="rob-bar"><i class="lab-bg-${role}" style="width:${width.toFixed(1)}%"></i></i><b>${figures(kept)}</b>` +
    `<p>“${escape(answer)}” <em>${percent(p)}</em></p></div>`
  );
}

export const figures = (cosine) => cosine.toFixed(2).replace("-", "−");

const footOf = ({ label, eps, steps, whole }) =>
  `Bars: cosine of the feature with that of the clean picture without tokens, 1 is the same. ` +
  `● has lost the answer “${escape(label)}”, ○ has kept it; % is what the answer given gets. ` +
  `Every attack takes ${steps} steps and changes no pixel by more than ${short(eps)}/255; all is judged on the saved 8-bit picture.` +
  ` In the <a href=".">Lab</a> tokens can be put on a model under any attack.` +
  (whole ? "" : " More follows.");
