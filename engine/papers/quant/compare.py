"""What an attack on one picture costs a dynamically quantized model: one run, reported as it grows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from PIL import Image
from torch import Tensor

from engine.alter.quantize.cost import Cost, Prices, cost
from engine.alter.quantize.int8 import Int8, collect
from engine.alter.quantize.linear import Work
from engine.alter.quantize.peaks import SLOTS, Peaks, Shape
from engine.attack.attack import run
from engine.attack.constraint import to_8bit
from engine.attack.recipe import Recipe
from engine.attack.recipes.quantattack import QuantAttack
from engine.attack.universal import Universal
from engine.core.errors import EngineError
from engine.core.shapes import Images
from engine.data.decode import fit
from engine.evaluate.judge import shown
from engine.evaluate.noise import noisy
from engine.evaluate.progress import Progress
from engine.evaluate.timing import ROUNDS
from engine.model.sites import Site
from engine.model.victim import Victim
from engine.papers import report as papers
from engine.papers.quant.countermeasures import countermeasures
from engine.papers.quant.threshold import Threshold
from engine.papers.report import Stopped, growing
from engine.studio import Subject

BATCHES = (1, 2, 4, 8)
POINTS = 20
"""How often the columns are counted while the attack works."""
CLEAN, ATTACKED, NOISE = "clean", "adversarial", "noise"


@dataclass(frozen=True)
class Asked:
    """One run: a picture (3, y, x) and other clean ones (n, 3, y, x), both 8 bits at the input size.

    The others calibrate countermeasures and are the attacked picture's batch-mates. Without an
    attack (a budget of 0) nothing is changed: the control.
    """

    picture: Tensor
    others: Tensor
    attack: Recipe | Universal | None
    threshold: Threshold
    rounds: int = ROUNDS
    seed: int = 0

    @property
    def aimed(self) -> Recipe | Universal | None:
        """The attack, which aims at the run's own threshold if it aims at one."""
        if isinstance(self.attack, QuantAttack):
            return replace(self.attack, threshold=self.threshold.value)
        return self.attack

    @staticmethod
    def of(
        victim: Victim,
        picture: Image.Image,
        others: Sequence[Image.Image],
        attack: Recipe | Universal | None,
        threshold: Threshold,
    ) -> Asked:
        """For decoded pictures, fitted to the victim's input."""
        size = victim.spec.input_size
        clean = torch.stack([fit(each, size) for each in others])
        return Asked(fit(picture, size), clean, attack, threshold)


@dataclass(frozen=True)
class Working(papers.Working):
    """A step of the attack is done; `columns` are those counted last."""

    columns: int


@dataclass(frozen=True)
class Layer:
    """A quantised linear layer: its place among the blocks, its name there, and its sizes."""

    block: int
    slot: str
    shape: Shape


@dataclass(frozen=True)
class Seen:
    """One saved picture (3, y, x), alone, in the int8 victim.

    By layer: `columns` (k,) is max over tokens of |input|, `tokens` (n,) max over columns; none
    where a model folds its tokens into windows. `cost` is what bitsandbytes' product would multiply,
    `compact` what the idealised one would, at the run's threshold; `float_columns` is how many
    columns reach it in the float model, which is what the Lab counts: rounding moves a few.
    """

    pixels: Tensor
    columns: tuple[Tensor, ...]
    tokens: tuple[Tensor, ...]
    answer: int
    probability: float
    cost: Cost
    compact: Cost
    float_columns: int


@dataclass(frozen=True)
class Defence:
    """A countermeasure on this picture: the share outside int8 clean and attacked, whether the
    attacked picture still gets the clean one's answer, and the mean over the other pictures of
    |logits - float logits| / |float logits|. The attack does not know of it."""

    name: str
    clean: float
    attacked: float
    kept: bool
    error: float


