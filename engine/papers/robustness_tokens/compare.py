"""One picture, with and without tokens, against attackers that know more and more."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from engine.attack.attack import run
from engine.attack.recipe import Recipe
from engine.attack.recipes.feature import FeaturePGD
from engine.attack.recipes.pgd import PGD
from engine.core.streams import Streams
from engine.evaluate.feature import Featured, featured
from engine.evaluate.progress import Progress
from engine.model.victim import Victim
from engine.papers import report as papers
from engine.papers.report import Stopped
from engine.papers.robustness_tokens.inside import Inside, Scope
from engine.papers.robustness_tokens.threat import (
    ADAPTIVE,
    RESTARTS,
    SURROGATE,
    THREATS,
    Models,
    Threat,
)
from engine.studio import Subject
from engine.train.tokens import TokenTraining, attacked, train

TOP = 5
POINTS = 30
"""How often the curve of a training is told while it grows."""


@dataclass(frozen=True, eq=False)
class Asked:
    """One run: a picture (3, y, x), 8 bits at the input size, and the class attacked (None: the public
    model's answer).

    tokens     the defender's (n, d); None where they are trained here, by `training`, on the picture
               and `others` (k, 3, y, x)
    source     where they are from, in words;  surrogate: an attacker's own, None where there are none
    eps, steps, restarts   of every attack;  threshold: where outliers begin
    """

    picture: Tensor
    label: int | None
    tokens: Float[Tensor, "n d"] | None
    training: TokenTraining
    others: Tensor
    source: str
    surrogate: Float[Tensor, "k d"] | None
    eps: float
    steps: int
    restarts: int
    threshold: float
    seed: int = 0

    @property
    def attacks(self) -> tuple[Recipe, Recipe]:
        """Against the feature, and against the answer; what is best for the attacker on the way counts."""
        return (
            FeaturePGD(eps=self.eps, steps=self.steps, keep="best"),
            PGD(eps=self.eps, steps=self.steps, keep="best"),
        )

    @property
    def threats(self) -> tuple[Threat, ...]:
        """All of them, but for a surrogate where there is none."""
        return tuple(e for e in THREATS if e is not SURROGATE or self.surrogate is not None)

    def tries(self, threat: Threat) -> int:
        """How often a threat begins; the one with restarts goes on from the adaptive one's try."""
        return self.restarts - 1 if threat is RESTARTS else 1


@dataclass(frozen=True)
class Working(papers.Working):
    """A step of one of the attacks; `what` says of which."""

    what: str


@dataclass(frozen=True)
class Point:
    """The tokens' training after a step: both cosines that it raises, over its batch; 1 is the most."""

    step: int
    inv: float
    adv: float


@dataclass(frozen=True)
class Said:
    """What a model says to one saved picture.

    kept          cosine of its feature with the public model's of the clean picture: what a head
                  that was trained without tokens gets to see
    own           cosine with its own feature of the clean picture, as the paper measures
    top           the five likeliest classes and their probabilities
    probability   of the class that is attacked;  fooled: another one is likelier
    """

    kept: float
    own: float
    top: tuple[tuple[int, float], ...]
    probability: float
    fooled: bool


@dataclass(frozen=True)
class Look:
    """One saved picture (3, y, x) uint8, changed by at most `linf` 255ths, in the model without tokens
    (public) and with them (private)."""

    pixels: Tensor
    linf: int
    public: Said
    private: Said


@dataclass(frozen=True)
class Both:
    """One picture inside both models."""

    public: Inside
    private: Inside


@dataclass(frozen=True)
class Outcome:
    """What an attacker made: a picture against the feature, and one against the answer.

    `gradients` were taken for each; `inside` is what the first does.
    """

    threat: Threat
    gradients: int
    feature: Look
    answer: Look
    inside: Both


@dataclass(frozen=True)
class Report(papers.Report):
    """What is known so far; `steps` are those of all attacks together.

    tokens    how many there are, beside `others` in the public model's sequence;  source: where they
              are from, in words
    label     the class that is attacked
    curve     their training here, of `curve_asked` steps; empty where they were not trained here
    notes     what was left out, and why
    columns   inputs of each block's linear layers;  grid: of patches;  threshold: of outliers
    rest      the clean picture inside both models
    """

    model: str
    classes: tuple[str, ...]
    label: int
    eps: float
    tokens: int
    others: int
    source: str
    threats: tuple[Threat, ...]
    notes: tuple[str, ...] = ()
    curve: tuple[Point, ...] = ()
    curve_asked: int = 0
    threshold: float = 0.0
    columns: tuple[int, ...] = ()
    grid: tuple[int, int] = (0, 0)
    clean: Look | None = None
    rest: Both | None = None
    outcomes: tuple[Outcome, ...] = ()

    @property
    def whole(self) -> bool:
        return self.clean is not None and len(self.outcomes) == len(self.threats)


def report(
    victim: Victim, asked: Asked, stopped: Stopped = lambda: False
) -> Iterator[Progress | Working | Report]:
    """Train tokens if that is asked, look at the clean picture, then at every threat in turn.

    Stopped, what is not finished is left out. Raises UnsupportedModel for a model that cannot host
    tokens, and what the attacks raise.
    """
    found, tokens = _begun(victim, asked), asked.tokens
    if tokens is None:
        found, tokens = yield from _trained(victim, asked, found, stopped)
    if tokens is None:
        return
    bench = _Bench(Models.of(victim, tokens, asked.surrogate), asked, found.label, len(tokens))
    found = bench.begun(found)
    yield found
    for threat in found.threats:
        outcome = yield from bench.outcome(threat, found, stopped)
        if outcome is None:
            return
        steps = found.steps + 2 * asked.tries(threat) * asked.steps
        found = replace(found, outcomes=(*found.outcomes, outcome), steps=steps)
        yield found


def _begun(victim: Victim, asked: Asked) -> Report:
    """What is known before anything is computed, but for the class attacked."""
    first = victim.spec.blocks[0]
    left_out = "There are no surrogate tokens for this model, so that threat is left out."
    return Report(
        asked=2 * asked.steps * sum(map(asked.tries, asked.threats)),
        model=victim.spec.full,
        classes=victim.spec.classes,
        label=Subject(victim, asked.picture, asked.label).label,
        eps=asked.eps,
        tokens=asked.training.count if asked.tokens is None else len(asked.tokens),
        others=first.prefix + first.grid[0] * first.grid[1],
        source=asked.source,
        threats=asked.threats,
        notes=() if asked.surrogate is not None else (left_out,),
        curve_asked=asked.training.steps if asked.tokens is None else 0,
        threshold=asked.threshold,
        grid=first.grid,
    )


def _trained(
    victim: Victim, asked: Asked, found: Report, stopped: Stopped
) -> Generator[Progress | Report, None, tuple[Report, Tensor | None]]:
    """The report with the curve of the tokens' training, and the tokens; None where it was stopped."""
    how, streams = asked.training, Streams(asked.seed)
    pictures, made = torch.cat((asked.picture[None], asked.others)), list[Tensor]()
    yield found
    for event in attacked(victim, pictures, how, streams):
        if isinstance(event, Progress):
            yield event
        else:
            made.append(event)
        if stopped():
            return found, None
    tokens = None
    for now in train(victim, pictures, torch.cat(made), how, streams):
        yield Progress("training steps", now.step, how.steps)
        found = replace(found, curve=(*found.curve, Point(now.step, now.inv, now.adv)))
        if now.step == how.steps:
            tokens = now.tokens
        elif now.step % max(1, how.steps // POINTS) == 0:
            yield found
        if stopped():
            return found, None
    return found, tokens


@dataclass(frozen=True)
class _Bench:
    """Both models, the attackers', and one picture."""

    models: Models
    asked: Asked
    label: int
    tokens: int

    @cached_property
    def clean(self) -> tuple[Featured, Featured]:
        """The clean picture in the public and in the private model."""
        pixels = self.asked.picture[None]
        return featured(self.models.public, pixels), featured(self.models.private, pixels)

    @cached_property
    def scopes(self) -> tuple[Scope, Scope]:
        public, private = self.models.public, self.models.private
        limit = self.asked.threshold
        return Scope.on(public, 0, limit), Scope.on(private, self.tokens, limit)

    def begun(self, found: Report) -> Report:
        """The report with the clean picture."""
        rest = self._inside(self.asked.picture)
        return replace(
            found, columns=rest.public.inputs, clean=self._look(self.asked.picture), rest=rest
        )

    def outcome(
        self, threat: Threat, found: Report, stopped: Stopped
    ) -> Generator[Working, None, Outcome | None]:
        """What that attacker makes; of several tries the worst for the model with tokens."""
        known = [each for each in found.outcomes if each.threat is ADAPTIVE and threat is RESTARTS]
        features, answers = [e.feature for e in known], [e.answer for e in known]
        done = found.steps
        for attempt in range(len(known), len(known) + self.asked.tries(threat)):
            for recipe, looks in zip(self.asked.attacks, (features, answers), strict=True):
                for event in self._made(threat, recipe, attempt):
                    if isinstance(event, int):
                        yield Working(done + event, found.asked, f"{threat.title}, {recipe.name}")
                    else:
                        looks.append(self._look(event))
                    if stopped():
                        return None
                done += self.asked.steps
        worst = min(features, key=lambda each: each.private.kept)
        wrong = min(answers, key=lambda e: (not e.private.fooled, e.private.probability))
        gradients = self.asked.steps * len(features)
        return Outcome(threat, gradients, worst, wrong, self._inside(worst.pixels))

    def _made(self, threat: Threat, recipe: Recipe, attempt: int) -> Iterator[int | Tensor]:
        """The step that is done, and last the saved picture (3, y, x)."""
        source, seed = self.models.source(threat), self.asked.seed + attempt
        subject = Subject(source, self.asked.picture, self.label, seed=seed)
        x = subject.images
        for state, _ in run(recipe.build(source.spec), source, subject.task, subject.streams):
            x = state.x
            yield state.step
        yield subject.saved(x, recipe.eps)

    def _look(self, pixels: Tensor) -> Look:
        public, private = (
            featured(e, pixels[None]) for e in (self.models.public, self.models.private)
        )
        linf = int((pixels.int() - self.asked.picture.int()).abs().max())
        before, armed = self.clean
        return Look(
            pixels,
            linf,
            _said(public, before, before, self.label),
            _said(private, before, armed, self.label),
        )

    def _inside(self, pixels: Tensor) -> Both:
        public, private = (scope.look(pixels[None]).of(0) for scope in self.scopes)
        return Both(public, private)


def _said(now: Featured, public: Featured, own: Featured, label: int) -> Said:
    """Of one picture; `public` and `own` are the clean one in the public and in the same model."""
    likely = now.logits[0].softmax(0)
    best = likely.topk(min(TOP, len(likely)))
    return Said(
        kept=float(now.near(public)),
        own=float(now.near(own)),
        top=tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True)),
        probability=float(likely[label]),
        fooled=int(best.indices[0]) != label,
    )
