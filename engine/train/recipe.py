"""What a recipe is: one frozen value that says everything about how a model is trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from torch import Tensor, nn

from engine.core.errors import EngineError
from engine.core.streams import Streams
from engine.model.architectures import INPUT_SIZE
from engine.train.augment import Augmentation
from engine.train.network import Network
from engine.train.pictures import Pictures

Triple = tuple[float, float, float]
HALF: Triple = (0.5, 0.5, 0.5)
IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)


class BadRecipe(EngineError):
    """A recipe cannot run with what it was given."""


class Target(NamedTuple):
    """What a batch is taught, each `(b, k)` and summing to 1 over classes.

    `labels` are the mixed, smoothed true labels; `teacher` the teachers' mean probabilities, equal
    to `labels` where there is no teacher; `blend` what a network with one head learns.
    """

    labels: Tensor
    teacher: Tensor
    blend: Tensor


class Turn(NamedTuple):
    """Where in training a batch stands, and the streams from which this process may draw.

    `progress` is the share of training that is done, from 0 to 1.
    """

    epoch: int
    step: int
    progress: float
    streams: Streams


class Method(Protocol):
    """What is trained on top of a backbone, and on which loss."""

    def wrap(self, backbone: nn.Module) -> nn.Module:
        """The network that is trained, from the bare timm backbone."""
        ...

    def loss(self, net: Network, images: Tensor, target: Target, at: Turn) -> Tensor:
        """The mean loss of a batch of pixels in [0, 1]."""
        ...

    def finished(self, body: nn.Module) -> nn.Module:
        """The network that ships, from the one that was trained."""
        ...

    def card(self, net: Network, val: Pictures) -> dict[str, dict[str, Any]]:
        """What the card says of a finished network beyond accuracy: `measured` numbers, constants."""
        ...


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One model and how it is trained; a learning rate is per step of a whole batch.

    `model` is an architecture, or a variant of one: what the weights are called. Pictures are
    `size` x `size`. `start` names a bundled model whose weights are the starting point (None: fresh weights).
    `teachers` are timm models or bundled models whose probabilities make up `teacher_share` of
    the target; without them the recipe runs on labels alone. Where `views` is given and teachers
    are heard, epochs repeat after that many (the same crops and mixtures), so that a teacher is
    asked once about a picture and its answer remembered (Shen and Xing, 2022): for slow teachers.
    An epoch ends after `epoch_pictures` (None: after all), which keeps checkpoints close on slow
    machines. `average` is the decay of the moving average of weights, which is what is measured and shipped.
    """

    name: str
    model: str
    title: str
    family: str
    task: Literal["classify", "sparsify", "robust"]
    mean: Triple
    std: Triple
    method: Method
    size: int = INPUT_SIZE
    start: str | None = None
    teachers: tuple[str, ...] = ()
    teacher_share: float = 0.0
    views: int | None = None
    epochs: int = 120
    epoch_pictures: int | None = None
    batch: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_epochs: int = 5
    clip_norm: float = 1.0
    average: float = 0.999
    smoothing: float = 0.1
    drop_path: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)
