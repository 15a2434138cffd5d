"""How attacks made on one model do on others: source x attack x target, filled as results arrive.

Every figure is measured on 8-bit pixels, which is what a saved PNG holds. A picture is attacked
and judged with its true class, matched between models by name, and every model answers over all
its own classes. The clean picture reaches a target by the same way as the adversarial one: at the
source's input size in 8 bits, then resized to the target's (see `judge.shown`).

Pictures are worked on in fixed batches. Each picture draws its own noise (`Streams.images`), so
the size of a batch changes figures only as far as it changes the rounding of sums, and how
batches are shared out among processes, or picked up after a kill, changes nothing at all.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from engine.alter.alteration import Stack
from engine.alter.catalog import ON, spell_stack
from engine.alter.ensemble import JOIN, members
from engine.alter.stack import named, outlined
from engine.attack.recipe import Recipe
from engine.core.errors import BadTask
from engine.core.knobs import knobs
from engine.data.decode import decode, fit
from engine.data.labels import folded, spellings
from engine.evaluate import parallel, store
from engine.evaluate.craft import Crafted, crafted
from engine.evaluate.interval import Proportion
from engine.evaluate.judge import predict, reached
from engine.evaluate.progress import Progress
from engine.model.victim import Victim

Loader = Callable[[str], Victim]
STEPS = "attack steps"


class Picture(NamedTuple):
    """A picture and the name of the class it shows."""

    image: Path | Image.Image
    label: str


def bare(source: str) -> str:
    """The source without what was done to its models: "a+b" of "a|ats+b"."""
    return JOIN.join(each.split(ON)[0] for each in members(source))


def singles(sources: Sequence[str], targets: Sequence[str]) -> tuple[str, ...]:
    """Every single model, once: the members of the sources, then the targets."""
    inside = (each for source in sources for each in members(source))
    return tuple(dict.fromkeys((*inside, *targets)))


@dataclass(frozen=True)
class Experiment:
    """Which pictures, attacked how on which models, shown to which models.

    Names are spelled as `engine.alter.stack.named` reads them: "vit|ats" is an altered model, and a
    source "a+b" the ensemble of a and b; targets are single models. Attacks are made on the sources
    as they are spelled, or, with `craft_on`, on the bare models with that stack on them.
    """

    pictures: tuple[Picture, ...]
    sources: tuple[str, ...]
    recipes: tuple[Recipe, ...]
    targets: tuple[str, ...]
    seed: int = 0
    batch: int = 64
    craft_on: Stack | None = None

    def __post_init__(self) -> None:
        for name in ("pictures", "sources", "recipes", "targets"):
            if not getattr(self, name):
                raise BadTask(f"There are no {name}.", "Give at least one.")
            if name != "pictures" and len(set(getattr(self, name))) < len(getattr(self, name)):
                raise BadTask(f"One of the {name} is given twice.", "Name each once.")
        if self.batch < 1:
            raise BadTask(f"A batch of {self.batch} pictures cannot be.", "Give at least 1.")

    @property
    def models(self) -> tuple[str, ...]:
        """Every single model, once: the members of the sources, then the targets."""
        return singles(self.sources, self.targets)

    @property
    def starts(self) -> range:
        """Where each batch begins."""
        return range(0, len(self.pictures), self.batch)


@dataclass(frozen=True)
class Cell:
    """One attack, made on `source`, judged by `target`.

    For every picture judged so far, in order: whether the target has the clean and the adversarial
    picture right. Where the attack wants something else than answers, `reached` says where it got
    that from the target; None where the target has no place to look. `seconds` is the crafting
    time, the only part that is not reproducible.
    """

    source: str
    recipe: Recipe
    target: str
    right: tuple[bool, ...]
    survived: tuple[bool, ...]
    seconds: float = field(default=0.0, compare=False)
    reached: tuple[bool, ...] | None = None

    @property
    def clean(self) -> Proportion:
        """Accuracy on clean pictures."""
        return Proportion(sum(self.right), len(self.right))

    @property
    def attacked(self) -> Proportion:
        """Robust accuracy: right under attack."""
        return Proportion(sum(self.survived), len(self.survived))

    @property
    def success(self) -> Proportion:
        """Attack success rate: the criterion is reached, of the pictures that the target had right."""
        if self.of_answers:
            reached = tuple(not each for each in self.survived)
        elif self.reached is None:
            return Proportion(0, 0)
        else:
            reached = self.reached
        pairs = zip(self.right, reached, strict=True)
        return Proportion(sum(r and s for r, s in pairs), sum(self.right))

    @property
    def of_answers(self) -> bool:
        """Whether the attack wants another answer, so that the answers say all."""
        return not self.recipe.criterion.wants_clean

    @property
    def success_with_clean_errors(self) -> Proportion:
        """Wrong under attack, of all pictures, as the transfer papers count: errors help."""
        return Proportion(len(self.survived) - sum(self.survived), len(self.survived))


@dataclass(frozen=True)
class Filled(Progress):
    """An attack's last step on a batch: `cells` are those that just changed."""

    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Matrix:
    """All cells, in the order source, recipe, target."""

    cells: tuple[Cell, ...]

    @cached_property
    def _places(self) -> Mapping[tuple[str, Recipe, str], Cell]:
        return {(cell.source, cell.recipe, cell.target): cell for cell in self.cells}

    def cell(self, source: str, recipe: Recipe, target: str) -> Cell:
        return self._places[source, recipe, target]


