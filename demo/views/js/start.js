// Findings name a block or head; pressing the name goes there.
document.addEventListener("click", (event) => {
  const jump = event.target.closest && event.target.closest(".lab-jump");
  if (jump) lab.select(JSON.parse(jump.dataset.select));
});
