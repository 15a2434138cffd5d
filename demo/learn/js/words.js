// A term is explained where it stands: its button opens what it means, above everything, and Escape or
// a click elsewhere closes it.

import { part } from "../../kit/js/dom.js";
import { clamp } from "../../kit/js/numbers.js";

const MARGIN = 8;

export function explain(root) {
  for (const term of root.querySelectorAll(".learn-term:not([aria-expanded])")) {
    term.setAttribute("aria-expanded", false);
    term.addEventListener("click", () => open(term));
  }
}

// It stands right after its term, so that a reader meets it next.
function open(term) {
  const meaning = part("span", "lab-view learn-meaning");
  meaning.popover = "auto";
  meaning.dataset.state = "run";
  meaning.setAttribute("role", "status");
  const word = part("b");
  word.textContent = term.textContent;
  meaning.append(word, document.createTextNode(` ${term.dataset.means}`));
  term.after(meaning);
  meaning.addEventListener("toggle", ({ newState }) => {
    term.setAttribute("aria-expanded", newState === "open");
    if (newState === "closed") meaning.remove();
  });
  meaning.showPopover();
  place(meaning, term.getBoundingClientRect());
}

function place(meaning, at) {
  const { offsetWidth: width, offsetHeight: height } = meaning;
  const above = at.top - height - MARGIN;
  const left = clamp(at.left, MARGIN, Math.max(MARGIN, innerWidth - width - MARGIN));
  meaning.style.left = `${left}px`;
  meaning.style.top = `${above < MARGIN ? at.bottom + MARGIN : above}px`;
}
