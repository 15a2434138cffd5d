"""Which part of TGR helps and which costs: every part of it on its own, against MI-FGSM.

The dials are TGR's own knobs (components, k, factors, site) and the budget. Two recipes of ours
find out what the zeroing takes away: `RandomTokens`, the control, zeroes as many tokens that are
not extreme, and `Spared` leaves some places alone, for on a model with a class token only that token has a
gradient at the last block's output, so it is always the extreme one and the rule wipes out the
whole MLP gradient of that block (spec 1.4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor

from engine.attack.chain import Chain
from engine.attack.extremes import Shuffled
from engine.attack.recipe import Recipe
from engine.attack.recipes.mifgsm import MIFGSM
from engine.attack.recipes.tgr import TGR
from engine.attack.rule import Erasing, Only
from engine.core.knobs import knob
from engine.evaluate.claim import figure, table
from engine.evaluate.evaluate import folder_pictures
from engine.evaluate.interval import Estimate
from engine.evaluate.jury import Jury
from engine.evaluate.progress import Progress
from engine.evaluate.transfer import Experiment, title, transfer
from engine.evaluate.transfer import settings as settings_of
from engine.model import zoo
from engine.model.sites import Address, Rule, Site
from engine.model.victim import Spec
from engine.papers.paper import Photographs

PUBLISHED = (0.25, 0.75, 0.5)
NONE = (1.0, 1.0, 1.0)
PLACES = ("nothing", "last mlp", "last block", "prefix")
COMPONENTS = ("all", "attention", "qkv", "mlp", "attention+qkv", "attention+mlp", "qkv+mlp")


@dataclass(frozen=True)
class Spared(TGR):
    """TGR that leaves some places' extremes in, and only multiplies there. Ours, for ablation."""

    name = "tgr_spared"
    title = "TGR with places spared"
    paper = "ablation of this project"

    spare: str = knob(
        "nothing",
        "Where extremes stay: the last block, its MLP only, or the prefix tokens' rows everywhere.",
        choices=PLACES,
    )

    def build(self, spec: Spec) -> Chain:
        attack = TGR.build(self, spec)
        rules = tuple(Sparing(rule, unzeroed(rule), self.spare, spec) for rule in attack.rules)
        return replace(attack, rules=rules)


@dataclass(frozen=True)
class RandomTokens(TGR):
    """TGR's control: the same factors, and as many tokens zeroed, but drawn at random. Ours."""

    name = "tgr_random"
    title = "TGR with random tokens"
    paper = "control of this project"

    def rules(self, spec: Spec) -> tuple[Rule, ...]:
        return tuple(Shuffled(rule) for rule in TGR.rules(self, spec))


@dataclass(frozen=True)
class Sparing(Rule):
    """`zeroing` everywhere but at the spared places, where `factor` acts instead."""

    zeroing: Rule
    factor: Rule
    spare: str
    spec: Spec

    @property
    def sites(self) -> frozenset[Site]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.zeroing.sites

    def grad(self, g: Tensor, at: Address) -> Tensor:
        if self.spare == "prefix":
            prefix, tokens = self.spec.blocks[at.block].prefix, g.ndim - 2
            kept = self.factor.grad(g, at).narrow(tokens, 0, prefix)
            rest = self.zeroing.grad(g, at).narrow(tokens, prefix, g.shape[tokens] - prefix)
            return torch.cat((kept, rest), tokens)
        last = at.block == self.spec.depth - 1
        mlp = self.spare == "last mlp" and at.site is Site.MLP_OUT
        spared = last and (mlp or self.spare == "last block")
        return (self.factor if spared else self.zeroing).grad(g, at)


def unzeroed(rule: Rule) -> Rule:
    """The rule with its factor only."""
    if isinstance(rule, Only):
        return replace(rule, rule=unzeroed(rule.rule))
    if isinstance(rule, Erasing):
        return replace(rule, k=0)
    return rule


