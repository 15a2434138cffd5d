"""What claims about tokens rest on: every model under every attacker, on the same pictures.

Pictures against the feature are saved in 8 bits; robust accuracy counts any wrong iterate, on float
pixels. Intervals are 95 % bootstraps over pictures.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

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
from engine.evaluate.interval import Estimate, bootstrap
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
from engine.papers.robustness_tokens.inside import Inside, Scope
from engine.papers.robustness_tokens.threat import Models
from engine.train.tokens import TokenTraining, train

LEAST = 8
MODELS: tuple[Model, ...] = ("public", "private", "random")
SWEEP = (1, 5, 10, 20, 50)
POOL = 64
"""Pictures that the sweep is trained on, none of which is measured."""
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
class _Fate:
    """n pictures of an attacker in a model: two cosines, and whether the answer is right (n,)."""

    kept: PerExample
    own: PerExample
    right: Tensor

    def __and__(self, other: _Fate) -> _Fate:
        """Of each figure the worse."""
        least = torch.minimum
        return _Fate(
            least(self.kept, other.kept), least(self.own, other.own), self.right & other.right
        )


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
        """Every model under every attacker, beside the public one under its own gradient."""
        models, tries = self.of.models, self.set.restarts
        public, private = models.public, models.private
        own = yield from self._stands("public", public, public, tries)
        lent = yield from self._stands("transfer", private, public, 1)
        random = yield from self._stands("random", self.of.random, public, 1)
        knows = yield from self._stands("adaptive", private, private, tries)
        one, all_ = own[0], own[-1]
        first, worst = (
            self._fate("public", made["transfer"][:1]),
            self._fate("public", made["transfer"]),
        )
        still = self._fate("public", made["noise"])
        armed = self._fate("private", made["transfer"][:1])
        known = self._fate("private", made["adaptive"][:1])
        control = self._fate("random", made["transfer"][:1])
        steps = self.set.steps
        found = [
            self._met("public", "noise", 0, still, None),
            self._met("private", "noise", 0, self._fate("private", made["noise"]), None, still),
            self._met("public", "transfer", steps, first, one),
            self._met("public", "restarts", tries * steps, worst, all_),
            self._met("random", "transfer", steps, control, random[0], first, one),
            self._met("private", "transfer", steps, armed, lent[0], first, one),
        ]
        if models.surrogate:
            rivals = yield from self._stands("surrogate", private, models.surrogate, 1)
            fate = self._fate("private", made["surrogate"])
            found.append(self._met("private", "surrogate", steps, fate, rivals[0], first, one))
        found.append(self._met("private", "adaptive", steps, known, knows[0], first, one))
        fate = self._fate("private", made["adaptive"])
        found.append(self._met("private", "restarts", tries * steps, fate, knows[-1], worst, all_))
        if self.set.auto:
            found += yield from self._auto()
        secrecy = Secrecy(mean(armed.kept - known.kept), paired(lent[0], knows[0]).gap)
        return tuple(found), secrecy

    def _auto(self) -> Generator[Progress, None, list[Met]]:
        """AutoAttack on the first few, of both models."""
        judge, few = recipe(JUDGE, eps=self.set.eps), slice(0, self.set.auto)
        kept: list[Tensor] = []
        gradients = 0
        for name in ("public", "private"):
            victim = self.victims[name]
            kept.append((yield from self._under(f"AutoAttack, {name}", victim, judge, few, "last")))
            gradients = judge.build(victim.spec).steps
        before, after = kept
        return [
            self._met("public", "auto", gradients, None, before),
            self._met("private", "auto", gradients, None, after, None, before),
        ]

    def _fate(self, name: Model, sets: Sequence[Tensor]) -> _Fate:
        """A model on one or several sets of the same pictures: the worst of them."""
        public, own = self.untouched["public"], self.untouched[name]
        found: _Fate | None = None
        for pixels in sets:
            now = featured(self.victims[name], pixels)
            each = _Fate(now.near(public), now.near(own), now.answers == self.of.labels)
            found = found & each if found else each
        assert found is not None  # every attacker has a try
        return found

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

    def _met(
        self,
        model: Model,
        attacker: Attacker,
        gradients: int,
        fate: _Fate | None,
        stands: Tensor | None,
        than: _Fate | None = None,
        stood: Tensor | None = None,
    ) -> Met:
        """`than` and `stood` are the public model's."""
        return Met(
            model,
            attacker,
            gradients,
            self.n if stands is None else len(stands),
            fate and mean(fate.kept),
            fate and mean(fate.own),
            fate and rate(fate.right),
            None if stands is None else rate(stands),
            mean(fate.kept - than.kept) if fate and than else None,
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
            how = TokenTraining(count=count, steps=self.set.sweep, eps=self.set.eps)
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


def mean(values: Tensor) -> Estimate:
    """Over pictures, with its interval."""
    exact = values.double()
    return bootstrap(lambda w: (w @ exact) / w.sum(1), len(exact))
