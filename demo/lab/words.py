"""What the Lab says beside its controls: the goal in a sentence, what is still shown, how a run ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from demo.kit import picture, status
from demo.kit.store import Values
from demo.lab import recipe, stack
from demo.lab.recipe import KNOB, ONE
from demo.lab.running import Attempt
from demo.lab.views import words as outcome
from engine.attack.catalog import BY_NAME, RECIPES
from engine.attack.recipe import Momentum, Recipe
from engine.core.errors import EngineError
from engine.model import zoo
from engine.model.zoo import Card
from engine.papers.quant.threshold import PUBLISHED, is_calibrated

VISIBLE = 0.5 / 255  # what a pixel must move by for eight bits to show it
# The controls that the sentence is made of, in the order of its arguments.
SAID = ("model", "alter", "attack", "goal", "target", "knob-eps", "knob-steps")
SENTENCE = """
(model, alter, attack, goal, target, eps, steps) => {
  const titles = TITLES;
  const clean = (text) => String(text ?? '').replace(/[<>&]/g, '');
  const aim = goal === 'ONE' && target ? `read this picture as <b>${clean(target)}</b>`
                                       : 'misread this picture';
  const named = (name) => `<b>${clean(titles[name] ?? name)}</b>`;
  const budget = eps >= 255 ? 'changing pixels by any amount'
                            : `changing no pixel by more than <b>${clean(eps)}/255</b>`;
  return `Make ${[model, ...(alter ?? [])].map(named).join(', ')} ${aim}, ${budget}, `
    + `in <b>${clean(steps)}</b> step${steps == 1 ? '' : 's'} of `
    + `<b>${clean(titles[attack])}</b>.`;
}
"""


def sentence(weights: Path | None) -> str:
    """The script that says the goal, from the controls named in SAID."""
    titles = {each.name: each.title for each in zoo.cards(weights)}
    titles |= stack.TITLES | {each.name: each.title.partition(":")[0] for each in RECIPES}
    return SENTENCE.replace("TITLES", json.dumps(titles)).replace("ONE", ONE)


def stale(drawn: Values, now: Values, weights: Path | None) -> str:
    """What the views show and what Run would do, where the two differ."""
    if all(drawn[name] == now[name] or not (drawn[name] or now[name]) for name in now):
        return ""
    said, says = (_in_words(each, weights) for each in (drawn, now))
    parts = [(a, b) for a, b in zip(said, says, strict=True) if a != b]
    parts = parts or [("other settings", "other settings")]
    before, after = (escape(", ".join(each)) for each in zip(*parts, strict=True))
    runs = f"Run does: {after}" if before != after else "Run computes it anew"
    return f'<p class="stale">Still shown: {before}. <b>{runs}.</b></p>'


def _in_words(values: Values, weights: Path | None) -> tuple[str, ...]:
    """Picture, model, goal and attack, as a visitor would name them."""
    source, attack = str(values["source"]), str(values["attack"])
    eps, steps = (f"{values[KNOB + name] or 0:g}" for name in ("eps", "steps"))
    found = picture.sample(source)
    title = BY_NAME[attack].title.partition(":")[0] if attack in BY_NAME else attack
    try:
        model = zoo.card(str(values["model"]), weights).title
    except EngineError:
        model = str(values["model"])
    one = values["goal"] == ONE
    return (
        found.title if found else "your picture" if source else "no picture",
        ", ".join(filter(None, (model, _stacked(values)))),
        f"to be seen as {values['target']}" if one else "to be misread",
        f"{title} at {eps}/255 in {steps} step{'s' * (steps != '1')}",
    )


def _stacked(values: Values) -> str:
    try:
        return stack.in_words(stack.judged(values))
    except EngineError:
        return "altered"


def hints(values: Values, weights: Path | None) -> str:
    """What to know before Run: a knob that cannot be so, how many steps it takes, and what cannot be seen."""
    try:
        made, judged = recipe.recipe(values), stack.judged(values)
        card = zoo.card(str(values["model"]), weights)
    except EngineError as problem:
        return f"<p>{escape(problem.sentence)}</p>"
    return _in_all(made, card) + _too_small(made) + _too_high([*judged, made], card)


def _in_all(made: Recipe, card: Card) -> str:
    """Where a run has several tries or rounds, of so many steps each."""
    steps = made.in_all(card.classes)
    return f"<p>Up to {steps:,} steps in all.</p>" if steps > made.steps else ""


def _too_high(asked: Sequence[object], card: Card) -> str:
    """Where an outlier threshold is above nearly all that a small network has inside."""
    thresholds = [getattr(each, "threshold", 0.0) for each in asked]
    if not is_calibrated(card) or max(thresholds) < PUBLISHED:
        return ""
    return (
        f"<p>Next to nothing inside this small model reaches {PUBLISHED:g}: the tab Outliers shows "
        "where its outliers lie.</p>"
    )


def _too_small(made: Recipe) -> str:
    """Where a step moves no pixel by as much as eight bits show."""
    if not isinstance(made, Momentum) or made.eps == 0 or made.alpha >= VISIBLE:
        return ""
    seen = -(-VISIBLE // made.alpha)
    size = f"A step moves a pixel by {made.alpha * 255:.2g}/255"
    if seen > made.steps:
        return f"<p>{size}: {made.steps} of them are too few to change an 8-bit picture.</p>"
    return f"<p>{size}: an 8-bit picture shows it from step {seen:.0f} on.</p>"


def ended(attempt: Attempt) -> str:
    """How a run ended, for the line beside Run."""
    result = attempt.result
    if result is None:
        return status.line("Stopped before it began.", "done")
    if attempt.why == "finished":
        count = f"{result.steps} step{'s' * (result.steps != 1)}"
        got = outcome.told(result, result.adversarial)["word"]
        text = f"Finished: {count} with all views in {result.seconds:.1f} s; {got}."
        return status.line(text, "done")
    at, share = f"step {result.steps} of {result.asked}", result.steps / result.asked
    text, hint = {
        "paused": (f"At {at}.", "Step goes on; Run starts anew."),
        "stopped": (f"Stopped at {at}.", "Step goes on from here."),
        "late": (
            f"Stopped at {at}: a run may take a minute on this machine.",
            "Step goes on from here; fewer steps or a smaller model will finish.",
        ),
    }[attempt.why or "late"]
    return status.line(text, "done", hint=hint, share=share)