@dataclass(frozen=True)
class Entry:
    """One setting: its mean success on the targets, and what it gains on MI-FGSM at equal budget.

    Both in [0, 1]. `images` were attacked; `pictures` of them had a right answer from at least one
    target. `recipe` is its name and knobs as plain data.
    """

    title: str
    recipe: dict[str, Any]
    eps_255: float
    rate: Estimate
    gain: Estimate
    p: float
    pictures: int
    images: int

    @property
    def factors(self) -> tuple[float, ...]:
        """What the gradients of attention, QKV and MLP are multiplied by."""
        return tuple(float(self.recipe[part]) for part in ("attention", "qkv", "mlp"))

    @property
    def words(self) -> str:
        """The setting in a few words."""
        own = self.recipe
        if own["name"] == MIFGSM.name:
            return "MI-FGSM"
        parts = own["components"].replace("+", " + ").replace("mlp", "MLP").replace("qkv", "QKV")
        said = [parts, f"k {own['k']}"]
        if self.factors == NONE:
            said.append("no factors")
        elif self.factors != PUBLISHED:
            said.append("factors " + "/".join(f"{each:g}" for each in self.factors))
        if own["name"] == RandomTokens.name:
            said.append("random tokens")
        if own["site"] == "map":
            said.append("on the map")
        if own.get("spare", "nothing") != "nothing":
            said.append(f"{own['spare']} spared")
        return ", ".join(said)


@dataclass(frozen=True)
class Parts:
    """All settings that were measured on a source."""

    entries: tuple[Entry, ...]

    def at(self, eps_255: float) -> tuple[Entry, ...]:
        """Those of one budget."""
        return tuple(each for each in self.entries if abs(each.eps_255 - eps_255) < 1e-6)

    def find(self, eps_255: float, **knobs: Any) -> Entry | None:
        """The entry that is TGR as published but for these knobs (and `name`, of a relative)."""
        published = {"name": "tgr", "k": 1, "components": "all", "site": "scores"}
        published |= dict(zip(("attention", "qkv", "mlp"), PUBLISHED, strict=True))
        wanted = (published | knobs).items()
        return next((each for each in self.at(eps_255) if wanted <= each.recipe.items()), None)


def settings(
    budgets: Sequence[float] = (8 / 255, 16 / 255),
    ks: Sequence[int] = (0, 1, 2),
    steps: int = 10,
) -> tuple[Recipe, ...]:
    """MI-FGSM, then TGR by component, k and factors; at k = 1 also by site, what is spared, control."""
    found: list[Recipe] = []
    for eps in budgets:
        make, spared = partial(TGR, eps=eps, steps=steps), partial(Spared, eps=eps, steps=steps)
        found.append(MIFGSM(eps, steps))
        for k, (attention, qkv, mlp) in product(ks, (PUBLISHED, NONE)):
            if k or (attention, qkv, mlp) != NONE:
                found += [
                    make(components=part, k=k, attention=attention, qkv=qkv, mlp=mlp)
                    for part in COMPONENTS
                ]
        found += [make(components=part, site="map") for part in ("all", "attention")]
        for attention, qkv, mlp in (PUBLISHED, NONE):
            found.append(RandomTokens(eps=eps, steps=steps, attention=attention, qkv=qkv, mlp=mlp))
            found += [
                spared(spare=spare, attention=attention, qkv=qkv, mlp=mlp) for spare in PLACES[1:]
            ]
    return tuple(found)


def ablate(asked: Photographs, recipes: Sequence[Recipe] = ()) -> Iterator[Progress | Parts]:
    """Measure settings (all of `settings()` by default) from a source to the targets.

    Every budget among the recipes must have its MIFGSM. Events, sharding and `keep` are those of
    `transfer`; process 0 alone yields the parts.
    """
    load = partial(zoo.load, weights=asked.weights)
    chosen = tuple(recipes) or settings()
    pictures = folder_pictures(asked.folder, load(asked.model), asked.limit, asked.seed)
    experiment = Experiment(
        pictures, (asked.model,), chosen, tuple(asked.targets), asked.seed, asked.batch
    )
    for event in transfer(experiment, load, asked.keep):
        if isinstance(event, Progress):
            yield event
        else:
            jury = Jury(event, asked.model, experiment.targets)
            bases = {each.eps: each for each in chosen if isinstance(each, MIFGSM)}
            yield Parts(
                tuple(_entry(jury, each, bases[each.eps], len(pictures)) for each in chosen)
            )


def _entry(jury: Jury, chosen: Recipe, base: Recipe, images: int) -> Entry:
    return Entry(
        title(chosen),
        settings_of(chosen),
        chosen.eps * 255,
        jury.rate(chosen),
        jury.gain(chosen, base),
        jury.p(chosen, base),
        jury.images,
        images,
    )


def markdown(parts: Parts) -> str:
    """The settings as a table."""
    entries = parts.entries
    return table(
        {
            "setting": [each.title for each in entries],
            "eps": [f"{each.eps_255:g}/255" for each in entries],
            "success (95 %)": [figure(each.rate.times(100), "%") for each in entries],
            "gain on MI-FGSM (95 %)": [figure(each.gain.times(100), "points") for each in entries],
            "McNemar p": [f"{each.p:.2g}" for each in entries],
        }
    )
