// What each model is shown at the budget looked at, and what it says.

import { choices, part, setHtml } from "../../kit/js/dom.js";
import { sharp } from "../../kit/js/draw.js";
import { escape, percent } from "../../kit/js/format.js";
import { budgets, lookOf, store, tryAt } from "./store.js";

export function pictures(root) {
  root.innerHTML = `<h2></h2>`;
  const which = choices("Largest change of a pixel, in 255ths", [], 0, (eps) =>
    store.select({ eps: Number(eps) }),
  );
  const row = part("div", "def-pictures");
  root.append(which.element, row);
  return (run) => {
    const { eps } = store.sel;
    setHtml(root.firstChild, eps ? `Changed by at most ${eps}/255` : "Untouched");
    which.fill(
      budgets(run).map((each) => [each, each ? `${each}/255` : "untouched"]),
      eps,
    );
    if (row.children.length !== run.models.length) row.replaceChildren(...run.models.map(figure));
    run.models.forEach((model, i) => drawn(row.children[i], model, eps, run));
  };
}

function figure() {
  const made = part("figure", "def-figure");
  made.innerHTML = `<figcaption></figcaption><canvas role="img"></canvas><p></p>`;
  return made;
}

function drawn(made, model, eps, run) {
  const { role } = lookOf(model);
  const now = tryAt(model, eps);
  const [caption, canvas, words] = made.children;
  setHtml(
    caption,
    `<span class="lab-dot lab-bg-${role}"></span><b>${escape(model.title)}</b> <em>${where(model, now, run)}</em>`,
  );
  setHtml(words, said(model, now, eps));
  made.dataset.fooled = now.fooled ? "yes" : "no";
  canvas.setAttribute("aria-label", `${model.title}: ${made.innerText.replaceAll("\n", " ")}`);
  const size = canvas.clientWidth;
  if (!size || !now.image.canvas) return;
  const context = sharp(canvas, size, size);
  context.imageSmoothingEnabled = size < now.image.canvas.width;
  context.drawImage(now.image.canvas, 0, 0, size, size);
}

function where(model, now, run) {
  if (model.falls === 0) return "wrong from the start";
  if (now.fooled) return `fell at ${model.falls}/255`;
  return run.whole || model.falls !== null ? "stands" : "stands so far";
}

function said(model, now, eps) {
  const answer = now.fooled
    ? `<b class="lab-adversarial">“${escape(now.answer)}”</b>`
    : `“${escape(now.answer)}”`;
  const sure = `${percent(now.p)} for “${escape(model.called)}”`;
  const lent =
    model.borrowed && model.misled && model.borrowed.eps <= eps && !now.fooled
      ? `<br><em>but fooled by ${escape(model.borrowed.maker)}’s picture of ${model.borrowed.eps}/255</em>`
      : "";
  return `${answer}, <em>${sure}</em>${lent}`;
}
