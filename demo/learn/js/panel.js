// A lesson on the page itself: predict, run, observe, explain. It sets the page's own controls and
// presses the page's own Run, as a visitor would; nothing is shown before it has been predicted.

import { announce, button, part } from "../../kit/js/dom.js";
import { ASKS, dress } from "./asks.js";
import { frame } from "./dock.js";
import { keep, kept, tally } from "./kept.js";
import { look, ring, show } from "./look.js";
import { explain } from "./words.js";

const now = (name) => new URLSearchParams(location.search).get(name) ?? "";
const root = document.documentElement;
const RESULTS = "#recipe ~ *";
const LOCKED = "Your prediction first.";

let lesson = null; // what the server says of it
let parts = null; // the dock's
let call = null; // asks the server
let room = null; // the class that takes it together, if there is one
let at = -1; // the step shown; the task is the one after the last
let phase = "opening"; // or tell, predict, waiting, running, seen, task
let turn = 0; // what was begun for an earlier step comes too late

const steps = () => lesson.steps;
const isTask = (step) => step === steps().length;
const stepAt = (step) => (isTask(step) ? lesson.task : steps()[step]);
const here = () => window.gradio_config.current_page ?? "";

// Before anything is known of the step, nothing of an earlier result is shown.
enter("opening");

function enter(next) {
  phase = next;
  root.dataset.lesson = next;
  const locked = ["opening", "predict", "waiting"].includes(next);
  for (const each of document.querySelectorAll("#run, #step"))
    each.setAttribute("aria-disabled", locked);
}

// Gradio calls this once the page's line to the server stands.
export async function open(server) {
  if (lesson) return;
  call = async (what, wish = {}) => {
    const asked = { name: now("l"), visit: sessionStorage.labVisit ?? "", ...wish };
    try {
      return JSON.parse(await server[what](JSON.stringify(asked)));
    } catch {
      return { problem: "The page cannot reach its server. Try once more." };
    }
  };
  const found = await call("lesson");
  if (lesson) return;
  lesson = found;
  parts = frame({ back: () => goTo(at - 1), next: () => goTo(at + 1), leave: () => leave() });
  if (found.problem) return refuse(found.problem);
  document.addEventListener("click", lock, true);
  addEventListener("popstate", popped);
  if (now("k")) room = await join(server);
  parts.room.addEventListener("pace", pace);
  (await window.lab).on("result", ran);
  await begin(asked(), { set: !now("c") });
}

function asked() {
  const step = now("s") === "task" ? steps().length : Number.parseInt(now("s") || "0", 10);
  return step >= 0 && step <= steps().length ? step : 0;
}

// A lesson that is not there leaves the page as it is, and says so.
function refuse(problem) {
  enter("tell");
  parts.where("Lesson", 0, 0, false);
  parts.words.innerHTML = "<p></p>";
  parts.words.firstChild.textContent = problem;
  for (const way of [parts.ways.back, parts.ways.next]) way.hidden = true;
}

async function join(server) {
  const { join } = await import("./class.js");
  return join({
    code: now("k"),
    lesson,
    step: asked(),
    steps: steps().length,
    server,
    place: parts.room,
    goTo,
  });
}

// Where a step lives on another page, the address leads there.
export function goTo(step) {
  if (step < 0 || step > steps().length) return leave("learn");
  const url = new URL(location.href);
  for (const name of ["c", "r", "v"]) url.searchParams.delete(name);
  url.searchParams.set("s", isTask(step) ? "task" : step);
  const { page } = stepAt(step);
  if (page !== here()) {
    url.pathname = path(page);
    return location.assign(url);
  }
  history.pushState(null, "", url);
  return begin(step, { move: true });
}

const path = (page) =>
  `${new URL(window.gradio_config.root || "/", location.href).pathname.replace(/\/$/, "")}/${page}`;

// Back and Forward: the address has set the controls already.
function popped() {
  if (!now("l") || now("l") !== lesson.name) return location.reload();
  if (asked() !== at) begin(asked(), { set: false, move: true });
}

