"""The training loop: from a recipe and a folder of pictures to a finished model and its card."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import math
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
from torch import nn

from engine.core import placement
from engine.core.streams import Streams
from engine.model.architectures import build
from engine.train import measure
from engine.train.augment import draw
from engine.train.card import LICENSE, half, read_card, read_weights, write_model
from engine.train.checkpoint import Learner, load_checkpoint, save_checkpoint
from engine.train.network import Network
from engine.train.parallel import World, join
from engine.train.pictures import Dataset, read_dataset
from engine.train.recipe import BadRecipe, Recipe, Turn
from engine.train.school import School, open_school

GLANCE = 400


@dataclasses.dataclass(frozen=True)
class Epoch:
    """One pass over the training pictures is done and safe on disk.

    `val_accuracy` is a glance at the first `GLANCE` pictures of `val`; the card tells it on all.
    """

    epoch: int
    epochs: int
    loss: float
    val_accuracy: float
    learning_rate: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class Finished:
    """The model stands in `path` with its `card` beside it."""

    path: Path
    card: dict[str, Any]


class _Run(NamedTuple):
    """What stays the same during a run."""

    recipe: Recipe
    epochs: int
    streams: Streams
    world: World
    school: School


def train(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    models: Path,
    epochs: int | None = None,
    resume: bool = False,
    device: torch.device | None = None,
    seed: int = 0,
    teachers: Path | None = None,
) -> Iterator[Epoch | Finished]:
    """Train `recipe` on `data`, yielding an event an epoch and one at the end.

    `out` keeps the checkpoint, replaced after every epoch; with `resume` training goes on from
    there exactly as if it had never stopped. The finished model is written to the folder `models`; a recipe's
    `start` and bundled teachers are read from there, or else are those of the project.
    `teachers` is a folder of timm weights; without it a recipe's timm teachers stay silent.
    Under torchrun every process takes an equal share of each batch, and only the first yields.

    The weights that ship are the moving average after the last epoch: `val` selects nothing.

    Raises BadDataset, BadRecipe, BadTeacher, BadCheckpoint, MissingModel.
    """
    with join(device) as world:
        dataset = read_dataset(data, recipe.size)
        run = _Run(
            recipe,
            epochs or recipe.epochs,
            Streams(seed),
            world,
            open_school(recipe, dataset, teachers, models, world.device),
        )
        learner = _learner(run, models)
        start = _provenance(recipe, models)
        told = {"recipe": describe(recipe), "epochs": run.epochs, "seed": seed, "start": start}
        history: list[dict[str, float]] = []
        if resume:
            history = load_checkpoint(out, learner, told)["history"]
        for epoch in range(len(history), run.epochs):
            started = time.monotonic()
            loss = _epoch(run, learner, epoch)
            event = Epoch(
                epoch + 1,
                run.epochs,
                loss,
                measure.accuracy(learner.average, dataset.val.first(GLANCE)),
                _rate(recipe, epoch + 1, run.epochs),
                time.monotonic() - started,
            )
            history.append(dataclasses.asdict(event))
            if world.leads:
                save_checkpoint(out, learner, {"run": told, "history": history})
                yield event
            world.wait()
        if world.leads:
            yield _finish(run, learner, dataset, models, {**told, "history": history})


def describe(recipe: Recipe) -> dict[str, Any]:
    """Every hyper-parameter of a recipe as plain JSON values."""
    return {**dataclasses.asdict(recipe), "method": _named(recipe.method)}


def _named(method: Any) -> dict[str, Any]:
    """A method's fields with its name, and so each that it stands on."""
    values = {**dataclasses.asdict(method)}
    if "base" in values:
        values["base"] = _named(method.base)
    return {"name": type(method).__name__, **values}


def _provenance(recipe: Recipe, models: Path) -> dict[str, Any] | None:
    """What the starting weights were, as their own card tells it."""
    if recipe.start is None:
        return None
    card = read_card(models, recipe.start)
    return {key: card[key] for key in ("name", "sha256", "start", "recipe", "trained", "measured")}


def _learner(run: _Run, models: Path) -> Learner:
    recipe = run.recipe
    with seeded(run.streams.at("weights"), run.world.device):
        backbone = build(recipe.model, drop_path=recipe.drop_path)
        if recipe.start:
            backbone.load_state_dict(read_weights(models, recipe.start))
        net = Network(recipe.method.wrap(backbone), recipe.mean, recipe.std)
    net = net.to(run.world.device, memory_format=torch.channels_last)  # pyright: ignore
    answer = net.eval()(torch.zeros(1, 3, recipe.size, recipe.size, device=run.world.device))
    if answer.shape[-1] != run.school.classes:
        raise BadRecipe(
            f"{recipe.model} tells {answer.shape[-1]} classes apart, the data has {run.school.classes}.",
            "Give a folder with as many classes.",
        )
    average = copy.deepcopy(net).requires_grad_(False)
    decayed = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    fused = run.world.device.type == "cuda"
    return Learner(net, average, torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=fused))


