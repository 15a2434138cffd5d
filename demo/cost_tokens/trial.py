"""A visitor's run of the tokens room: what they asked for, driven step by step, and its report."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from demo.kit import models, picture, reporting
from demo.kit.controls import plain, whole
from demo.kit.loading import load
from demo.kit.picture import Picture
from demo.kit.reporting import Choice, Event, Reporting
from demo.kit.store import Values
from engine.attack.recipes.desparsify import DeSparsify
from engine.attack.recipes.slowformer import SlowFormer
from engine.attack.universal import KINDS, shipped_for
from engine.core.errors import BadTask, EngineError
from engine.model import zoo
from engine.model.zoo import Card
from engine.papers.desparsify import paper
from engine.papers.desparsify.compare import Report, report
from engine.papers.desparsify.paper import ATTACKS, Settings
from engine.papers.desparsify.victims import fits, full, trained
from engine.papers.paper import Exhibit

PATIENCE_SECONDS = 90.0  # everybody else on this machine waits for it
EPS, STEPS = 8, 60  # of the default run
Question = reporting.Question[Settings]
Trial = Reporting[Settings, Report]
TITLES = {
    DeSparsify.name: "DeSparsify: wakes sleeping tokens",
    "sponge": "Sponge: large activations everywhere",
    SlowFormer.name: "SlowFormer: a patch that wakes tokens",
    "pgd": "PGD: aims at the answer, not at the cost",
}
TRAINED = {kind: f"{kind.capitalize()} perturbation, trained beforehand" for kind in KINDS[:2]} | {
    KINDS[2]: "Universal patch, trained beforehand"
}
BUDGETED = tuple(name for name in TITLES if name != SlowFormer.name)
"""Attacks that may change every pixel, by at most eps; the others have a patch, or an eps of their own."""


def offered(weights: Path | None) -> list[tuple[str, str]]:
    """(title, name) of the models on this machine that lose tokens, or to which ATS can be added."""
    here = [each for each in zoo.cards(weights) if zoo.available(each) == "here"]
    found = sorted((each for each in here if trained(each) or fits(each)), key=_rank)
    return [(each.title + ", with ATS" * fits(each), each.name) for each in found]


def _rank(card: Card) -> int:
    """What ships comes first: plain models, those trained to lose tokens, then the robust ones."""
    return [*models.PURPOSES].index(card.task) if card.source == "bundled" else len(models.PURPOSES)


def attacks(model: str, weights: Path | None) -> list[tuple[str, str]]:
    """(words, name) of the attacks on offer for a model."""
    ships = {each.kind for each in shipped_for(full(model, weights), DeSparsify.name)}
    names = [
        *(name for name in TITLES if name in ATTACKS),
        *(kind for kind in KINDS if kind in ships),
    ]
    return [(titled(model, name, weights), name) for name in names]


def titled(model: str, attack: str, weights: Path | None) -> str:
    """An attack in words: what was trained on pictures of a class says of which."""
    if attack not in KINDS:
        return TITLES.get(attack, attack)
    try:
        ships = shipped_for(full(model, weights), DeSparsify.name)
    except EngineError:
        ships = ()
    of = next((each.label for each in ships if each.kind == attack and each.label), "")
    return TRAINED[attack] + (f" on “{of}”" if of else "")


def question(values: Values, weights: Path | None) -> Question:
    """The run as the controls stand; raises EngineError."""
    attack = str(values["attack"] or "")
    if attack not in (*ATTACKS, *KINDS):
        raise BadTask("There is no attack.", "Choose one.")
    eps = whole("eps", values["eps"]) if attack in BUDGETED else EPS
    steps = whole("steps", values["steps"])
    weight = DeSparsify.lam if values["keep"] else 0.0
    settings = Settings(attack, eps / 255, steps, weight)
    source = Picture.of(values["source"])
    exhibit = Exhibit(source.image, source.stem, str(values["model"] or ""), weights=weights)
    if not trained(card := zoo.card(exhibit.model, weights)) and not fits(card):
        raise BadTask(
            f"{card.title} computes all of its tokens.",
            "Choose an A-ViT, an AdaViT, or a plain ViT.",
        )
    paper.attack(exhibit.model, settings, weights)
    title = titled(exhibit.model, settings.attack, weights)
    return Question(exhibit, settings, title, chosen(values, weights))


def chosen(values: Values, weights: Path | None) -> Choice:
    """What the controls stand for, part by part in words: equal where a run would be the same."""
    source, model, attack = (str(values[name] or "") for name in ("source", "model", "attack"))
    titles = {name: title for title, name in offered(weights)}
    found = {
        "picture": picture.title_of(source),
        "source": source,
        "model": titles.get(model, model),
        "attack": titled(model, attack, weights)
        + ", whatever the answer" * (attack == DeSparsify.name and not values["keep"]),
    }
    if attack in BUDGETED:
        found["eps"] = f"{plain(values['eps'])}/255"
    if attack not in KINDS:
        found["steps"] = f"{plain(values['steps'])} steps"
    return found


def card(model: str, weights: Path | None) -> str:
    """What is known of a model; what was measured was measured without ATS."""
    try:
        altered = fits(zoo.card(model, weights))
    except EngineError:  # then the card says so
        altered = False
    return models.card(model, weights, altered)


def drive(trial: Trial, patience: float = PATIENCE_SECONDS) -> Iterator[Event]:
    """Read the model and work to the end, until it is stopped, or until patience ends."""
    exhibit = trial.question.exhibit
    yield from load([exhibit.model], exhibit.weights)
    victim, asked, trial.made = paper.begin(exhibit, trial.question.settings)
    yield from trial.grow(partial(report, victim, asked), patience)