async function begin(step, { set = true, move = false } = {}) {
  const { page } = stepAt(step);
  if (page !== here()) return goTo(step);
  turn += 1;
  const mine = turn;
  const before = at;
  at = step;
  ring("");
  parts.running(null);
  parts.where(lesson.title, step, steps().length, isTask(step));
  pace();
  parts.ways.next.hidden = isTask(step);
  parts.fold(false);
  room?.entered?.(step);
  const draw = isTask(step) ? drawTask : drawStep;
  draw(stepAt(step), kept(lesson.name)[step] ?? {});
  for (const column of [parts.words, parts.ask, parts.found, parts.columns]) column.scrollTop = 0;
  if (move) parts.words.querySelector("h2").focus({ preventScroll: true });
  if (before !== -1) scrollTo({ top: 0 });
  announce(`${parts.dock.querySelector(".dock-where").innerText}: ${title(step)}`);
  const address = await window.labAddress;
  await address.arrived;
  const { setup } = stepAt(step);
  const sets = isTask(step) ? !kept(lesson.name)[step] : stepAt(step).runs;
  if (mine === turn && set && (sets || Object.keys(setup).length)) {
    const { ok, said } = await address.setUp(setup);
    if (!ok && mine === turn) note(said);
  }
  if (mine !== turn) return;
  if (isTask(step)) keep(lesson.name, step, { begun: true });
  parts.dock.querySelectorAll(".dock-grid").forEach(dress);
  if (phase === "tell") look(stepAt(step));
  if (phase === "seen") lookAgain(step, mine);
}

// While the teacher steps everybody, nobody else does.
function pace() {
  const led = Boolean(room?.paced?.());
  parts.ways.back.disabled = led || at === 0;
  parts.ways.next.disabled = led;
}

const title = (step) => (isTask(step) ? "Your task" : steps()[step].title);

function write(place, html) {
  place.innerHTML = html;
  explain(place);
}

function heading(place, text, tag = "h2") {
  const line = part(tag);
  line.textContent = text;
  line.tabIndex = -1;
  place.prepend(line);
  return line;
}

function drawStep(step, { predicted, found }) {
  write(parts.words, `<div>${step.text}</div>`);
  heading(parts.words, step.title);
  parts.found.replaceChildren();
  parts.ask.replaceChildren();
  parts.dock.dataset.runs = step.runs ? "yes" : "no";
  if (!step.runs) {
    enter("tell");
    done({ found: true });
    if (step.look) write(parts.found, lookLine(step));
    if (step.explain) parts.found.append(words(step.explain));
    more(step);
  } else if (found) drawFound(step, predicted, found);
  else drawAsk(step);
  next(phase !== "predict");
}

const next = (done) => {
  parts.ways.next.dataset.first = done ? "yes" : "no";
  parts.ways.next.textContent = at === steps().length - 1 ? "To the task" : "Next";
};

const lookLine = (step) => `<p class="dock-look"><b>Look:</b> ${step.look}</p>`;

function words(html) {
  const said = part("div", "dock-why");
  write(said, html);
  return said;
}

// Predict: Run is there, and waits for an answer.
function drawAsk(step) {
  enter("predict");
  let value = step.ask ? null : true;
  const run = button("Run it", () => runIt(value), "dock-run");
  run.disabled = value === null;
  if (step.ask) {
    const group = part("fieldset");
    write(group, `<legend>${step.ask.question}</legend>`);
    const form = ASKS[step.ask.kind].form(step.ask, (told) => {
      value = told;
      run.disabled = value === null;
      if (value !== null) room?.predicted?.(at, value);
    });
    group.append(form);
    parts.ask.append(group);
    (form.querySelector(".dock-beside") ?? parts.ask).append(run);
  } else {
    enter("ready");
    parts.ask.append(run);
  }
  const waits = part("p", "dock-later");
  waits.textContent = step.ask
    ? "What came out stands here once you have predicted and run it."
    : "What came out stands here once it has run.";
  parts.found.append(waits);
}

