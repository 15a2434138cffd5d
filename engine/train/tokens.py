"""Training Robustness Tokens: ten vectors learned so that an attacked picture's feature stays in place."""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from torch import Tensor

from engine.attack.attack import Attack
from engine.attack.feature_objective import FEATURE, cosine, feature
from engine.attack.recipes.feature import FeaturePGD
from engine.attack.update import cosine as half_a_wave
from engine.core import placement
from engine.core.errors import BadTask, NotFinite
from engine.core.knobs import Knobbed, knob, knob_of
from engine.core.streams import Streams
from engine.evaluate import store
from engine.evaluate.craft import crafted
from engine.evaluate.feature import featured
from engine.evaluate.interval import mean as estimated
from engine.evaluate.judge import shown
from engine.evaluate.progress import Progress
from engine.model.tokenfile import Tokens, file_name, write
from engine.model.tokens import hosted, width
from engine.model.victim import Spec, Victim
from engine.train.pictures import read_any
from engine.train.pieces import Pieces

OFTEN = 10
"""Steps that a kill costs at most."""
POINTS = 100
"""Points of the curves that a card holds."""


@dataclass(frozen=True)
class TokenTraining(Knobbed):
    """max_r E cos(f([r, x]), f(x)) + E cos(f([r, x_adv]), f(x)) by Adam, f frozen and public.

    The published recipe (Pulfer et al., ECCV 2024; spec B1 to B4) with three departures, each a knob:
    the cosine is per token over channels (`axis` "token" is published), `eps` is in pixels (published:
    8/255 in normalised space, about 1.8/255), and x_adv takes ten steps (published: 30). Where there
    are fewer pictures than steps see, they come again.
    """

    count: int = knob(10, "Tokens that are learned.", label="Tokens", low=1, high=200, main=True)
    steps: int = knob(300, "Steps of Adam.", low=1, high=100_000, main=True)
    batch: int = knob(8, "Pictures a step, each once clean and once attacked.", low=1, high=1024)
    rate: float = knob(1e-3, "Learning rate of Adam.", label="Learning rate", low=1e-6, high=1.0)
    pace: str = knob(
        "constant",
        "The learning rate stays, as published, or falls to 0 along half a cosine.",
        choices=("constant", "cosine"),
    )
    spread: float = knob(
        1e-2, "Standard deviation of the tokens that training starts from.", low=0.0, high=10.0
    )
    axis: Literal["channel", "token", "flat"] = knob_of(FeaturePGD, "axis")
    eps: float = knob_of(FeaturePGD, "eps")
    attack_steps: int = knob(10, "Steps of the attack on the public model.", low=1, high=200)
    space: str = knob_of(FeaturePGD, "space")

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, which counts from 0."""
        falling = half_a_wave(step, self.steps, self.rate)
        return falling if self.pace == "cosine" else self.rate

    def attack(self, spec: Spec) -> Attack:
        """The attack that the tokens are trained against; it knows the public model only."""
        recipe = FeaturePGD(eps=self.eps, steps=self.attack_steps, axis=self.axis, space=self.space)
        return recipe.build(spec)


@dataclass(frozen=True, eq=False)
class Step:
    """After `step` of `steps`: both cosines of the step's batch before it, and all that goes on from here.

    tokens (n, d) on the CPU; `moments` are Adam's two, of the same shape.
    """

    step: int
    steps: int
    inv: float
    adv: float
    tokens: Tensor
    moments: tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Trained:
    """The tokens stand in `path`, with this card in the file's header."""

    path: Path
    card: dict[str, Any]


def attacked(
    victim: Victim, images: Tensor, training: TokenTraining, streams: Streams, first: int = 0
) -> Iterator[Progress | Tensor]:
    """x_adv of 8-bit pictures (n, 3, y, x), a batch at a time: uint8 (b, 3, y, x) inside the ball.

    They depend on the public model only, so they are made once however long training is. Each draws
    its own noise by its place, which counts from `first` on.
    """
    attack = training.attack(victim.spec)
    for start in range(0, len(images), training.batch):
        rows = images[start : start + training.batch]
        labels = torch.zeros(len(rows), dtype=torch.long)  # which no feature attack reads
        seed, place = streams.seed, first + start
        for made in crafted(attack, victim, rows, labels, eps=training.eps, seed=seed, first=place):
            done = start * attack.steps + made.steps * len(rows)
            yield Progress("attacked pictures", done, len(images) * attack.steps)
            if made.steps == attack.steps:
                yield made.saved


