// How far the largest score of a row leads, as a histogram, against where each number format gives up.

import { text, svg } from "../../kit/js/chart.js";
import { choices, part, setHtml } from "../../kit/js/dom.js";
import { escape, percent, short } from "../../kit/js/format.js";
import { legend } from "../../kit/js/legend.js";
import { clamp, range } from "../../kit/js/numbers.js";
import { ALL, placeOf, rungOf, store, whereWords } from "./store.js";

const HEIGHT = 280;
const FORMATS = ["float32", "float16", "bfloat16"];
const DRAWN = [
  ["clean", "clean", "clean picture", ""],
  ["base", "adversarial", "attacked on its own gradient", ""],
  ["aas", "aas", "attacked with learned factors", "4 3"],
];
const [LEFT, RIGHT, LANE, BOTTOM] = [62, 10, 17, 40];
const TOP = LANE * FORMATS.length + 26;

export function gaps(root) {
  const title = part("h2");
  title.textContent = "How sure is the softmax? The lead of each row’s largest score";
  const tools = part("div", "lab-tools");
  const pick = (name, label) =>
    choices(label, [[ALL, "All"]], ALL, (value) => store.select({ [name]: Number(value) }));
  const [block, head] = [pick("block", "Block"), pick("head", "Head")];
  for (const [name, { element }] of [
    ["Block", block],
    ["Head", head],
  ]) {
    const box = part("span", "mask-pick");
    box.innerHTML = `<em>${name}</em>`;
    box.append(element);
    tools.append(box);
  }
  const key = part("div");
  const chart = part("div", "lab-chart");
  chart.setAttribute("role", "img");
  const about = part("p", "lab-muted");
  root.append(title, tools, key, chart, about);
  return (run) => {
    const rung = rungOf(run);
    const { block: l, head: h } = store.sel;
    const most = l === ALL ? Math.max(...run.heads) : run.heads[l];
    const options = (n) => [[ALL, "All"], ...range(n).map((i) => [i, String(i + 1)])];
    block.fill(options(run.blocks), l);
    head.fill(options(most), h);
    const drawn = DRAWN.filter(([name]) => rung.gaps[name]);
    setHtml(key, legend(drawn.map(([, role, words, dash]) => [role, words, dash, "none"])));
    chart.setAttribute("aria-label", spoken(run, rung));
    setHtml(chart, histogram(run, rung, drawn, clamp(root.clientWidth, 280, 1100)));
    setHtml(about, reading(run, rung));
  };
}

const lineOf = ({ shares, shape }, [l, h]) => {
  const from = (l * shape[1] + h) * shape[2];
  return shares.subarray(from, from + shape[2]);
};

