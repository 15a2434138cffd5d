// The five likeliest answers, without tokens and with them: to the clean picture, and to the attacked one.

import { bars } from "../../kit/js/bars.js";
import { part, setHtml } from "../../kit/js/dom.js";
import { escape, percent } from "../../kit/js/format.js";
import { attackWords, missing, MODELS, present, store, threatOf } from "./store.js";
import { figures } from "./threats.js";

export function answers(root) {
  root.innerHTML = `<h2>What both models answer</h2>`;
  const two = part("div", "report-two");
  two.append(part("div"), part("div"));
  const about = part("p", "lab-muted");
  root.append(two, about);
  return (run) => {
    if (!present(root, run.clean)) return;
    const threat = threatOf(run);
    const { goal } = store.sel;
    const shot = threat[goal];
    const [left, right] = two.children;
    setHtml(left, `<p><b>Clean</b></p>${list(run.clean)}`);
    setHtml(
      right,
      `<p><b>Attacked</b> <em>${escape(attackWords(threat, goal))}</em></p>` +
        (shot ? list(shot) : missing(run)),
    );
    setHtml(about, shot ? ownOf(shot) : "");
  };
}

// The paper compares a model with itself.
const ownOf = (shot) =>
  `The attacked feature’s cosine with the same model’s own clean one, as the paper measures: ` +
  `${figures(shot.public.own)} without tokens, ${figures(shot.private.own)} with them.`;

// Classes that are among either model's five, the likeliest first; what is not told is too small to be.
function list(shot) {
  const models = Object.entries(MODELS);
  const rows = shot.top.map(({ name, ...likely }) => ({
    name,
    bars: models.map(([model, [, role]]) => [role, likely[model] ?? 0, said(likely[model])]),
  }));
  return bars(rows, 1);
}

const said = (p) => (p === null ? "below its five" : percent(p));
