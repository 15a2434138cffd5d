// Whoever was refused presses the button in the line, which presses Run.

document.addEventListener("click", ({ target }) => {
  if (target.closest?.("[data-again]")) document.querySelector("#run")?.click();
});