class Outcome(NamedTuple):
    """One batch under one attack: for each target, whether it was right before and after, and whether
    the attack had what it wants (None: that is the answer, or cannot be seen there)."""

    start: int
    source: str
    recipe: Recipe
    right: Mapping[str, Sequence[bool]]
    survived: Mapping[str, Sequence[bool]]
    reached: Mapping[str, Sequence[bool] | None]
    seconds: float


def transfer(
    experiment: Experiment, load: Loader, keep: Path | None = None
) -> Generator[Progress | Matrix, None, None]:
    """Run the experiment: Progress after every attack step, and the Matrix at the end.

    Close the generator to cancel. `keep` is a folder for finished batches, from which a run that
    was killed goes on. Under torchrun (RANK, WORLD_SIZE) every process works on every n-th batch,
    and process 0 alone yields the Matrix, of all.
    Raises BadTask where a model lacks a picture's class, MissingSite where a recipe does not fit a
    source, BadImage for a picture that cannot be read.
    """
    here = parallel.place()
    asked = (*experiment.models, *experiment.sources)
    victims = {name: named(name, load) for name in dict.fromkeys(asked)}
    stack = experiment.craft_on
    crafters = {
        name: victims[name] if stack is None else named(bare(name), load)
        for name in experiment.sources
    }
    prints = {name: store.fingerprint(v) for name, v in victims.items()} if keep else {}
    labels = {name: class_indices(experiment.pictures, v) for name, v in victims.items()}
    starts = experiment.starts[here.rank :: here.size]
    steps = {
        (source, recipe): recipe.build(outlined(crafters[source], stack or ()).spec).steps
        for source in experiment.sources
        for recipe in experiment.recipes
    }
    total = len(starts) * sum(steps.values())
    done = 0
    found: list[Outcome] = []
    for start in starts:
        batch = _Batch(experiment, start, victims, crafters, labels)
        for source in experiment.sources:
            for recipe in experiment.recipes:
                name = store.digest(batch.key(source, recipe, prints)) if keep else ""
                answers = store.recall(keep, name) if keep else None
                if answers is None or not batch.answered(recipe, answers):
                    made: Crafted | None = None
                    for made in batch.crafted(source, recipe):
                        yield Progress(STEPS, done + made.steps, total)
                    assert made is not None  # there is always a last one
                    answers = batch.answers(source, recipe, made)
                    if keep:
                        store.keep(keep, name, answers)
                done += steps[source, recipe]
                found.append(batch.outcome(source, recipe, answers))
                same = [each for each in found if each[1:3] == (source, recipe)]
                yield Filled(STEPS, done, total, _cells(same))
    found = parallel.gather(found)
    if here.leads:
        ranks = {name: rank for rank, name in enumerate(experiment.sources)}
        places = {recipe: place for place, recipe in enumerate(experiment.recipes)}
        found.sort(key=lambda each: (ranks[each.source], places[each.recipe], each.start))
        yield Matrix(_cells(found))


