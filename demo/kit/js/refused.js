// Gradio moves a number that is out of range into it without a word: say it.

const SETTLED = 50; // ms until gradio has done so

export function sayTakenBack(recipe) {
  if (!recipe) return;
  recipe.addEventListener("blur", takenBack, true);
  recipe.addEventListener("input", ({ target }) => forget(target.closest(".block")));
}

const forget = (block) => block?.querySelector(".report-refused")?.remove();

function takenBack({ target: box }) {
  if (box.type !== "number" || box.dataset.testid !== "number-input" || !box.value) return;
  const [typed, block] = [box.value, box.closest(".block")];
  const name = block.querySelector("[data-testid=block-info]").textContent.trim();
  setTimeout(() => {
    if (Number(box.value) === Number(typed)) return;
    const said = document.createElement("p");
    said.className = "report-refused";
    said.setAttribute("role", "status");
    said.textContent = `${name}: ${typed} is not from ${box.min} to ${box.max}, so it is ${box.value} now.`;
    forget(block);
    block.append(said);
  }, SETTLED);
}
