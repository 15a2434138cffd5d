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
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.attack.attack import Attack
from engine.attack.extremes import Shuffled
from engine.attack.recipe import Recipe
from engine.attack.recipes.mifgsm import MIFGSM
from engine.attack.recipes.tgr import TGR
from engine.attack.rule import Erasing, Only
from engine.core.knobs import knob
from engine.evaluate.evaluate import folder_pictures
from engine.evaluate.interval import Estimate
from engine.evaluate.paired import Panel
from engine.evaluate.transfer import Experiment, Progress, title, transfer
from engine.evaluate.transfer import settings as settings_of
from engine.model import zoo
from engine.model.sites import Address, Rule, Site
from engine.model.victim import Spec

SCHEMA = "vit-adversarial-lab/ablation/2"
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

    def build(self, spec: Spec) -> Attack:
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

    `images` were attacked; `pictures` of them had a right answer from at least one target.
    """

    recipe: Recipe
    rate: Estimate
    gain: Estimate
    p: float
    pictures: int
    images: int


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


def ablate(
    folder: Path,
    source: str,
    targets: Sequence[str],
    recipes: Sequence[Recipe] = (),
    *,
    limit: int | None = None,
    seed: int = 0,
    batch: int = 64,
    weights: Path | None = None,
    keep: Path | None = None,
) -> Iterator[Progress | Entry]:
    """Measure settings (all of `settings()` by default) from `source` to the targets.

    Every budget among the recipes must have its MIFGSM. Events, sharding and `keep` are those of
    `transfer`; process 0 alone yields entries.
    """
    load = partial(zoo.load, weights=weights)
    chosen = tuple(recipes) or settings()
    pictures = folder_pictures(folder, load(source), limit, seed)
    experiment = Experiment(pictures, (source,), chosen, tuple(targets), seed, batch)
    for event in transfer(experiment, load, keep):
        if isinstance(event, Progress):
            yield event
        else:
            panel = Panel(event, source, experiment.targets)
            bases = {each.eps: each for each in chosen if isinstance(each, MIFGSM)}
            for each in chosen:
                base = bases[each.eps]
                rate, gain = panel.rate(each), panel.gain(each, base)
                yield Entry(each, rate, gain, panel.p(each, base), panel.images, len(pictures))


def summary(entries: Sequence[Entry], **about: Any) -> dict[str, Any]:
    """The entries as plain data, versioned: what a study's file holds, and the page draws.

    `rate` and `gain` are [value, low, high] in [0, 1]; `about` says what was measured, for
    instance source, targets and the folder's name.
    """
    return {
        "schema": SCHEMA,
        **about,
        "entries": [
            {
                "title": title(each.recipe),
                "recipe": settings_of(each.recipe),
                "eps_255": each.recipe.eps * 255,
                "rate": [each.rate.value, each.rate.low, each.rate.high],
                "gain": [each.gain.value, each.gain.low, each.gain.high],
                "p": each.p,
                "pictures": each.pictures,
                "images": each.images,
            }
            for each in entries
        ],
    }


def markdown(entries: Sequence[Entry]) -> str:
    """The entries as a table."""
    lines = [
        "| setting | eps | success % (95 %) | gain on MI-FGSM (95 %) | McNemar p |",
        "|---|---|---|---|---|",
    ]
    for each in entries:
        rate, gain = (
            [100 * value for value in (found.value, found.low, found.high)]
            for found in (each.rate, each.gain)
        )
        plain = title(each.recipe).replace("|", "/")
        lines.append(
            f"| {plain} | {each.recipe.eps * 255:g}/255 | {rate[0]:.1f} [{rate[1]:.1f}, {rate[2]:.1f}] "
            f"| {gain[0]:+.1f} [{gain[1]:+.1f}, {gain[2]:+.1f}] | {each.p:.2g} |"
        )
    return "\n".join(lines) + "\n"
