// The dock: where a lesson stands on the page. It covers nothing: the page is as much longer.

import { button, part } from "../../kit/js/dom.js";

const ROOM = "--dock-height";

// A frame with named parts; `press` is told of back, next, leave.
export function frame(press) {
  const dock = part("aside", "lab-view dock");
  dock.setAttribute("aria-label", "Lesson");
  dock.dataset.state = "run"; // no view that waits for one
  dock.innerHTML =
    `<div class="dock-head"><p class="dock-where"><b></b> <span></span></p>` +
    `<div class="dock-steps" aria-hidden="true"></div><div class="dock-class"></div>` +
    `<div class="dock-ways"></div></div>` +
    `<p class="dock-running" aria-hidden="true" hidden></p>` +
    `<div class="dock-columns"><section class="dock-words" aria-label="What it is about" tabindex="0"></section>` +
    `<section class="dock-ask" aria-label="Your prediction" tabindex="0"></section>` +
    `<section class="dock-found" aria-label="What came out" tabindex="0"></section></div>`;
  const at = (name) => dock.querySelector(`.dock-${name}`);
  const ways = {
    back: button("Back", press.back, "dock-quiet"),
    next: button("Next", press.next, "dock-next"),
    fold: button("Fold", () => fold(!folded()), "dock-quiet dock-fold"),
    leave: button("Leave", () => press.leave(), "dock-quiet"),
  };
  ways.leave.append(wide(" the lesson"));
  at("ways").append(...Object.values(ways));
  const folded = () => dock.dataset.folded === "yes";
  const fold = (to) => {
    dock.dataset.folded = to ? "yes" : "no";
    ways.fold.textContent = to ? "Unfold" : "Fold";
    ways.fold.setAttribute("aria-expanded", !to);
  };
  fold(false);
  document.body.append(dock);
  const root = document.documentElement;
  const sized = new ResizeObserver(() =>
    root.style.setProperty(ROOM, `${Math.ceil(dock.offsetHeight)}px`),
  );
  sized.observe(dock, { box: "border-box" });
  return {
    dock,
    ways,
    fold,
    words: at("words"),
    ask: at("ask"),
    found: at("found"),
    room: at("class"),
    columns: at("columns"),
    where(title, step, count, task) {
      const [name, place] = at("where").children;
      name.textContent = title;
      place.replaceChildren(...(task ? ["your task"] : [wide("step "), `${step + 1} of ${count}`]));
      at("steps").innerHTML = Array.from(
        { length: count + 1 },
        (_, i) => `<i data-role="${i < step ? "done" : i === step ? "here" : "open"}"></i>`,
      ).join("");
    },
    running(text) {
      const line = at("running");
      line.hidden = text === null;
      line.textContent = text ?? "";
      dock.dataset.running = text === null ? "no" : "yes";
    },
    close() {
      sized.disconnect();
      root.style.removeProperty(ROOM);
      dock.remove();
    },
  };
}

// Words that a phone has no room for.
function wide(text) {
  const said = part("span", "dock-wide");
  said.textContent = text;
  return said;
}
