// Where a lesson points on the page: the tab it opens, what it selects, what it rings.

import { calm } from "../../kit/js/arrive.js";
import { part } from "../../kit/js/dom.js";

const RING = "learn-ring";
const AIR = 12;
const TRIES = 40;

// The views draw over their content again and again, so the ring is a rule of style, not a class.
export function ring(selector) {
  document.getElementById(RING)?.remove();
  if (!selector) return;
  const style = part("style");
  style.id = RING;
  style.textContent = `${selector} { outline: 3px solid var(--learn-ring) !important; outline-offset: 4px; border-radius: 4px; }`;
  document.head.append(style);
}

export async function look({ tab, select, point }) {
  if (tab)
    [...document.querySelectorAll("#tabs [role=tab]")]
      .find((each) => each.innerText.trim() === tab)
      ?.click();
  if (Object.keys(select ?? {}).length) (await window.lab).select(select);
  ring(point);
  if (point) bring(point, TRIES);
}

// What a view has still to draw comes a moment later.
function bring(selector, tries) {
  const found = document.querySelector(selector);
  if (found?.getBoundingClientRect().height) show(found);
  else if (tries) setTimeout(bring, 100, selector, tries - 1);
}

// In the middle of what the dock leaves free; from its top, where it is taller than that.
export function show(element) {
  const dock = document.querySelector(".dock")?.offsetHeight ?? 0;
  const { top, height } = element.getBoundingClientRect();
  const free = innerHeight - dock;
  const lead = Math.max(AIR, (free - height) / 2);
  scrollTo({ top: scrollY + top - lead, behavior: calm() ? "auto" : "smooth" });
}
