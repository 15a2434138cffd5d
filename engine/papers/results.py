"""What was measured, told: `docs/results.md` and the findings of the README, from what is stored.

Every number comes from a file in `assets/`: the kept studies, the universal perturbations, and the
map that stands on the Transfer page. `python -m engine results` writes both texts anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any

from engine.attack.universal import SHIPPED, Universal, load
from engine.core.assets import ASSETS
from engine.core.errors import BadTask, CorruptWeights
from engine.evaluate.claim import Row, figure, table
from engine.evaluate.interval import Estimate
from engine.evaluate.study import STUDIES, Study, read
from engine.evaluate.words import apart, percent, points, signed
from engine.model import zoo
from engine.model.titles import shorts
from engine.papers.quant.findings import Findings
from engine.papers.tgr import gains
from engine.papers.tgr.ablation import Entry, Parts, RandomTokens

ROOT = Path(__file__).parents[2]
PAGE, README = "docs/results.md", "README.md"
BEGIN, END = "<!-- findings: python -m engine results -->", "<!-- end of findings -->"
COLUMNS = "outlier columns"
HEAD = (
    "# What was measured\n\n"
    "This page is written by `python -m engine results` from what is stored in `assets/`; a test says "
    "when it is not current. Intervals are 95 %. A claim *holds* only where its whole interval says "
    "so, and is *undecided* where the interval does not say.\n\n"
)


def texts(root: Path = ROOT) -> dict[Path, str]:
    """What the two files should say, by their paths."""
    readme = (root / README).read_text(encoding="utf-8")
    before, found, rest = readme.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise BadTask(f"{README} has no place for findings.", f"Put {BEGIN} and {END} there.")
    return {
        root / PAGE: HEAD + "\n".join(sections()),
        root / README: f"{before}{BEGIN}\n{findings()}{END}{after}",
    }


def stale(root: Path = ROOT) -> tuple[Path, ...]:
    """The files that do not say what is stored."""
    return tuple(_changed(root))


def write(root: Path = ROOT) -> tuple[Path, ...]:
    """Write what is not current; gives its paths."""
    changed = _changed(root)
    for path, text in changed.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tuple(changed)


def _changed(root: Path) -> dict[Path, str]:
    def says(path: Path) -> str:
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    return {path: text for path, text in texts(root).items() if says(path) != text}


def sections() -> Iterator[str]:
    """The sections of the page of results."""
    yield _who_fools_whom(_map())
    yield _part_by_part(_studies("tgr_ablation", Parts))
    yield _claims(
        "TGR's claims",
        "`python -m engine claims tgr FOLDER --model NAME --targets ...`. Differences of the attack "
        "success rate in points, rates, and ratios to MI-FGSM; equal gradient budgets but where said. "
        "Targets without attention count as CNNs.",
        _studies("tgr", NoneType),
    )
    yield _quant(_studies("quant", Findings))
    yield _universal(_perturbations())


def findings() -> str:
    """One screen of what follows."""
    said = (*_travel(), *_calm(), _one_for_all())
    return "".join(f"- {each}\n" for each in said) + f"\n{_costs()}"


def _map() -> Mapping[str, Any]:
    path = ASSETS / "first_transfer.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))["message"]
    except (OSError, ValueError, KeyError) as error:
        raise CorruptWeights(f"{path.name} holds no map.", "Restore it, or renew it.") from error


def _studies(name: str, kind: type[Any]) -> list[Study[Any]]:
    """All studies of that name, the bundled models' first."""
    paths = (STUDIES / f"{name}_{each}.json" for each in _models())
    return [read(path, kind) for path in paths if path.is_file()]


def _perturbations() -> list[Universal]:
    paths = (SHIPPED / f"{each}.safetensors" for each in _models())
    return [load(path) for path in paths if path.is_file()]


def _titles(studies: Sequence[Study[Any]]) -> dict[str, str]:
    """What the models of these studies are called among themselves."""
    names = {name for each in studies for name in (each.model, *each.about["targets"])}
    return shorts({name: zoo.card(name).title for name in names})


def _models() -> tuple[str, ...]:
    """The bundled models, then the curated ones, whatever folder of weights is set."""
    return (*(each.name for each in zoo.cards() if each.source == "bundled"), *zoo.OFFERS)


