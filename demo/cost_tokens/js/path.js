// The attack step by step: the bill over its steps, and the step looked at.

import { setHtml } from "../../kit/js/dom.js";
import { legend } from "../../kit/js/legend.js";
import { player } from "../../kit/js/player.js";
import { timeline } from "../../kit/js/timeline.js";
import { giga, stepOf, store } from "./store.js";

const HEIGHT = 180;
const LEGEND = legend([
  ["adversarial", "attacked", "", "none"],
  ["clean", "clean", "", "none"],
  ["noise", "noise", "2 3", "none"],
  ["dense", "dense", "6 4", "none"],
]);

export function path(root) {
  root.innerHTML = `<h2>The bill while the attack works</h2><p class="lab-muted"></p>`;
  const box = document.createElement("div");
  root.append(box);
  const { where, track } = player(box, "Step of the attack", {
    steps: () => store.shown?.frames.map(({ step }) => step) ?? null,
    last: () => store.shown.frames.at(-1).step,
    at: () => store.sel.step,
    go: (step) => store.select({ step }),
  });
  box.insertAdjacentHTML("afterbegin", LEGEND);
  return (run) => {
    const { frames, seen, dense, asked } = run;
    const said = instead(run);
    setHtml(root.querySelector("p"), said);
    box.hidden = Boolean(said);
    if (said) return;
    const step = stepOf(run);
    const now = frames[store.sel.step];
    setHtml(where, `<b>${step ? `step ${step}` : "clean"}</b> of ${asked}`);
    track.setAttribute("aria-valuemax", frames.at(-1).step);
    track.setAttribute("aria-valuenow", step);
    track.setAttribute(
      "aria-valuetext",
      `step ${step}: ${giga(now.macs)} GMAC of ${giga(dense)}, answer ${now.kept ? "kept" : "changed"}`,
    );
    const last = frames.at(-1).step;
    const level = (macs) => [
      [0, macs],
      [last, macs],
    ];
    const all = [dense, seen.clean.macs, ...frames.map(({ macs }) => macs)];
    const [low, high] = [Math.min(...all), Math.max(...all)];
    const air = 0.12 * (high - low) || 1;
    setHtml(
      track,
      timeline({
        width: track.clientWidth,
        height: HEIGHT,
        top: 24,
        bottom: 40,
        last,
        low: low - air,
        high: high + air,
        ticks: [dense, seen.clean.macs].map((macs) => [macs, giga(macs)]),
        steps: frames.map((each) => each.step),
        now: step,
        title: "GMAC a pass",
        foot: "step of the attack",
        lines: [
          { points: level(dense), role: "dense", dash: "6 4", marks: () => false },
          { points: level(seen.clean.macs), role: "clean", marks: () => false },
          { points: level(seen.noise.macs), role: "noise", dash: "2 3", marks: () => false },
          {
            points: frames.map((each) => [each.step, each.macs]),
            role: "adversarial",
            marks: (at) => at === step,
          },
        ],
      }),
    );
  };
}

// Why there is no path to follow.
function instead({ frames, attack, asked }) {
  if (!asked) return "Nothing may change at a budget of 0, so no step is taken.";
  if (!attack.kind) return frames.length < 2 ? "The attack was stopped before its first step." : "";
  const { measured } = attack;
  if (!measured) return "This change was made beforehand and takes one addition.";
  const { clean, attacked, noise } = measured.GMACs;
  return (
    `This change was made beforehand and takes one addition. On ${measured.pictures} pictures that it had never seen ` +
    `it raised the bill from ${clean.toFixed(3)} to ${attacked.toFixed(3)} GMAC on average; noise of its size: ${noise.toFixed(3)}.`
  );
}
