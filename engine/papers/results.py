"""What was measured, told: `docs/results.md` and the findings of the README, from what is stored.

Every number comes from a file in `assets/`: the kept studies, the universal perturbations, and the
map that stands on the Transfer page. `python -m engine results` writes both texts anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.attack.recipes.quantattack import QuantAttack
from engine.attack.universal import Universal, shipped_for
from engine.core.assets import ASSETS
from engine.core.errors import BadTask, CorruptWeights
from engine.evaluate.claim import Row, figure, table
from engine.evaluate.interval import Estimate
from engine.evaluate.study import Study
from engine.evaluate.words import apart, percent, points, signed
from engine.papers.catalog import PAPERS
from engine.papers.paper import Paper
from engine.papers.told import count, listed, measured_on, models, studies, titles

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
    path = root / README
    readme = path.read_text(encoding="utf-8") if path.is_file() else ""
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
    for paper in PAPERS:
        if of := studies(paper.name, paper.claims.findings):
            yield _claims(paper, of)
        if more := paper.told.more():
            yield more
    yield _universal(_perturbations())


def findings() -> str:
    """One screen of what follows: sentences, then tables."""
    said = [
        _travel(),
        *(each for paper in PAPERS for each in paper.told.findings()),
        _one_for_all(),
    ]
    tables = [each for each in said if each.startswith("|")]
    return "".join(f"- {each}\n" for each in said if each not in tables) + "\n" + "\n".join(tables)


def _map() -> Mapping[str, Any]:
    path = ASSETS / "first_transfer.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))["message"]
    except (OSError, ValueError, KeyError) as error:
        raise CorruptWeights(f"{path.name} holds no map.", "Restore it, or renew it.") from error


def _perturbations() -> list[Universal]:
    return [made for name in models() for made in shipped_for(name, QuantAttack.name)]


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


def _claims(paper: Paper, of: Sequence[Study[Any]]) -> str:
    names = titles(of)
    known = [{(row.claim, row.statement): row for row in each.claims} for each in of]
    keys = sorted(dict.fromkeys(key for its in known for key in its), key=lambda key: key[0])
    columns = {"": [key[0] for key in keys], "claim": [key[1] for key in keys]}
    columns["expected"] = [_expected([its[k].expected for its in known if k in its]) for k in keys]
    for each, its in zip(of, known, strict=True):
        columns[names[each.model]] = [_told(its.get(key)) for key in keys]
    with_p = [its for its in known if any(row.p is not None for row in its.values())]
    if with_p:
        ps = [[_p(its.get(key)) for its in known] for key in keys]
        columns["McNemar p"] = ["; ".join(filter(None, each)) for each in ps]
        columns["gradients"] = [next(i[k].budget for i in known if k in i) for k in keys]
    measured = [f"{names[each.model]}: {measured_on(each, names)}; {count(each)}." for each in of]
    return (
        f"## Claims of {paper.short}\n\n{paper.told.about} {' '.join(measured)}\n\n{table(columns)}"
    )


def _expected(of: Sequence[str]) -> str:
    """What all models are held to, or each in turn where they differ."""
    return of[0] if len(set(of)) == 1 else ", then ".join(each or "nothing" for each in of)


def _told(row: Row | None) -> str:
    if row is None:
        return ""
    said = "" if row.verdict == "reported" else f" {row.verdict}"
    return f"{figure(row.measured, row.unit)}{said.replace('holds', '**holds**')}"


def _p(row: Row | None) -> str:
    return "" if row is None or row.p is None else f"{row.p:.2g}"


def _universal(made: Sequence[Universal]) -> str:
    found = [
        (each, each.measured.figures[COLUMNS], each.measured) for each in made if each.measured
    ]
    columns = {
        "model": [f"`{each.victim}`" for each, _, _ in found],
        "budget": [f"{255 * each.eps:g}/255" for each, _, _ in found],
        "threshold": [f"{each.settings['threshold']:.2f}" for each, _, _ in found],
        "epochs": [str(each.epochs) for each, _, _ in found],
        "trained on, measured on": [f"{e.pictures}, {held.pictures}" for e, _, held in found],
        f"{COLUMNS}, clean": [f"{its.clean:.1f}" for _, its, _ in found],
        "noise of equal size": [f"{its.noise:.1f}" for _, its, _ in found],
        "with it": [f"{its.attacked:.1f} (×{its.times:.2f})" for _, its, _ in found],
    }
    return (
        "## Universal perturbations\n\n`python -m engine universal quant`: one perturbation for any picture "
        "of a model, at the threshold that the share of clean columns sets, measured on photographs "
        f"that training never saw. The Cost page applies it to any upload.\n\n{table(columns)}"
    )


def _travel() -> str:
    """What the map and the parts say."""
    found = _map()
    by = {name: [e for e in found["rows"] if e["attack"] == name] for name in ("MI-FGSM", "TGR")}
    rates = {name: [100 * each["mean"]["rate"][0] for each in rows] for name, rows in by.items()}
    spans = [f"{name} {min(its):.0f} to {max(its):.0f} %" for name, its in rates.items()]
    told = [(e["short"], _estimate(e["mean"]["gain"])) for e in by["TGR"] if e["mean"]["gain"]]

    def told_of(words: str, kept: Sequence[tuple[str, Estimate]]) -> str:
        names = listed([f"{name} ({signed(gain.value)})" for name, gain in kept])
        return f"{words} {names}" if kept else ""

    sure = [each for each in told if apart(each[1])]
    said = (
        told_of("it gains when made on", [each for each in sure if each[1].value > 0]),
        told_of("it loses on", [each for each in sure if each[1].value < 0]),
        told_of("the two are not told apart on", [each for each in told if each not in sure]),
    )
    return (
        f"**Who fools whom.** {found['pictures']} photographs, {found['settings']}: the mean attack "
        f"success rate on the other bundled classifiers is {listed(spans)}. TGR against MI-FGSM in "
        f"points: {'; '.join(filter(None, said))}."
    )


def _one_for_all() -> str:
    found = [(e.victim, e.measured.figures[COLUMNS]) for e in _perturbations() if e.measured]
    told = [f"×{its.times:.2f} on `{name}`" for name, its in found]
    return (
        f"**One perturbation for any picture** multiplies the {COLUMNS} of photographs that it never "
        f"saw: {listed(told)}."
    )


def _estimate(three: Sequence[float]) -> Estimate:
    return Estimate(three[0], three[1], three[2])
