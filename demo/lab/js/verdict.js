// What came out, in one line that follows the scrubber, and the figures measured on the saved picture.

import { arrive } from "../../kit/js/arrive.js";
import { setHtml } from "../../kit/js/dom.js";
import { escape, percent, plural, probability, say, short } from "../../kit/js/format.js";
import { isFooled } from "./scrubber.js";
import { store } from "./store.js";

const PHONE = 760;

export const headline = {
  build(root, view) {
    root.innerHTML =
      `<div class="lab-verdict" role="status" aria-live="polite"></div>` +
      `<div class="lab-progress" hidden></div>` +
      `<p class="lab-empty">Press Run: within seconds you see whether the model is fooled.</p>`;
    view.text = root.querySelector(".lab-verdict");
    view.progress = root.querySelector(".lab-progress");
    // On a phone the result lies below the button.
    store.on("result", () => {
      if (innerWidth < PHONE) requestAnimationFrame(() => arrive(root));
    });
  },
  draw(run, sel) {
    this.progress.hidden = true;
    this.text.hidden = false;
    setHtml(this.text, headlineHtml(run, sel.step));
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
  const { tops } = run;
  const at = run.steps[step];
  const last = step === run.last;
  const [state, word] = last ? outcome(run) : underway(run, step);
  const stopped = run.done < run.asked;
  const when = last
    ? stopped
      ? `<span class="lab-pill">stopped at step ${run.done} of ${run.asked}</span> `
      : ""
    : `<span class="lab-pill">${at ? `after step ${at}` : "before the attack"}</span> `;
  const same = tops[step].index === tops[0].index;
  return (
    `<p class="lab-headline"><span class="lab-pill lab-pill-${state}">${word}</span> ${when}` +
    `<span class="lab-change">${say("clean", tops[0].name)} ${probability(tops[0].p)} <span aria-label="becomes">→</span> ` +
    `${same ? `still ${say("clean", tops[step].name)}` : say("adversarial", tops[step].name)} ${probability(tops[step].p)}</span></p>` +
    notes(run)
      .map((note) => `<p class="lab-caveat">${note}</p>`)
      .join("")
  );
}

// What must be known before the verdict is believed.
function notes(run) {
  const { verdict, goal, tops, known } = run;
  const said = [];
  if (known.stranger)
    said.push(
      `This model has no class for the picture: the answers show what the attack moves, not a mistake about ${escape(known.stranger)}.`,
    );
  else if (known.unsure)
    said.push(
      `The model is not sure that the picture is of any of its ${known.classes} classes (largest logit ${short(known.logit)}, below ${short(known.threshold)}, as for ${percent(known.flags)} of the pictures it knows and ${percent(known.catches)} of others).`,
    );
  if (tops[0].index !== goal.label)
    said.push(
      `The model misreads the clean picture already: its label is ${escape(goal.label_name)}.`,
    );
  if (verdict.linf === 0 && verdict.moved > 0)
    said.push(
      `The attack has moved pixels by ${short(verdict.moved)}/255 so far; an 8-bit picture shows no change below 0.5/255.`,
    );
  return said;
}

// The state of a step that is not the last.
function underway(run, step) {
  if (step === 0) return ["no", "clean"];
  if (!isFooled(run, step)) return ["no", "not yet"];
  if (run.known.stranger) return ["half", "answer moved"];
  return ["yes", run.goal.target === null ? "fooled" : "target reached"];
}

function verdictHtml(run) {
  const { verdict, tops } = run;
  const [clean, noise] = [tops[0], tops[run.noise]];
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
  const control =
    noise.index === clean.index
      ? `Random noise of equal size: still ${escape(noise.name)} ${probability(noise.p)}.`
      : `Random noise of equal size: ${escape(noise.name)} ${probability(noise.p)} – the model errs under noise as well.`;
  return (
    `<dl class="lab-figures">${figures.map(([k, v, t]) => `<div title="${escape(t)}"><dt>${k}</dt><dd>${escape(v)}</dd></div>`).join("")}</dl>` +
    `<p>${control}</p>${transferHtml(verdict)}`
  );
}

function outcome(run) {
  const { goal, verdict, tops } = run;
  if (run.verdict.linf === 0) return ["no", "no change"];
  if (run.known.stranger)
    return verdict.success ? ["half", "answer moved"] : ["no", "answer not moved"];
  if (verdict.success) return ["yes", goal.target === null ? "fooled" : "target reached"];
  if (goal.target !== null && tops[run.last].index !== goal.label)
    return ["half", `fooled, but not ${escape(goal.target_name)}`];
  return ["no", "not fooled"];
}

function transferHtml({ transfers }) {
  if (!transfers.length) return "";
  const asked = transfers.filter((t) => t.comparable);
  const fooled = asked.filter((t) => t.changed).length;
  const each = transfers
    .map((t) =>
      t.comparable
        ? `<li><span>${escape(t.title)}</span><span>${escape(t.clean)} ${probability(t.clean_p)} → ${escape(t.adversarial)} ${probability(t.adversarial_p)}</span><em>${t.changed ? "changed" : "same"}</em></li>`
        : `<li><span>${escape(t.title)}</span><span>knows other classes: nothing to compare</span><em></em></li>`,
    )
    .join("");
  const told = asked.length
    ? `<p>Shown to ${plural(asked.length, "other model")}: ${fooled} of ${asked.length} changed ${asked.length === 1 ? "its" : "their"} answer.</p>`
    : "";
  return `${told}<ul class="lab-transfers">${each}</ul>`;
}