async function runIt(value) {
  const step = steps()[at];
  const mine = turn;
  const predicted = step.ask ? value : undefined;
  for (const each of parts.ask.querySelectorAll("input, button")) each.disabled = true;
  if (room?.mayReveal) {
    enter("waiting");
    parts.running("Your prediction is in. The class is waiting for the others.");
    await room.mayReveal(at);
    if (mine !== turn) return;
  }
  enter("running");
  const stop = mirror();
  show(document.querySelector(RESULTS) ?? document.body);
  const address = await window.labAddress;
  const running = address.setUp(step.setup, { run: true });
  window.labPressed = false; // where to look is the lesson's to say
  const { ok, said } = await running;
  stop();
  if (mine !== turn) return;
  const found = ok ? await call("seen", { step: at, predicted }) : { problem: said };
  if (mine !== turn) return;
  parts.running(null);
  if (found.problem || found.own) return failed(step, predicted, found.problem ?? OWN);
  done({ predicted, found });
  drawFound(step, predicted, found);
  next(true);
  room?.measured?.(at, found.answer);
  look(step);
  parts.columns.scrollTop = parts.ask.offsetTop - parts.columns.offsetTop; // a phone's sheet
  parts.found.querySelector("h3").focus({ preventScroll: true });
  announce(parts.found.innerText);
}

// A step without a run counts as done once it has been read.
function done(change) {
  keep(lesson.name, at, change);
  tally(lesson.name, steps().length);
}

// While it runs, the eye is on the page: the dock says how far it is, and steps back.
function mirror() {
  const line = document.querySelector("#status");
  const tell = () =>
    parts.running(line?.querySelector('[data-kind="busy"]')?.innerText.trim() || "Running.");
  const watching = new MutationObserver(tell);
  if (line) watching.observe(line, { subtree: true, childList: true, characterData: true });
  tell();
  return () => watching.disconnect();
}

const OWN = "This is a run of your own, of other settings than the step's: press Run it to go on.";

function failed(step, predicted, problem) {
  enter("ready");
  parts.ask.replaceChildren(button("Run it", () => runIt(predicted), "dock-run"));
  note(problem);
  parts.ask.querySelector("button").focus();
}

// What the page shows is not the step's run: its own word for that holds again.
function aside(text) {
  root.dataset.lesson = "aside";
  note(text);
}

// One line above what came out.
function note(text) {
  parts.found.querySelector(".dock-note")?.remove();
  const line = part("p", "dock-note");
  line.setAttribute("role", "status");
  line.textContent = text;
  parts.found.prepend(line);
}

// Observe and explain: what was said beside what was measured, the one thing to see, and why.
function drawFound(step, predicted, found) {
  enter("seen");
  parts.ask.replaceChildren();
  if (step.ask && predicted !== undefined) {
    const kind = ASKS[step.ask.kind];
    const question = part("p", "dock-question");
    write(question, step.ask.question);
    parts.ask.append(question, kind.beside(step.ask, predicted, found.answer), verdict(found));
  }
  const again = button("Run it again", () => runIt(predicted), "dock-quiet dock-again");
  parts.ask.append(again);
  write(parts.found, `<p class="dock-measure">${found.said}</p>`);
  heading(parts.found, "What came out", "h3");
  if (step.look) {
    const line = part("div");
    write(line, lookLine(step));
    parts.found.append(line.firstChild);
  }
  if (!found.holds)
    note(
      "On this run the effect does not show itself, and what is said below does not hold for it. That happens; it is no fault of yours.",
    );
  if (step.explain) parts.found.append(words(step.explain));
  more(step);
}

function verdict({ near }) {
  const line = part("p", "dock-verdict");
  line.dataset.near = near ? "yes" : "no";
  line.textContent = near
    ? "You saw it coming."
    : "It came out otherwise, and that is worth more than a hit: see why.";
  return line;
}

// The equation is one click away, and the paper one more.
function more({ equation, source }) {
  const fold = (name, html, inner) => {
    const made = part("details", "dock-more");
    write(made, `<summary>${name}</summary><div>${html}</div>`);
    if (inner) made.append(inner);
    return made;
  };
  const from = source || lesson.paper ? fold("Where it is from", source || lesson.paper) : null;
  if (equation) parts.found.append(fold("The equation", equation, from));
  else if (source) parts.found.append(from);
}

// Who comes back to a step that has run finds what came out; the page may show another run by now.
async function lookAgain(step, mine) {
  const { predicted } = kept(lesson.name)[step] ?? {};
  const found = await call("seen", { step, predicted });
  if (mine !== turn || phase !== "seen") return;
  if (found.problem || found.own)
    aside("The page shows another run by now. Run it again to see this one.");
  else look(steps()[step]);
}

