"""Why TGR's gradients transfer: its two effects apart, on one picture, step by step.

TGR multiplies gradients by factors and zeroes extreme tokens. Run side by side are MI-FGSM, the
factors alone, the zeroing alone, both, and the control that zeroes as many random tokens: on the
same picture, from the same start. What the attacks' own passes say is read on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from engine.attack.attack import Watch
from engine.attack.chain import Chain
from engine.attack.extremes import Extremes
from engine.attack.places import COMPONENTS, Component
from engine.attack.recipes.mifgsm import MIFGSM
from engine.attack.recipes.tgr import TGR
from engine.core.errors import MissingSite
from engine.core.knobs import knobs
from engine.data.labels import folded, spellings
from engine.evaluate.judge import shown
from engine.evaluate.progress import Progress
from engine.model import zoo
from engine.model.sites import Address, Rule
from engine.model.victim import BlockShape, Forward, Spec, Victim
from engine.papers.paper import Exhibit
from engine.papers.tgr.ablation import RandomTokens
from engine.probe.gradients import alike, moments
from engine.studio import Subject

Variant = Literal["baseline", "gamma", "zeroing", "both", "random"]
Recipes = Mapping[Variant, MIFGSM | TGR]
VARIANTS: tuple[Variant, ...] = ("baseline", "gamma", "zeroing", "both", "random")


def variants(tgr: TGR) -> Recipes:
    """The comparison that a setting of TGR stands for, all with its budget and steps."""
    own = {each.name: getattr(tgr, each.name) for each in knobs(TGR)}
    return {
        "baseline": MIFGSM(tgr.eps, tgr.steps, tgr.step_size, tgr.mu),
        "gamma": replace(tgr, k=0),
        "zeroing": replace(tgr, attention=1.0, qkv=1.0, mlp=1.0),
        "both": tgr,
        "random": RandomTokens(**own),
    }


@dataclass(frozen=True)
class Reading:
    """One step of one variant, read at the picture the step started from.

    loss: cross-entropy; probability: of the true class on the source.
    variance, dispersion, kurtosis (l, 3): of the gradient after the variant's own edits, where
    TGR acts (see `probe.gradients`; columns attention, QKV, MLP).
    extremes[l][c] (n,): the share of a block's channels (attention: heads) in which a token's
    gradient is zeroed, or would be by the rule as set (MI-FGSM, factors alone, components not
    chosen); None where a part is missing, or works in windows and has no single map.
    pixels (3, y, x): the picture after the step, as it would be saved.
    """

    variant: Variant
    step: int
    loss: float
    probability: float
    variance: Tensor
    dispersion: Tensor
    kurtosis: Tensor
    extremes: tuple[tuple[Tensor | None, ...], ...]
    pixels: Tensor


@dataclass(frozen=True)
class Answer:
    """What a model says to a saved picture; None where it does not know the true class."""

    answer: str
    probability: float | None
    fooled: bool | None


@dataclass(frozen=True)
class Comparison:
    """What was asked and all that was read so far.

    rounds: one step of every variant each. answers: what each model says to the clean picture and
    to every variant's, by the model's name; none before the end.
    """

    subject: Subject
    tgr: TGR
    rounds: tuple[tuple[Reading, ...], ...]
    answers: Mapping[str, tuple[Answer, ...]]


def parts(spec: Spec, tgr: TGR) -> tuple[Component, ...]:
    """The components of TGR that a kind of model has."""
    return tuple(
        part for part in COMPONENTS if all(at.site in spec.sites for at in tgr.where(spec, part))
    )


def compare(of: Subject, tgr: TGR) -> Iterator[Reading]:
    """All variants, a step each in turn, so that whoever stops has them equally far.

    Raises MissingSite where the source lacks a component that was asked for.
    """
    spec = of.victim.spec
    had = parts(spec, tgr)
    lacking = [part for part in tgr.parts(spec) if part not in had]
    if lacking:
        raise MissingSite(
            f"{spec.name} has no {_listed(lacking)} gradients to regularise.",
            f"It has {_listed(had)}." if had else "Choose another source.",
        )
    task, streams = of.task, of.streams
    attacks: dict[Variant, Chain] = {
        name: _watched(recipe.build(spec), tgr, spec) for name, recipe in variants(tgr).items()
    }
    states = {name: each.init(of.victim, task, streams) for name, each in attacks.items()}
    sites = {at.site for part in had for at in tgr.where(spec, part)}
    watch = Watch(gradients=frozenset(sites))
    for step in range(tgr.steps):
        for name, attack in attacks.items():
            state, info = attack.step(of.victim, task, states[name], streams, watch)
            states[name] = state
            assert info.out is not None, "gradient rules alone leave the pass the victim's own"
            kept = {at: share for memory in state.rules for at, share in memory.items()}
            yield Reading(
                name,
                step,
                float(info.loss[0]),
                float(info.out.logits.detach()[0].softmax(0)[of.label]),
                *_statistics(info.out, spec, tgr, had),
                _extremes(kept, spec, tgr, had),
                of.saved(state.x, tgr.eps),
            )


def comparison(exhibit: Exhibit, tgr: TGR) -> Iterator[Progress | Comparison]:
    """The whole comparison of a picture, and what every model says to its outcomes."""
    begun = begin(exhibit, tgr)
    readings: list[Reading] = []
    for reading in compare(begun.subject, tgr):
        readings.append(reading)
        yield Progress("steps of each variant", reading.step + 1, tgr.steps)
    each = len(VARIANTS)
    rounds = tuple(tuple(readings[i : i + each]) for i in range(0, len(readings), each))
    yield answered(replace(begun, rounds=rounds), exhibit)


def begin(exhibit: Exhibit, tgr: TGR) -> Comparison:
    """The comparison before its first step."""
    source = zoo.load(exhibit.model, exhibit.weights)
    of = Subject.of(source, exhibit.image, exhibit.label, seed=exhibit.seed)
    return Comparison(of, tgr, (), {})


def answered(found: Comparison, exhibit: Exhibit) -> Comparison:
    """The comparison with what every model says to the clean picture and to the last of each variant."""
    of = found.subject
    pixels = [of.pixels, *(its.pixels for its in found.rounds[-1])]
    said = {
        name: answers(zoo.load(name, exhibit.weights), pixels, of.called) for name in exhibit.models
    }
    return replace(found, answers=said)


def answers(model: Victim, pixels: Sequence[Tensor], called: str) -> tuple[Answer, ...]:
    """What a model says to saved pictures (3, y, x) whose true class is called so."""
    classes = model.spec.classes
    label = spellings(classes).get(folded(called))
    with torch.no_grad():
        likely = model.logits(shown(torch.stack(list(pixels)), model)).softmax(1).cpu()
    return tuple(
        Answer(classes[top], None, None)
        if label is None
        else Answer(classes[top], float(p[label]), top != label)
        for p, top in zip(likely, likely.argmax(1).tolist(), strict=True)
    )


def _watched(attack: Chain, tgr: TGR, spec: Spec) -> Chain:
    """The attack with readers of what TGR's rules would zero, in every component of the model."""
    readers: tuple[Rule, ...] = tuple(
        Extremes(rule) for rule in replace(tgr, components="all").rules(spec) if tgr.k
    )
    return replace(attack, rules=(*readers, *attack.rules))


