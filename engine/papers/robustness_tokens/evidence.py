"""What claims about tokens rest on: every model under every attacker, on the same pictures.

Pictures against the feature are saved in 8 bits; robust accuracy counts any wrong iterate, on float
pixels. Intervals are 95 % bootstraps over pictures.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from engine.alter.tokens import RobustnessTokens
from engine.attack.catalog import recipe
from engine.attack.recipe import Recipe
from engine.attack.recipes.feature import FeaturePGD
from engine.attack.recipes.pgd import PGD
from engine.core.knobs import Knobbed, knob, knob_of
from engine.core.placement import describe
from engine.core.shapes import Labels, PerExample
from engine.core.streams import Streams
from engine.evaluate import store
from engine.evaluate.crafter import Crafter
from engine.evaluate.feature import featured
from engine.evaluate.interval import Estimate, mean
from engine.evaluate.noise import noisy
from engine.evaluate.progress import Progress
from engine.evaluate.robust import Iterates, paired, rate, survivors
from engine.model.tokens import hosted
from engine.model.victim import Victim
from engine.papers.robustness_tokens.findings import (
    About,
    Attacker,
    Clean,
    Met,
    Model,
    Secrecy,
    Shown,
    Swept,
)
from engine.papers.robustness_tokens.given import short
from engine.papers.robustness_tokens.inside import Inside, Scope
from engine.papers.robustness_tokens.threat import Models
from engine.train.tokens import TokenTraining, train

LEAST = 8
MODELS: tuple[Model, ...] = ("public", "private", "random")
SWEEP = (1, 5, 10, 20, 50)
POOL = 64
"""Pictures that the sweep is trained on, none of which is measured."""
SAME: tuple[Attacker, ...] = ("noise", "restarts", "auto")
"""Attackers that are the same for the public model; to all others it is compared under one try."""
LAST = 20
"""Steps over which the end of a training is told, as published."""
JUDGE = "autoattack_quick"


@dataclass(frozen=True)
class Settings(Knobbed):
    """What can be set: the tokens, the budget, the attacks' length, and how many pictures the dear
    parts take."""

    tokens: str = knob_of(RobustnessTokens, "file", main=False)
    count: int = knob_of(RobustnessTokens, "count")
    eps: float = knob_of(FeaturePGD, "eps", low=1 / 255, grain=0.0)
    steps: int = knob(20, "Steps of every attack on feature and answer.", low=1, high=200)
    restarts: int = knob(3, "Tries of the attacker with restarts.", low=2, high=50)
    auto: int = knob(
        0, "AutoAttack, quick, judges so many of the pictures; 0: none.", low=0, high=10000
    )
    sweep: int = knob(
        0, "Steps that 1, 5, 10, 20 and 50 tokens are trained for; 0: no sweep.", low=0, high=10000
    )
    few: int = knob(24, "Pictures that the sweep is measured on.", low=LEAST, high=4096)

    @property
    def feature(self) -> FeaturePGD:
        return FeaturePGD(eps=self.eps, steps=self.steps, keep="best")

    @property
    def answer(self) -> PGD:
        return PGD(eps=self.eps, steps=self.steps)


@dataclass(frozen=True)
class Ground:
    """The models, n labelled 8-bit pictures (n, 3, y, x), and `others` for trainings; `source` says where
    the tokens are from, outliers begin at `threshold`. `keep` holds what is finished."""

    models: Models
    random: Victim
    pixels: Tensor
    labels: Labels
    others: Tensor
    tokens: int
    source: str
    threshold: float
    seed: int = 0
    batch: int = 8
    keep: Path | None = None


@dataclass(frozen=True)
class _Moved:
    """n pictures against the feature in a model, of several tries the worst: both cosines, and whether the
    answer is right (n,)."""

    kept: PerExample
    own: PerExample
    right: Tensor


@dataclass(frozen=True)
class _Fate:
    """What an attacker does to a model, spending so many gradients a picture: against its feature, and
    who stands against the answer (n,); None of what is not tried."""

    gradients: int
    moved: _Moved | None
    stands: Tensor | None


Fates = Mapping[tuple[Model, Attacker], _Fate]
Made = Mapping[Attacker, Sequence[Tensor]]
"""The saved pictures of each attacker, one set a try; of "restarts" all but the adaptive one's try."""
Looks = Mapping[tuple[Model, Shown], Inside]


