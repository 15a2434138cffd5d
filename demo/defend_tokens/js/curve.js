// Tokens while they are trained: how near the feature stays to the one without tokens, step by step.

import { part, setHtml } from "../../kit/js/dom.js";
import { escape } from "../../kit/js/format.js";
import { legend } from "../../kit/js/legend.js";
import { timeline } from "../../kit/js/timeline.js";
import { present } from "./store.js";

const HEIGHT = 196;
const DIGITS = 3;

export function curve(root) {
  root.innerHTML =
    `<h2>The tokens while they are trained</h2>` +
    legend([
      ["clean", "clean pictures: cosine with the feature without tokens", "", "none"],
      ["adversarial", "the same pictures attacked", "5 3", "none"],
    ]);
  const chart = part("div", "lab-chart rob-still");
  chart.setAttribute("role", "img");
  const about = part("p", "lab-muted");
  root.append(chart, about);
  return ({ curve: found }) => {
    if (!present(root, found)) return;
    const { points, asked, source } = found;
    const all = points.flatMap(([, inv, adv]) => [inv, adv]);
    const low = Math.floor(10 * Math.min(0.9, ...all)) / 10;
    const half = (1 + low) / 2;
    setHtml(
      chart,
      timeline({
        width: chart.clientWidth,
        height: HEIGHT,
        top: 10,
        last: asked,
        low,
        high: 1,
        ticks: [low, half, 1].map((v) => [v, String(Number(v.toFixed(2)))]),
        across: true,
        steps: marksOf(asked),
        foot: "training step",
        lines: [
          { points: points.map(([step, inv]) => [step, inv]), role: "clean", marks: () => false },
          {
            points: points.map(([step, , adv]) => [step, adv]),
            role: "adversarial",
            dash: "5 3",
            marks: () => false,
          },
        ],
      }),
    );
    const said = saidOf(points, asked);
    chart.setAttribute("aria-label", said);
    setHtml(
      about,
      `${said} Tokens ${escape(source)}. Each picture was attacked once, without tokens; 1 is the same feature. ` +
        `So few pictures show how training works; the tokens that ship have seen far more.`,
    );
  };
}

const marksOf = (asked) => [...new Set([0, 0.25, 0.5, 0.75, 1].map((v) => Math.round(v * asked)))];

function saidOf(points, asked) {
  if (!points.length) return "The pictures are attacked before the first step.";
  const [[, inv, adv], [step, invNow, advNow]] = [points[0], points.at(-1)];
  return (
    `After step ${step} of ${asked}: clean from ${inv.toFixed(DIGITS)} to ${invNow.toFixed(DIGITS)}, ` +
    `attacked from ${adv.toFixed(DIGITS)} to ${advNow.toFixed(DIGITS)}.`
  );
}
