// Two charts on one axis of budgets: right answers of photographs, and what one picture keeps.

import { mark, svg, text } from "../../kit/js/chart.js";
import { part, setHtml } from "../../kit/js/dom.js";
import { escape, percent } from "../../kit/js/format.js";
import { legend } from "../../kit/js/legend.js";
import { nearest } from "../../kit/js/numbers.js";
import { budgets, lookOf, store, studied } from "./store.js";

const HEIGHT = 262;
const [LEFT, RIGHT, TOP, BOTTOM] = [38, 14, 24, 40];
const MOST = 32;
const TICKS = [0, 1, 2, 4, 8, 16, 32];

// Small budgets, where plain models fall, have room: places go with the square root.
const place = (width) => (eps) => LEFT + Math.sqrt(eps / MOST) * (width - LEFT - RIGHT);

// `lines` are {points: [[eps, share, low, high], ...], look, end: whether the last is a fall, lent: what
// pictures made on another model leave, as a point}.
function curves(width, lines, now, title) {
  const x = place(width);
  const base = HEIGHT - BOTTOM;
  const y = (share) => base - share * (base - TOP);
  const at = (xs, ys) => `${xs.toFixed(1)} ${ys.toFixed(1)}`;
  const out = [text(2, 12, title)];
  for (const share of [0, 0.25, 0.5, 0.75, 1])
    out.push(
      `<line class="lab-grid" x1="${LEFT}" x2="${width - RIGHT}" y1="${y(share)}" y2="${y(share)}"/>`,
      text(LEFT - 6, y(share) + 4, `${100 * share}`, "end"),
    );
  out.push(`<line class="lab-axis" x1="${LEFT}" x2="${width - RIGHT}" y1="${base}" y2="${base}"/>`);
  for (const eps of TICKS) {
    const clear = eps === now || Math.abs(x(eps) - x(now)) > 18;
    if (clear && !(eps === 1 && width < 320))
      out.push(
        text(
          x(eps),
          base + 17,
          String(eps),
          "middle",
          eps === now ? "lab-tick lab-tick-now" : "lab-tick",
        ),
      );
  }
  if (!TICKS.includes(now))
    out.push(text(x(now), base + 17, String(now), "middle", "lab-tick lab-tick-now"));
  out.push(
    text((LEFT + width - RIGHT) / 2, HEIGHT - 5, "largest change of a pixel, in 255ths", "middle"),
    `<line class="lab-needle" x1="${x(now)}" x2="${x(now)}" y1="${TOP - 4}" y2="${base}"/>`,
  );
  for (const { points, look } of lines)
    if (points.length > 1 && points[0].length > 2)
      out.push(
        `<path class="def-band lab-fill-${look.role}" d="M${[...points.map(([e, , low]) => at(x(e), y(low))), ...points.toReversed().map(([e, , , high]) => at(x(e), y(high)))].join("L")}Z"/>`,
      );
  for (const { points, look, end, lent } of lines) {
    if (lent) out.push(drop(x, y, points, lent, look.role));
    out.push(
      `<path class="lab-line lab-stroke-${look.role}" stroke-dasharray="${look.dash}" d="M${points.map(([e, v]) => at(x(e), y(v))).join("L")}"/>`,
    );
    points.forEach(([eps, share], i) => {
      const last = i === points.length - 1;
      if (end && last) out.push(cross(x(eps), y(share), look.role));
      else out.push(mark(look.marker, x(eps), y(share), look.role, eps === now ? 4.2 : 2.6));
    });
  }
  return svg(width, HEIGHT, out);
}

const cross = (x, y, role) =>
  `<path class="def-fall lab-stroke-${role}" d="M${x - 5} ${y - 5}L${x + 5} ${y + 5}M${x + 5} ${y - 5}L${x - 5} ${y + 5}"/>`;

