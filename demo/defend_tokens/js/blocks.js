// What happens inside, block by block: with tokens and without, on the clean picture and the attacked one.

import { blockChart, blockFrame, frameValue } from "../../kit/js/blocks.js";
import { part, setHtml } from "../../kit/js/dom.js";
import { css, ramp, sequential, sharp } from "../../kit/js/draw.js";
import { escape, percent, plural, short } from "../../kit/js/format.js";
import { legend } from "../../kit/js/legend.js";
import { attackWords, BLOCKS, present, store, threatOf } from "./store.js";

const HEIGHT = 224;
const SPREAD = 20; // from here on a linear axis would flatten all but the largest

// What was seen inside on both pictures, in order; nothing of a picture that was not looked into.
function seen(run) {
  return [
    ["clean", "clean", run.clean?.inside],
    ["adversarial", "attacked", threatOf(run)?.inside],
  ].filter(([, , inside]) => inside);
}

export function attention(root) {
  return drawing(root, {
    title: (run) => `Attention paid to the ${plural(run.count, "token")}`,
    axis: "% of what the other tokens read",
    lines: (run) =>
      seen(run).map(([role, words, { mass }]) => ({
        role,
        words,
        values: mass.map((heads) => (100 * heads.reduce((a, b) => a + b, 0)) / heads.length),
        dash: role === "clean" ? "" : "5 3",
        marker: role === "clean" ? "dot" : "ring",
      })),
    rules: (run) => [{ value: 100 * run.even, text: "an even share" }],
    least: (run) => 130 * run.even,
    words: (run) =>
      `Mean over heads and over the other tokens that ask. An even share would be ${percent(run.even, 1)}: ` +
      `${run.count} of ${Math.round(run.count / run.even)}. Attacked: ${escape(attackWords(threatOf(run), "feature"))}.`,
  });
}

export function heads(root) {
  root.innerHTML = `<h2>The same, head by head</h2>`;
  const maps = part("div", "rob-heads");
  const scale = part("div", "lab-scale");
  root.append(maps, scale);
  return (run) => {
    const found = seen(run);
    if (!present(root, found.length)) return;
    if (maps.children.length !== found.length) maps.replaceChildren(...found.map(() => headMap()));
    const high = Math.max(...found.flatMap(([, , { mass }]) => mass.flat()));
    found.forEach(([role, words, { mass }], i) =>
      drawHeads(maps.children[i], role, words, mass, high),
    );
    setHtml(
      scale,
      `<span>share of attention that goes to the tokens; rows are heads, columns blocks</span>` +
        ramp(sequential, 0, 1, ["0", percent(high)]),
    );
  };
}

function headMap() {
  const made = part("figure", "rob-headmap");
  made.innerHTML = `<figcaption><span class="lab-dot"></span><b></b></figcaption><canvas role="img"></canvas>`;
  return made;
}

function drawHeads(made, role, words, mass, high) {
  const [caption, canvas] = made.children;
  caption.firstChild.className = `lab-dot lab-bg-${role}`;
  caption.lastChild.textContent = words;
  const most = Math.max(...mass.map((each) => each.length));
  const said = mass.map((each, l) => `block ${l + 1}: ${each.map((v) => percent(v)).join(", ")}`);
  canvas.setAttribute(
    "aria-label",
    `${words}, attention to the tokens by head. ${said.join("; ")}`,
  );
  const width = canvas.clientWidth;
  if (!width) return;
  const cell = width / mass.length;
  const tall = Math.min(18, Math.max(9, cell)) * most;
  canvas.style.height = `${tall}px`;
  const context = sharp(canvas, width, tall);
  mass.forEach((each, l) =>
    each.forEach((v, h) => {
      context.fillStyle = css(sequential(high > 0 ? v / high : 0));
      context.fillRect(l * cell, (h * tall) / each.length, cell - 1, tall / each.length - 1);
    }),
  );
}

// Four lines over the blocks: two pictures, each on the model without tokens (dashed) and with them.
const four = (name) => (run) =>
  seen(run)
    .filter(([, , inside]) => inside[name])
    .flatMap(([role, words, inside]) =>
      [
        ["public", "without", "5 3", "ring"],
        ["private", "with", "", "dot"],
      ].map(([model, tokens, dash, marker]) => ({
        role,
        words: `${words}, ${tokens}`,
        values: inside[name][model],
        dash,
        marker,
      })),
    );

export function largest(root) {
  return drawing(root, {
    title: () => "Largest activations",
    axis: "largest |activation| after the block",
    lines: four("largest"),
    spread: true,
    words: (run) =>
      `The largest number of any other token in any channel; the robustness tokens’ own reach ` +
      `${short(run.clean.inside.own[store.sel.block])} in this block. Large models have massive ones, which attacks are said ` +
      `to use and tokens to calm; small models have few.`,
  });
}

export function outliers(root) {
  return drawing(root, {
    title: (run) => `Outlier columns, |x| ≥ ${short(run.threshold)}`,
    axis: "columns that int8 sends to 16 bits",
    lines: four("outliers"),
    whole: true,
    words: (run) =>
      `Of ${run.columns[store.sel.block]} inputs of the block’s linear layers; the tokens’ own rows count, as they would in int8. ` +
      `${plural(run.clean.inside.spared[store.sel.block], "column")} would be left without these rows, clean. Whether tokens absorb outliers, nobody has published.`,
  });
}

export function kept(root) {
  return drawing(root, {
    title: () => "Tokens that ATS keeps",
    axis: "patches kept",
    lines: four("kept"),
    whole: true,
    rules: (run) => [{ value: run.patches, text: `all ${run.patches}` }],
    least: (run) => run.patches,
    words: () =>
      "Adaptive token sampling drops patches that the class token does not look at; it is put on both models. " +
      "What robustness tokens draw to themselves, patches lack.",
  });
}

// A picture's numbers together: without tokens, then with them.
function readoutOf(drawn, at) {
  const roles = [...new Set(drawn.map(({ role }) => role))];
  return roles.map((role) => [
    role,
    drawn
      .filter((each) => each.role === role)
      .map(({ values }) => short(values[at]))
      .join(" → "),
  ]);
}

// A chart over the blocks, whose words say what is read there.
function drawing(
  root,
  { title, axis, lines, words, rules = () => [], least = () => 0, whole = false, spread = false },
) {
  root.innerHTML = `<h2></h2><div></div>`;
  const frame = blockFrame(axis, BLOCKS, { height: HEIGHT });
  const about = part("p", "lab-muted");
  root.append(frame, about);
  return (run) => {
    const drawn = lines(run);
    if (!present(root, drawn.length)) return;
    const at = store.sel.block;
    const all = drawn.flatMap(({ values }) => values).filter((v) => v !== null);
    const high = Math.max(least(run), ...all) || 1;
    const low = Math.min(...all.filter((v) => v > 0));
    const log = spread && high > SPREAD * low;
    setHtml(root.firstChild, escape(title(run)));
    setHtml(root.children[1], legend(drawn.map((l) => [l.role, l.words, l.dash, l.marker])));
    setHtml(
      frame,
      blockChart({
        width: frame.clientWidth,
        height: HEIGHT,
        count: run.blocks,
        kind: log ? "log" : "linear",
        low: log ? low : 0,
        high,
        whole,
        selected: at,
        title: axis,
        readout: readoutOf(drawn, at),
        rules: rules(run),
        series: drawn,
      }),
    );
    const said = drawn.map((each) => `${each.words} ${short(each.values[at])}`);
    frameValue(frame, run.blocks, at, said.join(", "));
    setHtml(about, words(run));
  };
}
