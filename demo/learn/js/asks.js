// The three ways to predict, and a prediction beside what was measured. A way to ask is
// `{form(ask, change), beside(ask, predicted, answer)}`: `change(value)` with null while nothing counts.

import { part } from "../../kit/js/dom.js";
import { escape, short } from "../../kit/js/format.js";
import { clamp, range } from "../../kit/js/numbers.js";

const says = ([, text]) => text;

const choose = {
  form(ask, change) {
    const list = part("div", "dock-options");
    list.innerHTML = ask.options
      .map(
        ([key, text]) =>
          `<label><input type="radio" name="dock-choice" value="${escape(key)}"><span>${escape(text)}</span></label>`,
      )
      .join("");
    list.addEventListener("change", ({ target }) => change(target.value));
    return list;
  },
  beside(ask, predicted, answer) {
    const list = part("ul", "dock-options dock-answers");
    list.innerHTML = ask.options
      .map(([key, text]) => {
        const marks = [
          key === predicted && '<em class="dock-said">you</em>',
          key === answer && '<em class="dock-measured">measured</em>',
        ].filter(Boolean);
        const role = key === answer ? "measured" : key === predicted ? "said" : "other";
        return `<li data-role="${role}"><span>${escape(text)}</span> ${marks.join(" ")}</li>`;
      })
      .join("");
    return list;
  },
  words: (ask, key) => says(ask.options.find(([each]) => each === key) ?? [key, String(key)]),
};

// Nothing counts before the mark has been touched: where it stands at first is nobody's estimate.
const estimate = {
  form(ask, change) {
    const { low, high, step, unit } = ask;
    const row = part("div", "dock-estimate");
    const at = `min="${low}" max="${high}" step="${step}"`;
    row.innerHTML =
      `<input type="range" ${at} value="${(low + high) / 2}" aria-label="Your estimate on a scale" data-untouched>` +
      `<div class="dock-ends"><span>${short(low)}</span><span>${short(high)}${escape(unitOf(unit))}</span></div>` +
      `<label>Your estimate <input type="number" ${at} inputmode="decimal" placeholder="?">${escape(unitOf(unit))}</label>`;
    const [slider, number] = row.querySelectorAll("input");
    const told = (value) => {
      slider.removeAttribute("data-untouched");
      change(value);
    };
    const slid = () => {
      number.value = slider.value;
      told(Number(slider.value));
    };
    slider.addEventListener("input", slid);
    slider.addEventListener("click", slid);
    number.addEventListener("input", () => {
      const value = number.value === "" ? NaN : Number(number.value);
      const counts = value >= low && value <= high;
      if (counts) slider.value = value;
      if (counts) told(value);
      else change(null);
    });
    return row;
  },
  beside(ask, predicted, answer) {
    const { low, high, unit } = ask;
    const scale = part("div", "dock-scale");
    const at = (value) => (100 * (clamp(value, low, high) - low)) / (high - low);
    const mark = (value, role, name) => {
      const place = at(value);
      const side = place > 60 ? "left" : "right";
      return (
        `<div class="dock-mark dock-${role}" style="left:${place}%" data-side="${side}">` +
        `<i></i><b>${name} ${escape(short(value))}${escape(unitOf(unit))}</b></div>`
      );
    };
    scale.innerHTML =
      mark(predicted, "said", "you:") +
      `<div class="dock-line"></div>` +
      mark(answer, "measured", "measured:") +
      `<div class="dock-ends"><span>${short(low)}</span><span>${short(high)}${escape(unitOf(unit))}</span></div>`;
    return scale;
  },
  words: (ask, value) => `${short(value)}${unitOf(ask.unit)}`,
};

const unitOf = (unit) => (unit ? ` ${unit}` : "");

