// What was found, in the words that were worked out with the numbers.

import { setHtml } from "../../kit/js/dom.js";
import { escape } from "../../kit/js/format.js";

export function findings(root) {
  root.innerHTML = `<p class="report-finding"></p><p class="report-second"></p><p class="lab-muted"></p>`;
  const [verdict, second, notes] = root.children;
  return (run) => {
    setHtml(verdict, escape(run.verdict));
    setHtml(second, escape(run.sentence));
    setHtml(notes, run.notes.map(escape).join(" "));
  };
}