// From what a model seems to keep down to what pictures made on its twin leave.
function drop(x, y, points, [eps, left], role) {
  const from = points.find(([e]) => e === eps);
  if (!from) return "";
  return (
    `<line class="lab-flag lab-stroke-${role}" x1="${x(eps)}" x2="${x(eps)}" y1="${y(from[1])}" y2="${y(left)}"/>` +
    mark("diamond", x(eps), y(left), role, 4) +
    text(x(eps) + 8, y(left) - 5, "by its plain twin’s pictures", "start", "lab-note")
  );
}

// A chart's frame: pointers and keys choose a budget.
function frame(label) {
  const made = part("div", "lab-chart def-chart");
  made.tabIndex = 0;
  made.setAttribute("role", "slider");
  made.setAttribute("aria-label", `${label}: budget`);
  made.setAttribute("aria-valuemin", 0);
  made.setAttribute("aria-valuemax", MOST);
  const choose = (eps) => store.shown && store.select({ eps });
  made.addEventListener("click", ({ clientX }) => {
    const { left, width } = made.getBoundingClientRect();
    const share = Math.max(0, (clientX - left - LEFT) / (width - LEFT - RIGHT));
    choose(MOST * share ** 2);
  });
  made.addEventListener("keydown", (event) => {
    if (!store.shown) return;
    const list = budgets(store.shown);
    const at = list.indexOf(store.sel.eps);
    const to = {
      ArrowLeft: at - 1,
      ArrowDown: at - 1,
      ArrowRight: at + 1,
      ArrowUp: at + 1,
      Home: 0,
      End: list.length - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    choose(list[Math.min(Math.max(to, 0), list.length - 1)]);
  });
  return made;
}

const told = (made, words) => {
  made.setAttribute("aria-valuenow", store.sel.eps);
  made.setAttribute("aria-valuetext", `${store.sel.eps}/255: ${words}`);
};

const legendOf = (models) =>
  legend(
    models.map((model) => {
      const { role, dash, marker } = lookOf(model);
      return [role, model.title, dash, marker];
    }),
  );

// Over photographs.
export function over(root) {
  root.innerHTML = `<h2></h2><div></div>`;
  const chart = frame("Right answers");
  const foot = part("p", "lab-muted");
  root.append(chart, foot);
  return () => {
    const study = studied();
    chart.hidden = !study;
    setHtml(
      root.firstChild,
      study ? `Over ${study.pictures} photographs` : "Over photographs: not measured yet",
    );
    if (!study) return;
    setHtml(root.children[1], legendOf(study.models));
    const lines = study.models.map((model) => ({
      points: model.curve,
      look: lookOf(model),
      lent: model.role === "control" && model.lent ? [study.eps, model.lent[0]] : null,
    }));
    setHtml(chart, curves(chart.clientWidth, lines, store.sel.eps, "right answers, %"));
    const said = study.models.map(({ title, curve }) => {
      const at =
        curve[
          nearest(
            curve.map(([eps]) => eps),
            store.sel.eps,
          )
        ];
      return `${title} ${percent(at[1])}`;
    });
    told(chart, said.join(", "));
    foot.textContent = `${study.hidden.join(" ")} Bands are 95 % intervals.`;
  };
}

// On the picture.
export function here(root) {
  root.innerHTML = `<h2></h2><div></div>`;
  const chart = frame("This picture");
  const foot = part("p", "lab-muted");
  root.append(chart, foot);
  return (run) => {
    const [first] = run.models;
    setHtml(root.firstChild, `This picture, attacked by ${escape(run.attack.split(":")[0])}`);
    setHtml(root.children[1], legendOf(run.models));
    const lines = run.models.map((model) => ({
      points: model.tries.map(({ eps, p }) => [eps, p]),
      look: lookOf(model),
      end: model.falls !== null,
    }));
    const title = `probability of “${first.called}”, %`;
    setHtml(chart, curves(chart.clientWidth, lines, store.sel.eps, title));
    told(chart, run.models.map(({ title, fall }) => `${title} ${fall}`).join(", "));
    foot.textContent = "A cross marks where a model is fooled. Click a budget to see the pictures.";
  };
}
