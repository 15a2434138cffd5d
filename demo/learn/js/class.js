// A lesson that is taken together. Students see how many have predicted, and then what; the teacher has
// everybody at their step or lets them go, shows the predictions, and lets the result be seen.

import { announce, button, choices, part, setHtml } from "../../kit/js/dom.js";
import { base, spaced, wall } from "./card.js";
import { drawn } from "./histogram.js";
import { arrives, forget, member, taught } from "./keys.js";

const EVERY = 1500; // ms between looks
const JITTER = 600; // up to as much more, so that a class does not look at once
const HIDDEN = 8000; // in a tab that nobody sees
const SLOWEST = 20_000;
const SETTLES = 500; // what a slider passes on its way is no prediction
const SILENT = 3; // looks without an answer, and nobody waits for the class any more
const WITH_ME = "me";
const OWN_PACE = "own";

// `goTo(step)` brings the dock to a step; `place` is what is mine of the dock's head.
export function join({ code, lesson, step, steps, server, place, goTo }) {
  const teacher = taught(code);
  const who = teacher ? { code, key: teacher.key } : { code, member: member(code) };
  const view = teacher ? teaching(code, place, { lead, invite }) : attending(code, place);
  const waiting = []; // who wants to see a result: {step, go}
  const answers = new Map(); // what came out, by step
  let at = step;
  let told = null;
  let over = false;
  let failed = 0;
  let timer = null;
  let unsent = null; // a prediction that has still to be sent

  async function ask(name, what = {}) {
    const text = JSON.stringify({ ...who, step: Math.min(at, steps), ...what });
    const asked = at;
    const answer = await server[name](text).then(JSON.parse, () => null);
    failed = answer ? 0 : failed + 1;
    if (failed === SILENT) view.say("The class does not answer. You go on alone meanwhile.");
    if (answer && asked === at && !over) hear(answer);
    settle();
  }

  function hear(answer) {
    if (answer.problem) {
      view.say(answer.over ? `${answer.problem} You go on alone.` : answer.problem);
      if (answer.over) end();
      return;
    }
    const was = told;
    told = answer;
    view.draw(told, { at, asks: Boolean(lesson.steps[at]?.ask), answer: answers.get(at) });
    if (was?.at !== told.at) place.dispatchEvent(new CustomEvent("pace"));
    follow(was === null);
  }

  // Students follow the teacher; a teacher who comes back, in this tab for the first time, the class.
  function follow(first) {
    const anew = first && arrives(code);
    if (told.at === null || told.at === at) return;
    if (!teacher || anew) goTo(told.at);
    else if (first) lead("step");
  }

  function settle() {
    const free = over || teacher || failed >= SILENT;
    for (const each of waiting.splice(0)) {
      const open = told && (told.at === null || (told.revealed && each.step === at));
      if (free || open) each.go();
      else waiting.push(each);
    }
  }

  function end() {
    over = true;
    told = null;
    clearTimeout(timer);
    if (teacher) forget(code);
    place.dispatchEvent(new CustomEvent("pace"));
  }

  function lead(what) {
    return ask("class_lead", { do: what });
  }

  async function invite() {
    const asked = JSON.stringify({ ...who, base: base() });
    const card = JSON.parse(await server.class_card(asked));
    if (card.problem) view.say(card.problem);
    else wall(code, card);
  }

  async function send() {
    if (!unsent) return;
    clearTimeout(unsent.timer);
    const { step: asked, value } = unsent;
    unsent = null;
    await ask("class_predict", { step: asked, value });
  }

  async function look() {
    clearTimeout(timer);
    await ask("class_look");
    if (over) return;
    const pause = document.hidden ? HIDDEN : EVERY + Math.random() * JITTER;
    timer = setTimeout(look, Math.min(pause * 2 ** Math.min(failed, 4), SLOWEST));
  }

  const seen = () => document.hidden || over || look();
  document.addEventListener("visibilitychange", seen);
  look();

  return {
    entered(step) {
      if (step === at) return;
      at = step;
      const leads = teacher && told && told.at !== null;
      if (leads) lead("step");
      else look();
    },
    predicted(step, value) {
      if (over || teacher) return;
      clearTimeout(unsent?.timer);
      unsent = { step, value, timer: setTimeout(send, SETTLES) };
    },
    async mayReveal(step) {
      await send();
      if (!lesson.steps[step]?.ask) return null;
      return new Promise((go) => {
        waiting.push({ step, go });
        settle();
      });
    },
    measured(step, answer) {
      answers.set(step, answer);
      if (!over) look();
    },
    paced: () => !teacher && !over && Boolean(told) && told.at !== null,
    left() {
      over = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
      settle();
      view.close();
    },
  };
}

const many = ({ joined, predicted }) =>
  predicted === joined && joined > 1
    ? `all ${joined} have predicted`
    : `${predicted} of ${joined} ${joined === 1 ? "has" : "have"} predicted`;

// The line in the dock's head, and what the class predicts beside the question.
function frame(code, place) {
  const line = part("p", "class-line");
  const chart = part("section", "class-chart");
  chart.setAttribute("aria-label", "What the class predicts");
  chart.tabIndex = 0;
  place.replaceChildren(line);
  const see = (html) => {
    setHtml(chart, html);
    if (!html) return chart.remove();
    if (chart.isConnected) return null;
    place.closest(".dock").querySelector(".dock-ask").after(chart);
    return chart.scrollIntoView({ block: "nearest" });
  };
  return {
    line,
    name: `Class ${spaced(code)}`,
    draw: (told, { answer }) => see(told.chart ? drawn(told.chart, told.predicted, answer) : ""),
    say(sentence) {
      line.textContent = sentence;
      announce(sentence);
      see("");
    },
    close() {
      line.remove();
      chart.remove();
    },
  };
}

function attending(code, place) {
  const view = frame(code, place);
  return {
    ...view,
    draw(told, more) {
      view.line.textContent = more.asks ? `${view.name}: ${many(told)}` : view.name;
      view.draw(told, more);
    },
  };
}

function teaching(code, place, { lead, invite }) {
  const view = frame(code, place);
  const pace = choices(
    "Pace",
    [
      [WITH_ME, "Everybody with me"],
      [OWN_PACE, "At their own pace"],
    ],
    WITH_ME,
    (to) => lead(to === WITH_ME ? "step" : "free"),
  );
  const show = button("Show the predictions", () => lead("show"), "lab-quiet");
  const reveal = button("Let everybody see the result", () => lead("reveal"), "lab-quiet");
  const way = button("Code", invite, "lab-quiet");
  const tools = part("div", "class-tools");
  tools.append(pace.element, show, reveal, way);
  place.closest(".dock-head").after(tools);
  return {
    ...view,
    draw(told, more) {
      const here = `${told.joined} ${told.joined === 1 ? "is" : "are"} here`;
      view.line.textContent = `${view.name}: ${more.asks ? `${here}, ${many(told)}` : here}`;
      pace.set(told.at === null ? OWN_PACE : WITH_ME);
      show.disabled = !more.asks || told.shown || !told.predicted;
      reveal.disabled = !more.asks || told.revealed || told.at === null;
      reveal.textContent = told.revealed
        ? "Everybody may see the result"
        : "Let everybody see the result";
      view.draw(told, more);
    },
    close() {
      tools.remove();
      view.close();
    },
  };
}
