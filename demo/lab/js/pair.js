// What you see: clean and attacked picture, and the signed difference.

import { calm } from "../../kit/js/arrive.js";
import { choices, setHtml } from "../../kit/js/dom.js";
import { diverging, ramp } from "../../kit/js/draw.js";
import { probability, short } from "../../kit/js/format.js";
import { pickable, placePick } from "../../kit/js/map.js";
import { clamp } from "../../kit/js/numbers.js";
import { PATCHES, patchIn } from "./inside.js";
import { pinButton } from "./compare.js";
import { sights, store } from "./store.js";
import { frameName } from "./words.js";

const BLINK_MS = 600;

// Where the divider is, and which picture blinking shows: the same for pictures side by side.
const hand = { at: 50, flipped: false };
const shown = [];
const placeAll = () => shown.forEach(place);

function pictureFigure(kind, label) {
  const figure = document.createElement("figure");
  figure.className = `lab-picture lab-picture-${kind}`;
  figure.innerHTML =
    `<div class="lab-stack"><canvas role="img"></canvas><i class="lab-pick" hidden></i></div>` +
    `<figcaption><span class="lab-cap"></span></figcaption>`;
  pickable(figure.querySelector(".lab-stack"), label, PATCHES);
  return figure;
}

export const pair = {
  build(root, view) {
    root.innerHTML =
      `<div class="lab-tools"></div><div class="lab-stage"></div>` +
      `<p class="lab-empty">Choose a picture and press Run: the clean picture stands on the left, the attacked one on the right.</p>`;
    shown.push(view);
    const modes = [
      ["slider", "Slider"],
      ["side", "Side by side"],
      ["blink", "Blink"],
      ["difference", "Difference"],
    ];
    view.modes = choices("How to compare", modes, store.sel.compare, (compare) =>
      store.select({ compare }),
    );
    const tools = root.querySelector(".lab-tools");
    tools.append(view.modes.element);
    view.hint = document.createElement("span");
    view.hint.className = "lab-hint";
    tools.append(view.hint);
    if (!view.pinned) {
      view.pin = pinButton();
      tools.append(view.pin);
    }
    view.stage = root.querySelector(".lab-stage");
    view.clean = pictureFigure("clean", "Clean picture");
    view.adversarial = pictureFigure("adversarial", "Attacked picture");
    view.difference = pictureFigure("difference", "Signed difference");
    view.magnified = pictureFigure("magnified", "Magnified perturbation");
    view.stage.append(view.adversarial, view.clean, view.difference, view.magnified);
    view.divider = document.createElement("div");
    view.divider.className = "lab-divider";
    view.divider.innerHTML = `<i></i>`;
    view.divider.tabIndex = 0;
    for (const [k, v] of Object.entries({
      role: "slider",
      "aria-label": "Divider: clean left of it, attacked right of it",
      "aria-valuemin": 0,
      "aria-valuemax": 100,
    }))
      view.divider.setAttribute(k, v);
    view.clean.querySelector(".lab-stack").append(view.divider);
    drag(view);
    if (!view.pinned)
      view.timer = setInterval(() => {
        if (store.sel.compare === "blink" && !calm() && root.offsetWidth && !document.hidden)
          flip();
      }, BLINK_MS);
    view.stage.addEventListener("keydown", (event) => {
      if (store.sel.compare === "blink" && event.key === " ") {
        event.preventDefault();
        flip();
      }
    });
  },
  draw(run, sel) {
    if (this.pin) this.pin.disabled = false;
    paint(this, {
      clean: run.pictures[0],
      current: run.pictures[sel.step],
      name: sel.step === 0 ? "step 0: not attacked yet" : frameName(run, sel.step),
      eps: Math.max(...sights().map(([each]) => each.attack.eps)),
      shape: run.shapes[0],
      alt: `${run.tops[sel.step].name} ${probability(run.tops[sel.step].p)} for the model`,
      cleanAlt: `${run.tops[0].name} ${probability(run.tops[0].p)} for the model`,
    });
    nudge(this, run);
  },
  drawLive(live) {
    this.pin.disabled = true;
    paint(this, {
      clean: live.clean,
      current: live.current,
      name: live.step ? `after step ${live.step} of ${live.asked}` : "starting",
      eps: live.eps,
      shape: live.shapes[0],
      alt: "",
      cleanAlt: live.label_name,
    });
  },
};

function flip() {
  hand.flipped = !hand.flipped;
  placeAll();
}

function place(view) {
  const { root } = view;
  const { at, flipped } = hand;
  const mode = store.sel.compare;
  view.modes.set(mode);
  root.dataset.mode = mode;
  root.dataset.flipped = mode === "blink" && flipped ? "yes" : "";
  view.clean.querySelector("canvas").style.clipPath =
    mode === "slider" ? `inset(0 ${100 - at}% 0 0)` : "none";
  view.divider.style.left = `${at}%`;
  view.divider.setAttribute("aria-valuenow", Math.round(at));
  view.divider.setAttribute("aria-valuetext", `${Math.round(at)} % clean`);
  const hints = {
    slider: "Click a patch to follow it.",
    side: "Click a patch to follow it.",
    blink: calm() ? "Space swaps." : "Swaps every 0.6 s.",
    difference: "What was added, and where.",
  };
  view.hint.textContent = hints[mode];
}

