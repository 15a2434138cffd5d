// The address of a page says how it stands: `c` are its controls as Python spells them, `r` that what is
// shown is a run of them, `v` what is selected, `hide` which controls are taken away.

import { button, part } from "./dom.js";

const SETTLES = 300; // ms: what a slider passes on its way is no place to come back to
const OWN = "The link says how the page stands, but your picture is in no link: ";
const FOREIGN =
  "The maker of this link had brought a picture. It is in no link: bring yours, then press Run.";
const DAMAGED = "This link is damaged: the page stands as it does at first.";

const spelled = (value) =>
  btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(value))))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/=+$/, "");

function spelt(code) {
  try {
    const text = atob(code.replaceAll("-", "+").replaceAll("_", "/"));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (c) => c.charCodeAt(0))));
  } catch {
    return null;
  }
}

const now = (name) => new URLSearchParams(location.search).get(name) ?? "";
const controls = () => document.querySelector("#recipe");

let told = { code: now("c"), run: false, own: false };
let moving = true; // the page is on its way to what its address says
let following = null;
let touched = false; // by the visitor: what a page does by itself is no place to come back to
let number = 0;
const wishes = new Map(); // what was wished, by number: how to say that it is so

// Only what changes is given; a page that shows a run of its controls can be come back to.
function write(change) {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(change))
    if (value) url.searchParams.set(name, value);
    else url.searchParams.delete(name);
  if (url.search === location.search) return;
  // In a lesson its steps are what is come back to.
  const leaves = touched && !now("l") && "c" in change && (change.c || "") !== now("c") && now("r");
  history[leaves ? "pushState" : "replaceState"](null, "", url);
}

// What Python says of the controls, each time they have changed, and of what a link asked for.
export function see(props, watch) {
  const come = () => props.value && hear(JSON.parse(props.value));
  watch("value", come);
  come();
}

function hear(said) {
  const of = said.wish;
  told = said;
  if ("whole" in said) greet(said);
  else if (of === undefined) follow();
  if (said.lost?.length) notice(lost(said.lost));
}

// Controls that are set together change one by one: what counts is how they stand in the end.
function follow() {
  clearTimeout(following);
  following = setTimeout(() => {
    if (moving) return void follow();
    write({ c: told.code, r: told.run ? "1" : "" });
  }, SETTLES);
}

const lost = (names) =>
  `This link asks for something that this page does not have (${names.join(", ")}); the rest is set.`;

function greet({ whole, brought, code, run }) {
  if (!whole) notice(DAMAGED);
  else if (brought) notice(FOREIGN);
  if (!told.press) write({ c: code, r: run ? "1" : "" });
}

// Kept once the controls of a page that was opened stand: what sets them before would be lost.
let arrive = null;
export const arrived = new Promise((done) => (arrive = done));

// Controls stand as they were told to: gradio calls this once they do.
export function settled() {
  if (arrive) {
    arrive();
    arrive = null;
    moving = false;
  }
  if (told.wish !== undefined) {
    wishes.get(told.wish)?.(told);
    wishes.delete(told.wish);
  }
  if (!told.press) return;
  told.press = false;
  press();
}

function wish(what) {
  number += 1;
  window.labWish = JSON.stringify({ ...what, number });
  const done = new Promise((resolve) => wishes.set(number, resolve));
  document.querySelector("#lab-set").click();
  return done;
}

// Controls are set, as a link sets them; those that are not named stand as at first. With `run`, Run is
// pressed then. Gives how it ended: `{ok, said}`.
export async function setUp(changes, { run = false } = {}) {
  moving = true;
  const { lost: missing, code } = await wish({ changes });
  write({ c: code, r: "" });
  const ended = missing.length ? { ok: false, said: lost(missing) } : { ok: true, said: "" };
  const found = run && ended.ok ? await press() : ended;
  moving = false;
  return found;
}

