"""One perturbation or patch for any picture: trained as a generator, saved, resumed and applied."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.attack.attack import Attack
from engine.attack.update import cosine
from engine.core.assets import ASSETS
from engine.core.errors import CorruptWeights, EngineError
from engine.core.shapes import Images
from engine.core.streams import Streams
from engine.model.task import Task
from engine.model.victim import Victim

SHIPPED = ASSETS / "universal"
UNIVERSAL, CLASS_UNIVERSAL, PATCH = KINDS = "universal", "class-universal", "patch"
FIRST = "quantattack"  # of files that do not say so: the first ones were all its


@dataclass(frozen=True)
class Figure:
    """A mean over pictures that training never saw: clean, with the perturbation, and with noise of
    the same size."""

    clean: float
    attacked: float
    noise: float

    @property
    def times(self) -> float:
        """How often the clean figure the perturbation makes it."""
        return self.attacked / self.clean


@dataclass(frozen=True)
class HeldOut:
    """What a perturbation does to so many other pictures: figures by name ("outlier columns")."""

    pictures: int
    figures: Mapping[str, Figure]


@dataclass(frozen=True)
class Universal:
    """What is put on any picture of a size: `delta` (3, y, x), what it was made by and how far.

    A perturbation is added, in pixels, at most `eps`. A patch (`side` > 0, eps 1) stands in for the
    square of that side in the upper left; the rest of its delta is not used.

    `attack` made it on the model `victim`, whose weights had that SHA-256, from so many `pictures`,
    all of the class `label` where there is one; `settings` are what else its run depends on, by
    name. `measured` is what it does to other pictures, known once training is over, and `past` the
    momentum (3, y, x) until then.
    """

    delta: Tensor
    eps: float
    victim: str
    epochs: int = 0
    pictures: int = 0
    measured: HeldOut | None = None
    attack: str = FIRST
    label: str = ""
    side: int = 0
    weights: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    past: Tensor | None = None

    @property
    def kind(self) -> str:
        """One of KINDS."""
        return kind_of(self.label, self.side)

    @property
    def title(self) -> str:
        """ "universal", "class-universal: golf ball" or "universal patch"."""
        if self.side:
            return f"{UNIVERSAL} {PATCH}"
        return f"{CLASS_UNIVERSAL}: {self.label}" if self.label else UNIVERSAL

    def apply(self, images: Images) -> Images:
        """clip(x + delta) of pictures of the same size, or x under the patch."""
        if images.shape[1:] != self.delta.shape:
            size, here = self.delta.shape[-1], tuple(images.shape[2:])
            raise EngineError(
                f"This {self.title} is for pictures of {size} x {size} pixels, not {here}.",
                "Resize the picture to the model's input first.",
            )
        return self.put(images, self.delta.to(images))

    def put(self, images: Images, delta: Tensor) -> Images:
        """As `apply`, of another delta of the same kind, with its gradient."""
        if not self.side:
            return (images + delta).clamp(0, 1)
        covered = images.clone()
        covered[:, :, : self.side, : self.side] = delta[:, : self.side, : self.side]
        return covered

    def bounded(self, delta: Tensor) -> Tensor:
        """The nearest delta that is allowed: pixels of a patch, else at most eps."""
        return delta.clamp(0 if self.side else -self.eps, self.eps)

    def finished(self) -> Universal:
        """In whole 255ths, which on 8-bit pictures is the same, and with nothing to go on from."""
        return replace(self, delta=(self.delta * 255).round() / 255, past=None)


@dataclass(frozen=True)
class Epoch:
    """Training after one batch: what there is, which batch of which epoch, its mean loss."""

    made: Universal
    epoch: int
    batch: int
    batches: int
    loss: float


@dataclass(frozen=True)
class Training:
    """Universal sign descent (QuantAttack, spec A5; DeSparsify, spec 4.2; class-universal if all
    pictures are of a class).

    m <- mu m + G / mean|G|,  delta <- bound(delta + step_t sign(m)),
    G = sum_i grad_delta objective(put(x_i, delta)) over a batch, from zero, a patch from grey, over
    `epochs` passes in a new order each. Pixels that the box [0, 1] clips pass no gradient.

    `pace` "constant" is step_t = step. QuantAttack's published code takes pictures one by one
    (`batch` 1), 200 epochs of 250 pictures, a constant step of 0.002, and validates on its training
    set. "cosine" is step_t = step (1 + cos(pi t / T)) / 2 over all T batches of the run, as
    DeSparsify has it; such a run cannot go on beyond its epochs. `side` > 0 trains a patch.
    """

    eps: float = 8 / 255
    step: float = 0.002
    epochs: int = 200
    batch: int = 1
    pace: Literal["constant", "cosine"] = "constant"
    mu: float = 0.0
    side: int = 0

    def blank(self, victim: Victim, **about: Any) -> Universal:
        """Before any training; `about` are further fields of `Universal`."""
        size = victim.spec.input_size
        start = torch.full((3, size, size), 0.5 if self.side else 0.0)
        eps = 1.0 if self.side else self.eps
        return Universal(start, eps, victim.spec.full, side=self.side, **about)

    def __call__(
        self,
        attack: Attack,
        victim: Victim,
        task: Task,
        streams: Streams,
        start: Universal | None = None,
    ) -> Iterator[Epoch]:
        """Train on the task's pictures along the gradients that the attack's first step finds there.

        `start` resumes: order and draws depend on seed and epoch only, so that stopping after an
        epoch and going on gives the same bits as not stopping.
        """
        made = start or self.blank(victim)
        delta, past = made.delta.to(task.images), made.past
        past = torch.zeros_like(delta) if past is None else past.to(delta)
        for epoch in range(made.epochs, self.epochs):
            order = torch.randperm(len(task.labels), generator=streams.at("order", epoch))
            parts = order.split(self.batch)
            for index, rows in enumerate(parts):
                inside = streams.inside("epoch", epoch, index)
                some = task.of(rows.to(task.labels.device))
                g, loss = self._gradient(attack, victim, some, made, delta, inside)
                past = g + self.mu * past
                step = self._size(epoch * len(parts) + index, self.epochs * len(parts))
                delta = made.bounded(delta + step * past.sign())
                done = epoch + (index + 1 == len(parts))
                kept = past.cpu() if self.mu else None
                made = replace(made, delta=delta.cpu(), past=kept, epochs=done, measured=None)
                yield Epoch(made, epoch, index, len(parts), loss)

    def _size(self, done: int, batches: int) -> float:
        """The step once so many batches of the run are done."""
        return self.step if self.pace == "constant" else cosine(done, batches, self.step)

    def _gradient(
        self,
        attack: Attack,
        victim: Victim,
        task: Task,
        made: Universal,
        delta: Tensor,
        streams: Streams,
    ) -> tuple[Tensor, float]:
        """G / mean|G| (0 where G is), and the mean loss."""
        with torch.enable_grad():
            leaf = delta.detach().requires_grad_()
            x = made.put(task.images, leaf)
        state = attack.init(victim, task, streams, x.detach())
        _, info = attack.step(victim, task, state, streams)
        assert info.g is not None  # a step has a gradient
        (g,) = torch.autograd.grad(x, leaf, info.g)
        size = g.abs().mean()
        return g / size.masked_fill(size == 0, 1), float(info.loss.mean())


def save(made: Universal, path: Path) -> None:
    """Write a perturbation as safetensors, what it is in the header; never half a file."""
    about = {
        name: json.dumps(value) for name, value in vars(made).items() if name not in _NOT_IN_HEADER
    }
    about |= {name: getattr(made, name) for name in _WORDS}
    about["measured"] = json.dumps(made.measured and asdict(made.measured))
    tensors = {"delta": _smallest(made.delta).contiguous()}
    if made.past is not None:
        tensors["past"] = made.past.contiguous()
    part = path.with_suffix(".part")
    save_file(tensors, part, about)
    part.replace(path)


_WORDS = "victim", "attack", "label", "weights"
_NOT_IN_HEADER = (*_WORDS, "delta", "past", "measured")


def _smallest(delta: Tensor) -> Tensor:
    """Whole 255ths as a byte each, where they give exactly this."""
    steps = (delta * 255).round()
    kind = torch.int8 if bool((steps < 0).any()) else torch.uint8
    exact = delta.dtype == torch.float32 and torch.equal(steps.to(kind) / 255, delta)
    return steps.to(kind) if exact else delta


def load(path: Path) -> Universal:
    """Read a saved perturbation; raises CorruptWeights where the file is something else."""
    try:
        with safe_open(path, "pt") as file:
            about: dict[str, str] = file.metadata()
        tensors = load_file(path)
        delta = tensors["delta"]
        found = json.loads(about["measured"])
        return Universal(
            delta if delta.is_floating_point() else delta / 255,
            float(about["eps"]),
            about["victim"],
            int(about["epochs"]),
            int(about["pictures"]),
            found and _held_out(found),
            about.get("attack", FIRST),
            about.get("label", ""),
            int(about.get("side", 0)),
            about.get("weights", ""),
            _settings(about),
            tensors.get("past"),
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CorruptWeights(f"{path.name} holds no universal perturbation.") from error


def _settings(about: Mapping[str, str]) -> dict[str, Any]:
    """As saved; the first files knew the threshold only, beside the rest."""
    if "settings" in about:
        return json.loads(about["settings"])
    return {"threshold": float(about["threshold"])}


def _held_out(found: dict[str, Any]) -> HeldOut:
    """As saved; the first files knew one figure only, without its name."""
    pictures = int(found.pop("pictures"))
    figures = found.get("figures", {"outlier columns": found})
    return HeldOut(pictures, {name: Figure(**each) for name, each in figures.items()})


def kind_of(label: str, side: int) -> str:
    """One of KINDS: made of a class, or a patch, or neither."""
    return PATCH if side else CLASS_UNIVERSAL if label else UNIVERSAL


def ships_as(attack: str, victim: str, label: str = "", side: int = 0) -> Path:
    """The file in which it ships."""
    return SHIPPED / f"{_words(attack, victim, label, kind_of(label, side))}.safetensors"


def shipped_for(victim: str, attack: str, folder: Path = SHIPPED) -> tuple[Universal, ...]:
    """What ships for a model (`vit_imagenette|ats`) by an attack's name, in the order of KINDS."""
    named = folder.glob(f"{_words(attack, victim, '')}*.safetensors")
    found = [load(path) for path in sorted(named)]
    of = [each for each in found if (each.victim, each.attack) == (victim, attack)]
    return tuple(sorted(of, key=lambda each: (KINDS.index(each.kind), each.label)))


def _words(*parts: str) -> str:
    """Letters, digits and single underscores."""
    return re.sub(r"\W+|_{2,}", "_", "_".join(parts))
