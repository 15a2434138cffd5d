"""What the page's script is told of a measurement, and what is said before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from demo.kit import claims, labelled
from demo.kit.controls import whole
from demo.kit.sections import plural
from demo.kit.store import Values
from demo.learn_claims.trial import BY_NAME, OVERHEAD, PACES, PATIENCE_SECONDS, Trial, exported
from engine.core.errors import EngineError
from engine.evaluate.claim import Row, Verdict
from engine.model import zoo
from engine.model.titles import shorts
from engine.papers.paper import Paper
from engine.papers.standing import Line, command, standing
from engine.papers.told import listed, titles

Message = dict[str, Any]


def planned(values: Values, weights: Path | None) -> str:
    """What Run would measure and about how long that takes, as HTML; or why it cannot."""
    paper = BY_NAME.get(str(values["paper"] or ""))
    model = str(values["model"] or "")
    if paper is None or paper.claims.brief is None or not model:
        return "<p>Choose a paper and a model.</p>"
    try:
        brief = paper.claims.brief(model, weights, whole("steps", values["steps"]))
        most = whole("pictures", values["pictures"])
        names = _names((model, *brief.targets), weights)
    except EngineError as problem:
        return f"<p>{escape(problem.sentence)} {escape(problem.hint)}</p>"
    count = most if values["files"] else min(most, len(labelled.samples().pictures))
    whose = "of your pictures" if values["files"] else "bundled samples"
    shown = [names[each] for each in brief.targets]
    beside = f", beside {escape(listed(shown))}" if shown else ""
    spent = brief.gradients * count
    return (
        f"<p><b>{escape(paper.short)}</b> on <b>{escape(names[model])}</b>{beside}: {len(paper.says)} "
        f"claims, {count} {whose}. {count} pictures × the work of about {brief.gradients:,} gradients = "
        f"{spent:,} gradients{_takes(model, spent)}</p>{_listed(paper)}"
    )


def minutes(seconds: float) -> str:
    """About how long that is."""
    return (
        f"{max(1, round(seconds))} s" if seconds < 90 else f"{max(2, round(seconds / 60))} minutes"
    )


def message(trial: Trial, done: bool = False) -> Message:
    """The rows so far, claim by claim, each beside what ships of it."""
    asked = trial.question
    paper, rows = asked.paper, trial.rows
    kept = trial.outcome
    return {
        "kind": "done" if done else "rows",
        "run": trial.id,
        "of": f"{paper.short} on {_names((asked.model,), asked.weights)[asked.model]}: "
        f"{asked.labelled.words}, attacks of {plural(asked.steps, 'step')}",
        "said": list(_said(trial)) if done else [],
        "reference": paper.reference,
        "verdicts": claims.VERDICTS,
        "several": claims.SEVERAL,
        "few": claims.FEW,
        "claims": list(_claims(paper, rows)),
        "command": command(paper, kept) if kept else "",
        "files": {"stem": f"claims_{paper.name}_{asked.model}", "json": exported(trial)}
        if done
        else None,
    }


def _claims(paper: Paper, rows: tuple[Row, ...]) -> Iterator[dict[str, Any]]:
    shipped = [line for each in standing((paper,)).claims for line in each.lines]
    names = titles(list({id(each.study): each.study for each in shipped}.values()))
    for letters, says in paper.says.items():
        own = [each for each in rows if each.claim == letters]
        if own:
            yield {
                "letters": letters,
                "says": says.claim,
                "where": says.where,
                "tally": dict(Counter(each.verdict for each in own)),
                "lines": [
                    claims.line(each) | {"beside": _beside(each, shipped, names)} for each in own
                ],
            }


def _beside(row: Row, shipped: list[Line], names: dict[str, str]) -> list[dict[str, Any]]:
    """The same comparison in the studies that ship."""
    return [
        claims.line(each.row) | {"model": names[each.study.model]}
        for each in shipped
        if (each.row.claim, each.row.statement) == (row.claim, row.statement)
    ]


def _said(trial: Trial) -> Iterator[str]:
    """How the comparisons fared, and how sure that is."""
    barred = [each for each in trial.rows if each.verdict != "reported"]
    by: Counter[Verdict] = Counter(each.verdict for each in barred)
    yield (
        f"Of {len(barred)} comparisons with a bar {by['holds']} hold, {by['fails']} do not hold, "
        f"{by['undecided']} are open."
    )
    few = len(trial.question.labelled.pictures)
    if few < claims.FEW:
        yield (
            f"{few} pictures are few: the intervals are wide, and what is open here may be decided by more."
        )
    if trial.why != "finished":
        yield "Not all was measured: what is missing had not been reached."
    yield (
        "The studies that ship rest on other photographs and on attacks of another length: that figures "
        "differ says little by itself."
    )


def _listed(paper: Paper) -> str:
    """The claims, which the rows take the place of."""
    told = (
        f"<li><b>{escape(letters)}</b> {escape(each.claim)} <small>{escape(each.where)}</small></li>"
        for letters, each in paper.says.items()
    )
    return f'<ul class="rerun-list">{"".join(told)}</ul>'


def _takes(model: str, spent: int) -> str:
    pace = PACES.get(model)
    if pace is None:
        return (
            ". How long one takes on this machine is measured first; then the line beside Run says "
            f"about how long it will be, {minutes(PATIENCE_SECONDS)} at most."
        )
    seconds = OVERHEAD * spent * pace
    late = seconds > PATIENCE_SECONDS
    rest = f": more than the {minutes(PATIENCE_SECONDS)} that a run may take" if late else ""
    return f", about {minutes(seconds)}, a gradient alone taking {1000 * pace:.0f} ms here{rest}."


def _names(models: tuple[str, ...], weights: Path | None) -> dict[str, str]:
    return shorts({each: zoo.card(each, weights).title for each in models})