// Run, as a visitor presses it, to its end: a result has come, and the line beside says that it is over.
export async function press() {
  const page = await window.lab;
  const line = document.querySelector("#status");
  const kind = () => line.querySelector("[data-kind]")?.dataset.kind;
  return new Promise((done) => {
    let came = false;
    let still = null;
    const look = () => {
      clearTimeout(still);
      if (kind() === "error") still = setTimeout(end, 100, false);
      else if (came && kind() === "done") still = setTimeout(end, 200, true);
    };
    const heard = [
      page.on("result", () => {
        came = true;
        look();
      }),
      page.on("fail", () => {
        came = true;
        look();
      }),
    ];
    const watching = new MutationObserver(look);
    const end = (ok) => {
      watching.disconnect();
      for (const stop of heard) stop();
      done({ ok, said: line.innerText.trim() });
    };
    // An error of the run before stays in the line until this one says something.
    const before = kind();
    if (before !== "busy") line.querySelector("[data-kind]")?.setAttribute("data-kind", "idle");
    watching.observe(line, {
      subtree: true,
      childList: true,
      characterData: true,
      attributes: true,
    });
    document.querySelector("#run").click();
  });
}

for (const kind of ["pointerdown", "keydown"])
  addEventListener(kind, () => (touched = true), { capture: true, passive: true });

addEventListener("popstate", async () => {
  moving = true;
  const run = now("r");
  await wish({ code: now("c") });
  const view = spelt(now("v"));
  if (run) await press();
  if (view) (await window.lab).select(view);
  moving = false;
});

// What is selected, once a visitor has selected something; what a link selects, once there is something.
window.lab.then((page) => {
  const first = page.selection();
  let wanted = spelt(now("v"));
  let waiting = null;
  const save = () => {
    const apart = Object.entries(page.selection()).filter(
      ([name, value]) => JSON.stringify(value) !== JSON.stringify(first[name]),
    );
    write({ v: apart.length ? spelled(Object.fromEntries(apart)) : "" });
  };
  page.on("select", () => {
    clearTimeout(waiting);
    if (!moving) waiting = setTimeout(save, SETTLES);
  });
  page.on("result", () => {
    if (!wanted) return;
    page.select(wanted);
    if (!told.press && !document.querySelector('#status [data-kind="busy"]')) wanted = null;
  });
  if (wanted) page.select(wanted);
});

// The button that gives the link away, where results are.
const SPOTS = ".report-files, #downloads, .lab-quiets";

export function shared() {
  const url = new URL(location.href);
  for (const name of ["__theme", "l", "s", "k", "hide"]) url.searchParams.delete(name);
  return url.href;
}

async function give(made) {
  const text = shared();
  try {
    await navigator.clipboard.writeText(text);
    made.textContent = "Link copied";
    setTimeout(() => (made.textContent = "Copy link"), 2000);
  } catch {
    const field = part("input", "lab-link");
    Object.assign(field, {
      value: text,
      readOnly: true,
      ariaLabel: "Link to this page as it stands",
    });
    made.replaceWith(field);
    field.select();
  }
  if (told.own) notice(`${OWN}whoever opens it is asked for one.`);
}

function offer(tries = 100) {
  const spot = document.querySelector(SPOTS);
  if (!spot && tries) return void setTimeout(offer, 100, tries - 1);
  if (!spot || document.querySelector("#copy-link")) return;
  const made = button("Copy link", () => give(made), "lab-reset");
  made.id = "copy-link";
  spot.append(made);
}

// Lines above the controls, until they are put away.
function notice(text, tries = 100) {
  const column = controls();
  if (!column) return void (tries && setTimeout(notice, 100, text, tries - 1));
  let lines = document.querySelector("#lab-notice");
  if (!lines) {
    lines = part("div", "lab-notice");
    Object.assign(lines, { id: "lab-notice", role: "status" });
    lines.append(button("OK", () => lines.remove(), "lab-reset"));
    column.prepend(lines);
  }
  const line = part("p");
  line.textContent = text;
  lines.lastChild.before(line);
}

function hide() {
  const names = now("hide")
    .split(",")
    .filter((each) => /^[a-z][\w-]*$/i.test(each));
  if (!names.length) return;
  const style = part("style");
  style.textContent = `${names.map((each) => `#recipe #${each}`).join(", ")} { display: none !important; }`;
  document.head.append(style);
}

hide();
offer();