class _Batch:
    """The pictures of one batch, decoded once, and what the models say to them when clean."""

    def __init__(
        self,
        experiment: Experiment,
        start: int,
        victims: Mapping[str, Victim],
        crafters: Mapping[str, Victim],
        labels: Mapping[str, Tensor],
    ) -> None:
        part = slice(start, start + experiment.batch)
        self.experiment, self.start = experiment, start
        self.victims, self.crafters = victims, crafters
        self.labels = {name: every[part] for name, every in labels.items()}
        opened = ((decode(each.image), each.label) for each in experiment.pictures[part])
        self._pictures = [Picture(*each) for each in opened]
        self._pixels: dict[int, Tensor] = {}
        self._clean: dict[int, dict[str, Tensor]] = {}

    def pixels(self, source: str) -> Tensor:
        """uint8 (b, 3, y, x) at the source's input size."""
        size = self.victims[source].spec.input_size
        if size not in self._pixels:
            self._pixels[size] = pixels(self._pictures, size)
        return self._pixels[size]

    def clean(self, source: str) -> dict[str, Tensor]:
        """Each target's answers to the clean pictures at the source's input size."""
        size = self.victims[source].spec.input_size
        if size not in self._clean:
            pixels = self.pixels(source)
            names = self.experiment.targets
            self._clean[size] = {name: predict(self.victims[name], pixels) for name in names}
        return self._clean[size]

    def crafted(self, source: str, recipe: Recipe) -> Iterator[Crafted]:
        victim, stack = self.crafters[source], self.experiment.craft_on or ()
        return crafted(
            recipe.build(outlined(victim, stack).spec),
            victim,
            self.pixels(source),
            self.labels[source],
            eps=recipe.eps,
            seed=self.experiment.seed,
            first=self.start,
            stack=stack,
        )

    def answers(self, source: str, recipe: Recipe, made: Crafted) -> dict[str, Any]:
        """What the targets say to the saved pictures, as plain data."""
        saved, names = made.saved, self.experiment.targets
        found: dict[str, Any] = {
            "seconds": made.seconds,
            "predicted": {name: predict(self.victims[name], saved).tolist() for name in names},
        }
        wanted = recipe.criterion
        if wanted.wants_clean:
            pair = self.pixels(source), saved
            found["reached"] = {
                name: reached(self.victims[name], *pair, self.labels[name], wanted)
                for name in names
            }
        return found

    def answered(self, recipe: Recipe, found: Any) -> bool:
        """Whether a kept piece is what `answers` gives; one that something damaged is made again."""
        match found:
            case {"seconds": int() | float(), "predicted": {**predicted}, **rest}:
                pass
            case _:
                return False
        names, kept = self.experiment.targets, rest.get("reached", {})
        lists = [(predicted.get(name), int) for name in names]
        if recipe.criterion.wants_clean:
            if not isinstance(kept, dict) or not all(name in kept for name in names):
                return False
            lists += [(kept[name], bool) for name in names if kept[name] is not None]
        return all(
            isinstance(each, list)
            and len(each) == len(self._pictures)
            and all(type(one) is kind for one in each)
            for each, kind in lists
        )

    def outcome(self, source: str, recipe: Recipe, answers: Mapping[str, Any]) -> Outcome:
        clean, after = self.clean(source), answers["predicted"]
        right = {n: (clean[n] == self.labels[n]).tolist() for n in clean}
        survived = {n: (torch.tensor(after[n]) == self.labels[n]).tolist() for n in clean}
        wanted = answers.get("reached", {})
        reached = {n: wanted.get(n) for n in clean}
        return Outcome(self.start, source, recipe, right, survived, reached, answers["seconds"])

    def key(self, source: str, recipe: Recipe, prints: Mapping[str, str]) -> dict[str, Any]:
        """All that this batch's answers under this attack depend on, but for the code."""
        stack = self.experiment.craft_on
        return {
            "seed": self.experiment.seed,
            "craft_on": None if stack is None else spell_stack(stack),
            "start": self.start,
            "pixels": store.of_tensor(self.pixels(source)),
            "labels": self.labels[source].tolist(),
            "source": [prints[source], [each.split(ON)[1:] for each in members(source)]],
            "recipe": settings(recipe),
            "targets": {name: prints[name] for name in self.experiment.targets},
        }