def _statistics(
    out: Forward, spec: Spec, tgr: TGR, had: Sequence[Component]
) -> tuple[Tensor, Tensor, Tensor]:
    """Variance, dispersion and kurtosis (l, 3); a place without a gradient is read as zero."""
    columns: list[Tensor] = []
    for part in COMPONENTS:
        places = tgr.where(spec, part) if part in had else ()
        flat: list[Tensor] = []
        for block in range(spec.depth):
            found = [
                g.flatten()
                for at, g in sorted(out.grads.items())
                if at.block == block and any(place.holds(at) for place in places)
            ]
            flat.append(torch.cat(found) if found else out.logits.new_zeros(1))
        columns.append(torch.cat([moments(group) for group in alike(flat)]).cpu())
    variance, dispersion, kurtosis = torch.stack(columns, 1).unbind(-1)
    return variance, dispersion, kurtosis


def _extremes(
    kept: Mapping[Address, Tensor], spec: Spec, tgr: TGR, had: Sequence[Component]
) -> tuple[tuple[Tensor | None, ...], ...]:
    return tuple(
        tuple(
            _map(shape, [kept[at] for at in kept if at.block == block and _holds(tgr, spec, p, at)])
            if p in had
            else None
            for p in COMPONENTS
        )
        for block, shape in enumerate(spec.blocks)
    )


def _holds(tgr: TGR, spec: Spec, part: Component, at: Address) -> bool:
    return any(place.holds(at) for place in tgr.where(spec, part))


def _map(shape: BlockShape, shares: Sequence[Tensor]) -> Tensor | None:
    """The shares of one block's places, over its tokens; nothing kept is nothing lost.

    Where only a class token has the place, the other tokens lose nothing.
    """
    tokens = shape.prefix + shape.grid[0] * shape.grid[1]
    if not shares:
        return torch.zeros(tokens)
    if any(len(share) > 1 for share in shares):
        return None
    return torch.stack(
        [torch.nn.functional.pad(share[0].cpu(), (0, tokens - share.shape[1])) for share in shares]
    ).mean(0)


def _listed(components: Sequence[str]) -> str:
    words = {"attention": "attention", "qkv": "QKV", "mlp": "MLP"}
    return " and ".join(words[part] for part in components)
