// The same picture elsewhere: shown to other mechanisms, in a batch, behind countermeasures.

import { bars } from "../../kit/js/bars.js";
import { part, setHtml } from "../../kit/js/dom.js";
import { swatches } from "../../kit/js/legend.js";
import { clamp } from "../../kit/js/numbers.js";
import { pairBars } from "../../kit/js/pairs.js";
import { giga, NAMES, ROLES } from "./store.js";

const LATER = `<p class="lab-muted">It follows when the run has come to its end.</p>`;

// The model that the attack was made on, as one of them.
const ownOf = ({ model, mechanism, dense, seen: { clean, noise, adversarial } }) => ({
  title: model.title.split(":")[0],
  mechanism: `${mechanism}, the one attacked`,
  clean: clean.macs,
  noise: noise.macs,
  attacked: adversarial.macs,
  dense,
  kept: adversarial.kept,
});

export function elsewhere(root) {
  return (run) => {
    const found = run.elsewhere;
    const high = Math.max(
      ...[ownOf(run), ...found].map(({ dense, attacked }) => Math.max(dense, attacked)),
    );
    const rows = [ownOf(run), ...found].map(
      ({ title, mechanism, clean, noise, attacked, dense, kept }) => ({
        name: title,
        note: `${mechanism === "Dense" ? "drops nothing" : mechanism}, ${kept ? "answer kept" : "answer changed"}`,
        bars: [
          ["clean", clean],
          ["noise", noise],
          ["adversarial", attacked],
        ]
          .filter(([role]) => role !== "noise" || clean !== dense)
          .map(([role, macs]) => [role, macs, giga(macs)]),
      }),
    );
    setHtml(
      root,
      `<h2>The same attacked picture, shown to other models</h2>` +
        (found.length
          ? `${swatches(ROLES.map((role) => [role, NAMES[role]]))}${bars(rows, high)}<p class="lab-muted">GMAC a pass. The attack was made on the first and knows none of the others.</p>`
          : LATER),
    );
  };
}

export function defence(root) {
  return (run) => {
    const { defences, dense } = run;
    const none = { ...ownOf(run), name: "no countermeasure", answer: true };
    const found = defences.length ? [none, ...defences] : [];
    const rows = found.map(({ name, clean, attacked, answer, kept }) => ({
      name,
      note: `${answer ? "clean answer kept" : "clean answer changed"}, attacked ${kept ? "kept" : "changed"}`,
      bars: [
        ["clean", clean, giga(clean)],
        ["adversarial", attacked, giga(attacked)],
      ],
    }));
    const high = Math.max(dense, ...found.map(({ attacked }) => attacked));
    setHtml(
      root,
      `<h2>Countermeasures: what they leave of the bill on this picture</h2>` +
        (rows.length
          ? `${swatches([
              ["clean", "clean"],
              ["adversarial", "attacked"],
            ])}${bars(rows, high)}<p class="lab-muted">GMAC a pass; dense would be ${giga(dense)}. This attack does not know of the countermeasure.</p>`
          : LATER),
    );
  };
}

export function batch(root) {
  const chart = part("div", "lab-chart");
  chart.setAttribute("role", "img");
  root.innerHTML =
    `<h2>What a batch pays: all are padded to the one that needs most</h2>` +
    swatches([
      ["clean", "all clean"],
      ["adversarial", "one of them attacked"],
    ]);
  const about = part("p", "lab-muted");
  root.append(chart, about);
  return ({ batch: found }) => {
    chart.hidden = !found.length;
    about.textContent = found.length
      ? "GMAC a picture. Tokens of a batch form one tensor, so each picture is computed with as many tokens, block by block, as the picture that keeps most. The others are sample pictures."
      : "It follows when the run has come to its end.";
    if (chart.hidden) return;
    const said = found.map(
      (b) => `batch of ${b.size}: ${giga(b.clean)} clean, ${giga(b.attacked)} with one attacked`,
    );
    chart.setAttribute("aria-label", said.join("; "));
    const pairs = found.map(({ size, clean, attacked }) => ({
      name: String(size),
      clean: clean / 1e9,
      hit: attacked / 1e9,
      words: `${giga(attacked)}`,
    }));
    const look = {
      width: clamp(root.clientWidth, 240, 560),
      title: "GMAC a picture",
      foot: "pictures in the batch",
      whole: false,
    };
    setHtml(chart, pairBars(pairs, look));
  };
}
