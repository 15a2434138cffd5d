// What was found, in two sentences, and the threshold that they are at.

import { setHtml } from "../../kit/js/dom.js";
import { escape, percent, plural, say } from "../../kit/js/format.js";
import { naming, now, store, thousands, times } from "./store.js";

export function findings(root) {
  root.innerHTML = `<p class="report-finding"></p><p class="report-second"></p>`;
  return (run) => {
    setHtml(root.children[0], found(run));
    setHtml(root.children[1], share(run));
  };
}

export function threshold(root) {
  root.innerHTML =
    `<label class="lab-threshold"><span>Threshold <b></b></span>` +
    `<input type="range" min="0" step="1" aria-label="Outlier threshold"></label>` +
    `<button type="button" class="lab-reset">As run</button><p class="lab-muted"></p>`;
  const [slider, value, about] = ["input", "b", "p"].map((each) => root.querySelector(each));
  const move = (i) => store.select({ threshold: store.shown.sweep.thresholds[i] });
  slider.addEventListener("input", () => move(Number(slider.value)));
  root.querySelector("button").addEventListener("click", () => move(store.shown.sweep.at));
  return (run) => {
    slider.max = run.sweep.thresholds.length - 1;
    slider.value = now();
    slider.setAttribute("aria-valuetext", `threshold ${naming(store.sel.threshold)}`);
    value.textContent = naming(store.sel.threshold);
    about.textContent = whence(run);
  };
}

function found({ sweep, total, kept, seen }) {
  const at = now();
  const [clean, hit, noise] = ["clean", "adversarial", "noise"].map(
    (role) => sweep.totals[role][at],
  );
  const ratio = sweep.ratio[at] === null ? "" : ` (${times(sweep.ratio[at])})`;
  const before = escape(seen.clean.answer);
  const answer = kept
    ? `The int8 model still answers “${before}”.`
    : `The int8 model’s answer changes from “${before}” to “${escape(seen.adversarial.answer)}”.`;
  return (
    `Of the int8 model’s ${thousands(total)} input columns, ${say("clean", clean)} leave int8 on the clean picture and ` +
    `${say("adversarial", hit)} under attack${ratio}; with noise of the same size ${noise}. ${answer}`
  );
}

function share({ sweep, asked, steps, linf, attack, model }) {
  const [clean, hit] = ["clean", "adversarial"].map((role) =>
    percent(sweep.shares[role][now()], 1),
  );
  if (!asked)
    return `Nothing may change at a budget of 0: the control. That is ${clean} of all multiplications in high precision, with or without.`;
  const how =
    attack.name === "universal"
      ? `, made once for any picture: ${attack.pictures} pictures, ${attack.epochs} epochs, threshold ${naming(attack.threshold)}).`
      : `, ${steps === asked ? plural(steps, "step") : `stopped at step ${steps} of ${asked}`}).`;
  const convolutions = model.name.startsWith("visformer")
    ? " Its linear layers are 1×1 convolutions, the same product at every place; LLM.int8 as published would leave them in float."
    : "";
  return (
    `That is ${hit} of all multiplications in high precision instead of ${clean}, ` +
    `by a change of at most ${linf}/255 (${escape(attack.title)}${how}${convolutions}`
  );
}

function whence({ threshold: of, sweep }) {
  const own = naming(of.value);
  if (now() !== sweep.at)
    return `Moved by you: columns, shares, maps and batches follow. The attack, the times and the countermeasures are of ${own}.`;
  const others = `the float model’s columns on ${of.pictures} clean sample pictures`;
  const published = of.at_published ? `only ${percent(of.at_published, 2)} would` : "none would";
  if (of.calibrated)
    return `Calibrated: ${percent(of.share, 2)} of ${others} reach ${own}. At the published 6.0 ${published}: small networks have few outliers.`;
  const set = of.value === 6 ? "6.0 as published for LLM.int8" : "Chosen as a number";
  return `${set}: ${of.share ? percent(of.share, 2) : "none"} of ${others} reach it.`;
}
