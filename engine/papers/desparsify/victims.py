"""Which models are attacked, and which others of the same host are shown what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.alter.ats import TokenSampling
from engine.alter.catalog import ON
from engine.alter.stack import altered, named
from engine.model import zoo
from engine.model.titles import shorts
from engine.model.victim import Victim
from engine.model.zoo import Card
from engine.probe.tokens import PROBE, sparse


def victim(name: str, weights: Path | None = None) -> Victim:
    """The model of that name; a dense one with train-free ATS. Raises UnsupportedModel, UnknownName."""
    return sparse(named(name, lambda each: zoo.load(each, weights)))


def full(name: str, weights: Path | None = None) -> str:
    """The name of the victim that a name stands for, without loading it: "vit|ats" for "vit"."""
    return name if ON in name or trained(card(name, weights)) else f"{name}{ON}{TokenSampling()}"


def card(name: str, weights: Path | None = None) -> Card:
    """What is known of the model below all alterations."""
    return zoo.card(name.split(ON)[0], weights)


def trained(of: Card) -> bool:
    """Whether a model was trained to lose tokens."""
    return "sparsifier" in of.details


def fits(of: Card) -> bool:
    """Whether it is a plain ViT or DeiT, on which ATS needs no training."""
    return of.family in PROBE.families and not trained(of)


def host(of: Card) -> str:
    """The dense model that a bundled sparse one was trained from; any other is its own."""
    return of.details["start"]["name"] if trained(of) else of.name


def relatives(name: str, weights: Path | None = None) -> Mapping[str, Victim]:
    """Every other mechanism on the same host, trained ones and ATS, and the dense host, by titles.

    A host that is not on this machine is left out, and ATS on it.
    """
    below = card(host(card(name, weights)), weights)
    called = shorts({below.name: below.title})[below.name]
    found: dict[str, Victim] = {}
    for each in zoo.cards(weights):
        if trained(each) and host(each) == below.name:
            found[each.title.partition(":")[0]] = zoo.load(each.name, weights)
    if not trained(below) and zoo.available(below) == "here":
        dense = zoo.load(below.name, weights)
        found = {f"ATS on {called}": altered(dense, (TokenSampling(),)), **found}
        found[f"{called}, dense"] = dense
    own = victim(name, weights).spec.full
    return {title: each for title, each in found.items() if each.spec.full != own}
