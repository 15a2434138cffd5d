"""What is told of AAS: attacks on each model, whether rows lead far enough, and the positive control."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from engine.evaluate.claim import figure, table
from engine.evaluate.interval import Estimate
from engine.evaluate.study import Study
from engine.evaluate.words import apart
from engine.papers.aas import saturation
from engine.papers.aas.claims import AAS, BASE, FLOAT64, SHUFFLED, UNIFORM
from engine.papers.aas.findings import Attack, Findings, Saturation
from engine.papers.told import studies, titles

NAME = "aas"
ABOUT = (
    "`python -m engine claims aas FOLDER --model NAME`. Robust accuracy: % of all photographs that "
    "the unaltered model still has right, any wrong answer on the way counts, pixels are floats. "
    "Every attack spends the same gradients on a picture, an ascent on factors included, in steps "
    "of the same size; the best of the uniform factors is chosen on the photographs it is measured "
    "on, in its favour. D7 is about training, and stands there."
)
Kept: TypeAlias = Study[Findings]


def findings() -> Iterator[str]:
    """A sentence for each model, and what the control shows."""
    of = studies(NAME, Findings)
    names = titles(of)
    for each in of:
        yield _model(names[each.model], each.findings)
    for kept in studies(saturation.NAME, Saturation):
        yield from _control(kept.findings)


def sections() -> str:
    """Tables: leads and attacks of each model, then the control."""
    return "\n".join((*_models(studies(NAME, Findings)), *_controls()))


def best(of: Findings) -> Attack:
    """The uniform factor that leaves fewest."""
    uniform = [each for each in of.attacks if each.name.startswith(UNIFORM)]
    return min(uniform, key=lambda each: each.left.value)


def _models(of: Sequence[Kept]) -> Iterator[str]:
    if not of:
        return
    names = titles(of)
    yield "### Leads of scores, and what scaling them brings\n"
    yield table(
        {
            "model": [names[each.model] for each in of],
            "largest lead": [_largest(each.findings) for each in of],
            "eps": [f"{255 * each.findings.about.eps:g}/255" for each in of],
            "clean": [_percent(each.findings.about.accuracy) for each in of],
            "PGD leaves": [_left(each.findings, BASE) for each in of],
            "float64": [_left(each.findings, FLOAT64) for each in of],
            "AAS": [_left(each.findings, AAS) for each in of],
            "shuffled factors": [_left(each.findings, SHUFFLED) for each in of],
            "best one factor": [
                f"{_percent(best(each.findings).left)} ({best(each.findings).name.split()[-1]})"
                for each in of
            ],
            "AAS, judged on the scaled model": [_scaled(each.findings.attack(AAS)) for each in of],
        }
    )


def _controls() -> Iterator[str]:
    for kept in studies(saturation.NAME, Saturation):
        found = kept.findings
        yield (
            f"### The positive control: `{found.model}` with scores times c\n\n"
            "`python -m engine saturate FOLDER --model NAME`. A factor of 1/c is the model without c: "
            f"the right answer is known. PGD, {found.steps} steps, judged on the model with its c; AAS "
            f"spends {found.ascent} gradients more. % of photographs left:\n"
        )
        yield saturation.markdown(found)


def _model(name: str, of: Findings) -> str:
    base, aas = of.attack(BASE), of.attack(AAS)
    assert base is not None  # every study has both
    assert aas is not None
    return (
        f"AAS on {name}: at {255 * of.about.eps:g}/255 PGD leaves {_percent(base.left)} of "
        f"{of.about.pictures} photographs, AAS at equal gradients {_percent(aas.left)}: "
        f"{_beside(aas.gain)}. The largest lead of any row of scores is {_largest(of)}; float32 "
        "rounds from 16.75 on."
    )


def _beside(gain: Estimate) -> str:
    """The stronger attack of the two, and by how much."""
    if not apart(gain):
        return f"they are not told apart ({figure(gain, 'points')})"
    if gain.value > 0:
        return f"the stronger attack, by {figure(gain, 'points')}"
    weaker = Estimate(-gain.value, -gain.high, -gain.low)
    return f"the weaker attack, by {figure(weaker, 'points')}"


def _control(of: Saturation) -> Iterator[str]:
    """Where its own gradient leaves more than a factor of 1/c, and what float64 and AAS do there."""
    worst = max(
        (each for each in of.points if each.name == saturation.UNDONE),
        key=lambda each: each.gain.value,
        default=None,
    )
    if worst is None or not apart(worst.gain):
        return
    left = {name: of.at(worst.c, worst.eps, name) for name in saturation.TITLES}
    told = [
        f"{title} {_percent(each.left)}"
        for name, title in saturation.TITLES.items()
        if (each := left[name]) and name in (saturation.FLOAT64, saturation.LEARNED)
    ]
    base = left[saturation.BASE]
    assert base is not None  # every condition has it
    yield (
        f"With its scores times {worst.c:g} `{of.model}` keeps {_percent(base.left)} of "
        f"{worst.pictures} photographs under its own gradient at {255 * worst.eps:g}/255 and "
        f"{_percent(worst.left)} under that of a factor of 1/c ({'; '.join(told)})."
    )


def _largest(of: Findings) -> str:
    return f"{max(each.largest for each in of.blocks):.1f}"


def _left(of: Findings, name: str) -> str:
    found = of.attack(name)
    return _percent(found.left) if found else ""


def _scaled(found: Attack | None) -> str:
    if found is None or found.on_scaled is None or found.clean_scaled is None:
        return ""
    return f"{_percent(found.on_scaled)} (clean {found.clean_scaled.value:.0f} %)"


def _percent(found: Estimate) -> str:
    return f"{found.value:.0f} % [{found.low:.0f}, {found.high:.0f}]"
