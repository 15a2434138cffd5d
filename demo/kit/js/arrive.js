// Whoever has pressed Run and does not see the result is taken to it, once, when it comes.

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export function arrive(element) {
  if (!window.labPressed || !element) return;
  window.labPressed = false;
  const { top, bottom } = element.getBoundingClientRect();
  if (top < innerHeight * 0.6 && bottom > 80) return; // it is in sight
  element.scrollIntoView({ behavior: calm() ? "auto" : "smooth", block: "start" });
}
