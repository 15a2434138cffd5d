// What came out, in one line that follows the scrubber, and the figures measured on the saved picture.

import { arrive } from "../../kit/js/arrive.js";
import { setHtml } from "../../kit/js/dom.js";
import { escape, probability, say, short } from "../../kit/js/format.js";
import { store } from "./store.js";

const PHONE = 760;

export const headline = {
  build(root, view) {
    root.innerHTML =
      `<div class="lab-verdict"${view.pinned ? "" : ` role="status" aria-live="polite"`}></div>` +
      `<div class="lab-progress" hidden></div>` +
      `<p class="lab-empty">Press Run: within seconds you see whether the model is fooled.</p>`;
    view.text = root.querySelector(".lab-verdict");
    view.progress = root.querySelector(".lab-progress");
    if (!view.pinned) store.on("result", () => (view.came = true));
  },
  draw(run, sel) {
    this.progress.hidden = true;
    this.text.hidden = false;
    setHtml(this.text, headlineHtml(run, sel.step));
    if (!this.came) return;
    this.came = false;
    // On a phone the result lies below the button. A headline is drawn once it is in the layout: while
    // the page still holds the result for that of other controls, nobody could be taken to it.
    if (innerWidth < PHONE) arrive(this.root);
  },
  drawLive(live) {
    this.progress.hidden = false;
    this.text.hidden = true;
    const best = (live.bars.length ? live.bars : live.first).toSorted((a, b) => b.p - a.p)[0];
    const seen = live.step > 1 ? `After step ${live.step - 1}` : "On the clean picture";
    setHtml(
      this.progress,
      `<p class="lab-headline"><span class="lab-pill">running</span> step ${live.step} of ${live.asked}: ${seen.toLowerCase()} ${escape(best.name)} ${probability(best.p)}</p>` +
        `<div class="lab-meter"><i style="width:${(100 * live.step) / live.asked}%"></i></div>`,
    );
  },
};

export const verdict = {
  build(root, view) {
    root.innerHTML =
      `<div class="lab-verdict"></div>` +
      `<p class="lab-empty">Here stands by how much the picture was changed, and what random noise of the same size does.</p>`;
    view.text = root.querySelector(".lab-verdict");
  },
  draw(run) {
    setHtml(this.text, verdictHtml(run));
  },
};

function headlineHtml(run, step) {
  const { tops, told } = run;
  const { state, word, text } = told[step];
  const at = run.steps[step];
  const stopped = run.done < run.asked;
  const when =
    step < run.last
      ? `<span class="lab-pill">${at ? `after step ${at}` : "before the attack"}</span> `
      : stopped
        ? `<span class="lab-pill">stopped at step ${run.done} of ${run.asked}</span> `
        : "";
  const same = tops[step].index === tops[0].index;
  const clause = text ? ` <span class="lab-clause">${escape(text)}</span>` : "";
  return (
    `<p class="lab-headline"><span class="lab-pill lab-pill-${state}">${escape(word)}</span> ${when}` +
    `<span class="lab-change">${say("clean", tops[0].name)} ${probability(tops[0].p)} <span aria-label="becomes">→</span> ` +
    `${same ? `still ${say("clean", tops[step].name)}` : say("adversarial", tops[step].name)} ${probability(tops[step].p)}</span>${clause}</p>` +
    run.caveats.map((caveat) => `<p class="lab-caveat">${escape(caveat)}</p>`).join("")
  );
}

function verdictHtml(run) {
  const { verdict } = run;
  const stopped = run.done < run.asked;
  const figures = [
    [
      "L∞ of the saved PNG",
      `${verdict.linf}/255`,
      "largest change of any colour value, measured on the saved PNG",
    ],
    ["L2", short(verdict.l2), "Euclidean length of the change, pixels in [0, 1]"],
    [
      "PSNR",
      verdict.psnr === null ? "∞" : `${verdict.psnr.toFixed(1)} dB`,
      "peak signal-to-noise ratio",
    ],
    ["SSIM", verdict.ssim.toFixed(3), "structural similarity, 1 = same"],
    ["steps", stopped ? `${run.done} of ${run.asked}` : String(run.done), "gradient steps"],
    [
      "time",
      `${short(verdict.crafting_seconds)} s`,
      `the attack itself, on ${verdict.device}; ${short(verdict.seconds)} s with all views`,
    ],
    ["device", verdict.device, "where it ran"],
    ["seed", String(verdict.seed), "same seed, same picture"],
  ];
  return (
    `<dl class="lab-figures">${figures.map(([k, v, t]) => `<div title="${escape(t)}"><dt>${k}</dt><dd>${escape(v)}</dd></div>`).join("")}</dl>` +
    `<p>${escape(run.control)}</p>${transferHtml(run)}`
  );
}

function transferHtml({ shown, verdict: { transfers } }) {
  if (!transfers.length) return "";
  const each = transfers
    .map((t) =>
      t.comparable
        ? `<li><span>${escape(t.title)}</span><span>${escape(t.clean)} ${probability(t.clean_p)} → ${escape(t.adversarial)} ${probability(t.adversarial_p)}</span><em>${t.changed ? "changed" : "same"}</em></li>`
        : `<li><span>${escape(t.title)}</span><span>knows other classes: nothing to compare</span><em></em></li>`,
    )
    .join("");
  const told = shown ? `<p>${escape(shown)}</p>` : "";
  return `${told}<ul class="lab-transfers">${each}</ul>`;
}