def _who_fools_whom(found: Mapping[str, Any]) -> str:
    rows, names = found["rows"], [each["short"] for each in found["columns"]]
    means = [each["mean"] for each in rows]
    average = {
        "made on": [each["short"] for each in rows],
        "attack": [each["attack"] for each in rows],
        "mean on the others": [percent(_estimate(mean["rate"])) for mean in means],
        "gain in points": [points(_estimate(m["gain"])) if m["gain"] else "" for m in means],
        "McNemar p": [f"{mean['p']:.2g}" if mean["gain"] else "" for mean in means],
    }
    cells = {
        "made on": average["made on"],
        "attack": average["attack"],
        **{name: [_cell(each["cells"][i]) for each in rows] for i, name in enumerate(names)},
    }
    return (
        f"## Who fools whom\n\n{found['of']}; {found['settings']}. Attack success rate: the share "
        "fooled of what a model had right, on 8-bit pixels; the mean is over the other models, the gain "
        f"is paired, on MI-FGSM.\n\n{table(average)}\nModel by model (Wilson; on its own model, the "
        f"white-box attack):\n\n{table(cells)}"
    )


def _cell(cell: Mapping[str, Any]) -> str:
    value, low, high, count, of = cell["success"]
    return f"{percent(Estimate(value, low, high))} ({count} of {of})"


def _part_by_part(studies: Sequence[Study[Parts]]) -> str:
    names = _titles(studies)
    places = [(each, eps) for each in studies for eps in gains.BUDGETS]
    settings = dict.fromkeys(it.words for each in studies for it in each.findings.entries)
    columns = {"setting": list(settings)}
    for each, eps in places:
        known = {it.words: it for it in each.findings.at(eps)}
        columns[f"{names[each.model]}, {eps}/255"] = [_gain(known.get(word)) for word in settings]
    about = [
        f"{names[each.model]} to {_and([names[it] for it in each.about['targets']])}: "
        f"{each.findings.entries[0].images} photographs of `{each.about['folder']}`, "
        f"{each.findings.entries[0].pictures} of them known to at least one target."
        for each in studies
    ]
    follows = [said for each in studies for said in _follows(names[each.model], each.findings)]
    whole = [f"In whole points. {said}" for said in gains.findings(None)]
    return (
        "## TGR, part by part\n\n`python -m engine ablate`. Attack success rate on other models minus "
        "that of MI-FGSM at the same budget, in points, with paired bootstraps over pictures; clean "
        f"errors excluded, 10 steps, judged on 8-bit pixels. {' '.join(about)}\n\n{table(columns)}\n"
        f"What follows:\n\n{''.join(f'- {said}{chr(10)}' for said in (*follows, *whole))}"
    )


def _gain(entry: Entry | None) -> str:
    if entry is None:
        return ""
    if entry.words == "MI-FGSM":
        return f"success {percent(entry.rate)}"
    return points(entry.gain, 1)


def _follows(name: str, parts: Parts) -> Iterator[str]:
    """What a study says of the parts, in sentences that its figures allow."""
    one = {"attention": 1.0, "qkv": 1.0, "mlp": 1.0}
    for eps in gains.BUDGETS:
        both, factors, zeroing = (parts.find(eps, **k) for k in ({}, {"k": 0}, one))
        if both and factors and zeroing:
            alone = min(factors.gain.value, zeroing.gain.value)
            if alone > 0 > both.gain.high:
                yield (
                    f"On {name} at {eps}/255 factors alone ({points(factors.gain, 1)}) and zeroing "
                    f"alone ({points(zeroing.gain, 1)}) gain, and their product loses "
                    f"({points(both.gain, 1)})."
                )
            elif both.gain.low > 0:
                yield f"On {name} at {eps}/255 TGR as published gains {points(both.gain, 1)}."
        mlp, rest = (parts.find(eps, components=it) for it in ("mlp", "attention+qkv"))
        if mlp and rest and mlp.gain.value < rest.gain.value:
            yield (
                f"On {name} at {eps}/255 the MLP's rule alone gains {points(mlp.gain, 1)}, attention "
                f"and QKV together {points(rest.gain, 1)}."
            )
    if any(parts.find(eps, name=RandomTokens.name) for eps in gains.BUDGETS):
        yield f"On {name}: {gains.tokens(parts)}"