// A visitor's own run, while a step is looked at.
function ran() {
  if (phase !== "seen") return;
  const mine = turn;
  const line = document.querySelector("#status");
  const over = () => line.querySelector('[data-kind="done"]');
  const tell = async () => {
    const found = await call("seen", { step: at });
    if (mine !== turn || phase !== "seen") return;
    if (found.own) return aside(OWN.replace("Run it", "Run it again"));
    if (found.problem) return;
    root.dataset.lesson = phase;
    parts.found.querySelector(".dock-note")?.remove();
  };
  if (over()) return void tell();
  const watching = new MutationObserver(() => {
    if (!over()) return;
    watching.disconnect();
    tell();
  });
  watching.observe(line, { subtree: true, childList: true, attributes: true });
}

// Nothing is run before it has been predicted.
function lock(event) {
  if (!["opening", "predict", "waiting"].includes(phase)) return;
  if (!event.target.closest?.("#run, #step")) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  announce(LOCKED);
  parts.fold(false);
  parts.ask.querySelector("input, button")?.focus();
}

// What a visitor does alone: any run of theirs is checked.
function drawTask(task, { hints = 0, done }) {
  enter("task");
  parts.dock.dataset.runs = "yes";
  write(parts.words, `<div>${task.text}</div>`);
  heading(parts.words, "Your task");
  const check = button("Check my run", () => checkIt(check), "dock-run");
  const list = part("ol", "dock-hints");
  const more = button("", () => hint(list, more), "dock-quiet");
  const solve = button("Show me one way", () => solved(solve), "dock-quiet");
  solve.hidden = true;
  const row = part("p", "dock-row-of");
  row.append(check, more, solve);
  parts.ask.replaceChildren(row, list);
  Object.assign(more, { list, solve });
  for (let i = 0; i < hints; i++) hint(list, more, false);
  name(list, more);
  const waits = part("p", "dock-later");
  waits.textContent = done
    ? done
    : "Set the page's controls as you think best, press Run, and have your run checked here.";
  parts.found.replaceChildren(waits);
  if (done) finished();
}

function name(list, more) {
  const { length } = lesson.task.hints;
  const given = list.children.length;
  more.textContent = given ? `Another hint (${given} of ${length} given)` : `A hint (of ${length})`;
  more.hidden = given >= length;
  more.solve.hidden = given < length;
}

function hint(list, more, aloud = true) {
  const line = part("li");
  write(line, lesson.task.hints[list.children.length]);
  list.append(line);
  keep(lesson.name, at, { hints: list.children.length });
  name(list, more);
  if (aloud) announce(line.innerText);
}

async function solved(button) {
  button.disabled = true;
  parts.running("Setting the page to one solution, and running it.");
  const address = await window.labAddress;
  const { ok, said } = await address.setUp(lesson.task.solution, { run: true });
  parts.running(null);
  button.disabled = false;
  if (ok) await checkIt(button);
  else note(said);
}

async function checkIt(button) {
  const mine = turn;
  button.disabled = true;
  const found = await call("check");
  button.disabled = false;
  if (mine !== turn) return;
  const line = part("p", "dock-measure");
  line.setAttribute("role", "status");
  line.innerHTML = found.problem ? "" : found.said;
  if (found.problem) line.textContent = found.problem;
  parts.found.replaceChildren(line);
  parts.found.dataset.done = found.done ? "yes" : "no";
  explain(parts.found);
  announce(line.innerText);
  if (!found.done) return;
  done({ done: line.innerText });
  finished();
}

function finished() {
  const line = heading(parts.found, "Done, by your own run", "h3");
  line.classList.add("dock-done");
  const row = part("p", "dock-row-of");
  row.append(
    button("All lessons", () => leave("learn"), "dock-run"),
    button("Stay here without the lesson", () => leave(), "dock-quiet"),
  );
  parts.found.append(row);
}

// The page stays as it is; only the lesson goes.
function leave(to) {
  room?.left?.();
  const url = new URL(location.href);
  for (const name of ["l", "s", "k", "hide"]) url.searchParams.delete(name);
  if (to === "learn") {
    for (const name of ["c", "r", "v"]) url.searchParams.delete(name);
    url.pathname = path("learn");
    return location.assign(url);
  }
  history.pushState(null, "", url);
  turn += 1;
  enter("left");
  delete root.dataset.lesson;
  ring("");
  parts.close();
  document.querySelector("#run")?.focus({ preventScroll: true });
}
