"""QuantAttack's falsifiable claims C8 (A) (spec), on any int8 victim: measured, expected, whether.

Pictures are attacked on the float model, saved in 8 bits, and shown one by one to the int8 model
that really runs. The first pictures calibrate countermeasures and train the universal
perturbation; all others are measured. Intervals are 95 % bootstraps over pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import torch
from jaxtyping import Int64
from torch import Tensor

from engine.alter.quantize.cost import cost
from engine.alter.quantize.int8 import Int8, collect
from engine.alter.quantize.peaks import Peaks
from engine.attack.attack import Attack
from engine.attack.constraint import LinfBall, to_8bit
from engine.attack.recipes.pgd import PGD
from engine.attack.recipes.quantattack import QuantAttack
from engine.attack.recipes.sponge import Sponge
from engine.attack.universal import Epoch, Training
from engine.core.errors import BadTask
from engine.core.knobs import Knobbed, knob
from engine.core.placement import describe
from engine.core.shapes import Images, Labels
from engine.core.streams import Streams
from engine.data.folder import batches, read_folder
from engine.evaluate.bench import interleaved, most_memory
from engine.evaluate.claim import Row, Unit, Verdict, verdict
from engine.evaluate.craft import crafted
from engine.evaluate.interval import Estimate, Rate, bootstrap
from engine.evaluate.judge import predict, shown
from engine.evaluate.noise import noisy
from engine.evaluate.progress import Progress
from engine.evaluate.rank import spearman
from engine.model import zoo
from engine.model.task import Task
from engine.model.victim import Victim
from engine.papers.detected import Detected
from engine.papers.paper import Photographs
from engine.papers.quant.countermeasures import countermeasures
from engine.papers.quant.findings import About, Defended, Finding, Findings, Measured
from engine.papers.quant.workload import Workload, workload

LEAST = 8
SHARES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
BATCHES = (1, 2, 4, 8, 16)
MEASURED_AT_ONCE = 16


@dataclass(frozen=True)
class Settings(Knobbed):
    """What can be set; `steps` and `form` are QuantAttack's."""

    threshold: float = knob(
        6.0, "Size from which an input is an outlier; 6 is published.", low=0.01, high=1000
    )
    share: float = knob(
        0.0,
        "Sets the threshold: this share of the calibration pictures' columns reaches it; 0 leaves "
        "it as given. A small net has next to no column at the published 6.",
        low=0,
        high=0.99,
    )
    eps: float = knob(
        8 / 255,
        "Largest change of any pixel.",
        label="Budget eps",
        low=1 / 255,
        high=32 / 255,
        unit="1/255",
    )
    steps: int = knob(300, "Steps of QuantAttack.", low=1, high=1000)
    form: str = knob("code", "Form of QuantAttack's loss.", choices=("code", "paper", "count"))
    calibration: int = knob(32, "Pictures set apart, a third at most.", low=1, high=4096)
    universal_epochs: int = knob(40, "Epochs of the universal perturbation.", low=1, high=1000)
    rounds: int = knob(30, "How often each time is taken.", low=1, high=1000)


def claims(asked: Photographs, settings: Settings) -> Iterator[Progress | Row | Findings]:
    """Measure every claim on a model of the zoo and a folder of pictures; raises what they raise."""
    victim = zoo.load(asked.model, asked.weights)
    items = read_folder(asked.folder, victim.spec.classes, limit=asked.limit)
    (found,) = batches(items, victim.spec.input_size, 1.0, len(items))
    yield from measure(
        victim, found.images, found.labels, settings, batch=asked.batch, seed=asked.seed
    )


def measure(
    victim: Victim,
    pixels: Tensor,
    labels: Labels,
    settings: Settings,
    *,
    batch: int = MEASURED_AT_ONCE,
    seed: int = 0,
) -> Iterator[Progress | Row | Findings]:
    """As `claims`, for 8-bit pictures (n, 3, y, x) in memory; the findings come last.

    Raises BadTask where n is too small.
    """
    found: list[Finding] = []
    for each in _measured(victim, pixels, labels, settings, batch, seed):
        if isinstance(each, Progress | Row):
            yield each
        else:
            found.append(each)
    yield Findings.of(found)


