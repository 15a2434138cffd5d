// What the model answers: clean over adversarial on one axis, noise as a mark.

import { probability } from "../../kit/js/format.js";
import { sights } from "./store.js";
import { frameName } from "./words.js";

const MOST_ROWS = 6;
const SEEN = 0.01;

export const bars = {
  build(root, view) {
    root.innerHTML =
      `<div class="lab-legend"><span><i class="lab-swatch lab-bg-clean"></i>clean</span>` +
      `<span><i class="lab-swatch lab-bg-adversarial"></i><span class="lab-now-name">attacked</span></span>` +
      `<span><i class="lab-tickmark"></i>random noise, equal size</span></div>` +
      `<div class="lab-bars" role="img"></div>` +
      `<div class="lab-bars-axis" aria-hidden="true"><span>0</span><span>0.5</span><span>1</span></div>` +
      `<p class="lab-empty">The model's answers appear here: clean and attacked on the same axis.</p>`;
    view.list = root.querySelector(".lab-bars");
    view.nowName = root.querySelector(".lab-now-name");
  },
  draw(run, sel) {
    const [clean, now, noise] = [0, sel.step, run.noise].map((i) => run.probabilities[i]);
    const told = new Map(run.classes.map((each, i) => [key(each), i]));
    this.nowName.textContent =
      sel.step === 0 ? "step 0 (not attacked yet)" : frameName(run, sel.step);
    fillBars(
      this.list,
      rows().map((entry) => {
        const i = told.get(key(entry));
        return { ...entry, clean: clean[i], now: now[i], noise: noise[i] };
      }),
      run.goal.label,
      run.goal.target,
    );
  },
  drawLive(live) {
    const first = new Map(live.first.map((each) => [each.index, each.p]));
    const rows = (live.bars.length ? live.bars : live.first).map((each) => ({
      ...each,
      clean: first.get(each.index) ?? null,
      now: live.step > 1 ? each.p : null,
    }));
    const weight = (row) =>
      Math.max(row.clean ?? 0, row.now ?? 0) + (row.index === live.target ? 1 : 0);
    rows.toSorted((a, b) => weight(b) - weight(a));
    this.nowName.textContent =
      live.step > 1 ? `after step ${live.step - 1} of ${live.asked}` : "attacked";
    fillBars(this.list, rows.slice(0, MOST_ROWS), live.label, live.target);
  },
};

// Classes of two models may share a name or a number.
const key = ({ index, name }) => `${index} ${name}`;

// The classes with the most to show, the same ones in the same order for runs side by side.
function rows() {
  const found = new Map();
  for (const [run] of sights()) {
    const [clean, final] = [run.probabilities[0], run.probabilities[run.last]];
    run.classes.forEach((each, i) => {
      const weight = Math.max(clean[i], final[i]) + (each.index === run.goal.target ? 1 : 0);
      const before = found.get(key(each))?.weight ?? 0;
      found.set(key(each), { ...each, weight: Math.max(weight, before) });
    });
  }
  return [...found.values()].toSorted((a, b) => b.weight - a.weight).slice(0, MOST_ROWS);
}

function fillBars(list, rows, label, target) {
  while (list.children.length < MOST_ROWS) {
    const row = document.createElement("div");
    row.className = "lab-bar-row";
    row.innerHTML =
      `<span class="lab-class"><span></span><small></small></span>` +
      `<span class="lab-rails"><i class="lab-bg-clean"></i><i class="lab-bg-adversarial"></i><u></u></span>` +
      `<span class="lab-numbers"><b class="lab-clean"></b><b class="lab-adversarial"></b></span>`;
    list.append(row);
  }
  [...list.children].forEach((row, i) => {
    const entry = rows[i];
    row.classList.toggle("lab-gone", !entry);
    if (!entry) return;
    const [name, tag] = row.querySelectorAll(".lab-class > *");
    name.textContent = name.title = entry.name;
    tag.textContent = entry.index === target ? "target" : entry.index === label ? "label" : "";
    tag.className = entry.index === target ? "lab-tag-target" : "lab-tag-label";
    const [clean, now, noise] = row.querySelector(".lab-rails").children;
    clean.style.width = `${100 * (entry.clean ?? 0)}%`;
    now.style.width = `${100 * (entry.now ?? 0)}%`;
    noise.hidden = !(entry.noise >= SEEN);
    noise.style.left = `${100 * (entry.noise ?? 0)}%`;
    const [a, b] = row.querySelectorAll(".lab-numbers b");
    a.textContent = probability(entry.clean);
    b.textContent = probability(entry.now);
  });
  list.setAttribute(
    "aria-label",
    rows
      .map((e) => `${e.name}: clean ${probability(e.clean)}, attacked ${probability(e.now)}`)
      .join("; "),
  );
}
