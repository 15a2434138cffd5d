"""An attack under way on one picture: it advances step by step and can be asked at any time.

A `Run` keeps what the page scrubs through: every stored step's picture (8 bits), class probabilities
and probe readings, taken in the attack's own passes, so that no view computes anything again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from engine.alter.alteration import Alteration
from engine.alter.catalog import ON, parse
from engine.alter.ensemble import JOIN, members
from engine.alter.stack import altered, fitted, named, outlined
from engine.attack.attack import NOTHING, Attack, State, Tells, Watch, observe
from engine.core import placement
from engine.core.errors import BadStack, MissingSite, UnsupportedModel
from engine.core.shapes import Images
from engine.data.labels import folded, spellings
from engine.evaluate.distance import distances
from engine.evaluate.judge import shown
from engine.model import zoo
from engine.model.sites import Site
from engine.model.victim import Forward
from engine.model.zoo import Card
from engine.probe.catalog import PROBES
from engine.probe.probe import Seen
from engine.studio.request import Request
from engine.studio.result import Frame, Result, Transfer
from engine.studio.subject import Subject

MOST_FRAMES = 33


@dataclass(frozen=True)
class Stepped:
    """One step is done: its loss and what the victim said to the picture the step started from."""

    step: int
    steps: int
    loss: float
    probabilities: Tensor
    success: bool
    seconds: float
    pixels: Tensor


class Run:
    """An attack under way on one picture. `advance` takes a step; `result` can be asked any time."""

    def __init__(self, request: Request) -> None:
        began = time.perf_counter()
        self.request = request
        bare = named(request.model, lambda name: zoo.load(name, request.weights))
        self.victim = altered(bare, request.alter)
        self._own = request.crafted_on == request.alter
        self.criterion = request.criterion
        if why := self.criterion.lacks(self.victim.spec):
            raise MissingSite(why, "Choose another attack, or another stack to judge on.")
        self.attack: Attack = request.recipe.build(outlined(bare, request.crafted_on).spec)
        self.subject = Subject.of(
            self.victim, request.image, request.label, request.target, request.seed
        )
        self.clean_probabilities = self.subject.probabilities
        fitting = time.perf_counter()
        task, streams = self.subject.task, self.subject.streams
        self._crafted_on = fitted(bare, request.crafted_on, task, streams)
        self._task = task.on(self._crafted_on)
        self._crafting = time.perf_counter() - fitting
        self.state: State = self.attack.init(self._crafted_on, self._task, streams)
        self.losses: list[float] = []
        self._said = self.clean_probabilities
        self.notes: list[str] = []
        self._probes = [each for each in PROBES if each.lacks(self.victim.spec) is None]
        self._watch = self._watched()
        self._stored = _stored(self.attack.steps)
        self._clean: Forward | None = None
        self._frames: dict[int, Frame] = {}
        self._seconds = time.perf_counter() - began

    @property
    def clean(self) -> Tensor:
        """The clean picture at the model's input size (3, y, x), uint8."""
        return self.subject.pixels

    @property
    def label(self) -> int:
        return self.subject.label

    @property
    def steps(self) -> int:
        """How many were taken."""
        return len(self.losses)

    @property
    def asked(self) -> int:
        """How many there will have been at most; some attacks end as soon as the picture falls."""
        return self.steps if self.done else self.attack.steps

    @property
    def done(self) -> bool:
        return self.state.step >= self.attack.steps

    def advance(self) -> Stepped:
        """Take the next step, recording what the views need of the picture it starts from."""
        began = time.perf_counter()
        at, x0 = self.steps, self.subject.images
        keep = at in self._stored
        seen = keep and self._own and (at > 0 or torch.equal(self.state.x, x0))
        watch = self._watch if seen else NOTHING
        self.state, info = self.attack.step(
            self._crafted_on, self._task, self.state, self.subject.streams, watch
        )
        loss, out = float(info.loss[0]), info.out
        self.losses.append(loss)
        if at == 0 and not torch.equal(info.x, x0):
            self._look(0, x0)  # what later frames are compared with
        elif keep and out and self._own:
            self._keep(at, info.x, out, loss)
        elif keep:
            out = self._look(at, info.x, loss)
        if out:  # else the model was shown something else, and what it said last stays
            self._said = out.logits.detach()[0].softmax(0).cpu()
        spent = time.perf_counter() - began
        self._crafting += info.seconds
        self._seconds += spent
        return Stepped(
            self.steps,
            self.asked,
            loss,
            self._said,
            bool(info.success[0]),
            spent,
            self._saved(self.state.x),
        )

    def result(self) -> Result:
        """The run as it stands, measured on the picture that would be saved now."""
        began = time.perf_counter()
        if 0 not in self._frames:
            self._look(0, self.subject.images)
        last = self._saved(self.state.x)
        if self.steps > 0:
            self._look(self.steps, shown(last.unsqueeze(0), self.victim))
        frames = [self._frames[step] for step in sorted(self._frames)]
        size = distances(self.clean, last)
        noise = self._noise(size.linf)
        if self.request.views:
            *frames, noise = self._read_apart([*frames, noise])
        transfers = tuple(self._transfer(name, last) for name in self.request.others)
        self._seconds += time.perf_counter() - began
        return Result(
            request=self.request,
            spec=self.victim.spec,
            card=_card(self.request.model, self.request.weights),
            label=self.label,
            frames=tuple(frames),
            noise=noise,
            losses=tuple(self.losses),
            distances=size,
            steps=self.steps,
            asked=self.asked,
            seconds=self._seconds,
            crafting_seconds=self._crafting,
            device=placement.describe(self.victim.device),
            transfers=transfers,
            notes=tuple(dict.fromkeys(self.notes)),
            told=self._told(),
            moved=float((self.state.x - self.subject.images).abs().max()),
        )

    def _watched(self) -> Watch:
        """Everything that the views and the criterion need, of what this model has."""
        if not self.request.views:
            return Watch(self.criterion.sites)
        inside = [each for each in self._probes if each.on is None]
        values = frozenset[Site]().union(*(each.sites for each in inside))
        gradients = frozenset[Site]().union(*(each.gradients for each in inside))
        return Watch(values | self.criterion.sites, gradients)

    def _told(self) -> tuple[str, ...]:
        """What the fitted alterations and the attack say of themselves."""
        stood = (each for each in self._crafted_on.spec.alterations if isinstance(each, Alteration))
        found = tuple(each.told for each in stood if each.told)
        return (*found, *(self.attack.told(self.state) if isinstance(self.attack, Tells) else ()))

    def _saved(self, x: Images) -> Tensor:
        return self.subject.saved(x, self.request.recipe.eps)

    def _look(self, step: int, x: Images, loss: float | None = None) -> Forward:
        """Keep the judged victim's own pass on x; the loss is of that pass if none is given."""
        task, streams = self.subject.task, self.subject.streams
        x = x.to(self.subject.images)  # float64 while it is crafted on such a model
        info = self.attack.look(self.victim, task, self.state, x, streams, self._watch)
        assert info.out is not None  # of a picture that is looked at
        self._keep(step, x, info.out, float(info.loss[0]) if loss is None else loss)
        return info.out

    def _keep(self, step: int, x: Images, out: Forward, loss: float) -> None:
        if step == 0:
            compared = (each.compared for each in self._probes)
            sites = self.criterion.sites.union(*compared)
            seen = {at: value for at, value in out.seen.items() if at.site in sites}
            self._clean = _exact(replace(out, seen=seen, grads={}))
        self._frames[step] = self._frame(step, self._saved(x), out, loss)

    def _frame(self, step: int, pixels: Tensor, out: Forward, loss: float | None) -> Frame:
        """What a recorded pass says, read by every probe whose sites it holds."""
        out, clean = _exact(out), self._clean
        assert clean is not None  # the first that is kept
        logits = out.logits.detach()[0]
        figures = self.criterion.figures(clean, out)
        seen = Seen(out, self.victim, clean)
        return Frame(
            step,
            pixels,
            logits.softmax(0).cpu(),
            loss,
            float(logits.max()),
            {each.name: each.read(seen) for each in self._probes if each.reads(out)},
            bool(self.criterion.reached(clean, out, self.subject.task)[0]),
            {name: float(values[0]) for name, values in figures.items()},
        )

    def _noise(self, linf: int) -> Frame:
        """The control: random signs of the size the attack used, seen by the same probes."""
        x = self.subject.noisy(linf)
        out = observe(self.victim, x, self._watch.values)
        return self._frame(-1, (x[0] * 255).round().to(torch.uint8).cpu(), out, None)

    def _read_apart(self, frames: Sequence[Frame]) -> list[Frame]:
        """The readings of probes that look at another victim: all frames in one batch.

        One by one where the model is int8: what such a pass rounds depends on batch-mates.
        """
        together = 1 if self.request.int8 else len(frames)
        for probe in PROBES:
            if probe.on is None:
                continue
            try:
                victim = probe.on(self.victim)
            except (BadStack, UnsupportedModel) as why:
                self.notes.append(why.sentence)
                continue
            batch = shown(torch.stack([frame.pixels for frame in frames]), victim)
            seen = [observe(victim, part, probe.sites) for part in batch.split(together)]
            read = [
                probe.read(Seen(out, victim, seen[0], index))
                for out in seen
                for index in range(len(out.logits))
            ]
            frames = [
                replace(frame, readings={**frame.readings, probe.name: one})
                for frame, one in zip(frames, read, strict=True)
            ]
        return list(frames)

    def _transfer(self, name: str, adversarial: Tensor) -> Transfer:
        other = zoo.load(name, self.request.weights)
        pair = torch.stack((self.clean, adversarial))
        with torch.no_grad():
            p = other.logits(shown(pair, other)).softmax(1).cpu()
        (pc, pa), (c, a) = (each.tolist() for each in p.max(1))
        known = folded(self.subject.called) in spellings(other.spec.classes)
        comparable = known and not self.request.stranger
        return Transfer(name, other.spec.classes[c], pc, other.spec.classes[a], pa, comparable)


def _exact(out: Forward) -> Forward:
    """The pass in float32, whatever its model computes in."""
    seen, grads = ({at: v.float() for at, v in all.items()} for all in (out.seen, out.grads))
    return replace(out, seen=seen, grads=grads)


def _card(model: str, weights: Path | None) -> Card:
    """A model's card; that of an ensemble, or of an altered model's name, has no figures."""
    if not {JOIN, ON} & set(model):
        return zoo.card(model, weights)
    cards, titles = list[Card](), list[str]()
    for name in members(model):
        bare, *alterations = name.split(ON)
        cards.append(zoo.card(bare, weights))
        titles.append(", ".join((cards[-1].title, *(parse(each).title for each in alterations))))
    digests = " ".join(each.sha256 for each in cards)
    return replace(cards[0], name=model, title=" + ".join(titles), sha256=digests, measured={})


def _stored(steps: int) -> frozenset[int]:
    """Which steps are kept to be scrubbed through: all, or an even choice of long runs."""
    if steps < MOST_FRAMES:
        return frozenset(range(steps + 1))
    return frozenset(round(i * steps / (MOST_FRAMES - 1)) for i in range(MOST_FRAMES))
