// The masked room of Why: what a softmax does to the gradient an attack follows. One multiple of the
// scores, one block and one head move all views.

import { boardOf } from "../kit/js/board.js";
import { dial } from "./js/dial.js";
import { ascent, factors } from "./js/factors.js";
import { gaps } from "./js/gaps.js";
import { largest, shares } from "./js/leads.js";
import { outcomes } from "./js/outcomes.js";
import { directions, norms } from "./js/slopes.js";
import { prepare, store } from "./js/store.js";
import { findings } from "./js/words.js";

export const { select, selection, on } = store;

const two = (...names) =>
  `<div class="report-two">${names.map((name) => `<div data-part="${name}"></div>`).join("")}</div>`;

export const { mount, board, choose } = boardOf({
  store,
  prepare,
  views: {
    dial,
    findings,
    gaps,
    largest,
    shares,
    norms,
    directions,
    factors,
    ascent,
    outcomes,
  },
  layout:
    `<div data-part="dial"></div><div data-part="findings"></div><div data-part="gaps"></div>` +
    two("largest", "shares") +
    two("directions", "norms") +
    `<div data-part="outcomes"></div>` +
    two("factors", "ascent") +
    `<div class="report-files" role="group" aria-label="Downloads"></div>`,
  empty: "Press Run to see whether this model hides the gradient that an attack follows.",
  files: { csv: "Blocks CSV", json: "Report JSON" },
  parts: ["picture", "model", "eps", "steps", "per"],
});
