// The Cost page: what an attack costs an int8 model. One threshold and one layer move all views.

import { boardOf } from "../kit/js/board.js";
import { batch } from "./js/batch.js";
import { heat } from "./js/heat.js";
import { layers } from "./js/layers.js";
import { price } from "./js/price.js";
import { prepare, store } from "./js/store.js";
import { tokens } from "./js/tokens.js";
import { findings, threshold } from "./js/words.js";

export const { select, selection, on } = store;

export const { mount, board, choose } = boardOf({
  store,
  prepare,
  views: { findings, threshold, tokens, layers, heat, price, batch },
  layout:
    `<div data-part="findings"></div><div class="report-files" role="group" aria-label="Downloads"></div>` +
    `<div class="cost-threshold" data-part="threshold"></div>` +
    `<div data-part="tokens"></div><div data-part="layers"></div><div data-part="heat"></div>`,
  empty:
    "Press Run to see which columns of an int8 model an attack pushes into high precision, and what that costs.",
  files: { png: "Adversarial PNG", csv: "Layers CSV", json: "Report JSON" },
  parts: ["picture", "model", "attack", "eps", "steps", "threshold"],
});
