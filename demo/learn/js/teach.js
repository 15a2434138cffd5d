// A teacher opens a class on the Learn page: its code, the address and the QR code for the wall.

import { WAY_IN, base, fill, spaced, warn } from "./card.js";
import { codes, comesAnew, forget, keep, taught } from "./keys.js";

export function teaching(page, ask) {
  const dialog = page.querySelector(".learn-class");
  const at = (name) => dialog.querySelector(name);
  const boxes = [...dialog.querySelectorAll("fieldset input")];
  at(".learn-room").innerHTML = WAY_IN;
  let open = { code: "", link: "" };

  const row = (lesson) => page.querySelector(`.learn-lesson[data-lesson="${lesson}"]`);
  const name = (lesson) => row(lesson).querySelector("h2").textContent;

  async function show(code) {
    const { lesson, key } = taught(code);
    const hide = boxes.filter((each) => each.checked).map((each) => each.value);
    const card = await ask("class_card", { code, key, base: base(), hide: hide.join(",") });
    if (card.problem) return complain("The class cannot be shown", card.problem);
    open = { code, link: card.link };
    at("h2").textContent = `A class for “${name(lesson)}”`;
    fill(dialog, code, card);
    at(".learn-start").href = row(lesson).querySelector(".learn-start").href + `&k=${code}`;
    if (!dialog.open) dialog.showModal();
    mark(lesson, code);
    comesAnew(code);
    return null;
  }

  function complain(title, sentence) {
    at("h2").textContent = title;
    warn(dialog, sentence);
    if (!dialog.open) dialog.showModal();
  }

  // The button of a lesson leads back to the class that is open.
  function mark(lesson, code) {
    const button = row(lesson).querySelector(".learn-teach");
    button.dataset.code = code;
    button.textContent = code ? `Your class ${spaced(code)}` : "Teach it to a class";
    button.setAttribute("aria-label", `${button.textContent}: ${name(lesson)}`);
  }

  async function begin(lesson) {
    const made = await ask("class_open", { lesson });
    if (made.problem) return complain("No class was opened", made.problem);
    const kept = keep(made.code, lesson, made.key);
    await show(made.code);
    if (!kept)
      warn(dialog, "This browser keeps nothing of this page, so it cannot hold a class’s key.");
    return null;
  }

  async function end() {
    const { lesson, key } = taught(open.code);
    await ask("class_lead", { code: open.code, key, step: 0, do: "end" });
    forget(open.code);
    mark(lesson, "");
    dialog.close();
  }

  async function copy(button) {
    try {
      await navigator.clipboard.writeText(open.link);
      button.textContent = "Copied";
    } catch {
      prompt("The students’ link", open.link); // without https a page may not copy
    }
  }

  page.addEventListener("click", (event) => {
    const teach = event.target.closest(".learn-teach");
    if (teach?.dataset.code) show(teach.dataset.code);
    else if (teach) begin(teach.closest("[data-lesson]").dataset.lesson);
    const act = event.target.closest("[data-do]");
    if (act?.dataset.do === "end") end();
    else if (act?.dataset.do === "copy") copy(act);
    else if (act?.dataset.do === "close") dialog.close();
  });
  for (const each of boxes) each.addEventListener("change", () => show(open.code));

  // Classes of this browser that go on; those that are over are forgotten.
  for (const code of codes()) {
    const { lesson, key } = taught(code);
    ask("class_look", { code, key, step: 0 }).then((told) => {
      if (told.problem) forget(code);
      else if (row(lesson)) mark(lesson, code);
    });
  }
}
