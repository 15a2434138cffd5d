// Time in a visitor's hands: buttons and a track that choose one of the steps, one by one or playing.

import { part, setHtml } from "./dom.js";
import { nearest } from "./numbers.js";
import { timelineFrame } from "./timeline.js";

const FRAME_MS = 350;

const icon = (path) =>
  `<svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true"><path class="lab-icon" d="${path}"/></svg>`;
const PLAY = `${icon("M5 3l7 5-7 5z")}Play`;
const PAUSE = `${icon("M5 3v10M11 3v10")}Pause`;
const BUTTONS = [
  ["first", "First step", icon("M4 3v10M13 3 6 8l7 5z")],
  ["back", "One stored step back", icon("M11 3 4 8l7 5z")],
  ["play", "Play", PLAY],
  ["on", "One stored step on", icon("M5 3l7 5-7 5z")],
  ["last", "Last step", icon("M12 3v10M3 3l7 5-7 5z")],
];

// Buttons, a place for words (`where`) and the track in `root`. `steps()` are those that can be chosen,
// in order, or null while none can; `last()` is the track's end; `at()` the index of the one chosen,
// `go(index)` chooses, any number; both move by that.
export function player(root, label, { steps, last, at, go }) {
  const tools = part("div", "lab-tools lab-transport");
  tools.innerHTML =
    BUTTONS.map(
      ([to, name, face]) =>
        `<button type="button" data-go="${to}" aria-label="${name}">${face}</button>`,
    ).join("") + `<span class="lab-where"></span>`;
  const face = tools.querySelector("[data-go=play]");
  let timer = null;
  const ended = () => at() >= steps().length - 1;
  const play = (on) => {
    clearInterval(timer);
    timer = null;
    if (on) {
      if (ended()) go(0);
      timer = setInterval(() => {
        go(at() + 1);
        if (ended()) play(false);
      }, FRAME_MS);
    }
    setHtml(face, on ? PAUSE : PLAY);
    face.setAttribute("aria-label", on ? "Pause" : "Play");
  };
  const look = (index) => {
    play(false);
    go(index);
  };
  const track = timelineFrame(label, {
    last: () => steps() && last(),
    seek: (step) => look(nearest(steps(), step)),
    move: (by) => go(at() + by),
    key: (name) => name === " " && (play(!timer), true),
  });
  tools.addEventListener("click", (event) => {
    const to = event.target.closest("[data-go]")?.dataset.go;
    if (!to || !steps()) return;
    if (to === "play") play(!timer);
    else look({ first: 0, back: at() - 1, on: at() + 1, last: Infinity }[to]);
  });
  root.prepend(tools, track);
  return { where: tools.querySelector(".lab-where"), track, pause: () => play(false) };
}