function paint(view, { clean, current, name, eps, shape, alt, cleanAlt }) {
  place(view);
  if (!clean.canvas || !current.canvas) return;
  photograph(view.clean, clean, "clean", `Clean picture: ${cleanAlt}`);
  photograph(view.adversarial, current, name, `Picture ${name}: ${alt}`);
  if (view.drawn !== current || view.drawnClean !== clean || view.drawnEps !== eps) {
    view.drawn = current;
    view.drawnEps = eps;
    view.drawnClean = clean;
    differences(view, clean, current, eps);
  }
  const gain = eps ? Math.round(128 / eps) : 1;
  setHtml(
    view.difference.querySelector("figcaption"),
    `<span class="lab-cap">signed difference ×${gain} (mean of RGB)</span>` +
      ramp(diverging, -1, 1, [`−${short(eps)}/255`, "0", `+${short(eps)}/255`]),
  );
  setHtml(
    view.magnified.querySelector("figcaption"),
    `<span class="lab-cap">change in colour, ×${gain} around grey</span>`,
  );
  for (const figure of [view.clean, view.adversarial, view.difference, view.magnified]) {
    const pick = figure.querySelector(".lab-pick");
    placePick(pick, shape?.grid, patchIn(shape?.grid));
  }
}

function photograph(figure, picture, caption, label) {
  const canvas = figure.querySelector("canvas");
  figure.querySelector(".lab-cap").textContent = caption;
  canvas.setAttribute("aria-label", label);
  if (canvas.shown === picture) return;
  canvas.shown = picture;
  canvas.width = picture.canvas.width;
  canvas.height = picture.canvas.height;
  canvas.getContext("2d").drawImage(picture.canvas, 0, 0);
}

function differences(view, clean, current, eps) {
  const a = clean.data;
  const b = current.data;
  const { width, height } = clean.canvas;
  const signed = new ImageData(width, height);
  const colours = new ImageData(width, height);
  const limit = eps || 1;
  for (let i = 0; i < a.length; i += 4) {
    const delta = [b[i] - a[i], b[i + 1] - a[i + 1], b[i + 2] - a[i + 2]];
    const colour = diverging((delta[0] + delta[1] + delta[2]) / 3 / limit);
    for (let c = 0; c < 3; c++) {
      signed.data[i + c] = colour[c];
      colours.data[i + c] = 128 + (delta[c] * 127) / limit;
    }
    signed.data[i + 3] = colours.data[i + 3] = 255;
  }
  for (const [figure, image, label] of [
    [view.difference, signed, "Signed difference between the attacked and the clean picture"],
    [view.magnified, colours, "Perturbation, magnified"],
  ]) {
    const canvas = figure.querySelector("canvas");
    canvas.width = width;
    canvas.height = height;
    canvas.setAttribute("aria-label", label);
    canvas.getContext("2d").putImageData(image, 0, 0);
  }
}

// The divider follows a drag that starts anywhere on the picture; a click without a drag picks.
function drag(view) {
  const stack = view.clean.querySelector(".lab-stack");
  let from = null;
  const move = (event) => {
    const box = stack.getBoundingClientRect();
    hand.at = clamp((100 * (event.clientX - box.left)) / box.width, 0, 100);
    placeAll();
  };
  stack.addEventListener("pointerdown", (event) => {
    if (store.sel.compare !== "slider" || event.button) return;
    from = { x: event.clientX, moved: event.target.closest(".lab-divider") !== null };
    stack.setPointerCapture(event.pointerId);
  });
  stack.addEventListener("pointermove", (event) => {
    if (!from) return;
    if (Math.abs(event.clientX - from.x) > 4) from.moved = true;
    if (from.moved) move(event);
  });
  stack.addEventListener("pointerup", () => {
    if (from && from.moved)
      stack.addEventListener("click", (e) => e.stopImmediatePropagation(), {
        capture: true,
        once: true,
      });
    from = null;
  });
  stack.addEventListener("pointercancel", () => (from = null));
  view.divider.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -5, ArrowRight: 5, ArrowDown: -5, ArrowUp: 5 }[event.key];
    if (step) hand.at = clamp(hand.at + step, 0, 100);
    else if (event.key === "Home") hand.at = 0;
    else if (event.key === "End") hand.at = 100;
    else return;
    event.preventDefault();
    event.stopPropagation();
    placeAll();
  });
}

// Once, on the first picture: show that the divider moves.
function nudge(view, run) {
  if (view.nudged || view.pinned || calm() || !run.pictures[0].canvas) return;
  view.nudged = true;
  const began = performance.now();
  const tick = (now) => {
    const t = (now - began) / 300;
    hand.at = t < 1 ? 50 + 7 * Math.sin(Math.PI * t) : 50;
    placeAll();
    if (t < 1) requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}
