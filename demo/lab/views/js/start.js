// Findings name a block or head; pressing the name goes there.
document.addEventListener("click", (event) => {
  const jump = event.target.closest && event.target.closest(".lab-jump");
  if (jump) lab.select(JSON.parse(jump.dataset.select));
});

// Gradio opens a menu scrolled to its end: show where the choice stands.
document.addEventListener("focusin", (event) => {
  if (!event.target.matches?.("input[role=listbox], input[role=combobox], .wrap-inner input")) return;
  const place = () => {
    const list = document.querySelector("ul[role=listbox]");
    if (!list) return;
    const chosen = list.querySelector("[aria-selected=true]");
    list.scrollTop = chosen ? Math.max(0, chosen.offsetTop - list.clientHeight / 2) : 0;
  };
  for (const wait of [0, 60, 150]) setTimeout(place, wait);
});
