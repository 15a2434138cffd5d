"""One way to train against another over several seeds: the pairs that differ in attention scaling alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from engine.evaluate.claim import Row, verdict
from engine.evaluate.interval import Rate, bootstrap
from engine.papers.aas_at.findings import Judged


def pooled(models: Sequence[Judged]) -> Iterator[Row]:
    """D7 over seeds, where two or more pairs NAME and NAME_aas (of a seed each) were judged.

    What attention scaling gains on the first less what it gains on the second, mean over seeds, by
    a bootstrap over pictures; the statement tells each seed, whose spread is the training's own.
    """
    named = {each.model: each for each in models}
    pairs = [(each, named[twin(name)]) for name, each in named.items() if twin(name) in named]
    if len(pairs) < 2:
        return
    gains = torch.stack([_opened(one) - _opened(other) for one, other in pairs])
    n = gains.shape[1]
    gap = Rate.change(bootstrap(lambda w: 100 * (w @ gains.mean(0)) / w.sum(1), n), n)
    seeds = ", ".join(f"{100 * each:+.1f}" for each in gains.mean(1).tolist())
    statement = (
        f"training with AAS closes the gap that AAS opens, mean of {len(pairs)} seeds ({seeds})"
    )
    yield Row("D7", statement, gap, "points", "above 0", verdict(gap, 0), n)


def twin(model: str) -> str:
    """What the same training with attention scaling is called."""
    return re.sub(r"(?=(_seed\d+)?$)", "_aas", model, count=1)


def _opened(of: Judged) -> Tensor:
    """1 for each picture that only attention scaling takes."""
    return (of.kept("long") & ~of.kept("scaled")).double()