def _measured(
    victim: Victim, pixels: Tensor, labels: Labels, settings: Settings, batch: int, seed: int
) -> Iterator[Progress | Row | Finding]:
    apart = min(settings.calibration, len(pixels) // 3)
    if apart < LEAST // 2 or len(pixels) - apart < LEAST:
        raise BadTask(f"{len(pixels)} pictures are too few.", f"Give at least {2 * LEAST}.")
    known, rest = (pixels[:apart], labels[:apart]), (pixels[apart:], labels[apart:])
    if settings.share:
        peaks = Peaks.of(victim, shown(known[0], victim))
        settings = replace(settings, threshold=peaks.threshold_for(settings.share))
    sets: dict[str, Tensor] = {"clean": rest[0]}
    for each in attacked(victim, *rest, settings, batch, seed):
        if isinstance(each, Progress):
            yield each
        else:
            sets |= each
    int8 = Int8(settings.threshold)(victim)
    loads: dict[str, Workload] = {}
    for index, (name, pictures) in enumerate(sets.items()):
        loads[name] = workload(int8, pictures)
        yield Progress("int8 passes", index + 1, len(sets))
    found = Evidence(victim, int8, *known, rest[1], sets, loads, settings, seed)
    yield from found.about()
    yield from found.more_columns()
    yield from found.labels_kept()
    yield from found.costs()
    yield from found.in_a_batch()
    yield from found.universal()
    yield from found.defended()
    yield from found.without_decomposition()


def recipes(victim: Victim, chosen: Settings) -> dict[str, Attack]:
    """Every attack compared, at one budget; "unlimited" alone may change pixels at will."""
    quant = QuantAttack(
        eps=chosen.eps, steps=chosen.steps, threshold=chosen.threshold, form=chosen.form
    )
    free = replace(quant, class_weight=0.0).build(victim.spec)
    return {
        "quantattack": quant.build(victim.spec),
        "no class term": free,
        "unlimited": replace(free, constraint=LinfBall(1.0)),
        "pgd": PGD(eps=chosen.eps, steps=min(chosen.steps, 40)).build(victim.spec),
        "sponge": Sponge(eps=chosen.eps, steps=min(chosen.steps, 100)).build(victim.spec),
    }


def attacked(
    victim: Victim, pixels: Tensor, labels: Labels, chosen: Settings, batch: int, seed: int
) -> Iterator[Progress | dict[str, Tensor]]:
    """The pictures under noise and under each attack, saved in 8 bits: sets by name."""
    yield {"noise": noisy(pixels, chosen.eps, seed)}
    for name, attack in recipes(victim, chosen).items():
        eps = 1.0 if name == "unlimited" else chosen.eps
        parts: list[Tensor] = []
        for first in range(0, len(pixels), batch):
            part = slice(first, first + batch)
            *_, last = crafted(
                attack, victim, pixels[part], labels[part], eps=eps, seed=seed, first=first
            )
            parts.append(last.saved)
            yield Progress(name, first + len(last.x), len(pixels))
        yield {name: torch.cat(parts)}


@dataclass(frozen=True)
class Evidence:
    """What was crafted and what the int8 model did with it; each method yields a claim's rows."""

    victim: Victim
    int8: Victim
    known: Tensor
    known_labels: Int64[Tensor, " k"]
    labels: Labels
    sets: Mapping[str, Tensor]
    loads: Mapping[str, Workload]
    settings: Settings
    seed: int

    @property
    def n(self) -> int:
        return len(self.labels)

    def more_columns(self) -> Iterator[Row]:
        """(a): QuantAttack raises columns above clean, and above what other perturbations do."""
        quant = self.loads["quantattack"]
        for name, words in (
            ("clean", "clean"),
            ("noise", "sign noise"),
            ("pgd", "PGD"),
            ("sponge", "Sponge"),
        ):
            ratio = self._ratio(quant.columns, self.loads[name].columns)
            yield self._row("a", f"outlier columns, QuantAttack / {words}", ratio, "ratio", 1)
        for name in ("noise", "pgd", "sponge", "no class term"):
            ratio = self._ratio(self.loads[name].columns, self.loads["clean"].columns)
            yield self._row("a", f"outlier columns, {name} / clean", ratio, "ratio")
        for words, of in _COUNTS.items():
            for name in ("clean", "quantattack"):
                measured = self._mean(of(self.loads[name]))
                unit: Unit = "%" if "share" in words else "columns"
                yield self._row("a", f"{words}, {name}", measured, unit)

    def labels_kept(self) -> Iterator[Row]:
        """(b): with the class term the int8 model's answer stays, without it fewer stay."""
        clean = self.loads["clean"].answers
        kept = {n: (r.answers == clean).double() * 100 for n, r in self.loads.items()}
        measured = self._rate(kept["quantattack"])
        yield self._row("b", "labels kept under QuantAttack", measured, "%", 90)
        fewer = self._change(kept["quantattack"] - kept["no class term"])
        yield self._row("b", "labels kept, with minus without class term", fewer, "points", 0)

    def costs(self) -> Iterator[Row]:
        """(c): arithmetic outside int8 and measured time rise with the count."""
        loads = list(self.loads.values())
        columns = torch.cat([each.columns for each in loads])
        share = torch.cat([each.share for each in loads])
        measured = bootstrap(partial(spearman, columns, share), len(columns))
        yield self._row(
            "c",
            "Spearman of columns and multiplications outside int8",
            measured,
            "correlation",
            0.9,
        )
        few = shown(self.sets["clean"][:LEAST], self.victim)
        peaks = Peaks.of(self.victim, few)
        thresholds = [peaks.threshold_for(share) for share in SHARES]
        victims = {f"{t:.6g}": Int8(t)(self.victim) for t in thresholds}
        counts = [sum(len(w.columns) for w in peaks.work(t).values()) for t in thresholds]
        times = interleaved(
            {name: partial(_pass, each, few) for name, each in victims.items()},
            self.settings.rounds,
            self.victim.device,
        )
        where = f"batch {LEAST}, eager float32, {describe(self.victim.device)}"
        rho = bootstrap(
            partial(spearman, torch.tensor(counts), torch.tensor(list(times.values()))), len(counts)
        )
        yield self._row(
            "c",
            f"Spearman of columns and median time over thresholds ({where})",
            rho,
            "correlation",
            0.9,
            len(few),
        )
        hit = shown(self.sets["quantattack"][:LEAST], self.victim)
        jobs = {
            "int8": partial(_pass, self.int8, few),
            "attacked": partial(_pass, self.int8, hit),
            "float": partial(_pass, self.victim, few),
        }
        took = interleaved(jobs, self.settings.rounds, self.victim.device)
        for one, other, words in (
            ("attacked", "int8", "time of the attacked batch / the clean one"),
            ("int8", "float", "time of the int8 model / the float one, clean"),
        ):
            value = took[one] / took[other]
            yield self._row(
                "c", f"{words} ({where})", Estimate(value, value, value), "ratio", None, len(few)
            )

        if self.victim.device.type == "cuda":
            most = {
                name: most_memory(partial(_pass, self.int8, x), self.victim.device)
                for name, x in (("clean", few), ("hit", hit))
            }
            value = most["hit"] / most["clean"]
            peak = Estimate(value, value, value)
            yield self._row(
                "c", f"peak memory, attacked / clean ({where})", peak, "ratio", None, len(few)
            )

    def in_a_batch(self) -> Iterator[Row]:
        """(d): one attacked picture raises the whole batch's columns, less so the larger it is."""
        clean, quant = self.loads["clean"], self.loads["quantattack"]
        both = replace(clean, outside=torch.cat((clean.outside, quant.outside)))
        sizes = [size for size in BATCHES if size <= self.n // 2]
        values: list[Tensor] = []
        for size in sizes:
            gen = Streams(self.seed).at("batches", size)
            rows = torch.stack([torch.randperm(self.n, generator=gen)[:size] for _ in range(64)])
            before = both.batch_columns(rows)
            rows[:, 0] += self.n
            values.append(both.batch_columns(rows) / before)
            measured = bootstrap(partial(_average, values[-1]), len(rows))
            yield self._row(
                "d", f"columns of a batch of {size}, one attacked / all clean", measured, "ratio", 1
            )
        if len(sizes) > 1:
            falls = bootstrap(partial(_average, values[0] - values[-1]), len(values[0]))
            yield self._row(
                "d",
                f"that ratio, batch of {sizes[0]} minus batch of {sizes[-1]}",
                falls,
                "ratio",
                0,
            )

    def universal(self) -> Iterator[Progress | Row | Finding]:
        """(e): noise < universal < single picture < unlimited."""
        chosen = self.settings
        training = Training(chosen.eps, 0.002, chosen.universal_epochs, batch=4)
        task = Task(shown(self.known, self.victim), self.known_labels.to(self.victim.device))
        attack = recipes(self.victim, chosen)["quantattack"]
        last: Epoch | None = None
        for last in training(attack, self.victim, task, Streams(self.seed)):
            if last.batch + 1 == last.batches:
                yield Progress("universal", last.epoch + 1, chosen.universal_epochs)
        if last is None:
            return
        clean = shown(self.sets["clean"], self.victim)
        saved = to_8bit(last.made.apply(clean), clean, chosen.eps).cpu()
        loads = {**self.loads, "universal": workload(self.int8, saved)}
        yield self._measured("universal", loads["universal"])
        for lower, upper in pairwise(("noise", "universal", "quantattack", "unlimited")):
            ratio = self._ratio(loads[upper].columns, loads[lower].columns)
            yield self._row("e", f"outlier columns, {upper} / {lower}", ratio, "ratio", 1)

    def defended(self) -> Iterator[Row | Finding]:
        """(f): what each countermeasure leaves of the attack, and its price in accuracy."""
        calibration = shown(self.known, self.victim)
        plain, attacked = self.loads["clean"], self.loads["quantattack"]
        right = (plain.answers == self.labels).double() * 100
        for each in countermeasures(calibration, self.settings.threshold):
            made, name, bound = each.alter(self.victim), each.name, each.bound
            clean, hit = (workload(made, self.sets[each]) for each in ("clean", "quantattack"))
            left = self._ratio(hit.share, attacked.share)
            yield self._row(
                "f",
                f"{name}: multiplications outside int8 under attack / undefended",
                left,
                "ratio",
            )
            if bound is not None:
                top = float(hit.share.max()) * 100
                said: Verdict = "holds" if top <= bound * 100 + 1e-9 else "fails"
                worst = Estimate(top, top, top)
                yield Row(
                    "f",
                    f"{name}: largest share outside int8 of any attacked picture",
                    worst,
                    "%",
                    f"at most {bound:.3%}",
                    said,
                    self.n,
                )
            price = self._change((clean.answers == self.labels).double() * 100 - right)
            under = self._rate((hit.answers == self.labels).double() * 100)
            yield Defended(name, left, price, under, bound)
            yield self._row(
                "f", f"{name}: accuracy on clean pictures, against plain int8", price, "points"
            )
        yield from self._detector()

    def _detector(self) -> Iterator[Row | Finding]:
        quiet = workload(self.int8, self.known).columns
        clean, hit = (self.loads[each].columns for each in ("clean", "quantattack"))
        found = Detected.by(quiet, clean, hit)
        yield self._row("f", "detector by count: area under its ROC curve", found.area, "area", 0.5)
        for words, rate in (
            (
                f"detector calibrated at {found.alarm:.0%} false alarms: attacks caught",
                found.caught,
            ),
            ("the same detector: clean pictures flagged", found.flagged),
        ):
            yield self._row("f", words, rate, "%")
        yield found

    def without_decomposition(self) -> Iterator[Row]:
        """(g): a victim without decomposition costs the same whatever it is shown."""
        flat = Int8(0.0)(self.victim)
        macs: set[int] = set()
        for name in ("clean", "quantattack", "unlimited"):
            with torch.no_grad(), collect(flat) as done:
                flat.logits(shown(self.sets[name][:LEAST], self.victim))
            found = cost(done.values())
            macs.add(found.macs8 + found.macs16)
        change = float(max(macs) / min(macs) - 1) * 100
        said: Verdict = "holds" if change == 0 else "fails"
        yield Row(
            "g",
            "change of cost at threshold infinity",
            Estimate(change, change, change),
            "%",
            "0",
            said,
            LEAST,
        )

    def about(self) -> Iterator[Finding]:
        """What all of this was measured on, and the sets themselves."""
        chosen = self.settings
        plain = torch.cat([predict(self.victim, each) for each in self.sets["clean"].split(32)])
        int8 = self.loads["clean"].answers
        yield About(
            self.victim.spec.name,
            self.n,
            len(self.known),
            chosen.threshold,
            chosen.share,
            chosen.eps,
            chosen.steps,
            chosen.form,
            describe(self.victim.device),
            *(float((each == self.labels).double().mean() * 100) for each in (plain, int8)),
        )
        for name, load in self.loads.items():
            yield self._measured(name, load)

    def _measured(self, name: str, load: Workload) -> Measured:
        kept = (load.answers == self.loads["clean"].answers).double() * 100
        return Measured(
            name, self._mean(load.columns), self._mean(load.share * 100), self._rate(kept)
        )

    def _ratio(self, upper: Tensor, lower: Tensor) -> Estimate:
        """Ratio of sums over the same pictures."""
        return bootstrap(lambda w: (w @ upper) / (w @ lower), self.n)

    def _mean(self, values: Tensor) -> Estimate:
        return bootstrap(partial(_average, values), len(values))

    def _rate(self, values: Tensor) -> Rate:
        """The mean of what is 0 or 100 for each picture."""
        return Rate.of(self._mean(values), len(values))

    def _change(self, values: Tensor) -> Rate:
        """The mean of what is -100, 0 or 100 for each picture."""
        return Rate.change(self._mean(values), len(values))

    def _row(
        self,
        claim: str,
        statement: str,
        measured: Estimate,
        unit: Unit,
        bar: float | None = None,
        pictures: int | None = None,
    ) -> Row:
        expected = "" if bar is None else f"above {bar:g}"
        plain = Estimate(measured.value, measured.low, measured.high)
        said = verdict(measured, bar)
        return Row(claim, statement, plain, unit, expected, said, pictures or self.n)


_COUNTS: dict[str, Callable[[Workload], Tensor]] = {
    "outlier columns": lambda r: r.columns,
    "the same with q, k, v apart, as Hugging Face counts": lambda r: r.hf_columns,
    "share of multiplications outside int8": lambda r: r.share * 100,
}


def _pass(victim: Victim, images: Images) -> None:
    with torch.no_grad():
        victim.logits(images)


def _average(values: Tensor, weights: Tensor) -> Tensor:
    return (weights @ values) / weights.sum(1)
