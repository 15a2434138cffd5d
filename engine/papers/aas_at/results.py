"""What is told of robust models: every attack's accuracy, the curve, and what follows."""

from __future__ import annotations

from collections.abc import Iterator

from engine.evaluate.claim import figure, table
from engine.evaluate.interval import Estimate
from engine.evaluate.study import Study
from engine.papers.aas_at.findings import Attack, Findings, Judged, sentences
from engine.papers.told import studies

ABOUT = (
    "`python -m engine claims aas_at FOLDER --model NAME --targets ...`. R: what training buys and "
    "costs, in points of accuracy, paired; M: signs of a masked gradient. The control's scores are "
    "multiplied, so that it hides its gradient: what it seems to withstand is a fault of the measurement, "
    "and its rows are expected to fail. A picture counts as fallen at the first wrong iterate; float pixels."
)


def findings() -> Iterator[str]:
    """What training bought and cost."""
    for each in studies("aas_at", Findings):
        yield f"**What adversarial training buys.** {' '.join(sentences(each.findings))}"


def sections() -> str:
    """Tables of every study: models by attacks, and models by budgets."""
    return "\n".join(_section(each) for each in studies("aas_at", Findings))


def _section(study: Study[Findings]) -> str:
    found = study.findings
    attacks: dict[Attack, str] = {
        each.attack: each.words if each.attack != "borrowed" else "PGD made on another model"
        for model in found.models
        for each in model.outcomes
    }
    names = [each.title for each in found.models]
    judged = {"model": names} | {
        words: [_cell(each, attack) for each in found.models] for attack, words in attacks.items()
    }
    curve = {"model": names} | {
        f"{point.eps:g}": [_percent(each.curve[at].rate) for each in found.models]
        for at, point in enumerate(found.models[0].curve)
    }
    return (
        f"## Robust models: accuracy under attack\n\n{found.pictures} photographs of "
        f"`{study.about['folder']}`, eps {found.eps:g}/255, Wilson's intervals.\n\n{table(judged)}\n"
        f"Accuracy in % at growing budgets (255ths); who fell at a smaller one has fallen:\n\n{table(curve)}"
    )


def _cell(of: Judged, attack: Attack) -> str:
    found = of.under(attack)
    if found is None:
        return ""
    return figure(found.rate, "%") + f" of {len(found.pictures)}" * (attack == "auto")


def _percent(of: Estimate) -> str:
    return f"{of.value:.0f} [{of.low:.0f}, {of.high:.0f}]"
