"""What attacking costs beyond the two passes that no gradient attack can do without.

Ratios are taken from one run in which everything is measured in turn, again and again, and from
the medians: a machine that slows down slows down both sides of a ratio.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.alter.bfloat16 import BFloat16
from engine.attack.attack import craft
from engine.attack.catalog import recipe
from engine.attack.recipe import Recipe
from engine.core import placement
from engine.core.errors import UnsupportedModel
from engine.core.shapes import Images, Labels
from engine.core.streams import Streams
from engine.evaluate.judge import predict, shown
from engine.model.sparse import SparseViT
from engine.model.task import task_for
from engine.model.victim import Victim

ATTACKS = ("pgd", "apgd", "mifgsm", "tgr", "att", "quantattack", "sponge", "feature")
COARSE = "mifgsm on bfloat16"
REQUESTS = ("pgd", "mifgsm", "tgr")
"""Attacks whose whole requests are timed too; the others differ from these in their steps only."""
FLOOR = "forward + input gradient of the bare model"


@dataclass(frozen=True)
class Row:
    """`seconds` of one thing over `floor` seconds of another, medians of one interleaved run."""

    what: str
    against: str
    batch: int
    seconds: float
    floor: float
    device: str

    @property
    def ratio(self) -> float:
        return self.seconds / self.floor


def bench(
    victim: Victim,
    request: Callable[[Recipe], object] | None = None,
    *,
    batches: tuple[int, ...] = (1, 8),
    rounds: int = 15,
) -> Iterator[Row]:
    """Time an attack step against the floor, and a whole request against its bare attack.

    The floor is forward and input gradient of the unwrapped timm module, float32, with timm's own
    fused attention, on the same batch, by the same threads. `request(recipe)` runs one whole
    request of the Lab on this victim, with all views; the bare attack is the same recipe's steps
    and nothing else.
    """
    for size in batches:
        images, labels = noise(victim, size)
        jobs = {"": floor(victim, images, labels)}
        jobs |= {name: one_step(victim, recipe(name), images, labels) for name in ATTACKS}
        jobs[COARSE] = one_step(BFloat16()(victim), recipe("mifgsm"), images, labels)
        seconds = interleaved(jobs, rounds, victim.device)
        for name in (*ATTACKS, COARSE):
            yield row(f"{name} step", FLOOR, size, seconds[name], seconds[""], victim)
    if request is not None:
        images, labels = noise(victim, 1)
        for name in REQUESTS:
            chosen = recipe(name, steps=10)
            jobs = {
                "": bare(victim, chosen, images, labels),
                "all": lambda chosen=chosen: request(chosen),
            }
            seconds = interleaved(jobs, max(3, rounds // 3), victim.device)
            what, against = f"{name} request with all views", f"{name}, 10 steps, nothing else"
            yield row(what, against, 1, seconds["all"], seconds[""], victim)


def bench_sparse(
    victim: Victim, picture: Tensor, *, batches: tuple[int, ...] = (1, 8), rounds: int = 15
) -> Iterator[Row]:
    """Time a sparsified victim against the dense model below it, which is what it is to be faster than.

    A step of DeSparsify on copies of the 8-bit picture (1, 3, y, x) against the dense model's floor;
    then one pass over the picture with what is skipped really skipped, clean and attacked, against
    the dense model's own pass. Raises UnsupportedModel where nothing is skipped.
    """
    module, chosen = victim.module, recipe("desparsify", steps=60)
    if not isinstance(module, SparseViT):
        raise UnsupportedModel(f"{victim.spec.full} skips no work.", "Alter a plain ViT by ATS.")
    clean, label = shown(picture, victim), predict(victim, picture).to(victim.device)
    dense = replace(victim, module=module.backbone)
    for size in batches:
        images, labels = clean.expand(size, -1, -1, -1), label.expand(size)
        jobs = {
            "": floor(dense, images, labels),
            "step": one_step(victim, chosen, images, labels),
        }
        seconds = interleaved(jobs, rounds, victim.device)
        what = f"{chosen.name} step"
        yield row(what, f"{FLOOR}, dense", size, seconds["step"], seconds[""], victim)
    attacked = craft(chosen.build(victim.spec), victim, task_for(victim, clean, label), Streams(0))
    jobs = {"": forward_of(module.backbone, victim.normalised(clean))}
    for name, x in (("clean", clean), ("attacked", attacked)):
        jobs[name] = forward_of(module.compact, victim.normalised(x))
    seconds = interleaved(jobs, rounds, victim.device)
    for name in ("clean", "attacked"):
        what = f"skipping forward, {name}"
        yield row(what, "forward of the dense model", 1, seconds[name], seconds[""], victim)


def forward_of(module: Callable[[Images], Tensor], x: Images) -> Callable[[], object]:
    """One pass without gradient."""
    return torch.no_grad()(lambda: module(x))


def floor(victim: Victim, images: Images, labels: Labels) -> Callable[[], object]:
    """Forward and input gradient of the bare module."""
    x = images.clone().requires_grad_()

    def work() -> object:
        loss = F.cross_entropy(victim.module(x), labels, reduction="sum")
        return torch.autograd.grad(loss, x)

    return work


def pace(victim: Victim, size: int = 4, rounds: int = 3) -> float:
    """Seconds that one gradient at one picture takes, measured on `size` of them at once."""
    job = floor(victim, *noise(victim, size))
    return interleaved({"": job}, rounds, victim.device)[""] / size


def one_step(
    victim: Victim, chosen: Recipe, images: Images, labels: Labels
) -> Callable[[], object]:
    """The second step of an attack: all its state is there."""
    attack, streams = chosen.build(victim.spec), Streams(0)
    task = task_for(victim, images, labels)
    state, _ = attack.step(victim, task, attack.init(victim, task, streams), streams)
    return lambda: attack.step(victim, task, state, streams)


def bare(victim: Victim, chosen: Recipe, images: Images, labels: Labels) -> Callable[[], object]:
    """All steps of an attack and nothing else."""
    attack, task = chosen.build(victim.spec), task_for(victim, images, labels)
    return lambda: craft(attack, victim, task, Streams(0))


def interleaved(
    jobs: Mapping[str, Callable[[], object]], rounds: int, where: torch.device
) -> dict[str, float]:
    """Median seconds of each job, all jobs in turn `rounds` times after one round unmeasured."""
    *_, times = turns(jobs, rounds, where)
    return {name: statistics.median(spent) for name, spent in times.items()}


def turns(
    jobs: Mapping[str, Callable[[], object]], rounds: int, where: torch.device
) -> Iterator[Mapping[str, Sequence[float]]]:
    """The seconds of each job so far, after every round but the first, which is not measured."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(rounds + 1):
        for name, work in jobs.items():
            _wait(where)
            began = time.perf_counter()
            work()
            _wait(where)
            if turn:
                times[name].append(time.perf_counter() - began)
        if turn:
            yield times


def most_memory(work: Callable[[], object], where: torch.device) -> int:
    """Bytes allocated at the worst moment of a job on CUDA, after one run that is not looked at."""
    work()
    torch.cuda.reset_peak_memory_stats(where)
    work()
    return torch.cuda.max_memory_allocated(where)


def _wait(where: torch.device) -> None:
    if where.type == "cuda":
        torch.cuda.synchronize(where)
    elif where.type == "mps":
        torch.mps.synchronize()


def noise(victim: Victim, size: int) -> tuple[Images, Labels]:
    """Noise pictures: no time here depends on what a picture shows."""
    side = victim.spec.input_size
    images = torch.rand(size, 3, side, side, generator=Streams(0).at("bench", size))
    labels = torch.arange(size) % len(victim.spec.classes)
    return images.to(victim.device), labels.to(victim.device)


def row(what: str, against: str, size: int, seconds: float, bottom: float, victim: Victim) -> Row:
    """What was found, and on which device."""
    device = placement.describe(victim.device)
    return Row(what, against, size, seconds, bottom, device)