@dataclass(frozen=True)
class Report(papers.Timed):
    """What is known so far; parts that follow later are empty until then.

    `merged[b]` holds the column peaks of b - 1 batch-mates together, by layer; `path` is how the
    columns grew, as (step, columns). `others` clean pictures calibrated the countermeasures.
    `energy` is MODELLED from multiplications unless it is `metered`.
    """

    model: str
    classes: tuple[str, ...]
    threshold: Threshold
    layers: tuple[Layer, ...]
    grid: tuple[int, int] | None
    prefix: int
    seen: Mapping[str, Seen]
    merged: Mapping[int, tuple[Tensor, ...]]
    path: tuple[tuple[int, int], ...]
    others: int
    defences: tuple[Defence, ...] = ()

    def columns(self, name: str, threshold: float | None = None) -> int:
        """Outlier columns of one of the pictures, at any threshold."""
        return int(counts(self.seen[name].columns, threshold or self.threshold.value).sum())

    def hf_columns(self, name: str, threshold: float | None = None) -> int:
        """The same with q, k and v as three layers, as Hugging Face's ViT has them."""
        found = counts(self.seen[name].columns, threshold or self.threshold.value)
        return int((found * torch.tensor([each.shape.hf for each in self.layers])).sum())

    def share(self, name: str, threshold: float | None = None) -> float:
        """sum_l O_l m_l n_l / sum_l k_l m_l n_l: the share of multiplications outside int8."""
        found = counts(self.seen[name].columns, threshold or self.threshold.value)
        each = torch.tensor([layer.shape.column for layer in self.layers])
        return float((found * each).sum()) / sum(layer.shape.macs for layer in self.layers)

    def batch_columns(self, size: int, name: str, threshold: float | None = None) -> int:
        """Outlier columns of a batch of that size that holds one of the pictures: a union."""
        own, mates = self.seen[name].columns, self.merged[size]
        both = [torch.maximum(a, b) for a, b in zip(own, mates, strict=True)]
        return int(counts(both, threshold or self.threshold.value).sum())


def counts(columns: Sequence[Tensor], threshold: float) -> Tensor:
    """Outlier columns by layer (layers,); peaks are float16 already, as the layer compares them."""
    limit = torch.tensor(threshold).half().float()
    return torch.stack([(peak >= limit).sum() for peak in columns])