def pixels(pictures: Sequence[Picture], size: int) -> Tensor:
    """The pictures fitted to a model's input: uint8 (n, 3, y, x)."""
    return torch.stack([fit(decode(picture.image), size) for picture in pictures])


def class_indices(pictures: Sequence[Picture], victim: Victim) -> Tensor:
    """Each picture's class in the victim's own numbering, found by name: int64 (n,)."""
    known = spellings(victim.spec.classes)
    unknown = sorted({p.label for p in pictures if folded(p.label) not in known})
    if unknown:
        raise BadTask(
            f"{victim.spec.name} has no class “{unknown[0]}”.",
            "Every model must know the classes of the pictures.",
        )
    return torch.tensor([known[folded(picture.label)] for picture in pictures])


def settings(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain data."""
    return {
        "name": recipe.name,
        **{each.name: getattr(recipe, each.name) for each in knobs(recipe)},
    }


def title(recipe: Recipe) -> str:
    """A recipe in few words: its name and the knobs that are not at their defaults."""
    values = ((each, getattr(recipe, each.name)) for each in knobs(recipe))
    turned = [f"{each.name}={each.show(v)}" for each, v in values if v != each.default]
    return f"{recipe.name}({', '.join(turned)})" if turned else recipe.name


def rates(cell: Cell) -> dict[str, Proportion]:
    """A cell's shares by the names that files and messages give them."""
    return {
        "clean_accuracy": cell.clean,
        "robust_accuracy": cell.attacked,
        "attack_success_rate": cell.success,
        "attack_success_rate_with_clean_errors": cell.success_with_clean_errors,
    }


def table(cells: Sequence[Cell]) -> str:
    """The cells as CSV, rates in [0, 1] with their 95 % intervals."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = ("clean_accuracy", "robust_accuracy", "attack_success_rate")
    names += ("attack_success_rate_with_clean_errors",)
    heads = [f"{rate}{part}" for rate in names for part in ("", "_low", "_high", "_of")]
    writer.writerow(["source", "attack", "success_means", "target", *heads])
    for cell in cells:
        row: list[float | int] = []
        for share in rates(cell).values():
            row += [share.value, *share.interval, share.of]
        criterion = cell.recipe.criterion.name
        writer.writerow([cell.source, title(cell.recipe), criterion, cell.target, *row])
    return stream.getvalue()


def _cells(outcomes: Sequence[Outcome]) -> tuple[Cell, ...]:
    """One cell per source, recipe and target, pictures in the order of the outcomes."""
    groups: dict[tuple[str, Recipe], list[Outcome]] = {}
    for each in outcomes:
        groups.setdefault((each.source, each.recipe), []).append(each)
    return tuple(
        Cell(
            source,
            recipe,
            target,
            tuple(hit for each in group for hit in each.right[target]),
            tuple(hit for each in group for hit in each.survived[target]),
            sum(each.seconds for each in group),
            _joined([each.reached[target] for each in group]),
        )
        for (source, recipe), group in groups.items()
        for target in group[0].right
    )


def _joined(parts: Sequence[Sequence[bool] | None]) -> tuple[bool, ...] | None:
    known = [part for part in parts if part is not None]
    return tuple(hit for part in known for hit in part) if len(known) == len(parts) else None
