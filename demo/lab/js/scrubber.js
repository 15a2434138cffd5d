// Time: the stored steps, the loss over them, and where success first came.

import { setHtml } from "../../kit/js/dom.js";
import { short } from "../../kit/js/format.js";
import { player } from "../../kit/js/player.js";
import { timeline } from "../../kit/js/timeline.js";
import { store } from "./store.js";
import { frameName } from "./words.js";

export const scrubber = {
  build(root, view) {
    root.innerHTML = `<p class="lab-empty">The steps of the attack and its loss appear here while it runs.</p>`;
    Object.assign(
      view,
      player(root, "Step of the attack", {
        steps: () => (store.run && !store.live ? store.run.steps : null),
        last: () => store.run.done,
        at: () => store.sel.step,
        go: (step) => store.select({ step }),
      }),
    );
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
    this.pause();
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
