// Time: the stored steps, the loss over them, and where success first came.

import { setHtml } from "../../kit/js/dom.js";
import { short } from "../../kit/js/format.js";
import { nearest } from "../../kit/js/numbers.js";
import { timeline, timelineFrame } from "../../kit/js/timeline.js";
import { store } from "./store.js";
import { frameName } from "./words.js";

const FRAME_MS = 350;

const icon = (path) =>
  `<svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true"><path class="lab-icon" d="${path}"/></svg>`;
const PLAY = `${icon("M5 3l7 5-7 5z")}Play`;
const PAUSE = `${icon("M5 3v10M11 3v10")}Pause`;

export const scrubber = {
  build(root, view) {
    root.innerHTML =
      `<div class="lab-tools lab-transport">` +
      `<button type="button" data-go="first" aria-label="First step">${icon("M4 3v10M13 3 6 8l7 5z")}</button>` +
      `<button type="button" data-go="back" aria-label="One stored step back">${icon("M11 3 4 8l7 5z")}</button>` +
      `<button type="button" data-go="play" aria-label="Play">${PLAY}</button>` +
      `<button type="button" data-go="on" aria-label="One stored step on">${icon("M5 3l7 5-7 5z")}</button>` +
      `<button type="button" data-go="last" aria-label="Last step">${icon("M12 3v10M3 3l7 5-7 5z")}</button>` +
      `<span class="lab-where"></span></div>` +
      `<p class="lab-empty">The steps of the attack and its loss appear here while it runs.</p>`;
    view.where = root.querySelector(".lab-where");
    view.play = root.querySelector("[data-go=play]");
    const go = (step) => {
      playing(view, false);
      store.select({ step });
    };
    view.track = timelineFrame("Step of the attack", {
      last: () => (store.run && !store.live ? store.run.done : null),
      seek: (step) => go(nearest(store.run.steps, step)),
      move: (by) => store.select({ step: store.sel.step + by }),
      key: (name) => name === " " && (playing(view, !view.timer), true),
    });
    root.querySelector(".lab-transport").after(view.track);
    root.addEventListener("click", (event) => {
      const to = event.target.closest("[data-go]")?.dataset.go;
      if (!to || !store.run || store.live) return;
      if (to === "play") playing(view, !view.timer);
      else go({ first: 0, back: store.sel.step - 1, on: store.sel.step + 1, last: Infinity }[to]);
    });
  },
  draw(run, sel) {
    const step = run.steps[sel.step];
    const stopped = run.done < run.asked;
    setHtml(
      this.where,
      `<b>${step === 0 ? "clean" : `step ${step}`}</b> of ${run.asked}` +
        (stopped ? ` <em>stopped at ${run.done}</em>` : "") +
        (run.steps.length <= run.done
          ? ` <em>${run.steps.length} of ${run.done + 1} stored</em>`
          : ""),
    );
    this.track.setAttribute("aria-valuemax", run.done);
    this.track.setAttribute("aria-valuenow", step);
    this.track.setAttribute(
      "aria-valuetext",
      `${frameName(run, sel.step)}, the model says ${run.tops[sel.step].name}`,
    );
    const losses = run.losses.map((v, i) => [i, v]);
    if (run.final_loss !== null && run.done) losses.push([run.done, run.final_loss]);
    const { first, criterion } = run;
    curve(this, losses, {
      last: run.done,
      steps: run.steps,
      now: step,
      flag:
        first === null
          ? null
          : { step: run.steps[first], text: `${criterion.first} step ${run.steps[first]}` },
    });
  },
  drawLive(live) {
    playing(this, false);
    setHtml(this.where, `<b>step ${live.step}</b> of ${live.asked} <em>running</em>`);
    // Steps that went by between two updates are holes here.
    const losses = Object.entries(live.losses).map(([i, v]) => [Number(i), v]);
    curve(this, losses, { last: live.asked, now: live.step });
  },
};

function curve({ track }, points, look) {
  const values = points.map(([, v]) => v).filter((v) => v !== null);
  const low = Math.min(0, ...values);
  const high = Math.max(low + 1e-6, ...values);
  const stored = new Set(look.steps);
  const marks = (step) => stored.has(step) || points.length === 1;
  setHtml(
    track,
    timeline({
      width: track.clientWidth,
      height: 132,
      top: 36,
      bottom: 22,
      low,
      high,
      ticks: values.length ? [low, high].map((v) => [v, short(v)]) : [],
      title: "loss the attack climbs",
      lines: [{ points, role: "adversarial", marks }],
      ...look,
    }),
  );
}

function playing(view, on) {
  clearInterval(view.timer);
  view.timer = null;
  if (on) {
    if (store.sel.step >= store.run.last) store.select({ step: 0 });
    view.timer = setInterval(() => {
      store.select({ step: store.sel.step + 1 });
      if (store.sel.step >= store.run.last) playing(view, false);
    }, FRAME_MS);
  }
  setHtml(view.play, on ? PAUSE : PLAY);
  view.play.setAttribute("aria-label", on ? "Pause" : "Play");
}