class Bench:
    """All models under all attackers, on the same pictures."""

    def __init__(self, ground: Ground, settings: Settings) -> None:
        self.of, self.set = ground, settings
        models = ground.models
        self.victims: dict[Model, Victim] = {
            "public": models.public,
            "private": models.private,
            "random": ground.random,
        }
        self.untouched = {name: featured(v, ground.pixels) for name, v in self.victims.items()}

    @property
    def n(self) -> int:
        return len(self.of.labels)

    def made(self) -> Generator[Progress, None, dict[Attacker, list[Tensor]]]:
        """Every attacker's pictures against the feature."""
        models, tries = self.of.models, self.set.restarts
        found: dict[Attacker, list[Tensor]] = {
            "noise": [noisy(self.of.pixels, self.set.eps, self.of.seed)]
        }
        found["transfer"] = yield from self._feature("transfer", models.public, range(tries))
        if models.surrogate:
            found["surrogate"] = yield from self._feature("surrogate", models.surrogate, range(1))
        found["adaptive"] = yield from self._feature("adaptive", models.private, range(tries))
        return found

    def _feature(
        self, words: str, source: Victim, tries: Sequence[int]
    ) -> Generator[Progress, None, list[Tensor]]:
        found: list[Tensor] = []
        for attempt in tries:
            made = yield from self._crafted(words, source, self.of.pixels, attempt)
            found.append(made)
        return found

    def _crafted(
        self, words: str, source: Victim, pixels: Tensor, attempt: int = 0
    ) -> Generator[Progress, None, Tensor]:
        """A set of attacked pictures; what is to be done to them needs no label."""
        craft = Crafter(self.of.batch, self.of.seed + attempt, self.of.keep)
        none = torch.zeros(len(pixels), dtype=torch.long)
        saved = pixels
        for event in craft(f"{words}, feature", self.set.feature, source, pixels, none):
            if isinstance(event, Progress):
                yield event
            else:
                saved = event
        return saved

    def clean(self) -> tuple[Clean, ...]:
        """Untouched pictures in every model."""
        public = self.untouched["public"]
        before = public.answers == self.of.labels
        return tuple(
            Clean(
                name,
                mean(self.untouched[name].near(public)),
                rate(self.untouched[name].answers == self.of.labels),
                paired(before, self.untouched[name].answers == self.of.labels).gap,
            )
            for name in MODELS
        )

    def met(self, made: Made) -> Generator[Progress, None, tuple[tuple[Met, ...], Secrecy]]:
        """Every model under every attacker, and what secrecy is worth."""
        fates = yield from self._fates(made)
        met = tuple(self._met(*key, fates) for key in fates)
        return met, _secrecy(fates["private", "transfer"], fates["private", "adaptive"])

    def _fates(self, made: Made) -> Generator[Progress, None, Fates]:
        """All of them, those of the public model first."""
        models, tries, once = self.of.models, self.set.restarts, self.set.steps
        public, private = models.public, models.private
        own = yield from self._stands("public", public, public, tries)
        control = yield from self._stands("random", self.of.random, public, 1)
        lent = yield from self._stands("transfer", private, public, 1)
        known = yield from self._stands("adaptive", private, private, tries)
        transfer, adaptive = made["transfer"], made["adaptive"]
        moved = self._moved
        found: dict[tuple[Model, Attacker], _Fate] = {
            ("public", "noise"): _Fate(0, moved("public", made["noise"]), None),
            ("public", "transfer"): _Fate(once, moved("public", transfer[:1]), own[0]),
            ("public", "restarts"): _Fate(tries * once, moved("public", transfer), own[-1]),
            ("private", "noise"): _Fate(0, moved("private", made["noise"]), None),
            ("random", "transfer"): _Fate(once, moved("random", transfer[:1]), control[0]),
            ("private", "transfer"): _Fate(once, moved("private", transfer[:1]), lent[0]),
        }
        if models.surrogate:
            stands = yield from self._stands("surrogate", private, models.surrogate, 1)
            fate = _Fate(once, moved("private", made["surrogate"]), stands[0])
            found["private", "surrogate"] = fate
        found["private", "adaptive"] = _Fate(once, moved("private", adaptive[:1]), known[0])
        found["private", "restarts"] = _Fate(tries * once, moved("private", adaptive), known[-1])
        if self.set.auto:
            for name in ("public", "private"):
                found[name, "auto"] = yield from self._auto(name)
        return found

    def _auto(self, name: Literal["public", "private"]) -> Generator[Progress, None, _Fate]:
        """AutoAttack on the first few."""
        judge, victim = recipe(JUDGE, eps=self.set.eps), self.victims[name]
        few = slice(0, self.set.auto)
        stands = yield from self._under(f"AutoAttack, {name}", victim, judge, few, "last")
        return _Fate(judge.build(victim.spec).steps, None, stands)

    def _moved(self, name: Model, sets: Sequence[Tensor]) -> _Moved:
        """A model on one or several sets of the same pictures."""
        seen = [featured(self.victims[name], pixels) for pixels in sets]
        public, own = self.untouched["public"], self.untouched[name]
        return _Moved(
            torch.stack([each.near(public) for each in seen]).amin(0),
            torch.stack([each.near(own) for each in seen]).amin(0),
            torch.stack([each.answers == self.of.labels for each in seen]).all(0),
        )

    def _stands(
        self, words: str, judge: Victim, source: Victim, tries: int
    ) -> Generator[Progress, None, list[Tensor]]:
        """Who is right after one try of PGD, two, ...; the next one is for those who are (n,) each."""
        kept, found = torch.ones(self.n, dtype=torch.bool), list[Tensor]()
        for attempt in range(tries):
            rows = kept.nonzero()[:, 0]
            if len(rows):
                own = None if source is judge else source
                kept[rows] = yield from self._under(
                    f"{words}, PGD", judge, self.set.answer, rows, "all", own, attempt
                )
            found.append(kept.clone())
        return found

    def _under(
        self,
        words: str,
        judge: Victim,
        attack: Recipe,
        of: slice | Tensor,
        iterates: Iterates,
        source: Victim | None = None,
        attempt: int = 0,
    ) -> Generator[Progress, None, Tensor]:
        """Which of some of the pictures a model keeps right."""
        kept = torch.zeros(0, dtype=torch.bool)
        for event in survivors(
            judge,
            attack,
            self.of.pixels[of],
            self.of.labels[of],
            source=source,
            iterates=iterates,
            seed=self.of.seed + attempt,
            batch=self.of.batch,
            keep=self.of.keep,
        ):
            if isinstance(event, Progress):
                yield Progress(words, event.done, event.total)
            else:
                kept = event.kept
        return kept

    def _met(self, model: Model, attacker: Attacker, fates: Fates) -> Met:
        fate, than = fates[model, attacker], None
        if model != "public":
            than = fates["public", attacker if attacker in SAME else "transfer"]
        now, stands = fate.moved, fate.stands
        before, stood = (than.moved, than.stands) if than else (None, None)
        return Met(
            model,
            attacker,
            fate.gradients,
            self.n if stands is None else len(stands),
            now and mean(now.kept),
            now and mean(now.own),
            now and rate(now.right),
            None if stands is None else rate(stands),
            mean(now.kept - before.kept) if now and before else None,
            None if stands is None or stood is None else paired(stands, stood).gap,
        )

    def inside(self, made: Made) -> dict[tuple[Model, Shown], Inside]:
        """Both models on clean and on attacked pictures."""
        of = self.of
        public = Scope.on(of.models.public, 0, of.threshold)
        private = Scope.on(of.models.private, of.tokens, of.threshold)
        transfer, adaptive = made["transfer"][0], made["adaptive"][0]
        return {
            ("public", "clean"): public.look(of.pixels),
            ("public", "transfer"): public.look(transfer),
            ("private", "clean"): private.look(of.pixels),
            ("private", "transfer"): private.look(transfer),
            ("private", "adaptive"): private.look(adaptive),
        }

    def swept(self, made: Made) -> Generator[Progress, None, tuple[Swept, ...]]:
        """Tokens of every number, each from its own short training."""
        if not self.set.sweep:
            return ()
        others, few = self.of.others, min(self.set.few, self.n)
        attacked = yield from self._crafted("for the sweep", self.of.models.public, others)
        found: list[Swept] = []
        for count in SWEEP:
            how = short(count, self.set.sweep, self.set.eps)
            tokens, losses = yield from self._learned(others, attacked, how)
            found.append((yield from self._judged(count, tokens, losses, made, few)))
        return tuple(found)

    def _learned(
        self, pixels: Tensor, attacked: Tensor, how: TokenTraining
    ) -> Generator[Progress, None, tuple[Tensor, list[float]]]:
        """The tokens, and the sum of both cosines at every step; read back where they are kept."""
        public, streams = self.of.models.public, Streams(self.of.seed)
        key = {
            "tokens": asdict(how),
            "victim": [public.spec.full, store.fingerprint(public)],
            "pictures": [store.of_tensor(pixels), store.of_tensor(attacked)],
            "seed": self.of.seed,
        }
        name = store.digest(key) if self.of.keep else ""
        known = store.recall(self.of.keep, name) if self.of.keep else None
        if known is not None:
            return torch.tensor(known["tokens"], dtype=public.dtype), known["losses"]
        tokens, losses = torch.zeros(0), list[float]()
        for now in train(public, pixels, attacked, how, streams):
            tokens, losses = now.tokens, [*losses, now.inv + now.adv]
            yield Progress(f"training {how.count} tokens", now.step, now.steps)
        if self.of.keep:
            store.keep(self.of.keep, name, {"tokens": tokens.tolist(), "losses": losses})
        return tokens, losses

    def _judged(
        self, count: int, tokens: Tensor, losses: Sequence[float], made: Made, few: int
    ) -> Generator[Progress, None, Swept]:
        public, pixels = self.of.models.public, self.of.pixels[:few]
        armed = hosted(public, tokens)
        adaptive = yield from self._crafted(f"{count} tokens, adaptive", armed, pixels)
        wanted = featured(public, pixels)

        def near(shown: Tensor) -> Estimate:
            return mean(featured(armed, shown).near(wanted))

        last = losses[-LAST:]
        return Swept(
            count,
            self.set.sweep,
            len(self.of.others),
            losses[0],
            sum(last) / len(last),
            near(pixels),
            near(made["transfer"][0][:few]),
            near(adaptive),
        )

    def about(self, looks: Looks) -> About:
        of, settings = self.of, self.set
        grid = of.models.public.spec.blocks[0].grid
        return About(
            of.models.public.spec.full,
            describe(of.models.public.device),
            self.n,
            min(settings.auto, self.n),
            min(settings.few, self.n) if settings.sweep else 0,
            settings.eps,
            settings.steps,
            settings.restarts,
            of.tokens,
            of.source,
            of.threshold,
            sum(looks["public", "clean"].inputs),
            grid[0] * grid[1],
        )


def _secrecy(lent: _Fate, known: _Fate) -> Secrecy:
    """Of the model with tokens, under an attacker without them and under one who has them."""
    assert lent.moved is not None
    assert known.moved is not None
    assert lent.stands is not None
    assert known.stands is not None
    kept = mean(lent.moved.kept - known.moved.kept)
    return Secrecy(kept, paired(lent.stands, known.stands).gap)
