// The positive control in a visitor's hand: what every score is multiplied by, and what that does.

import { setHtml } from "../../kit/js/dom.js";
import { escape, percent, plural, probability, short } from "../../kit/js/format.js";
import { outcomeOf, rungOf, store } from "./store.js";

const LIMIT = "float32 rounds";

export function dial(root) {
  root.innerHTML =
    `<div class="mask-dial"><label for="mask-c">Scores × <b></b><em></em></label>` +
    `<input id="mask-c" type="range" min="0" step="1"><div class="mask-stops"></div></div>` +
    `<dl class="mask-tiles"></dl>`;
  const [box, tiles] = root.children;
  const [label, slider, stops] = box.children;
  const go = (rung) => store.select({ rung });
  slider.addEventListener("input", () => {
    go(Number(slider.value));
    slider.value = store.sel.rung; // what has not been measured cannot be chosen
  });
  stops.addEventListener("click", ({ target }) => {
    const stop = target.closest("[data-rung]");
    if (stop) go(Number(stop.dataset.rung));
  });
  return (run) => {
    const { rung: at } = store.sel;
    const rung = rungOf(run);
    slider.max = run.cs.length - 1;
    slider.value = at;
    slider.setAttribute("aria-valuetext", `scores times ${short(rung.c)}`);
    label.querySelector("b").textContent = short(rung.c);
    label.querySelector("em").textContent =
      rung.c === 1 ? "the model as it is; slide to mask it" : "a softmax made harder, on purpose";
    setHtml(
      stops,
      run.cs
        .map(
          (c, i) =>
            `<button type="button" tabindex="-1" data-rung="${i}" ${i === at ? 'aria-current="true"' : ""} ` +
            `${i < run.rungs.length ? "" : "disabled"} style="left:${(100 * i) / (run.cs.length - 1)}%">${short(c)}</button>`,
        )
        .join(""),
    );
    setHtml(tiles, [...seen(run, rung), ...attacks(run, rung)].map(tile).join(""));
  };
}

const tile = ({ name, role, value, note, state = "" }) =>
  `<div data-state="${state}"><dt>${role ? `<i class="lab-swatch lab-bg-${role}"></i>` : ""}${escape(name)}</dt>` +
  `<dd><b>${escape(value)}</b><small>${escape(note)}</small></dd></div>`;

// What the clean picture shows, over all blocks and heads.
function seen(run, rung) {
  const share = rung.gaps.clean.past[LIMIT].at(-1).at(-1);
  const along = rung.aligned.at(-1);
  return [
    {
      name: "Rows too sure for float32",
      value: percent(share),
      note: `lead by ${run.thresholds[LIMIT]} or more`,
    },
    {
      name: "Aim of the gradient",
      value: along === null ? "none" : along.toFixed(2).replace("-", "−"),
      note: rung.c === 1 ? "the yardstick" : "cosine with that at c = 1",
    },
  ];
}

function attacks(run, rung) {
  const asked = [
    ["Attack: own gradient", "adversarial", "base"],
    ["Attack: scores × 1/c", "undone", "undone"],
    ["Attack: AAS factors", "aas", "aas"],
  ];
  return asked.map(([name, role, of]) => ({ name, role, ...fate(run, rung, of) }));
}

function fate(run, rung, name) {
  if (!rung.right)
    return { value: "wrong already", note: `says “${rung.answer}” to the clean one` };
  if (name === "undone" && rung.c === 1) return { value: "–", note: "nothing to undo" };
  const found = outcomeOf(rung, name);
  if (!found) return { value: "…", note: rung.whole ? "was not tried" : "not tried yet" };
  return found.fooled
    ? { value: "fooled", note: `after ${plural(found.gradients, "gradient")}`, state: "fooled" }
    : {
        value: "not fooled",
        note: `“${run.label}” keeps ${probability(found.p)}`,
        state: "stands",
      };
}
