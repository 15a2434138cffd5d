// What was found with the scores times one number, in the words that were worked out with the numbers.

import { setHtml } from "../../kit/js/dom.js";
import { escape } from "../../kit/js/format.js";
import { rungOf } from "./store.js";

export function findings(root) {
  root.innerHTML = `<p class="report-finding"></p><p class="report-second"></p>`;
  const [verdict, sentence] = root.children;
  return (run) => {
    const rung = rungOf(run);
    setHtml(verdict, escape(rung.verdict));
    setHtml(sentence, escape(rung.sentence));
  };
}
