// What was found, in a few sentences: over photographs, and on this picture.

import { setHtml } from "../../kit/js/dom.js";
import { escape } from "../../kit/js/format.js";
import { studied } from "./store.js";

export function findings(root) {
  root.innerHTML = `<p class="report-finding"></p><p class="report-second"></p>`;
  return (run) => {
    const own = `On this picture: ${run.said.map(escape).join(" ")}`;
    const study = studied();
    setHtml(root.children[0], study ? study.bought.map(escape).join(" ") : own);
    setHtml(root.children[1], study ? own : "");
  };
}