def train(
    victim: Victim,
    images: Tensor,
    attacked: Tensor,
    training: TokenTraining,
    streams: Streams,
    start: Step | None = None,
) -> Iterator[Step]:
    """Adam's steps from N(0, spread^2), or on from `start`, on 8-bit pictures and what was made of them.

    One pass over x and x_adv together a step; f(x) of the public model is computed once. Only the
    tokens have a gradient, and nothing is open across a yield. Raises BadTask without a picture,
    UnsupportedModel, NotFinite.
    """
    if not len(images) or images.shape != attacked.shape:
        raise BadTask("Tokens are trained on pictures, and each needs its attacked copy.")
    now = start or _untrained(victim, training, streams)
    tokens = now.tokens.to(victim.device, victim.dtype, copy=True).requires_grad_()
    adam, defended = _adam(tokens, now), hosted(victim, tokens)
    wanted = featured(victim, images).values.to(tokens)
    for step in range(now.step, training.steps):
        rows = batch_of(step, len(images), training.batch, streams)
        pixels = torch.cat((images[rows], attacked[rows]))
        with torch.enable_grad(), defended.session(graph=FEATURE) as forward:
            seen = feature(forward(shown(pixels, victim).to(tokens)))
            near = cosine(seen, wanted[rows].repeat(2, 1, 1), training.axis)
            inv, adv = near.view(2, -1).mean(1)
            (tokens.grad,) = torch.autograd.grad(inv + adv, tokens)
        if not bool(torch.isfinite(tokens.grad).all()):
            raise NotFinite(f"The gradient became infinite at step {step + 1}.", "Lower the rate.")
        adam.param_groups[0]["lr"] = training.rate_at(step)
        adam.step()
        state = adam.state[tokens]
        learned, first, second = (
            each.detach().cpu().clone() for each in (tokens, state["exp_avg"], state["exp_avg_sq"])
        )
        yield Step(step + 1, training.steps, inv.item(), adv.item(), learned, (first, second))


