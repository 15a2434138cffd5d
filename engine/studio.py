"""The façade: a request in, a run that advances step by step, a frozen result out at any time.

Page, CLI, tests and scripts all go through here. A `Run` keeps what the page scrubs through: every
stored step's picture (8 bits), class probabilities and probe readings, taken in the attack's own
passes, so that no view computes anything again.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import time
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from engine import VERSION
from engine.alter.bfloat16 import bfloat16
from engine.alter.sparsify import sparsify
from engine.attack.attack import Attack, State, Watch
from engine.attack.catalog import spell
from engine.attack.constraint import to_8bit
from engine.attack.moment import Moment
from engine.attack.recipe import Recipe
from engine.attack.view import identity
from engine.core import placement
from engine.core.errors import BadTask, UnsupportedModel
from engine.core.knobs import knobs
from engine.core.streams import Streams
from engine.data.decode import fit
from engine.data.labels import folded, spellings
from engine.evaluate import familiar
from engine.evaluate.distance import Distances, distances
from engine.model import zoo
from engine.model.sites import Rule, Site
from engine.model.sparse import SparseViT
from engine.model.task import Task, task_for
from engine.model.victim import Forward, Spec, Victim
from engine.probe import attention, depth, gradients, outliers, scores, tokens
from engine.probe.attention import AttentionMaps
from engine.probe.depth import Divergence, Stream
from engine.probe.gradients import GradientVariance
from engine.probe.outliers import OutlierColumns
from engine.probe.scores import ScoreGaps
from engine.probe.tokens import TokenMasks

SCHEMA = "vit-adversarial-lab/result/1"
MOST_FRAMES = 33
PROBES = (
    ("attention", "Where tokens look, per head and block", attention.SITES),
    ("gradients", "Unevenness of token gradients per block and component", gradients.SITES),
    ("gaps", "Lead of the largest pre-softmax score", scores.SITES),
    (
        "tokens",
        "Tokens the model keeps; of a dense one, those that train-free ATS would keep",
        tokens.SITES,
    ),
    ("outliers", "Input columns that LLM.int8 would send to 16 bits", outliers.SITES),
    ("depth", "Where in depth clean and attacked part", depth.SITES),
)


@dataclass(frozen=True)
class Request:
    """What to do: a decoded RGB picture, a model, a recipe, and what counts as success.

    `label` is the picture's true class; None takes the model's own answer to the clean picture.
    `target` is the class a targeted attack aims at. `others` are models the result is also shown
    to. `views` records what the page's views need. `weights` is the local weights folder.
    `bfloat16` takes the attack's steps in that precision; all that is shown is still float32.
    `stranger` says what the picture shows, where the model is known to have no class for it.
    """

    image: Image.Image
    model: str
    recipe: Recipe
    label: int | None = None
    target: int | None = None
    seed: int = 0
    others: tuple[str, ...] = ()
    views: bool = True
    weights: Path | None = None
    bfloat16: bool = False
    name: str = ""
    stranger: str = ""


@dataclass(frozen=True)
class Stepped:
    """One step is done: its loss and what the victim said to the picture the step started from."""

    step: int
    steps: int
    loss: float
    probabilities: Tensor
    success: bool
    seconds: float
    pixels: Tensor


@dataclass(frozen=True)
class Frame:
    """One stored moment of a run: the picture after `step` steps and what happened inside.

    `pixels` (3, y, x) uint8; `loss` of the attack's objective at this picture (None for noise);
    readings are None where the model lacks the site; `logit` is the model's largest.
    """

    step: int
    pixels: Tensor
    probabilities: Tensor
    loss: float | None = None
    attention: AttentionMaps | None = None
    gradients: GradientVariance | None = None
    gaps: ScoreGaps | None = None
    outliers: OutlierColumns | None = None
    divergence: Divergence | None = None
    lens: Tensor | None = None
    tokens: TokenMasks | None = None
    logit: float = float("nan")

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
    PNG holds. `pruner` is the mechanism whose token masks the frames hold. `noise` is the control: random signs of the same size as the measured L-inf.
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
    seconds: float
    crafting_seconds: float
    device: str
    transfers: tuple[Transfer, ...]
    notes: tuple[str, ...] = ()
    pruner: str = ""
    moved: float = 0.0

    @property
    def clean(self) -> Frame:
        return self.frames[0]

    @property
    def adversarial(self) -> Frame:
        return self.frames[-1]

    @property
    def finished(self) -> bool:
        return self.steps == self.request.recipe.steps

    @property
    def success(self) -> bool:
        """Whether the saved picture has what the attack wanted, on the unaltered victim."""
        top = self.adversarial.top
        return top != self.label if self.request.target is None else top == self.request.target

    @property
    def unsure(self) -> bool:
        """Whether the clean picture may be of no class that the model knows."""
        measured = familiar.of(self.card)
        return measured is not None and self.clean.logit < measured.threshold

    def name(self, index: int) -> str:
        return self.spec.classes[index]

    def image(self, frame: Frame | None = None) -> Image.Image:
        """The frame's picture (default: the adversarial one), exact, at the model's input size."""
        return Image.fromarray((frame or self.adversarial).pixels.permute(1, 2, 0).numpy())

    def perturbation(self) -> Tensor:
        """Adversarial minus clean in 255ths (3, y, x), int16."""
        return self.adversarial.pixels.to(torch.int16) - self.clean.pixels.to(torch.int16)


class Run:
    """An attack under way on one picture. `advance` takes a step; `result` can be asked any time."""

    def __init__(self, request: Request) -> None:
        began = time.perf_counter()
        self.request = request
        self.victim = zoo.load(request.model, request.weights)
        spec = self.victim.spec
        self.attack: Attack = request.recipe.build(spec)
        self._crafted_on = bfloat16(self.victim) if request.bfloat16 else self.victim
        self.streams = Streams(request.seed)
        x0 = fit(request.image, spec.input_size).unsqueeze(0)
        self._x0 = x0.to(self.victim.device).float() / 255
        probabilities = _probabilities(self.victim, self._x0)
        self.label = int(probabilities.argmax()) if request.label is None else request.label
        self.clean_probabilities = probabilities
        target = None if request.target is None else torch.tensor([request.target])
        self.task: Task = task_for(self.victim, self._x0, torch.tensor([self.label]), target)
        self.state: State = self.attack.init(self._crafted_on, self.task, self.streams)
        self.losses: list[float] = []
        self.notes: list[str] = []
        self._watch = _watch(spec) if request.views else Watch()
        self._stored = _stored(self.attack.steps)
        self._clean_stream: Stream | None = None
        self._frames: dict[int, Frame] = {}
        self._pruner = ""
        self._crafting = 0.0
        self._seconds = time.perf_counter() - began

    @property
    def clean(self) -> Tensor:
        """The clean picture at the model's input size (3, y, x), uint8."""
        return self._x0[0].mul(255).round().to(torch.uint8).cpu()

    @property
    def steps(self) -> int:
        return self.state.step

    @property
    def done(self) -> bool:
        return self.state.step >= self.attack.steps

    def advance(self) -> Stepped:
        """Take the next step, recording what the views need of the picture it starts from."""
        began = time.perf_counter()
        at, x = self.state.step, self.state.x
        keep = at in self._stored and (at > 0 or self.attack.start == "clean")
        own = self.attack.plain and not self.request.bfloat16
        watch = self._watch if keep and own else Watch()
        self.state, info = self.attack.step(
            self._crafted_on, self.task, self.state, self.streams, watch
        )
        loss = float(info.loss[0])
        self.losses.append(loss)
        out = info.out
        if keep:
            out = out if out and own else self._pass(x)
            self._keep(at, x, out, loss)
        shown = out.logits.detach()[0].softmax(0).cpu() if out else self.clean_probabilities
        spent = time.perf_counter() - began
        self._crafting += info.seconds
        self._seconds += spent
        return Stepped(
            self.state.step,
            self.attack.steps,
            loss,
            shown,
            bool(info.success[0]),
            spent,
            self._saved(self.state.x),
        )

    def result(self) -> Result:
        """The run as it stands, measured on the picture that would be saved now."""
        began = time.perf_counter()
        if 0 not in self._frames:
            self._measure(0, self._x0)
        last = self._saved(self.state.x)
        if self.state.step > 0:
            final = last.to(self._x0).div(255).unsqueeze(0)
            self._measure(self.state.step, final)
        frames = [self._frames[step] for step in sorted(self._frames)]
        x0 = frames[0].pixels
        size = distances(x0, last)
        noise = self._noise(size.linf)
        if self.request.views:
            *frames, noise = self._with_tokens([*frames, noise])
        transfers = tuple(self._transfer(name, x0, last) for name in self.request.others)
        self._seconds += time.perf_counter() - began
        return Result(
            request=self.request,
            spec=self.victim.spec,
            card=zoo.card(self.request.model, self.request.weights),
            label=self.label,
            frames=tuple(frames),
            noise=noise,
            losses=tuple(self.losses),
            distances=size,
            steps=self.state.step,
            seconds=self._seconds,
            crafting_seconds=self._crafting,
            device=placement.describe(self.victim.device),
            transfers=transfers,
            notes=tuple(dict.fromkeys(self.notes)),
            pruner=self._pruner,
            moved=float((self.state.x - self._x0).abs().max()),
        )

    def _saved(self, x: Tensor) -> Tensor:
        return to_8bit(x, self._x0, self.request.recipe.eps)[0].cpu()

    def _pass(self, x: Tensor) -> Forward:
        """The victim's own pass on x under the attack's gradient rules, with everything watched."""
        bare = replace(
            self.attack,
            view=identity,
            rules=tuple(r for r in self.attack.rules if type(r).edit is Rule.edit),
        )
        at = Moment(self.state.step, self.attack.steps, self.task, self.state.clean)
        return bare.gradient(self.victim, x, at, self.streams.at("probe"), self._watch).out

    def _measure(self, step: int, x: Tensor) -> None:
        out = self._pass(x)
        at = Moment(step, self.attack.steps, self.task, self.state.clean)
        loss = float(self.attack.objective(out, at)[0].detach())
        self._keep(step, x, out, loss)

    def _keep(self, step: int, x: Tensor, out: Forward, loss: float | None) -> None:
        self._frames[step] = self._frame(step, self._saved(x), out, loss)

    def _frame(self, step: int, pixels: Tensor, out: Forward, loss: float | None) -> Frame:
        """What a recorded pass says, read by every probe whose sites it holds."""
        logits = out.logits.detach()[0]
        frame = Frame(step, pixels, logits.softmax(0).cpu(), loss, logit=float(logits.max()))
        shapes, seen = self.victim.spec.blocks, {at.site for at in out.seen}
        if attention.SITES <= seen:
            frame = replace(frame, attention=attention.read(out, shapes))
        if scores.SITES <= seen:
            frame = replace(frame, gaps=scores.read(out))
        if outliers.SITES <= seen:
            frame = replace(frame, outliers=outliers.read(out, shapes))
        if out.grads:
            frame = replace(frame, gradients=gradients.read(out, shapes))
        if depth.SITES <= seen:
            stream = depth.read(out, self.victim)
            if step == 0:
                self._clean_stream = stream
            if self._clean_stream is not None:
                apart = depth.diverge(self._clean_stream, stream)
                frame = replace(frame, divergence=apart, lens=stream.lens)
        return frame

    def _noise(self, linf: int) -> Frame:
        """The control: random signs of the size the attack used, seen by the same probes."""
        signs = torch.randint(0, 2, self._x0.shape, generator=self.streams.at("noise")) * 2 - 1
        x = (self._x0 + signs.to(self._x0) * (linf / 255)).clamp(0, 1)
        with torch.no_grad(), self.victim.session(observe=self._watch.values) as forward:
            out = forward(x)
        return self._frame(-1, (x[0] * 255).round().to(torch.uint8).cpu(), out, None)

    def _with_tokens(self, frames: Sequence[Frame]) -> list[Frame]:
        """Keep masks of all frames in one batch: the model's own, or those of train-free ATS on it."""
        own = Site.KEEP in self.victim.spec.sites
        try:
            sparse = self.victim if own else sparsify(self.victim)
        except UnsupportedModel as why:
            self.notes.append(why.sentence)
            return list(frames)
        batch = torch.stack([frame.pixels for frame in frames]).to(self._x0).div(255)
        with torch.no_grad(), sparse.session(observe=tokens.SITES) as forward:
            out = forward(batch)
        shape = self.victim.spec.blocks[0]
        assert isinstance(sparse.module, SparseViT)
        self._pruner = sparse.module.sparsifier.title
        return [
            replace(frame, tokens=tokens.read(out, shape, index))
            for index, frame in enumerate(frames)
        ]

    def _transfer(self, name: str, clean: Tensor, adversarial: Tensor) -> Transfer:
        other = zoo.load(name, self.request.weights)
        pair = torch.stack((clean, adversarial)).to(other.device).float() / 255
        size = other.spec.input_size
        if pair.shape[-1] != size:
            pair = torch.nn.functional.interpolate(
                pair, (size, size), mode="bicubic", antialias=True
            ).clamp(0, 1)
        with torch.no_grad():
            p = other.logits(pair).softmax(1).cpu()
        (pc, pa), (c, a) = (each.tolist() for each in p.max(1))
        known = folded(self.victim.spec.classes[self.label]) in spellings(other.spec.classes)
        comparable = known and not self.request.stranger
        return Transfer(name, other.spec.classes[c], pc, other.spec.classes[a], pa, comparable)


