// A report of a run: the views of the Lab in a file of its own, with what a student writes into it.

import { download } from "../kit/js/dom.js";
import { mount } from "./lab.js";
import { pin, receive, store, tellApart } from "./js/store.js";

const WRITTEN = ["name", "notes"];
const at = (id) => document.getElementById(id);

export function open() {
  const asSaved = document.documentElement.outerHTML; // before the views are drawn into it
  const { run, pinned, apart } = JSON.parse(at("runs").textContent);
  for (const each of document.querySelectorAll(".lab-view"))
    mount(each.dataset.view, each.parentElement, null);
  if (pinned) {
    receive(pinned);
    pin(store.run);
  }
  receive(run);
  if (apart) tellApart(apart);
  at("save").addEventListener("click", () => save(asSaved));
  // What leads to another page of the Lab leads nowhere from here.
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("a[href]:not([download])")) event.preventDefault();
  });
}

// The same file again, with the name and the notes in it.
function save(asSaved) {
  const page = new DOMParser().parseFromString(asSaved, "text/html");
  for (const id of WRITTEN) page.getElementById(id).textContent = at(id).innerText;
  const name = decodeURIComponent(location.pathname.split("/").pop());
  download(name, `<!doctype html>\n${page.documentElement.outerHTML}`, "text/html");
}