def batch_of(step: int, pictures: int, batch: int, streams: Streams) -> Tensor:
    """Which pictures a step sees (b,): passes over all of them, each in an order of its own, end to end."""
    size = min(batch, pictures)
    first = step * size
    passes = range(first // pictures, (first + size - 1) // pictures + 1)
    orders = [torch.randperm(pictures, generator=streams.at("pass", each)) for each in passes]
    return torch.cat(orders)[first - passes[0] * pictures :][:size]


def _adam(tokens: Tensor, now: Step) -> torch.optim.Adam:
    """Adam upwards on the tokens, as it stood after a step."""
    adam = torch.optim.Adam([tokens], maximize=True)
    first, second = (each.to(tokens, copy=True) for each in now.moments)
    count = torch.tensor(float(now.step))
    adam.state[tokens] = {"step": count, "exp_avg": first, "exp_avg_sq": second}
    return adam


def _untrained(victim: Victim, training: TokenTraining, streams: Streams) -> Step:
    """r ~ N(0, spread^2)."""
    shape = training.count, width(victim)
    tokens = training.spread * torch.randn(shape, generator=streams.at("tokens"))
    still = torch.zeros(shape)
    return Step(0, training.steps, 0.0, 0.0, tokens, (still, still))


def train_folder(
    victim: Victim,
    data: Path,
    training: TokenTraining,
    out: Path,
    name: str,
    *,
    seed: int = 0,
    limit: int | None = None,
    skip: int = 0,
    resume: bool = False,
    held_out: Path | None = None,
    held_out_pictures: int = 64,
) -> Iterator[Progress | Step | Trained]:
    """Train on `limit` pictures of any folder after the first `skip`, and write `out`/NAME.safetensors.

    No more pictures are taken than training sees. Until it is done `out`/NAME.training keeps the
    attacked pictures and the state of training: with `resume` a killed run goes on exactly as if it
    had not been. The card holds settings, pictures, losses and times, and cosines on pictures of
    `held_out`, attacked as in training. Raises BadFolder, BadImage, BadKnob (no name), BadCheckpoint,
    UnsupportedModel, NotFinite.
    """
    file_name(name)  # what is wrong with the name or the model is said now, not after hours
    width(victim)
    most = training.steps * training.batch
    images = read_any(data, victim.spec.input_size, min(limit or most, most), skip)
    seen = {"folder": data.resolve().name, "pictures": len(images), "skip": skip}
    told = {
        "model": victim.spec.full,
        "weights": store.fingerprint(victim),
        "training": dataclasses.asdict(training),
        "seed": seed,
        "data": {**seen, "sha256": store.of_tensor(images)},
    }
    pieces, streams = Pieces(out / f"{name}.training"), Streams(seed)
    pieces.begin(told, resume=resume)
    made = yield from _made(victim, images, training, streams, pieces, "attacked")
    last, learned = yield from _trained(victim, images, made, training, streams, pieces)
    card: dict[str, Any] = {**told, **learned}
    if held_out is not None:
        others = read_any(held_out, victim.spec.input_size, held_out_pictures)
        made = yield from _made(victim, others, training, streams, pieces, "held_out")
        card["held_out"] = {
            "folder": held_out.resolve().name,
            "pictures": len(others),
            **cosines(victim, last.tokens, others, made, training),
        }
    card["made_with"] = {
        "device": placement.describe(victim.device),
        "torch": torch.__version__,
        "timm": timm.__version__,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    path = write(Tokens(last.tokens, victim.spec.name, card), out, name)
    pieces.clear()
    yield Trained(path, card)


def cosines(
    victim: Victim, tokens: Tensor, images: Tensor, attacked: Tensor, training: TokenTraining
) -> dict[str, Any]:
    """Mean cosine to f(x), with its 95 % interval: of f_r(x), f(x_adv) and f_r(x_adv)."""
    defended, wanted = hosted(victim, tokens), featured(victim, images)

    def mean(judge: Victim, pixels: Tensor) -> dict[str, float]:
        near = featured(judge, pixels).near(wanted, training.axis).double()
        found = estimated(near)
        return {each: round(value, 4) for each, value in dataclasses.asdict(found).items()}

    return {
        "clean_with": mean(defended, images),
        "attacked_without": mean(victim, attacked),
        "attacked_with": mean(defended, attacked),
    }


def _made(
    victim: Victim,
    images: Tensor,
    training: TokenTraining,
    streams: Streams,
    pieces: Pieces,
    name: str,
) -> Generator[Progress, None, Tensor]:
    """What `attacked` makes of all pictures, each batch kept as soon as it is made."""
    found: list[Tensor] = []
    for start in range(0, len(images), training.batch):
        piece = f"{name}_{start:06}"
        rows = images[start : start + training.batch]
        if kept := pieces.recall(piece):
            found.append(kept["x"])
            continue
        for event in attacked(victim, rows, training, streams, start):
            if isinstance(event, Progress):
                steps = event.total // len(rows)
                yield Progress(event.what, start * steps + event.done, len(images) * steps)
            else:
                pieces.keep(piece, {"x": event})
                found.append(event)
    return torch.cat(found)


def _trained(
    victim: Victim,
    images: Tensor,
    made: Tensor,
    training: TokenTraining,
    streams: Streams,
    pieces: Pieces,
) -> Generator[Step, None, tuple[Step, dict[str, Any]]]:
    """All steps, kept every `OFTEN`; the last one, and what the card says of them."""
    start, history, before = _recalled(pieces, training)
    began, last = time.monotonic(), start
    for last in train(victim, images, made, training, streams, start):
        history.append((last.inv, last.adv))
        if last.step % OFTEN == 0 or last.step == training.steps:
            spent = before + time.monotonic() - began
            pieces.keep(
                "training",
                {
                    "tokens": last.tokens,
                    "first": last.moments[0],
                    "second": last.moments[1],
                    "history": torch.tensor(history, dtype=torch.float64),
                    "seconds": torch.tensor(spent, dtype=torch.float64),
                },
            )
        yield last
    assert last is not None  # a training has a step
    seconds = round(before + time.monotonic() - began, 1)
    return last, {"seconds": seconds, "history": _thinned(history)}


def _recalled(
    pieces: Pieces, training: TokenTraining
) -> tuple[Step | None, list[tuple[float, float]], float]:
    """The step that training goes on from, both losses until there, and the seconds spent."""
    kept = pieces.recall("training")
    if kept is None:
        return None, [], 0.0
    history = [(inv, adv) for inv, adv in kept["history"].tolist()]
    moments = kept["first"], kept["second"]
    last = Step(len(history), training.steps, *history[-1], kept["tokens"], moments)
    return last, history, float(kept["seconds"])


def _thinned(history: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Both losses as means over stretches of `every` steps, and over the last 20."""
    curve = torch.tensor(history, dtype=torch.float64)
    every = -(-len(curve) // POINTS)
    means = torch.stack([part.mean(0) for part in curve.split(every)])
    ends = curve[-20:].mean(0)
    told = {"inv": means[:, 0].tolist(), "adv": means[:, 1].tolist()}
    rounded = {name: [round(value, 4) for value in values] for name, values in told.items()}
    return {"every": every, **rounded, "last_20": [round(value, 4) for value in ends.tolist()]}
