"""Several victims as one: their logits averaged, their blocks side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from engine.core.errors import UnsupportedModel
from engine.core.shapes import Images, Logits
from engine.model.hooking import new_forward
from engine.model.sites import Site
from engine.model.victim import Family, Spec, Tap, Victim

JOIN = "+"


def members(name: str) -> tuple[str, ...]:
    """The models that a name stands for: "a+b" is the ensemble of a and b."""
    return tuple(name.split(JOIN))


def ensemble(members: Sequence[Victim]) -> Victim:
    """A victim whose logits are the mean of its members' (MI-FGSM's ensemble in logits, spec 1.7).

    It reads pictures of the first member's size, and shows them to the others at theirs; every
    member keeps its own normalisation. Its blocks are the members' blocks in order, its sites all
    of theirs: a rule acts in each member that has its site; VOTE is what each answers. Raises UnsupportedModel where members
    know different classes or there are none.
    """
    if not members:
        raise UnsupportedModel("An ensemble needs at least one model.")
    first = members[0].spec
    if any(member.spec.classes != first.classes for member in members):
        raise UnsupportedModel(
            "These models do not know the same classes.", "Choose models trained on one task."
        )
    spec = Spec(
        name=" + ".join(member.spec.full for member in members),
        family="ensemble",
        classes=first.classes,
        input_size=first.input_size,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        blocks=tuple(block for member in members for block in member.spec.blocks),
        sites=frozenset({Site.VOTE}.union(*(member.spec.sites for member in members))),
    )
    lock = cast(threading.RLock, _Locks(members))
    return Victim(spec, Mean(members), Family("ensemble", spec.sites, _install), lock)


class Mean(nn.Module):
    """1/m sum_i logits_i of a batch of pixels in [0, 1], of its `victims`."""

    def __init__(self, members: Sequence[Victim]) -> None:
        super().__init__()
        self.victims = tuple(members)
        self.members = nn.ModuleList(member.module for member in members)

    def forward(self, x: Images) -> Logits:
        return torch.stack(self.votes(x)).mean(0)

    def votes(self, x: Images) -> list[Logits]:
        return [member.logits(resized(x, member)) for member in self.victims]


def resized(x: Images, member: Victim) -> Float[Tensor, "b 3 side side"]:
    """The ensemble's pictures as a member is shown them."""
    side = member.spec.input_size
    if x.shape[-1] == side:
        return x
    return F.interpolate(x, (side, side), mode="bilinear", antialias=True)


class _Locks:
    """Every member's lock, taken in one order for all ensembles, so that two cannot wait in a ring."""

    def __init__(self, members: Sequence[Victim]) -> None:
        self._locks = sorted({id(m.lock): m.lock for m in members}.items())

    def __enter__(self) -> None:
        for _, lock in self._locks:
            lock.__enter__()

    def __exit__(self, *raised: Any) -> None:
        for _, lock in reversed(self._locks):
            lock.__exit__(*raised)


class _Part(Tap):
    """The ensemble's tap as one member sees it: its sites only, its blocks numbered from 0."""

    def __init__(self, whole: Tap, member: Victim, first: int) -> None:
        super().__init__((), (), ())
        self.whole, self.first = whole, first
        self.need = whole.need & member.spec.sites

    def __call__(self, site: Site, block: int, x: Tensor, slot: str = "") -> Tensor:
        return self.whole(site, self.first + block, x, slot) if site in self.need else x

    def reads(self, site: Site) -> bool:
        return site in self.need and self.whole.reads(site)

    def backward(self, site: Site, block: int, slot: str = "") -> Callable[[Tensor], Tensor] | None:
        return self.whole.backward(site, self.first + block, slot) if site in self.need else None


def _install(module: nn.Module, tap: Tap, stack: ExitStack) -> None:
    if not isinstance(module, Mean):
        raise UnsupportedModel(f"{type(module).__name__} is no ensemble.")
    first, last = 0, list[int]()
    for member in module.victims:
        member.family.install(member.module, _Part(tap, member, first), stack)
        first += member.spec.depth
        last.append(first - 1)

    def forward(x: Images) -> Logits:
        votes = zip(last, module.votes(x), strict=True)
        return torch.stack([tap(Site.VOTE, block, vote) for block, vote in votes]).mean(0)

    stack.enter_context(new_forward(module, forward))
