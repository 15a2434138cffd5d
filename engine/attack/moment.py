"""The one context object that objectives, updates and views read, so that signatures never grow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from engine.core.shapes import Images, PerExample
from engine.model.task import Task
from engine.model.victim import Forward


@dataclass(frozen=True)
class Moment:
    """Step `step` of `steps` of an attack on `task`.

    `clean` is the victim's pass on the unperturbed images, there only if the objective asks for it;
    `x` is the picture of this pass before the view, `ready` what the view prepared before step 0. An
    update is told the `loss` at `x`, the picture that it goes out from.
    """

    step: int
    steps: int
    task: Task
    clean: Forward | None = None
    x: Images | None = None
    ready: Any = None
    loss: PerExample | None = None

    @property
    def x0(self) -> Images:
        return self.task.images

    def copies(self, n: int) -> Moment:
        """The same moment for a batch that holds every picture n times: all, all again, ..."""
        if n == 1:
            return self
        task, clean = self.task, self.clean
        return replace(
            self,
            task=replace(
                task,
                images=repeat(task.images, n),
                labels=repeat(task.labels, n),
                target=None if task.target is None else repeat(task.target, n),
            ),
            clean=clean
            and replace(
                clean,
                images=repeat(clean.images, n),
                logits=repeat(clean.logits, n),
                seen={at: repeat(value, n) for at, value in clean.seen.items()},
            ),
            ready=repeat(self.ready, n) if isinstance(self.ready, Tensor) else self.ready,
        )


def repeat(x: Tensor, n: int) -> Tensor:
    """n copies of a batch along the batch axis."""
    return x.repeat(n, *(1 for _ in x.shape[1:]))
