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

    `clean` is the victim's pass on the unperturbed images, `first` that on the pictures of step 0, each
    there only if the objective asks for it;
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
    first: Forward | None = None

    @property
    def x0(self) -> Images:
        return self.task.images

    def copies(self, n: int) -> Moment:
        """The same moment for a batch that holds every picture n times: all, all again, ..."""
        if n == 1:
            return self
        task = self.task
        return replace(
            self,
            task=replace(
                task,
                images=repeat(task.images, n),
                labels=repeat(task.labels, n),
                target=None if task.target is None else repeat(task.target, n),
            ),
            clean=self.clean and _copies(self.clean, n),
            first=self.first and _copies(self.first, n),
            ready=repeat(self.ready, n) if isinstance(self.ready, Tensor) else self.ready,
        )


def _copies(out: Forward, n: int) -> Forward:
    return replace(
        out,
        images=repeat(out.images, n),
        logits=repeat(out.logits, n),
        seen={at: repeat(value, n) for at, value in out.seen.items()},
    )


def repeat(x: Tensor, n: int) -> Tensor:
    """n copies of a batch along the batch axis."""
    return x.repeat(n, *(1 for _ in x.shape[1:]))
