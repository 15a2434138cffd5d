// The tokens room of Defend: what robustness tokens keep of feature and answer, against attackers who
// know the tokens and those who do not. One threat, one aim and one block move all views.

import { boardOf } from "../kit/js/board.js";
import { answers } from "./js/answers.js";
import { attention, heads, kept, largest, outliers } from "./js/blocks.js";
import { curve } from "./js/curve.js";
import { prepare, store } from "./js/store.js";
import { threats } from "./js/threats.js";
import { findings } from "./js/words.js";

export const { select, selection, on } = store;

const two = (...names) =>
  `<div class="report-two">${names.map((name) => `<div data-part="${name}"></div>`).join("")}</div>`;

export const { mount, board, choose } = boardOf({
  store,
  prepare,
  views: { findings, curve, threats, answers, attention, heads, largest, outliers, kept },
  layout:
    `<div data-part="findings"></div><div data-part="curve"></div><div data-part="threats"></div>` +
    `<div data-part="answers"></div>` +
    two("attention", "heads") +
    `<div data-part="largest"></div>` +
    two("outliers", "kept") +
    `<div class="report-files" role="group" aria-label="Downloads"></div>`,
  empty: "Press Run to see what robustness tokens keep, and against whom.",
  files: { png: "Attacked PNG", csv: "Threats CSV", json: "Report JSON" },
  parts: ["picture", "model", "tokens", "eps", "steps"],
});
