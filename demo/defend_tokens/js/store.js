// What the tokens room of Defend has been told, prepared for drawing, and what is looked at: a threat
// model, what the attack aims at, and a block.

import { clamp } from "../../kit/js/numbers.js";
import { Picture } from "../../kit/js/packing.js";
import { createStore } from "../../kit/js/store.js";

export const GOALS = { feature: "the feature", answer: "the answer" };
// The model without the defender's tokens, and with them: words, colour.
export const MODELS = { public: ["without tokens", "plain"], private: ["with tokens", "robust-1"] };

// A run's first report is looked at in its last block, whose tokens the head reads.
let looked = null;
function fit(sel, run) {
  if (looked !== run.run) sel.block = Infinity;
  looked = run.run;
  sel.block = clamp(sel.block, 0, Math.max(0, run.blocks - 1));
}

export const store = createStore({ threat: "transfer", goal: "feature", block: Infinity }, fit);

// The threat that is looked at: a run may lack one.
export const threatOf = (run) =>
  run.threats.find(({ name }) => name === store.sel.threat) ?? run.threats[0];

// Of what is not there: whether it is on its way. A stopped run is as whole as it gets.
export const missing = ({ whole }) =>
  `<p class="lab-muted">${whole ? "Not measured." : "It follows."}</p>`;

// A block chart's way to choose a block.
export const BLOCKS = {
  block: () => store.sel.block,
  choose: (block) => store.select({ block }),
};

// "Transfer, aimed at the feature"
export const attackWords = (threat, goal) => `${threat.title}, aimed at ${GOALS[goal]}`;

// Whether a view has something to show; one that has not keeps its width, or it would not be drawn again.
export function present(root, evidence) {
  root.classList.toggle("rob-none", !evidence);
  return Boolean(evidence);
}

// A message with its pictures on their way.
export function prepare(message) {
  const images = [];
  const opened = (shot, clean) => {
    if (!shot) return null;
    const image = new Picture(shot.picture, clean);
    images.push(image);
    return { ...shot, image };
  };
  const clean = opened(message.clean);
  const threats = message.threats.map((each) => ({
    ...each,
    ...Object.fromEntries(
      Object.keys(GOALS).map((goal) => [goal, opened(each[goal], clean?.image)]),
    ),
  }));
  for (const image of images) image.ready.then(() => store.redraw("threats"));
  return { ...message, clean, threats };
}