def _claims(head: str, about: str, studies: Sequence[Study[Any]]) -> str:
    names = _titles(studies)
    known = [{(row.claim, row.statement): row for row in each.claims} for each in studies]
    keys = sorted(dict.fromkeys(key for its in known for key in its), key=lambda key: key[0])
    columns = {"": [key[0] for key in keys], "claim": [key[1] for key in keys]}
    columns["expected"] = [next(its[k].expected for its in known if k in its) for k in keys]
    for each, its in zip(studies, known, strict=True):
        columns[names[each.model]] = [_told(its.get(key)) for key in keys]
    with_p = [its for its in known if any(row.p is not None for row in its.values())]
    if with_p:
        ps = [[_p(its.get(key)) for its in known] for key in keys]
        columns["McNemar p"] = ["; ".join(filter(None, each)) for each in ps]
        columns["gradients"] = [next(i[k].budget for i in known if k in i) for k in keys]
    measured = [f"{names[each.model]}: {_on(each, names)}; {_count(each)}." for each in studies]
    return f"## {head}\n\n{about} {' '.join(measured)}\n\n{table(columns)}"


def _count(study: Study[Any]) -> str:
    """How many of a study's comparisons hold."""
    barred = [row for row in study.claims if row.verdict != "reported"]
    holds, fails = (sum(row.verdict == said for row in barred) for said in ("holds", "fails"))
    return f"{holds} of {len(barred)} comparisons hold, {fails} fail, the others stay open"


def _told(row: Row | None) -> str:
    if row is None:
        return ""
    said = "" if row.verdict == "reported" else f" {row.verdict}"
    return f"{figure(row.measured, row.unit)}{said.replace('holds', '**holds**')}"


def _p(row: Row | None) -> str:
    return "" if row is None or row.p is None else f"{row.p:.2g}"


def _on(study: Study[Any], names: Mapping[str, str]) -> str:
    """On what a study was measured."""
    about = study.about
    settings = {
        name: f"{255 * value:g}/255" if name == "eps" else value
        for name, value in about["settings"].items()
    }
    to = f" to {_and([names[each] for each in about['targets']])}" if about["targets"] else ""
    knobs = ", ".join(
        f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in settings.items()
    )
    return f"{about['limit']} photographs of `{about['folder']}`{to}, {knobs}"


def _quant(studies: Sequence[Study[Findings]]) -> str:
    names = _titles(studies)
    about = (
        "`python -m engine claims quant FOLDER --model NAME`, judged on the int8 model that really "
        "runs; a third of the photographs calibrates, the others are measured. Where all pictures "
        "agree, resampling them gives no width, and the exact bound stands. Times are of one CPU thread "
        "in eager float32 beside other work; the Cost page measures the machine that serves it."
    )
    lines = [_claims("QuantAttack's claims", about, studies), "Countermeasures:\n"]
    rows = [(each, its) for each in studies for its in each.findings.defended]
    lines.append(
        table(
            {
                "model": [names[each.model] for each, _ in rows],
                "countermeasure": [its.name for _, its in rows],
                "cost left under attack": [figure(its.left, "ratio") for _, its in rows],
                "change of accuracy": [figure(its.price, "points") for _, its in rows],
                "accuracy under attack": [figure(its.attacked, "%") for _, its in rows],
            }
        )
    )
    lines.append("The detector by count, calibrated on pictures set apart:\n")
    found = [(each, each.findings.detected) for each in studies]
    lines.append(
        table(
            {
                "model": [names[each.model] for each, _ in found],
                "area under ROC": [figure(its.area, "area") for _, its in found],
                "limit": [f"{its.limit:g} columns" for _, its in found],
                "attacks caught": [figure(its.caught, "%") for _, its in found],
                "clean pictures flagged": [figure(its.flagged, "%") for _, its in found],
            }
        )
    )
    return "\n".join(lines)


def _universal(made: Sequence[Universal]) -> str:
    found = [
        (each, each.measured.figures[COLUMNS], each.measured) for each in made if each.measured
    ]
    columns = {
        "model": [f"`{each.victim}`" for each, _, _ in found],
        "budget": [f"{255 * each.eps:g}/255" for each, _, _ in found],
        "threshold": [f"{each.threshold:.2f}" for each, _, _ in found],
        "epochs": [str(each.epochs) for each, _, _ in found],
        "trained on, measured on": [f"{e.pictures}, {held.pictures}" for e, _, held in found],
        f"{COLUMNS}, clean": [f"{its.clean:.1f}" for _, its, _ in found],
        "noise of equal size": [f"{its.noise:.1f}" for _, its, _ in found],
        "with it": [f"{its.attacked:.1f} (×{its.times:.2f})" for _, its, _ in found],
    }
    return (
        "## Universal perturbations\n\n`python -m engine universal`: one perturbation for any picture "
        "of a model, at the threshold that the share of clean columns sets, measured on photographs "
        f"that training never saw. The Cost page applies it to any upload.\n\n{table(columns)}"
    )


