// How far a visitor has come in a lesson: kept by this tab, and gone with it; the list of lessons finds
// how much is done in this browser.

export function kept(lesson) {
  try {
    return JSON.parse(sessionStorage.getItem(`lesson:${lesson}`)) ?? {};
  } catch {
    return {};
  }
}

// A browser that keeps nothing asks again after a reload.
export function keep(lesson, at, change) {
  const all = kept(lesson);
  all[at] = change && { ...all[at], ...change };
  try {
    sessionStorage.setItem(`lesson:${lesson}`, JSON.stringify(all));
  } catch {}
}

export function tally(lesson, of) {
  const all = kept(lesson);
  const step = Object.entries(all).filter(([at, each]) => Number(at) < of && each?.found).length;
  try {
    const told = { step, of, done: Boolean(all[of]?.done) };
    localStorage.setItem(`labLesson:${lesson}`, JSON.stringify(told));
  } catch {}
}
