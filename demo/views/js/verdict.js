// What came out, measured on the saved picture.

VIEWS.verdict = {
  build(root, view) {
    root.innerHTML =
      `<div class="lab-verdict" role="status" aria-live="polite"></div>` +
      `<div class="lab-progress" hidden></div>` +
      `<p class="lab-empty">Press Run: within seconds you see whether the model is fooled, by how much change, and what random noise of the same size does.</p>`;
    view.text = root.querySelector(".lab-verdict");
    view.progress = root.querySelector(".lab-progress");
  },
  draw(run) {
    this.progress.hidden = true;
    this.text.hidden = false;
    this.root.style.minHeight = "";
    setHtml(this.text, verdictHtml(run));
  },
  drawLive(live) {
    this.progress.hidden = false;
    this.text.hidden = true;
    const best = [...(live.bars.length ? live.bars : live.first)].sort((a, b) => b.p - a.p)[0];
    if (!this.root.style.minHeight) this.root.style.minHeight = `${this.root.offsetHeight}px`;
    const seen = live.step > 1 ? `After step ${live.step - 1}` : "On the clean picture";
    setHtml(
      this.progress,
      `<p class="lab-headline"><span class="lab-pill">running</span> step ${live.step} of ${live.asked}</p>` +
        `<div class="lab-meter"><i style="width:${(100 * live.step) / live.asked}%"></i></div>` +
        `<p>${seen} the model says ${escape(best.name)} ${probability(best.p)}.</p>`,
    );
  },
};

function verdictHtml(run) {
  const { verdict, goal, tops } = run;
  const [clean, now, noise] = [tops[0], tops[run.last], tops[run.noise]];
  const stopped = run.done < run.asked;
  const [state, word] = outcome(run);
  const figures = [
    [
      "L∞ of the saved PNG",
      `${verdict.linf}/255`,
      "largest change of any colour value, measured on the saved PNG",
    ],
    ["L2", short(verdict.l2), "Euclidean length of the change, pixels in [0, 1]"],
    [
      "PSNR",
      verdict.psnr === null ? "∞" : `${verdict.psnr.toFixed(1)} dB`,
      "peak signal-to-noise ratio",
    ],
    ["SSIM", verdict.ssim.toFixed(3), "structural similarity, 1 = same"],
    ["steps", stopped ? `${run.done} of ${run.asked}` : String(run.done), "gradient steps"],
    [
      "time",
      `${short(verdict.crafting_seconds)} s`,
      `the attack itself, on ${verdict.device}; ${short(verdict.seconds)} s with all views`,
    ],
    ["device", verdict.device, "where it ran"],
    ["seed", String(verdict.seed), "same seed, same picture"],
  ];
  const control =
    noise.index === clean.index
      ? `Random noise of equal size: still ${escape(noise.name)} ${probability(noise.p)}.`
      : `Random noise of equal size: ${escape(noise.name)} ${probability(noise.p)} – the model errs under noise as well.`;
  const misread =
    clean.index === goal.label
      ? ""
      : `<p>The model misreads the clean picture already: its label is ${escape(goal.label_name)}.</p>`;
  return (
    `<p class="lab-headline"><span class="lab-pill lab-pill-${state}">${word}</span> ` +
    (stopped ? `<span class="lab-pill">stopped at step ${run.done} of ${run.asked}</span> ` : "") +
    `<span class="lab-change">${say("clean", clean.name)} ${probability(clean.p)} <span aria-label="becomes">→</span> ` +
    `${now.index === clean.index ? `still ${say("clean", now.name)}` : say("adversarial", now.name)} ${probability(now.p)}</span></p>` +
    `<dl class="lab-figures">${figures.map(([k, v, t]) => `<div title="${escape(t)}"><dt>${k}</dt><dd>${escape(v)}</dd></div>`).join("")}</dl>` +
    `${misread}<p>${control}</p>${transferHtml(verdict.transfers)}`
  );
}

function outcome(run) {
  const { goal, verdict, tops } = run;
  if (run.verdict.linf === 0) return ["no", "no change"];
  if (verdict.success) return ["yes", goal.target === null ? "fooled" : "target reached"];
  if (goal.target !== null && tops[run.last].index !== goal.label)
    return ["half", `fooled, but not ${escape(goal.target_name)}`];
  return ["no", "not fooled"];
}

function transferHtml(transfers) {
  if (!transfers.length) return "";
  const fooled = transfers.filter((t) => t.changed).length;
  const each = transfers
    .map(
      (t) =>
        `<li><span>${escape(t.model)}</span><span>${escape(t.clean)} ${probability(t.clean_p)} → ${escape(t.adversarial)} ${probability(t.adversarial_p)}</span><em>${t.changed ? "changed" : "same"}</em></li>`,
    )
    .join("");
  return `<p>Shown to ${plural(transfers.length, "other model")}: ${fooled} of ${transfers.length} changed ${transfers.length === 1 ? "its" : "their"} answer.</p><ul class="lab-transfers">${each}</ul>`;
}