def _travel() -> Iterator[str]:
    """What the map and the parts say."""
    found = _map()
    by = {name: [e for e in found["rows"] if e["attack"] == name] for name in ("MI-FGSM", "TGR")}
    rates = {name: [100 * each["mean"]["rate"][0] for each in rows] for name, rows in by.items()}
    spans = [f"{name} {min(its):.0f} to {max(its):.0f} %" for name, its in rates.items()]
    told = [(e["short"], _estimate(e["mean"]["gain"])) for e in by["TGR"] if e["mean"]["gain"]]

    def listed(words: str, kept: Sequence[tuple[str, Estimate]]) -> str:
        names = _and([f"{name} ({signed(gain.value)})" for name, gain in kept])
        return f"{words} {names}" if kept else ""

    sure = [each for each in told if apart(each[1])]
    said = (
        listed("it gains when made on", [each for each in sure if each[1].value > 0]),
        listed("it loses on", [each for each in sure if each[1].value < 0]),
        listed("the two are not told apart on", [each for each in told if each not in sure]),
    )
    yield (
        f"**Who fools whom.** {found['pictures']} photographs, {found['settings']}: the mean attack "
        f"success rate on the other bundled classifiers is {_and(spans)}. TGR against MI-FGSM in "
        f"points: {'; '.join(filter(None, said))}."
    )
    for each in gains.findings(None):
        yield f"**TGR’s parts.** {each}"


def _calm() -> Iterator[str]:
    """How TGR's claims fared, and what is surest of them."""
    studies = _studies("tgr", NoneType)
    names = _titles(studies)
    for each in studies:
        rows = {row.statement: row.measured for row in each.claims}
        calm = rows["dispersion of gradients, TGR / MI-FGSM"]
        yield (
            f"**TGR’s claims on {names[each.model]}.** {each.about['limit']} photographs: {_count(each)}. "
            f"The dispersion of its gradients, which no factor can feign, is {_ratio(calm)} of MI-FGSM's."
        )


def _costs() -> str:
    """What QuantAttack did, a line for each model."""
    studies = _studies("quant", Findings)
    names = _titles(studies)
    about = [each.findings.about for each in studies]
    rows = [{row.statement: row.measured for row in each.claims} for each in studies]
    sets = [{its.name: its for its in each.findings.measured} for each in studies]
    left = [{its.name: its.left for its in each.findings.defended} for each in studies]
    times = [
        next(v for k, v in its.items() if k.startswith("time of the attacked")) for its in rows
    ]
    return table(
        {
            "QuantAttack on": [names[each.model] for each in studies],
            "photographs": [str(each.pictures) for each in about],
            "budget": [f"{255 * each.eps:g}/255" for each in about],
            "threshold": [f"{each.threshold:.3g}" for each in about],
            "outlier columns": [_ratio(its[f"{COLUMNS}, QuantAttack / clean"]) for its in rows],
            "multiplications outside int8": [
                f"{its['clean'].share.value:.1f} → {its['quantattack'].share.value:.1f} %"
                for its in sets
            ],
            "time of a batch": [_ratio(each) for each in times],
            "answers kept": [figure(its["quantattack"].kept, "%") for its in sets],
            "cost left by a budget of 1 %": [
                _ratio(its["budget of 1 % per layer"]) for its in left
            ],
        }
    )


def _one_for_all() -> str:
    found = [(e.victim, e.measured.figures[COLUMNS]) for e in _perturbations() if e.measured]
    told = [f"×{its.times:.2f} on `{name}`" for name, its in found]
    return (
        f"**One perturbation for any picture** multiplies the {COLUMNS} of photographs that it never "
        f"saw: {_and(told)}."
    )


def _ratio(found: Estimate) -> str:
    return figure(found, "ratio")


def _estimate(three: Sequence[float]) -> Estimate:
    return Estimate(three[0], three[1], three[2])


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
