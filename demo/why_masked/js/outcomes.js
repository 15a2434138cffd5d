// What each attack does to the model, made on what, and for how many gradients.

import { setHtml } from "../../kit/js/dom.js";
import { escape, plural, probability, short } from "../../kit/js/format.js";
import { ROLES, rungOf } from "./store.js";

const HEADS = ["fools it", "answer", "p of the label", "fools what it was made on", "gradients"];

export function outcomes(root) {
  return (run) => {
    const rung = rungOf(run);
    const rows = rung.outcomes.map(
      (each) =>
        `<tr><th scope="row"><i class="lab-swatch lab-bg-${ROLES[each.name]}"></i>${escape(each.title)}` +
        `${each.factor === null ? "" : ` <em>× ${short(each.factor)}</em>`}</th>` +
        `<td>${yes(each.fooled)}</td><td class="mask-answer">${escape(each.answer)}</td><td>${probability(each.p)}</td>` +
        `<td>${yes(each.fooled_scaled)}</td><td>${each.gradients}</td></tr>`,
    );
    setHtml(
      root,
      `<h2>Which gradient fools this model, scores × ${short(rung.c)}?</h2>` +
        (rows.length ? table(rows) : `<p class="lab-muted">No attack has been tried yet.</p>`) +
        `<p class="lab-muted">Clean it says “${escape(rung.answer)}”, and “${escape(run.label)}” has ${probability(rung.p)}. ` +
        `Each is PGD of ${plural(run.steps, "step")}, at most ${short(run.eps)}/255 a pixel, until the saved 8-bit picture fools ` +
        `this model, without any factor; what it says to the model that it was made on, factors and all, stands beside it. ` +
        `Gradients that learn factors are counted, too. One picture shows how it works; how often, the study below counts.</p>`,
    );
  };
}

const yes = (is) => (is ? '<b class="mask-yes">yes</b>' : "no");

const table = (rows) =>
  `<div class="report-scroll" tabindex="0" role="region" aria-label="Attacks"><table class="mask-outcomes"><thead><tr>` +
  `<th scope="col">made on</th>${HEADS.map((each) => `<th scope="col">${each}</th>`).join("")}</tr></thead>` +
  `<tbody>${rows.join("")}</tbody></table></div>`;
