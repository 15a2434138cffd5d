// Time: the stored steps, the loss over them, and where the model is first fooled.

const FRAME_MS = 350;
const PLOT = { left: 46, right: 12, top: 32, bottom: 22, height: 132 };

const icon = (path) =>
  `<svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true"><path class="lab-icon" d="${path}"/></svg>`;
const PLAY = `${icon("M5 3l7 5-7 5z")}Play`;
const PAUSE = `${icon("M5 3v10M11 3v10")}Pause`;

VIEWS.scrubber = {
  build(root, view) {
    root.innerHTML =
      `<div class="lab-tools lab-transport">` +
      `<button type="button" data-go="first" aria-label="First step">${icon("M4 3v10M13 3 6 8l7 5z")}</button>` +
      `<button type="button" data-go="back" aria-label="One stored step back">${icon("M11 3 4 8l7 5z")}</button>` +
      `<button type="button" data-go="play" aria-label="Play">${PLAY}</button>` +
      `<button type="button" data-go="on" aria-label="One stored step on">${icon("M5 3l7 5-7 5z")}</button>` +
      `<button type="button" data-go="last" aria-label="Last step">${icon("M12 3v10M3 3l7 5-7 5z")}</button>` +
      `<span class="lab-where"></span></div>` +
      `<div class="lab-track" tabindex="0" role="slider" aria-label="Step of the attack" aria-valuemin="0">` +
      `<div class="lab-plot"></div></div>` +
      `<p class="lab-empty">The steps of the attack and its loss appear here while it runs.</p>`;
    view.track = root.querySelector(".lab-track");
    view.plot = root.querySelector(".lab-plot");
    view.where = root.querySelector(".lab-where");
    view.play = root.querySelector("[data-go=play]");
    root.addEventListener("click", (event) => {
      const go = event.target.closest("[data-go]")?.dataset.go;
      if (!go || !lab.run || lab.live) return;
      if (go === "play") return void playing(view, !view.timer);
      playing(view, false);
      const to = { first: 0, back: lab.sel.step - 1, on: lab.sel.step + 1, last: 1e9 }[go];
      lab.select({ step: to });
    });
    view.track.addEventListener("keydown", (event) => {
      if (!lab.run || lab.live) return;
      const by = {
        ArrowLeft: -1,
        ArrowDown: -1,
        ArrowRight: 1,
        ArrowUp: 1,
        PageDown: -5,
        PageUp: 5,
      }[event.key];
      if (event.key === " ") playing(view, !view.timer);
      else if (event.key === "Home") lab.select({ step: 0 });
      else if (event.key === "End") lab.select({ step: 1e9 });
      else if (by) lab.select({ step: lab.sel.step + by });
      else return;
      event.preventDefault();
    });
    let held = false;
    const seek = (event) => {
      const box = view.track.getBoundingClientRect();
      const width = box.width - PLOT.left - PLOT.right;
      const step = ((event.clientX - box.left - PLOT.left) / width) * lab.run.done;
      const near = lab.run.steps.reduce(
        (best, s, i) => (Math.abs(s - step) < Math.abs(lab.run.steps[best] - step) ? i : best),
        0,
      );
      lab.select({ step: near });
    };
    view.track.addEventListener("pointerdown", (event) => {
      if (!lab.run || lab.live || event.button) return;
      held = true;
      playing(view, false);
      view.track.setPointerCapture(event.pointerId);
      seek(event);
    });
    view.track.addEventListener("pointermove", (event) => held && lab.run && seek(event));
    view.track.addEventListener("pointerup", () => (held = false));
    view.track.addEventListener("pointercancel", () => (held = false));
  },
  draw(run, sel) {
    const step = run.steps[sel.step];
    const fooled = firstFooled(run);
    const stopped = run.done < run.asked;
    setHtml(
      this.where,
      `<b>${step === 0 ? "clean" : `step ${step}`}</b> of ${run.asked}` +
        (stopped ? ` <em>stopped at ${run.done}</em>` : "") +
        (run.steps.length <= run.done
          ? ` <em>${run.steps.length} of ${run.done + 1} stored</em>`
          : ""),
    );
    this.track.setAttribute("aria-valuemax", run.done);
    this.track.setAttribute("aria-valuenow", step);
    this.track.setAttribute(
      "aria-valuetext",
      `${frameName(run, sel.step)}, the model says ${run.tops[sel.step].name}`,
    );
    const losses = run.losses.map((v, i) => [i, v]);
    if (run.final_loss !== null && run.done) losses.push([run.done, run.final_loss]);
    setHtml(
      this.plot,
      timeline(
        this.plot.clientWidth,
        run.done,
        losses,
        run.steps,
        step,
        fooled === null ? null : run.steps[fooled],
        goalWord(run.goal.target),
      ),
    );
  },
  drawLive(live) {
    playing(this, false);
    setHtml(this.where, `<b>step ${live.step}</b> of ${live.asked} <em>running</em>`);
    // Steps that went by between two updates are holes here.
    const losses = Object.entries(live.losses).map(([i, v]) => [Number(i), v]);
    setHtml(
      this.plot,
      timeline(this.plot.clientWidth, live.asked, losses, [], live.step, null, ""),
    );
  },
};

