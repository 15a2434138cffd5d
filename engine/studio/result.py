"""What came out of a run, frozen: pictures, answers, readings and figures, all of saved pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from PIL import Image
from torch import Tensor

from engine.attack.criterion import Outcome, Verdict
from engine.evaluate import familiar
from engine.evaluate.distance import Distances
from engine.model import zoo
from engine.model.victim import Spec
from engine.studio.request import Request


@dataclass(frozen=True)
class Frame:
    """One stored moment of a run: the picture after `step` steps and what happened inside.

    `pixels` (3, y, x) uint8; `loss` of the attack's objective at this picture (None for noise);
    `logit` is the model's largest. `readings` are by the name of the probe; those that the model
    has nothing for are not there. `reached` and `figures` are the criterion's.
    """

    step: int
    pixels: Tensor
    probabilities: Tensor
    loss: float | None = None
    logit: float = float("nan")
    readings: Mapping[str, object] = field(default_factory=dict[str, object])
    reached: bool = False
    figures: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def top(self) -> int:
        return int(self.probabilities.argmax())


@dataclass(frozen=True)
class Transfer:
    """What another model says to the clean and to the adversarial picture.

    `comparable` where it has a class for what the attacked model was to be fooled about.
    """

    model: str
    clean: str
    clean_probability: float
    adversarial: str
    adversarial_probability: float
    comparable: bool = True

    @property
    def changed(self) -> bool:
        return self.comparable and self.clean != self.adversarial


@dataclass(frozen=True)
class Result:
    """A run as it stands: frames (clean first, the saved picture last), control and figures.

    Everything about the adversarial picture is measured on its 8-bit pixels, which is what the
    PNG holds, by the judged victim, of which `spec` is. `noise` is the control: random signs of the
    same size as the measured L-inf. `steps` of `asked` are done. `told` is what the attack
    itself says of its outcome, such as warnings not to rely on it.
    """

    request: Request
    spec: Spec
    card: zoo.Card
    label: int
    frames: tuple[Frame, ...]
    noise: Frame
    losses: tuple[float, ...]
    distances: Distances
    steps: int
    asked: int
    seconds: float
    crafting_seconds: float
    device: str
    transfers: tuple[Transfer, ...]
    notes: tuple[str, ...] = ()
    moved: float = 0.0
    told: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The judged model in words."""
        return ", ".join((self.card.title, *(each.title for each in self.request.alter)))

    @property
    def clean(self) -> Frame:
        return self.frames[0]

    @property
    def adversarial(self) -> Frame:
        return self.frames[-1]

    @property
    def finished(self) -> bool:
        return self.steps == self.asked

    @property
    def success(self) -> bool:
        """Whether the saved picture has what the attack wanted."""
        return self.adversarial.reached

    @property
    def unsure(self) -> bool:
        """Whether the clean picture may be of no class that the model knows."""
        measured = self.familiar
        return measured is not None and self.clean.logit < measured.threshold

    @property
    def familiar(self) -> familiar.Familiar | None:
        """How well the model tells what it knows; not measured where it is altered."""
        return None if self.request.alter else familiar.of(self.card)

    def name(self, index: int) -> str:
        return self.spec.classes[index]

    def verdict(self, frame: Frame | None = None) -> Verdict:
        """The criterion's words for a frame (default: the adversarial one)."""
        frame, target = frame or self.adversarial, self.request.target
        outcome = Outcome(
            frame.reached,
            frame.figures,
            self.name(self.label),
            self.name(self.clean.top),
            self.name(frame.top),
            "" if target is None else self.name(target),
        )
        return self.request.criterion.verdict(outcome)

    def image(self, frame: Frame | None = None) -> Image.Image:
        """The frame's picture (default: the adversarial one), exact, at the model's input size."""
        return Image.fromarray((frame or self.adversarial).pixels.permute(1, 2, 0).numpy())

    def perturbation(self) -> Tensor:
        """Adversarial minus clean in 255ths (3, y, x), int16."""
        return self.adversarial.pixels.to(torch.int16) - self.clean.pixels.to(torch.int16)
