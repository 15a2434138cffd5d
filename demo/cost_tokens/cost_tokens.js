// The tokens room of Cost: what an attack costs a model that lets tokens sleep. One step, one block
// and one patch move all views.

import { boardOf } from "../kit/js/board.js";
import { counts, halting } from "./js/counts.js";
import { batch, defence, elsewhere } from "./js/others.js";
import { path } from "./js/path.js";
import { pictures } from "./js/pictures.js";
import { price } from "./js/price.js";
import { prepare, store } from "./js/store.js";
import { switches } from "./js/switches.js";
import { findings } from "./js/words.js";

export const { select, selection, on } = store;

export const { mount, board, choose } = boardOf({
  store,
  prepare,
  views: { findings, pictures, path, counts, halting, switches, price, elsewhere, batch, defence },
  layout:
    `<div data-part="findings"></div><div data-part="pictures"></div>` +
    `<div class="report-two"><div data-part="path"></div><div data-part="counts"></div></div>` +
    `<div data-part="switches"></div><div data-part="halting"></div>` +
    `<div class="report-files" role="group" aria-label="Downloads"></div>`,
  empty: "Press Run to see which tokens a model lets sleep, and which of them an attack wakes.",
  files: { png: "Adversarial PNG", csv: "Blocks CSV", json: "Report JSON" },
  parts: ["picture", "model", "attack", "eps", "steps"],
});
