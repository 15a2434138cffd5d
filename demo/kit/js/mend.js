// What gradio leaves to be mended, on every page.

import "./again.js";

// A dropdown's open list scrolls, so Chromium would stop there at Tab; but leaving the dropdown closes
// the list, and the stop with it: the key would be lost.
document.addEventListener(
  "keydown",
  (event) => {
    if (event.key !== "Tab") return;
    for (const list of document.querySelectorAll("ul[role=listbox]")) list.tabIndex = -1;
  },
  true,
);

// A menu opens scrolled to its end: show where the choice stands.
document.addEventListener("focusin", (event) => {
  if (!event.target.matches?.("input[role=listbox], input[role=combobox], .wrap-inner input"))
    return;
  const place = () => {
    const list = document.querySelector("ul[role=listbox]");
    if (!list) return;
    const chosen = list.querySelector("[aria-selected=true]");
    list.scrollTop = chosen ? Math.max(0, chosen.offsetTop - list.clientHeight / 2) : 0;
  };
  for (const wait of [0, 60, 150]) setTimeout(place, wait);
});

// The place for files has a name that hides the words on it; without, they are its name.
let due = false;
const rename = () => {
  due = false;
  for (const each of document.querySelectorAll(".upload-container[aria-label]"))
    if (each.innerText.trim()) each.removeAttribute("aria-label");
};
new MutationObserver(() => {
  if (due) return;
  due = true;
  requestAnimationFrame(rename);
}).observe(document.documentElement, { childList: true, subtree: true });
