// The steps of a run and its attack, in words.

export function frameName(run, index) {
  if (index === run.noise) return "random noise of equal size";
  const step = run.steps[index];
  return step === 0 ? "clean" : `after step ${step} of ${run.asked}`;
}

// The same in fewer words, for titles above small maps.
export const stepName = (run, index) =>
  index === run.noise ? "noise" : run.steps[index] === 0 ? "step 0" : `step ${run.steps[index]}`;

// "TGR" of "TGR: token gradients, ...".
export const attackName = (run) => run.attack.title.split(":")[0];
