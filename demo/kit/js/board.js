// A page of one report: a board of linked views with its downloads and the line that says whether it
// is what Run would give now, and views beside it.

import { arrive } from "./arrive.js";
import { download } from "./dom.js";
import { ahead, chosen, note, watchRun } from "./note.js";
import { bytesOf, told } from "./packing.js";
import { sayTakenBack } from "./refused.js";

const KINDS = {
  png: "image/png",
  csv: "text/csv;charset=utf-8",
  json: "application/json",
};

// What a page's components call. `store` holds reports as `prepare` makes them of messages; a view
// is a function of its root that gives how to draw a report there; `layout` is the board's, with an
// element `data-part` a view and `.report-files`; `files` are downloads by kind, in words; `parts` the
// words of a choice.
export function boardOf({ store, prepare, views, layout, empty, files, parts }) {
  function mount(name, element) {
    const root = element.querySelector("section") ?? element;
    const draw = views[name](root);
    store.view(name, root, () => store.shown && draw(store.shown));
  }

  // The board's value are the latest messages.
  function board(element, props, watch) {
    const root = element.querySelector("section");
    const report = element.closest("#report");
    root.innerHTML =
      `<p class="lab-empty">${empty}</p><div class="report-board">` +
      `<p class="report-note" role="status" hidden></p>${layout}</div>`;
    const downloads = root.querySelector(".report-files");
    downloads.innerHTML = Object.entries(files)
      .map(
        ([kind, name]) =>
          `<button type="button" class="lab-reset" data-file="${kind}">${name}</button>`,
      )
      .join("");
    downloads.addEventListener("click", ({ target }) => save(target.dataset.file));
    for (const part of root.querySelectorAll("[data-part]")) mount(part.dataset.part, part);
    const line = root.querySelector(".report-note");
    const tell = () => store.shown && note(line, report, store.shown.choice, parts);
    const receive = () => {
      if (told(props.value).filter(take).length) arrive(root);
      root.dataset.state = report.dataset.state = store.shown ? "run" : "empty";
      tell();
    };
    watch("value", receive);
    receive();
    watchRun(store, tell);
    sayTakenBack(document.querySelector("#recipe"));
  }

  // What the controls stand for now.
  const choose = (props, watch) => watch("value", () => chosen(JSON.parse(props.value)));

  // Messages: working (a run is under way), report (all that is known of it), restore. Gives whether
  // this is the first report of a run that was asked for here.
  function take(message) {
    ahead(message.kind === "working" ? message.choice : null);
    if (message.kind === "working" && store.shown) store.begin(store.shown);
    if (message.kind === "restore") store.fail();
    if (message.kind !== "report") return false;
    const asked = !message.earlier && message.run !== store.shown?.run;
    if (message.earlier) store.keep(prepare(message));
    else {
      store.look(false); // after a reload nothing else says that the visitor has a run of their own
      store.end(prepare(message));
    }
    return asked;
  }

  function save(kind) {
    if (!kind) return;
    const { stem, [kind]: content } = store.shown.files;
    download(`${stem}.${kind}`, kind === "png" ? bytesOf(content) : content, KINDS[kind]);
  }

  return { mount, board, choose };
}