def _epoch(run: _Run, learner: Learner, epoch: int) -> float:
    """One pass over the pictures in a fresh order; returns the mean loss over all processes."""
    recipe, world, device = run.recipe, run.world, run.world.device
    count = len(run.school.pictures.labels)
    batch = _batch_size(recipe, count, world)
    steps = max(1, min(count, recipe.epoch_pictures or count) // batch)
    view = run.school.view(epoch)
    order = torch.randperm(count, generator=run.streams.at("order", view)).to(device)
    draws = draw(count, run.streams.at("augment", view)).to(device)
    private = Streams(run.streams.at("process", epoch, world.rank).initial_seed())
    total = torch.zeros((), device=device)
    learner.net.train()
    with seeded(private.at("dropped paths"), device):
        for step in range(steps):
            rows = world.mine(order[step * batch : (step + 1) * batch])
            for group in learner.optimiser.param_groups:
                group["lr"] = _rate(recipe, epoch + step / steps, run.epochs)
            images, target = run.school.lesson(rows, draws[rows], (view, step))
            learner.optimiser.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                at = Turn(epoch, step, (epoch + step / steps) / run.epochs, private)
                loss = recipe.method.loss(learner.net, images, target, at)
            loss.backward()
            _step(run, learner, epoch * steps + step)
            total += loss.detach()
    world.average([total])
    return float(total) / steps


def _batch_size(recipe: Recipe, count: int, world: World) -> int:
    """The recipe's batch, or as much of a small set as pairs share out evenly."""
    unit = 2 * world.size
    batch = min(recipe.batch, count) // unit * unit
    if batch == 0:
        raise BadRecipe(f"{count} pictures are too few to train on.", f"Give at least {unit}.")
    return batch


def _step(run: _Run, learner: Learner, done: int) -> None:
    """Average gradients and buffers over processes, clip, update weights and their moving average."""
    parameters = [p for p in learner.net.parameters() if p.requires_grad]
    gradients = [p.grad for p in parameters if p.grad is not None]
    buffers = [b for b in learner.net.buffers() if b.is_floating_point()]
    run.world.average([*gradients, *buffers])
    nn.utils.clip_grad_norm_(parameters, run.recipe.clip_norm)
    learner.optimiser.step()
    keep = min(run.recipe.average, (1 + done) / (10 + done))
    _approach(learner.average, learner.net, 1 - keep)


@torch.no_grad()
def _approach(average: Network, net: Network, weight: float) -> None:
    """average += weight * (net - average), over parameters and buffers; counters are copied."""
    pairs = list(zip(average.state_dict().values(), net.state_dict().values(), strict=True))
    floats = [(a, n) for a, n in pairs if a.is_floating_point()]
    torch._foreach_lerp_([a for a, _ in floats], [n for _, n in floats], weight)  # pyright: ignore
    for a, n in pairs:
        if not a.is_floating_point():
            a.copy_(n)


def _rate(recipe: Recipe, epoch: float, epochs: int) -> float:
    """Linear warm-up, then half a cosine down to 1 % of the learning rate."""
    warmup = min(recipe.warmup_epochs, epochs / 4)
    if epoch < warmup:
        return recipe.learning_rate * (epoch + 0.01) / warmup
    done = (epoch - warmup) / (epochs - warmup)
    return recipe.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


@contextmanager
def seeded(generator: torch.Generator, device: torch.device) -> Generator[None]:
    """Inside, torch's own random numbers (weight initialisation, dropped paths) follow `generator`.

    Outside, the caller's global random state is as it was.
    """
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(generator.initial_seed())
        yield


def _finish(
    run: _Run,
    learner: Learner,
    dataset: Dataset,
    models: Path,
    story: Mapping[str, Any],
) -> Finished:
    """Round the averaged weights to float16, measure them as they ship, write model and card."""
    recipe = run.recipe
    body = recipe.method.finished(learner.average.body)
    shipped = half(body.state_dict())
    body.load_state_dict({k: v.float() for k, v in shipped.items()})
    net = Network(body, recipe.mean, recipe.std).to(run.world.device).eval()
    more = recipe.method.card(net, dataset.val)
    card = {
        "name": recipe.model,
        "title": recipe.title,
        "family": recipe.family,
        "task": recipe.task,
        "classes": list(dataset.classes),
        "input_size": recipe.size,
        "mean": list(recipe.mean),
        "std": list(recipe.std),
        "params": sum(p.numel() for p in body.parameters()),
        "license": LICENSE,
        "source": "bundled",
        "start": story["start"],
        "data": {
            "folder": dataset.name,
            "train_images": len(dataset.train.labels),
            "val_images": len(dataset.val.labels),
        },
        "recipe": story["recipe"],
        "teachers": list(run.school.teachers),
        "trained": {
            "device": placement.describe(run.world.device),
            "processes": run.world.size,
            "seconds": round(sum(event["seconds"] for event in story["history"]), 1),
            "epochs": run.epochs,
            "seed": story["seed"],
            "torch": torch.__version__,
            "timm": timm.__version__,
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        },
        **more,
        "measured": {
            "val_accuracy": round(measure.accuracy(net, dataset.val), 4),
            "val_images": len(dataset.val.labels),
            **more.get("measured", {}),
        },
    }
    return Finished(*write_model(models, recipe.model, shipped, card))
