// Whoever has pressed Run and does not see the result is taken to it, once, when it comes.

let pressed = false;
document.addEventListener(
  "click",
  (event) => {
    if (event.target.closest?.("#run")) pressed = true;
  },
  true,
);

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export function arrive(element) {
  if (!pressed || !element) return;
  pressed = false;
  const { top, bottom } = element.getBoundingClientRect();
  if (top < innerHeight * 0.6 && bottom > 80) return; // it is in sight
  element.scrollIntoView({ behavior: calm() ? "auto" : "smooth", block: "start" });
}