const mark = {
  form(ask, change) {
    const [rows, columns] = ask.grid;
    const marked = new Set();
    const holder = part("div", "dock-marks");
    const grid = picture(ask.grid);
    const count = part("p", "dock-count");
    count.setAttribute("role", "status");
    grid.setAttribute("role", "grid");
    grid.setAttribute("aria-multiselectable", "true");
    grid.setAttribute(
      "aria-label",
      "Cells of the picture: arrow keys move, Space marks and unmarks",
    );
    for (const row of range(rows)) {
      const line = part("div", "dock-row");
      line.setAttribute("role", "row");
      for (const column of range(columns)) {
        const cell = part("button");
        cell.type = "button";
        cell.tabIndex = row === 0 && column === 0 ? 0 : -1;
        cell.dataset.cell = row * columns + column;
        cell.setAttribute("role", "gridcell");
        cell.setAttribute("aria-label", `row ${row + 1}, column ${column + 1}`);
        cell.setAttribute("aria-selected", false);
        line.append(cell);
      }
      grid.append(line);
    }
    const all = [...grid.querySelectorAll("button")];
    const tell = (said = "") => {
      count.textContent = said || `${marked.size} of ${ask.count} marked`;
      change(marked.size === ask.count ? [...marked].toSorted((a, b) => a - b) : null);
    };
    grid.addEventListener("click", ({ target }) => {
      const cell = target.closest("button");
      if (!cell) return;
      const index = Number(cell.dataset.cell);
      focus(all, cell);
      if (!marked.delete(index)) {
        if (marked.size === ask.count) return tell(`All ${ask.count} are set: take one away first`);
        marked.add(index);
      }
      cell.setAttribute("aria-selected", marked.has(index));
      tell();
    });
    grid.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[
        event.key
      ];
      const here = all.indexOf(event.target);
      if (!by || here < 0) return;
      event.preventDefault();
      const row = clamp(Math.floor(here / columns) + by[0], 0, rows - 1);
      const column = clamp((here % columns) + by[1], 0, columns - 1);
      focus(all, all[row * columns + column]);
    });
    const beside = part("div", "dock-beside");
    beside.append(count);
    holder.append(grid, beside);
    tell();
    return holder;
  },
  beside(ask, predicted, answer) {
    const holder = part("div", "dock-marks");
    const grid = picture(ask.grid);
    const [mine, right] = [new Set(predicted), new Set(answer)];
    const hits = [...mine].filter((each) => right.has(each)).length;
    grid.setAttribute("role", "img");
    grid.setAttribute(
      "aria-label",
      `${hits} of your ${mine.size} marks lie on the ${right.size} cells that were measured.`,
    );
    for (const row of range(ask.grid[0])) {
      const line = part("div", "dock-row");
      for (const column of range(ask.grid[1])) {
        const cell = part("i");
        const index = row * ask.grid[1] + column;
        if (right.has(index)) cell.classList.add("dock-measured");
        if (mine.has(index)) cell.classList.add("dock-said");
        line.append(cell);
      }
      grid.append(line);
    }
    const key = part("p", "dock-count");
    key.innerHTML =
      `<span><i class="dock-key dock-said"></i> you</span> <span><i class="dock-key dock-measured"></i> measured</span> ` +
      `<b>${hits} of ${mine.size} hit</b>`;
    holder.append(grid, key);
    return holder;
  },
  words: (_, cells) => `${cells.length} cells`,
};

// Cells over the picture that the page's controls stand at, once they do; without one, cells alone.
function picture([rows, columns]) {
  const grid = part("div", "dock-grid");
  grid.style.setProperty("--rows", rows);
  grid.style.setProperty("--columns", columns);
  dress(grid);
  return grid;
}

export function dress(grid) {
  const shown = document.querySelector("#picture img");
  grid.style.backgroundImage = shown ? `url("${shown.src}")` : "";
}

function focus(all, cell) {
  for (const each of all) each.tabIndex = each === cell ? 0 : -1;
  cell.focus();
}

export const ASKS = { choose, estimate, mark };
