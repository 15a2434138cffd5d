// What gradio leaves to be mended, on every page.

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

// The place for files has a name that hides the words on it; without, they are its name.
{
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
}
