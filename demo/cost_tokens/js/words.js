// What was found, in a few sentences.

import { setHtml } from "../../kit/js/dom.js";
import { escape, percent, plural, say } from "../../kit/js/format.js";
import { giga, passOf, stepOf, store } from "./store.js";

export function findings(root) {
  root.innerHTML = `<p class="report-finding"></p><p class="report-second"></p>`;
  return (run) => {
    setHtml(root.children[0], found(run));
    setHtml(root.children[1], how(run));
  };
}

function found(run) {
  const { clean } = run.seen;
  const now = passOf(run, "adversarial");
  const slept =
    `On the clean picture ${escape(run.mechanism)} lets ${say("clean", `${clean.asleep} of ${run.slots}`)} tokens sleep, ` +
    `counted block by block`;
  if (!clean.asleep) return `${slept}: there is none to wake.`;
  if (!run.asked) return `${slept}, and nothing may change at a budget of 0: the control.`;
  return `${slept}; ${woken(run, now)} ${answer(run, now)} ${bill(run, now)}`;
}

function woken(run, now) {
  const of = now.woke === run.seen.clean.asleep ? "all of them" : `${now.woke} of them`;
  const when = store.sel.step < run.frames.length - 1 ? `by step ${stepOf(run)} ` : "";
  const put = now.put ? ` and puts ${plural(now.put, "other")} to sleep` : "";
  return `${when}the attack wakes ${say("adversarial", of)}${put}.`;
}

function answer(run, now) {
  const before = escape(run.seen.clean.answer);
  return now.kept
    ? `The answer is still “${before}”.`
    : `The answer changes from “${before}” to “${escape(now.answer)}”.`;
}

const bill = (run, now) =>
  `The bill goes from ${say("clean", giga(run.seen.clean.macs))} to ${say("adversarial", `${giga(now.macs)} GMAC`)}` +
  ` of ${giga(run.dense)}${now.gap === null ? "" : `: ${percent(now.gap)} of the saving is gone`}.`;

const taken = (gap) =>
  gap === null ? "" : ` and takes ${gap > 0 ? percent(gap) : "nothing"} of the saving`;

function how(run) {
  if (!run.asked || !run.seen.clean.asleep) return "";
  const { gap, woke } = run.seen.noise;
  return (
    `Noise of the same size wakes ${woke}${taken(gap)}. ` +
    `${changed(run)} (${escape(run.attack.title.split(/[:,]/)[0])}, ${made(run)}).`
  );
}

const changed = ({ attack: { side }, linf }) =>
  side
    ? `A patch of ${side} × ${side} pixels has changed, nothing else`
    : `No pixel has changed by more than ${linf}/255`;

function made({ attack, steps, asked }) {
  if (attack.kind) return `made beforehand from ${plural(attack.pictures, "other picture")}`;
  return steps === asked ? plural(steps, "step") : `stopped at step ${steps} of ${asked}`;
}