def verdict(result: Result) -> str:
    """The run in one line, measured on the saved 8-bit picture."""
    clean, adversarial, noise = result.clean, result.adversarial, result.noise
    size = result.distances
    asked = result.request.recipe.steps
    done = f"{asked} steps" if result.finished else f"stopped at step {result.steps} of {asked}"
    still = "still " if noise.top == clean.top else ""
    return (
        f"{_answer(result, clean)} -> {_answer(result, adversarial)}; "
        f"L-inf {size.linf}/255 on the saved PNG, L2 {size.l2:.2f}, PSNR {size.psnr:.1f} dB, "
        f"SSIM {size.ssim:.3f}; {done}, {result.seconds:.1f} s on {result.device}, "
        f"seed {result.request.seed}; random noise of equal size: {still}{_answer(result, noise)}"
    )


def _answer(result: Result, frame: Frame) -> str:
    return f"{result.name(frame.top)} {float(frame.probabilities.max()):.2f}"


def save(result: Result, folder: Path) -> tuple[Path, Path, Path]:
    """Write the adversarial PNG, the perturbation NPZ and the JSON; gives their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    png, npz, told = (folder / f"{stem(result)}.{kind}" for kind in ("png", "npz", "json"))
    text = PngInfo()
    for key, value in inscription(result).items():
        text.add_itxt(key, value)
    result.image().save(png, pnginfo=text)
    np.savez_compressed(npz, **arrays(result))
    told.write_text(json.dumps(summary(result), indent=2) + "\n", encoding="utf-8")
    return png, npz, told


def stem(result: Result) -> str:
    """What the files are called: `golf_ball-vit_imagenette-mifgsm-eps4-seed0`, in plain letters."""
    request = result.request
    parts = (Path(request.name).stem, request.model, request.recipe.name)
    words = [_plain(part) or "picture" for part in parts]
    return "-".join((*words, f"eps{request.recipe.eps * 255:g}", f"seed{request.seed}"))


def _plain(text: str, most: int = 60) -> str:
    letters = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._]+", "_", letters).strip("._")[:most]


def inscription(result: Result) -> dict[str, str]:
    """What the PNG says of itself, as text beside its pixels: enough to make it again."""
    request, recipe = result.request, result.request.recipe
    wanted = "anything else" if request.target is None else result.name(request.target)
    return {
        "Software": f"ViT Adversarial Lab {VERSION}",
        "Picture": request.name or "picture",
        "Picture SHA-256": _sha256(request.image),
        "Model": request.model,
        "Attack": recipe.name,
        "Knobs": " ".join(f"{name}={word}" for name, word in spell(recipe).items()),
        "Steps": f"{result.steps} of {recipe.steps}",
        "Seed": str(request.seed),
        "Precision": "bfloat16" if request.bfloat16 else "float32",
        "Goal": f"{result.name(result.label)} -> {wanted}",
    }


def _sha256(image: Image.Image) -> str:
    """Of the decoded pixels: 8-bit RGB, row by row from the top."""
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


def arrays(result: Result) -> dict[str, Any]:
    """The run as arrays: clean, adversarial (3, y, x) uint8, delta int16, and every stored step."""
    return {
        "clean": result.clean.pixels.numpy(),
        "adversarial": result.adversarial.pixels.numpy(),
        "delta": result.perturbation().numpy(),
        "steps": np.array([frame.step for frame in result.frames]),
        "frames": np.stack([frame.pixels.numpy() for frame in result.frames]),
        "probabilities": np.stack([frame.probabilities.numpy() for frame in result.frames]),
        "classes": np.array(result.spec.classes),
    }


def class_index(victim_classes: Sequence[str], name: str) -> int:
    """The class of that name or number; raises BadTask."""
    word = name.strip()
    if word.isdigit() and int(word) < len(victim_classes):
        return int(word)
    found = spellings(victim_classes).get(folded(word))
    if found is None:
        raise BadTask(
            f"This model has no class “{name}”.",
            f"It has, for instance, {', '.join(victim_classes[:10])}.",
        )
    return found


def summary(result: Result) -> dict[str, Any]:
    """The run as plain data, versioned: what result.json holds."""
    request, recipe = result.request, result.request.recipe
    return {
        "schema": SCHEMA,
        "picture": {
            "name": request.name or "picture",
            "size": list(request.image.size),
            "sha256": _sha256(request.image),
            "input_sha256": _sha256(result.image(result.clean)),
            "adversarial_sha256": _sha256(result.image()),
            "hashed": "decoded pixels: 8-bit RGB, row by row from the top",
        },
        "model": {
            "name": result.card.name,
            "source": result.card.source,
            "sha256": result.card.sha256,
            "input_size": result.spec.input_size,
            "classes": len(result.spec.classes),
        },
        "attack": {
            "name": recipe.name,
            "title": recipe.title,
            "paper": recipe.paper,
            "knobs": {each.name: getattr(recipe, each.name) for each in knobs(recipe)},
        },
        "seed": request.seed,
        "crafted_in": "bfloat16" if request.bfloat16 else "float32",
        "goal": {
            "label": result.name(result.label),
            "target": None if request.target is None else result.name(request.target),
            "label_from": "the model's own answer" if request.label is None else "the caller",
        },
        "success": result.success,
        "steps": {"done": result.steps, "asked": recipe.steps, "finished": result.finished},
        "predictions": {
            "measured_on": "8-bit pixels, as saved",
            "clean": _answers(result, result.clean),
            "adversarial": _answers(result, result.adversarial),
            "random_noise_of_equal_size": _answers(result, result.noise),
        },
        "distances": {
            "linf_255": result.distances.linf,
            "l2": result.distances.l2,
            "psnr_db": None if result.distances.linf == 0 else result.distances.psnr,
            "ssim": result.distances.ssim,
        },
        "losses": list(result.losses),
        "transfers": [
            {
                "model": each.model,
                "clean": each.clean,
                "clean_probability": each.clean_probability,
                "adversarial": each.adversarial,
                "adversarial_probability": each.adversarial_probability,
                "comparable": each.comparable,
                "changed": each.changed,
            }
            for each in result.transfers
        ],
        "probes": {
            "clean": _readings(result.clean),
            "adversarial": _readings(result.adversarial),
            "random_noise_of_equal_size": _readings(result.noise),
        },
        "cost": {
            "seconds": result.seconds,
            "crafting_seconds": result.crafting_seconds,
            "device": result.device,
        },
        "notes": list(result.notes),
        "versions": {
            "lab": VERSION,
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "timm")},
        },
    }


def _answers(result: Result, frame: Frame, count: int = 5) -> list[dict[str, Any]]:
    top = frame.probabilities.topk(min(count, len(frame.probabilities)))
    return [
        {"class": result.name(index), "index": index, "probability": p}
        for p, index in zip(top.values.tolist(), top.indices.tolist(), strict=True)
    ]


def _readings(frame: Frame) -> dict[str, Any]:
    """A few numbers of every probe that read this frame."""
    read: dict[str, Any] = {}
    if frame.attention is not None:
        read["attention_entropy_bits"] = frame.attention.entropy().nanmean(1).tolist()
    if frame.gradients is not None:
        read["gradient_variance"] = frame.gradients.variance.tolist()
        read["gradient_dispersion"] = _finite(frame.gradients.dispersion)
    if frame.gaps is not None:
        read["score_gap_median"] = frame.gaps.quantiles[:, 2].tolist()
        read["score_gap_maximum"] = frame.gaps.quantiles[:, 4].tolist()
        read["rows_underflowing"] = frame.gaps.underflows.tolist()
    if frame.outliers is not None:
        read["outlier_columns_at_6"] = frame.outliers.total(6.0)
        read["largest_input"] = max(float(peak.max()) for peak in frame.outliers.columns)
    if frame.tokens is not None:
        read["tokens_kept"] = frame.tokens.kept.tolist()
        read["token_utilisation"] = frame.tokens.utilisation
    if frame.divergence is not None:
        read["divergence_cosine"] = frame.divergence.cosine.tolist()
    return read


def _finite(values: Tensor) -> list[list[float | None]]:
    return [[v if v == v else None for v in row] for row in values.tolist()]


def _probabilities(victim: Victim, x: Tensor) -> Tensor:
    with torch.no_grad():
        return victim.logits(x)[0].softmax(0).cpu()


def _watch(spec: Spec) -> Watch:
    """Everything the views need, of what this model has.

    Windows are folded into the batch, so that only the residual stream is still one picture's; and
    where only a class token asks, the gradients of a block's parts are not over the same tokens.
    """
    values = attention.SITES | scores.SITES | outliers.SITES | depth.SITES
    grads = gradients.SITES if gradients.SITES <= spec.sites else frozenset[Site]()
    if any(shape.window or shape.queries for shape in spec.blocks):
        grads = frozenset[Site]()
    if any(shape.window for shape in spec.blocks):
        values = depth.SITES
    return Watch(values & spec.sites, grads)


def _stored(steps: int) -> frozenset[int]:
    """Which steps are kept to be scrubbed through: all, or an even choice of long runs."""
    if steps < MOST_FRAMES:
        return frozenset(range(steps + 1))
    return frozenset(round(i * steps / (MOST_FRAMES - 1)) for i in range(MOST_FRAMES))
