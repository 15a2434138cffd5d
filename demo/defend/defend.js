// Defend: how much of a change each model withstands, over photographs and on one picture. One budget
// moves both charts and all pictures.

import { boardOf } from "../kit/js/board.js";
import { here, over } from "./js/curves.js";
import { pictures } from "./js/pictures.js";
import { prepare, store } from "./js/store.js";
import { findings } from "./js/words.js";

export { measured } from "./js/store.js";
export const { select, selection, on } = store;

export const { mount, board, choose } = boardOf({
  store,
  prepare,
  views: { findings, over, here, pictures },
  layout:
    `<div data-part="findings"></div>` +
    `<div class="report-two"><div data-part="over"></div><div data-part="here"></div></div>` +
    `<div data-part="pictures"></div>` +
    `<div class="report-files" role="group" aria-label="Downloads"></div>`,
  empty: "Press Run to see how large a change each model withstands.",
  files: { png: "Last picture PNG", csv: "Budgets CSV", json: "Report JSON" },
  parts: ["picture", "model", "attack", "steps"],
});