const goalWord = (target) => (target === null ? "first fooled at" : "target first reached at");

function isFooled(run, index) {
  const top = run.tops[index].index;
  return run.goal.target === null ? top !== run.goal.label : top === run.goal.target;
}
function firstFooled(run) {
  const at = range(run.last + 1).find((i) => isFooled(run, i));
  return at === undefined ? null : at;
}

function playing(view, on) {
  clearInterval(view.timer);
  view.timer = null;
  if (on) {
    if (lab.sel.step >= lab.run.last) lab.select({ step: 0 });
    view.timer = setInterval(() => {
      lab.select({ step: lab.sel.step + 1 });
      if (lab.sel.step >= lab.run.last) playing(view, false);
    }, FRAME_MS);
  }
  setHtml(view.play, on ? PAUSE : PLAY);
  view.play.setAttribute("aria-label", on ? "Pause" : "Play");
}

function timeline(width, last, losses, stored, now, fooled, word) {
  const { left, right, top, bottom, height } = PLOT;
  const x = (step) => left + ((width - left - right) * step) / Math.max(1, last);
  const base = height - bottom;
  const values = losses.map(([, v]) => v).filter((v) => v !== null);
  const low = Math.min(0, ...values);
  const high = Math.max(low + 1e-6, ...values);
  const y = (v) => base - ((v - low) / (high - low)) * (base - top - 4);
  const out = [
    `<line class="lab-axis" x1="${left}" x2="${width - right}" y1="${base}" y2="${base}"/>`,
  ];
  if (values.length)
    for (const v of [low, high])
      out.push(
        `<text class="lab-tick" x="${left - 6}" y="${y(v) + 4}" text-anchor="end">${short(v)}</text>`,
      );
  out.push(`<text class="lab-tick" x="${left}" y="10">loss the attack climbs</text>`);
  const shown = stored.length > 24 ? Math.ceil(stored.length / 12) : stored.length > 12 ? 2 : 1;
  stored.forEach((s, i) => {
    out.push(`<line class="lab-notch" x1="${x(s)}" x2="${x(s)}" y1="${base}" y2="${base + 5}"/>`);
    if (s === now || ((i % shown === 0 || s === last) && Math.abs(x(s) - x(now)) > 16))
      out.push(
        `<text class="lab-tick ${s === now ? "lab-tick-now" : ""}" x="${x(s)}" y="${height - 3}" text-anchor="middle">${s}</text>`,
      );
  });
  if (fooled !== null) {
    // In a row of its own above the curve, which it must not cross.
    const late = x(fooled) + 7 * (word.length + 8) > width - right;
    out.push(
      `<line class="lab-flag lab-stroke-adversarial" x1="${x(fooled)}" x2="${x(fooled)}" y1="${top - 14}" y2="${base}"/>` +
        `<text class="lab-note" x="${x(fooled) + (late ? -5 : 5)}" y="${top - 7}" text-anchor="${late ? "end" : "start"}">${word} step ${fooled}</text>`,
    );
  }
  if (losses.length > 1)
    out.push(
      `<path class="lab-line lab-stroke-adversarial" d="M${losses.map(([s, v]) => `${x(s).toFixed(1)} ${y(v ?? low).toFixed(1)}`).join("L")}"/>`,
    );
  for (const [s, v] of losses)
    if (stored.includes(s) || losses.length === 1)
      out.push(
        `<circle class="lab-mark lab-fill-adversarial lab-stroke-adversarial" cx="${x(s)}" cy="${y(v ?? low)}" r="2.4"/>`,
      );
  out.push(
    `<line class="lab-needle" x1="${x(now)}" x2="${x(now)}" y1="${top - 4}" y2="${base}"/><circle class="lab-thumb" cx="${x(now)}" cy="${base}" r="8"/>`,
  );
  return `<svg width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" aria-hidden="true">${out.join("")}</svg>`;
}