def report(
    victim: Victim, asked: Asked, stopped: Stopped = lambda: False
) -> Iterator[Progress | Working | Report]:
    """Attack the picture on the float model, then count, defend and time the int8 one.

    Stopped, the attack ends there, its picture is still counted, and what would follow is left out.
    Raises what the model or the attack raise.
    """
    threshold = asked.threshold
    yield Progress("quantizing", 0, 1)
    int8 = Int8(threshold.value)(victim)
    attack = asked.aimed
    subject = Subject(victim, asked.picture, seed=asked.seed)
    clean = subject.images
    x, path, steps, total = clean, [(0, _count(int8, clean))], 0, 0
    eps = attack.eps if attack else 0.0
    if isinstance(attack, Universal):
        x, steps, total = attack.apply(clean), 1, 1
    elif attack is not None:
        total = attack.steps
        every = max(1, total // POINTS)
        for state, _ in run(attack.build(victim.spec), victim, subject.task, subject.streams):
            x, steps = state.x, state.step
            if steps % every == 0 or steps == total:
                path.append((steps, _count(int8, to_8bit(x, clean, eps) / 255)))
            yield Working(steps, total, path[-1][1])
            if stopped():
                break
    saved = subject.saved(x, eps)
    yield Progress("counting", 0, 1)
    found = _counted(victim, int8, asked, saved)
    found = replace(found, path=tuple(path), steps=steps, asked=total)
    parts = partial(_defended, victim, asked), partial(_timed, victim, int8, asked)
    yield from growing(found, parts, stopped)


def _count(int8: Victim, x: Images) -> int:
    with torch.no_grad(), collect(int8) as done:
        int8.logits(x.to(int8.device))
    return sum(len(work.columns) for work in done.values())


def _counted(victim: Victim, int8: Victim, asked: Asked, saved: Tensor) -> Report:
    """All that follows from one pass of each picture."""
    linf = int((saved.int() - asked.picture.int()).abs().max())
    noise = noisy(asked.picture[None], linf / 255, asked.seed)[0]
    pictures = {CLEAN: asked.picture, ATTACKED: saved, NOISE: noise}
    # One by one: what a picture's int8 pass rounds depends on its batch-mates.
    mates = [Peaks.of(int8, shown(each, int8)) for each in asked.others[: BATCHES[-1] - 1].split(1)]
    first = victim.spec.blocks[0]
    flat = not any(block.window or block.queries for block in victim.spec.blocks)
    even = flat and len({(block.grid, block.prefix) for block in victim.spec.blocks}) == 1
    return Report(
        model=victim.spec.name,
        classes=victim.spec.classes,
        threshold=asked.threshold,
        layers=layers(mates[0].shapes),
        grid=first.grid if even else None,
        prefix=first.prefix,
        seen={
            name: _seen(victim, int8, pixels, asked.threshold.value, with_tokens=even)
            for name, pixels in pictures.items()
        },
        merged={
            size: _merged(mates, size - 1) for size in BATCHES if size - 1 <= len(asked.others)
        },
        path=(),
        others=len(asked.others),
        linf=linf,
    )


def _merged(mates: Sequence[Peaks], count: int) -> tuple[Tensor, ...]:
    """The peaks of the first `count` batch-mates together, by layer; of none, zeros."""
    by_layer = zip(*(each.columns.values() for each in mates), strict=True)
    return tuple(
        torch.cat((torch.zeros_like(peaks[0]), *peaks[:count])).amax(0).cpu() for peaks in by_layer
    )


def layers(shapes: Mapping[str, Shape]) -> tuple[Layer, ...]:
    """The layers in the order of a pass, their blocks counted through all stages."""
    blocks: dict[str, int] = {}
    found: list[Layer] = []
    for path, shape in shapes.items():
        owner, _, name = path.rpartition(".")
        block = blocks.setdefault(owner.rpartition(".")[0], len(blocks))
        found.append(Layer(block, SLOTS[name], shape))
    return tuple(found)


def _seen(
    victim: Victim, int8: Victim, pixels: Tensor, threshold: float, *, with_tokens: bool
) -> Seen:
    """One picture's pass: peaks by column, by token, the answer, and what it multiplied."""
    x = shown(pixels[None], int8)
    columns = tuple(each[0].cpu() for each in Peaks.of(int8, x).columns.values())
    sites = {Site.LINEAR_IN} & int8.spec.sites if with_tokens else ()
    with torch.no_grad(), collect(int8) as done, int8.session(observe=sites) as forward:
        out = forward(x)
    tokens = tuple(seen[0].abs().amax(-1).half().float().cpu() for seen in out.seen.values())
    probabilities = out.logits[0].softmax(0)
    works: list[Work] = list(done.values())
    float_columns = int(Peaks.of(victim, x).total(threshold)[0])
    return Seen(
        pixels,
        columns,
        tokens,
        int(probabilities.argmax()),
        float(probabilities.max()),
        cost(works),
        cost(works, compact=True),
        float_columns,
    )


def _defended(victim: Victim, asked: Asked, found: Report) -> Iterator[Progress | Report]:
    """Every countermeasure at the run's threshold, after plain int8 itself."""
    others = shown(asked.others, victim)
    with torch.no_grad():
        exact = victim.logits(others)
    pair = [shown(found.seen[name].pixels[None], victim) for name in (CLEAN, ATTACKED)]
    answer = found.seen[CLEAN].answer
    threshold = found.threshold.value
    todo: list[tuple[str, Callable[[Victim], Victim]]] = [("none", Int8(threshold))]
    todo += [(each.name, each.alter) for each in countermeasures(others, threshold)]
    made: list[Defence] = []
    for name, alter in todo:
        try:
            changed = alter(victim)
        except EngineError:
            continue  # rescaling needs a LayerNorm before each layer; the rest works everywhere
        shares: list[float] = []
        kept = True
        with torch.no_grad():
            for x in pair:
                with collect(changed) as done:
                    kept = int(changed.logits(x).argmax()) == answer
                shares.append(cost(done.values()).share)
            near = changed.logits(others)
        error = float(((near - exact).norm(dim=1) / exact.norm(dim=1)).mean())
        made.append(Defence(name, shares[0], shares[1], kept, error))
        yield Progress("countermeasures", len(made), len(todo))
    yield replace(found, defences=tuple(made))


def _timed(
    victim: Victim, int8: Victim, asked: Asked, found: Report
) -> Iterator[Progress | Report]:
    """Passes of the float and of the int8 model, each picture alone in its batch."""
    pictures = {name: shown(seen.pixels[None], victim) for name, seen in found.seen.items()}
    jobs = {"float": partial(_pass, victim, pictures[CLEAN])}
    jobs |= {name: partial(_pass, int8, x) for name, x in pictures.items()}
    modelled = {name: seen.cost.energy(Prices()) for name, seen in found.seen.items()}
    return replace(found, energy=modelled).timed(jobs, victim.device, asked.rounds)


def _pass(victim: Victim, images: Images) -> None:
    with torch.no_grad():
        victim.logits(images)
