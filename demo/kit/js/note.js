// Whether what stands there is what Run would give now, and in what the two differ.

import { setHtml } from "./dom.js";
import { escape } from "./format.js";

let choice = null; // what the controls stand for; null until one has been touched
let working = null; // what a run under way is of
let pressed = false; // whether Run was pressed and nothing has come of it
let failed = false; // whether the last Run ended in an error
let changed = () => {};

// A message has come: of a run under way, which is of that, or of its end.
export function ahead(of) {
  working = of;
  failed = false;
}

export function chosen(value) {
  choice = value;
  changed();
}

const inWords = (of, keys) =>
  keys
    .filter((key) => of[key])
    .map((key) => `<b>${escape(of[key])}</b>`)
    .join(", ");

// The line over the board of a report of the choice `shown`, whose words are under the keys `parts`;
// `report` is marked where it is older than the controls.
export function note(line, report, shown, parts) {
  const next = working || choice;
  const twins = next && shown.picture === next.picture && shown.source !== next.source;
  const apart = next
    ? parts.filter((key) => shown[key] !== next[key] || (key === "picture" && twins))
    : [];
  const now = inWords(shown, apart);
  const then = next && inWords(next, apart) + (twins ? " (another picture of that name)" : "");
  const said = working
    ? `At work on ${then || "the same again"}. Until it reports, this is of ${now || "the run before"}.`
    : failed
      ? `The last Run failed. What stands here is still of ${inWords(shown, parts)}.`
      : apart.length
        ? `What stands here is of ${now || "less"}. Run will do ${then || "the rest alone"}.`
        : "";
  setHtml(line, said);
  line.hidden = !said;
  report.dataset.old = said ? "yes" : "";
}

// Run, and the line beside it, which says how that ended; gradio may lay them out after the board.
export function watchRun(store, tell) {
  changed = tell;
  const [line, run] = ["#status", "#run"].map((each) => document.querySelector(each));
  if (!line || !run) return void setTimeout(watchRun, 100, store, tell);
  run.addEventListener("click", () => (pressed = true));
  store.on("result", () => (pressed = false));
  new MutationObserver(() => {
    if (!pressed || failed || !line.querySelector('[data-kind="error"]')) return;
    failed = true;
    tell();
  }).observe(line, { childList: true, subtree: true, characterData: true, attributes: true });
}
