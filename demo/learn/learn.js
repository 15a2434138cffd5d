// The page Learn: the way into a lesson and how far this browser has come, a class's code, a teacher's
// class, and what is printed.

import { teaching } from "./js/teach.js";

export { claims } from "./js/board.js";

// There is nothing to select here: the address asks every page.
export const select = () => {};
export const selection = () => ({});
export const on = () => () => {};

const query = () => new URLSearchParams(location.search);

export function learn(element, server) {
  const page = element.querySelector(".learn");
  const ask = async (name, what) => {
    try {
      return JSON.parse(await server[name](JSON.stringify(what)));
    } catch {
      return { problem: "The page does not answer. Is its server still running?" };
    }
  };
  progress(page);
  joining(page, ask);
  teaching(page, ask);
  arrive();
}

function progress(page) {
  for (const row of page.querySelectorAll(".learn-lesson")) {
    const done = kept(`labLesson:${row.dataset.lesson}`);
    if (!done?.step && !done?.done) continue;
    const line = document.createElement("p");
    line.className = "learn-done";
    line.innerHTML = `<i style="--done:${done.done ? 1 : done.step / (done.of + 1)}"></i><span></span>`;
    line.querySelector("span").textContent = done.done
      ? "Done, with its task"
      : `${done.step} of ${done.of} steps done`;
    row.querySelector("div").append(line);
    const start = row.querySelector(".learn-start");
    if (done.done) start.textContent = "Again";
    else {
      start.textContent = "Go on";
      start.href = start.href.replace("&s=0", `&s=${Math.min(done.step, done.of)}`);
    }
    start.ariaLabel = `${start.textContent}: ${row.querySelector("h2").textContent}`;
  }
}

function kept(name) {
  try {
    return JSON.parse(localStorage.getItem(name));
  } catch {
    return null;
  }
}

function joining(page, ask) {
  const form = page.querySelector(".learn-join");
  const field = form.querySelector("input");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const code = field.value.toUpperCase().replaceAll(/[^A-Z0-9]/g, "");
    const found = await ask("class_find", { code });
    form.querySelector(".learn-said").textContent = found.problem ?? "";
    if (found.way) location.assign(found.way);
  });
  if (query().get("k")) {
    field.value = query().get("k");
    form.requestSubmit();
  }
}

// What an address below this page names is folded open; what is to be printed is alone on it.
function arrive() {
  const paper = document.getElementById(query().get("print") ?? "");
  if (paper) return print(paper);
  const reach = () => {
    const found = document.getElementById(location.hash.slice(1));
    const fold = found?.closest("details");
    if (fold) fold.open = true;
    found?.scrollIntoView();
  };
  addEventListener("hashchange", reach);
  return reach();
}

function print(paper) {
  const sheet = document.createElement("main");
  sheet.className = "learn-sheet";
  sheet.append(paper.cloneNode(true));
  document.body.classList.remove("dark");
  document.body.replaceChildren(sheet);
  document.title = `${paper.querySelector("h4").textContent}: ${paper.querySelector(".learn-of").textContent}`;
  window.print();
}