function histogram(run, rung, drawn, width) {
  const { edges, thresholds } = run;
  const place = placeOf(run);
  const bins = edges.length - 1;
  const [inner, base] = [width - LEFT - RIGHT, HEIGHT - BOTTOM];
  const at = (bin) => LEFT + (inner * bin) / bins;
  const decades = Math.log10(edges.at(-1) / edges[1]);
  const x = (lead) => at(clamp(1 + ((bins - 1) * Math.log10(lead / edges[1])) / decades, 0, bins));
  // one height for all rungs, so that only the leads move when the slider does
  const high = Math.max(
    ...run.rungs.flatMap(({ gaps }) =>
      Object.values(gaps).map((g) => Math.max(...lineOf(g, place))),
    ),
  );
  const y = (share) => base - ((base - TOP) * share) / (high * 1.05);
  const step = (values) =>
    Array.from(
      values,
      (v, i) => `${at(i).toFixed(1)} ${y(v).toFixed(1)}L${at(i + 1).toFixed(1)} ${y(v).toFixed(1)}`,
    ).join("L");
  const [rounds, zero] = ends(thresholds, "float32");
  return svg(width, HEIGHT, [
    `<rect class="mask-rounds" x="${x(rounds)}" y="${TOP}" width="${x(zero) - x(rounds)}" height="${base - TOP}"/>`,
    `<rect class="mask-zero" x="${x(zero)}" y="${TOP}" width="${at(bins) - x(zero)}" height="${base - TOP}"/>`,
    ...FORMATS.flatMap((name, i) => lane(name, ends(thresholds, name), i, x, at(bins))),
    ...ticks(high).flatMap((v) => [
      `<line class="lab-grid" x1="${LEFT}" x2="${at(bins)}" y1="${y(v)}" y2="${y(v)}"/>`,
      text(LEFT - 6, y(v) + 4, `${Math.round(100 * v)} %`, "end"),
    ]),
    ...range(Math.round(decades) + 1)
      .map((e) => edges[1] * 10 ** e)
      .flatMap((v) => [
        `<line class="lab-notch" x1="${x(v)}" x2="${x(v)}" y1="${base}" y2="${base + 5}"/>`,
        text(x(v), base + 18, v >= 1e4 ? "10⁴" : short(v), "middle"),
      ]),
    ...[rounds, zero].map(
      (v) => `<line class="lab-rule" x1="${x(v)}" x2="${x(v)}" y1="${TOP - 4}" y2="${base}"/>`,
    ),
    ...drawn.flatMap(([name, role, , dash]) => {
      const d = `M${step(lineOf(rung.gaps[name], place))}`;
      const area = `<path class="lab-fill-${role} mask-area" d="${d}L${at(bins)} ${base}L${at(0)} ${base}Z"/>`;
      const line = `<path class="lab-line lab-stroke-${role}" stroke-dasharray="${dash}" d="${d}"/>`;
      return name === "clean" ? [area, line] : [line];
    }),
    `<line class="lab-axis" x1="${LEFT}" x2="${at(bins)}" y1="${base}" y2="${base}"/>`,
    text(
      (LEFT + at(bins)) / 2,
      HEIGHT - 4,
      "lead of the largest score over the second, z₁ − z₂",
      "middle",
    ),
    text(1, TOP - 8, "% of rows"),
  ]);
}

// Where a softmax in that format rounds its top to 1, and where the rest becomes exactly 0.
const ends = (thresholds, name) => [thresholds[`${name} rounds`], thresholds[`${name} underflows`]];

function lane(name, [rounds, zero], i, x, right) {
  const y = i * LANE + 2;
  return [
    text(LEFT - 6, y + 10, name, "end", i ? "lab-tick" : "lab-tick lab-tick-now"),
    `<rect class="mask-rounds" x="${x(rounds)}" y="${y}" width="${x(zero) - x(rounds)}" height="${LANE - 5}"/>`,
    `<rect class="mask-zero" x="${x(zero)}" y="${y}" width="${right - x(zero)}" height="${LANE - 5}"/>`,
    text(x(rounds) - 5, y + 10, String(rounds), "end"),
    text(x(zero) + 5, y + 10, String(zero), "start", "lab-note"),
  ];
}

function ticks(high) {
  const step = [0.02, 0.05, 0.1, 0.2, 0.25, 0.5].find((each) => high / each <= 5) ?? 0.5;
  return range(Math.floor(high / step) + 1).map((i) => i * step);
}

function reading(run, rung) {
  const [rounds, zero] = ends(run.thresholds, "float32");
  return (
    `${escape(whereWords())}, scores × ${short(rung.c)}. Bars above: <i class="mask-swatch mask-rounds"></i> the softmax’s top ` +
    `rounds to 1, so that its own gradient is 0; <i class="mask-swatch mask-zero"></i> all the rest is exactly 0, and no gradient ` +
    `passes. In float32, which this model computes in, that is from ${rounds} and from ${zero} on; the dashed lines go down from there.`
  );
}

function spoken(run, rung) {
  const [l, h] = placeOf(run);
  const said = Object.entries(rung.gaps.clean.past).map(
    ([name, share]) => `${percent(share[l][h])} beyond where ${name}`,
  );
  return `Leads of the clean picture, ${whereWords()}: ${said.join(", ")}`;
}
