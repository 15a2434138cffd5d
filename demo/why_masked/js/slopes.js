// Gradients at the scores, block by block: whether they still point where they should, and how long
// they are.

import { blockChart, blockFrame, frameValue } from "../../kit/js/blocks.js";
import { part, setHtml } from "../../kit/js/dom.js";
import { short } from "../../kit/js/format.js";
import { legend } from "../../kit/js/legend.js";
import { BLOCKS, rungOf, selectedBlock, store } from "./store.js";

const HEIGHT = 240;
const DECADES = 1e-8;

export function directions(root) {
  return drawing(root, {
    title: "Does the gradient still point the right way?",
    axis: "cosine with this model’s own float32 gradient",
    lines: (rung) => [
      ["exact", "the same in float64: rounding", "6 4", rung.cosine],
      ["undone", "at factor 1/c: saturation", "", rung.aligned],
    ],
    scale: (values) => ({ low: values.some((v) => v < 0) ? -1 : 0, high: 1 }),
    words: (rung) =>
      `At the pixels: ${said(rung.cosine.at(-1))} with float64, ${said(rung.aligned.at(-1))} with factor 1/c. ` +
      `1 is the same direction, 0 none in common. Where float64 agrees and factor 1/c does not, the gradient ` +
      `is lost to a softmax that is truly hard, not to rounding.`,
  });
}

export function norms(root) {
  return drawing(root, {
    title: "How long is the gradient? Long need not mean useful",
    axis: "norm of d cross-entropy / d scores",
    kind: "log",
    lines: (rung) => [
      ["adversarial", "as it is", "", rung.norms["as it is"]],
      ["exact", "the same in float64", "6 4", rung.norms.float64],
      ["aas", "with the learned factors", "2 3", rung.norms.scaled],
      ["undone", "at factor 1/c", "", rung.norms["without c"]],
    ],
    scale: scaleOf,
    words: (rung) =>
      `At the pixels: ${short(rung.norms["as it is"].at(-1))} as it is, ${short(rung.norms.scaled.at(-1))} with the learned factors. ` +
      `A sure row passes next to nothing; one that is nearly tied passes c times more. What is below the axis stands at its foot; a gap is a gradient of exactly 0.`,
  });
}

// No more decades than an eye can tell apart.
function scaleOf(values) {
  const high = Math.max(...values);
  return { low: Math.max(Math.min(...values), high * DECADES), high };
}

const said = (cosine) => (cosine === null ? "none" : cosine.toFixed(3).replace("-", "−"));

// Lines over the blocks, of one size for all rungs, so that only what changes moves.
function drawing(root, { title, axis, kind = "linear", lines, scale, words }) {
  root.innerHTML = `<h2>${title}</h2><div></div>`;
  const frame = blockFrame(title, BLOCKS, { height: HEIGHT });
  const about = part("p", "lab-muted");
  root.append(frame, about);
  return (run) => {
    const rung = rungOf(run);
    const drawn = lines(rung).map(([role, name, dash, values]) => ({
      role,
      name,
      dash,
      values: values.slice(0, run.blocks),
    }));
    const all = run.rungs
      .flatMap((each) => lines(each).flatMap((line) => line[3].slice(0, run.blocks)))
      .filter((v) => v !== null && (kind !== "log" || v > 0));
    setHtml(root.children[1], legend(drawn.map(({ role, name, dash }) => [role, name, dash])));
    const at = selectedBlock();
    setHtml(
      frame,
      blockChart({
        width: frame.clientWidth,
        height: HEIGHT,
        count: run.blocks,
        kind,
        ...scale(all),
        selected: at,
        title: axis,
        readout: at === null ? [] : drawn.map(({ role, values }) => [role, short(values[at])]),
        series: drawn,
      }),
    );
    const text = drawn.map(
      ({ name, values }) =>
        `${name}: ${(at === null ? values : [values[at]]).map(short).join(", ")}`,
    );
    frameValue(frame, run.blocks, store.sel.block, text.join("; "));
    setHtml(about, words(rung));
  };
}
