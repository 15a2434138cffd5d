"""What robustness came to: accuracy under PGD, and under PGD crafted through scaled attention."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.alter.scaled import Scaled
from engine.core.streams import Streams
from engine.model.task import Task
from engine.train import measure
from engine.train.network import Answer, Network, frozen
from engine.train.pgd import PGD
from engine.train.pictures import Pictures


def robustness(net: Network, pictures: Pictures, judge: PGD) -> dict[str, Any]:
    """Accuracy under `judge`, crafted on the network, and on it or its scaled self (AAS).

    A picture counts only if no iterate is misclassified. For AAS each picture's factors are learned,
    the attack is crafted on the scaled network and every iterate is scored on the network as it
    is; the figure is the union of the plain and the scaled attack (spec 3.7, 6).
    """
    victim = frozen(net.eval(), lambda body: body, pictures.images.shape[-1])
    streams, kept, both = Streams(0), 0, 0
    for number, (images, labels) in enumerate(measure.batches(pictures, net.mean.device)):
        left = _survivors(net, net, judge, images, labels, streams.at("judge", number))
        kept += len(left)
        if not len(left):
            continue
        images, labels = images[left], labels[left]
        factors = Scaled().fitted(victim, Task(images, labels), streams.inside("scaled", number))
        noise = streams.at("judge scaled", number)
        both += len(_survivors(net, factors(victim).logits, judge, images, labels, noise))
    count = len(pictures.labels)
    return {
        f"pgd{judge.steps}_accuracy": round(kept / count, 4),
        f"pgd{judge.steps}_aas_accuracy": round(both / count, 4),
        "robust_images": count,
        "eps": judge.eps,
        "step": judge.step,
    }


def _survivors(
    net: Answer,
    source: Answer,
    judge: PGD,
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Rows of the pictures `net` has right at the start and at every iterate crafted on `source`."""
    with torch.no_grad():
        rows = (net(images).argmax(1) == labels).nonzero().squeeze(1)
    images, labels = images[rows], labels[rows]
    safe = torch.ones_like(labels, dtype=torch.bool)

    def loss(x: Tensor) -> Tensor:
        logits = source(x)
        if source is net:
            safe.logical_and_(logits.argmax(1) == labels)
        return F.cross_entropy(logits, labels, reduction="sum")

    x = images
    for x in judge.iterates(loss, images, generator):
        if source is not net:
            with torch.no_grad():
                safe &= net(x).argmax(1) == labels
    with torch.no_grad():
        safe &= net(x).argmax(1) == labels
    return rows[safe]
