// The Cost page: what an attack costs an int8 model. One threshold and one layer move all views.

import { arrive } from "../kit/js/arrive.js";
import { download } from "../kit/js/dom.js";
import { bytesOf, plain } from "../kit/js/packing.js";
import { batch } from "./js/batch.js";
import { heat } from "./js/heat.js";
import { layers } from "./js/layers.js";
import { ahead, chosen, note, watchRun } from "./js/note.js";
import { price } from "./js/price.js";
import { sayTakenBack } from "./js/refused.js";
import { prepare, store } from "./js/store.js";
import { tokens } from "./js/tokens.js";
import { findings, threshold } from "./js/words.js";

export const { select, selection, on } = store;

const EMPTY =
  "Press Run to see which columns of an int8 model an attack pushes into high precision, and what that costs.";
const FILES = {
  png: ["Adversarial PNG", "image/png"],
  csv: ["Layers CSV", "text/csv;charset=utf-8"],
  json: ["Report JSON", "application/json"],
};
const VIEWS = { findings, threshold, tokens, layers, heat, price, batch };

// The linked view of that name, in an element of its own.
export function mount(name, element) {
  const root = element.querySelector("section") ?? element;
  const draw = VIEWS[name](root);
  store.view(name, root, () => store.shown && draw(store.shown));
}

// The board: findings, threshold, pictures, layers, columns. Its value is the latest message.
export function board(element, props, watch) {
  const root = element.querySelector("section");
  const bill = element.closest("#bill");
  const buttons = Object.entries(FILES).map(
    ([kind, [name]]) =>
      `<button type="button" class="lab-reset" data-file="${kind}">${name}</button>`,
  );
  root.innerHTML =
    `<p class="lab-empty">${EMPTY}</p><div class="cost-board"><p class="cost-note" role="status" hidden></p>` +
    `<div data-part="findings"></div>` +
    `<div class="cost-files" role="group" aria-label="Downloads">${buttons.join("")}</div>` +
    `<div class="cost-threshold" data-part="threshold"></div>` +
    `<div data-part="tokens"></div><div data-part="layers"></div><div data-part="heat"></div></div>`;
  root
    .querySelector(".cost-files")
    .addEventListener("click", ({ target }) => save(target.dataset.file));
  for (const part of root.querySelectorAll("div[data-part]")) mount(part.dataset.part, part);
  const tell = () => note(root.querySelector(".cost-note"), bill);
  const receive = () => {
    if (take(plain(props.value))) arrive(root);
    root.dataset.state = bill.dataset.state = store.shown ? "run" : "empty";
    tell();
  };
  watch("value", receive);
  receive();
  watchRun(tell);
  sayTakenBack(document.querySelector("#cost #recipe"));
}

// What the controls stand for now.
export function choose(props, watch) {
  watch("value", () => chosen(JSON.parse(props.value)));
}

// Messages: working (a run is under way), report (all that is known of it), restore. Gives whether
// this is the first report of a run that was asked for here.
function take(message) {
  if (!message) return false;
  ahead(message.kind === "working" ? message.choice : null);
  if (message.kind === "working" && store.shown) store.begin(store.shown);
  if (message.kind === "restore") store.fail();
  if (message.kind !== "report") return false;
  const asked = !message.earlier && message.run !== store.shown?.run;
  if (message.earlier) store.keep(prepare(message));
  else store.end(prepare(message));
  return asked;
}

function save(kind) {
  if (!kind) return;
  const { stem, [kind]: content } = store.shown.files;
  download(`${stem}.${kind}`, kind === "png" ? bytesOf(content) : content, FILES[kind][1]);
}
