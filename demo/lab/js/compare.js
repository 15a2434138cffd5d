// A run that is pinned, and in what the one beside it differs: Python says that, of their settings and
// of what came out.

import { button, setHtml } from "../../kit/js/dom.js";
import { escape } from "../../kit/js/format.js";
import { beside, pin, pinned, recall, store, tellApart } from "./store.js";
import { attackName } from "./words.js";

export const pinButton = () => {
  const press = button("Pin this run", () => pin(store.run), "lab-quiet lab-pin");
  press.title = "It stays, and stands beside the next run.";
  return press;
};

export const compare = {
  build(root, view) {
    root.innerHTML = `<div class="lab-apart" role="status"></div>`;
    view.text = root.firstChild;
    const unpin = button("Unpin", () => pin(null), "lab-quiet");
    root.append(unpin);
    const look = () => tell(view);
    pinned.addEventListener("pin", () => {
      keep(view);
      look();
    });
    store.on("result", look);
    find();
  },
  draw() {},
};

async function tell(view) {
  const { run: before } = pinned;
  const after = beside() && store.run;
  view.root.dataset.pinned = before ? "yes" : "";
  if (!before) return;
  const forgets = view.small === false ? " A reload will forget it: it is too large to keep." : "";
  if (!after) {
    const next = "Change something and press Run: the two then stand side by side.";
    say(view, [`Pinned: ${attackName(before)}, ${before.model.title}. ${next}${forgets}`]);
    return;
  }
  const pair = JSON.stringify([before.about, after.about]);
  const apart = await view.server.compare(pair).catch(() => ({ error: "The server is away." }));
  if (pinned.run !== before || store.run !== after) return; // another has come meanwhile
  if (apart.error) return say(view, [`What differs could not be said. ${apart.error}`]);
  say(view, [apart.setting, `${apart.outcome}${forgets}`]);
  tellApart(apart);
}

const say = (view, lines) =>
  setHtml(view.text, lines.map((line) => `<p>${escape(line)}</p>`).join(""));

// The browser keeps the pinned run as long as the visit lasts, where it is small enough: also over a
// reload, and a look at another page. Scripts of another version do not find it.
const place = () => `labPinned ${sessionStorage.labVisit} ${import.meta.url}`;

function keep(view) {
  view.small = true;
  try {
    for (const name of Object.keys(sessionStorage))
      if (name.startsWith("labPinned ")) sessionStorage.removeItem(name);
    if (pinned.run) sessionStorage.setItem(place(), pinned.run.text);
  } catch {
    view.small = false;
  }
}

function find() {
  try {
    const text = sessionStorage.getItem(place());
    if (text) pin(recall(text));
  } catch {
    // no storage here: nothing was kept
  }
}
