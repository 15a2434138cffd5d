"""What the tokens room says beside its linked views: photographs under every threat, what happens inside,
how many tokens it takes, and the paper's table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from typing import Any, NamedTuple

import plotly.graph_objects as go

from demo.kit.plots import ATTACKED, CLEAN, styled, whiskers
from demo.kit.sections import Message, Section, head, row, said, shipped, table
from engine.core.errors import EngineError
from engine.evaluate.interval import Estimate
from engine.evaluate.study import Study
from engine.papers.robustness_tokens import published
from engine.papers.robustness_tokens.findings import (
    Attacker,
    Findings,
    Met,
    Model,
    Quantity,
    Shown,
    Swept,
    sentences,
)
from engine.papers.robustness_tokens.results import WORDS
from engine.papers.told import studies, titles

NAME = "robustness_tokens"
study = shipped(NAME, Findings)
COMMAND = "python -m engine claims {0} FOLDER --model {1} --out assets/studies/{0}_{1}.json"
DEFENDED = "#009E73"


def sections(found: Message | None) -> list[Any]:
    """Words and charts, as the page lays them out; empty where nothing is known."""
    if found is None:
        return ["", "", None, None, "", None, ""]
    model, title = found["model"]["name"], found["model"]["title"]
    known = study(model)
    if not isinstance(known, Findings):
        words = escape(known) if known else _missing(model, title)
        told = said("On photographs, under every threat", words)
        return [told, "", None, None, "", None, printed(every())]
    words, *charts = inside(known)
    return [measured(known), words, *charts, *numbers(known), printed(every())]


@cache
def every() -> tuple[Study[Findings], ...]:
    """All studies that ship; none where one of them cannot be read, which `study` says of its model."""
    try:
        return tuple(studies(NAME, Findings))
    except EngineError:
        return ()


def _missing(model: str, title: str) -> str:
    command = COMMAND.format(NAME, model)
    return (
        f"That is told by a study of labelled pictures. {escape(title)} has none yet; "
        f"<code>{escape(command)}</code> makes it."
    )


def measured(found: Findings) -> str:
    """Every attacker: what is left of feature and answer without tokens, with them, with random ones."""
    about = found.about
    title = f"On {about.pictures} photographs, changed by at most {255 * about.eps:.2g}/255"
    columns = [
        "",
        *(f"cosine, {words}" for words in ("without", "tokens", "random")),
        "gained",
        *(f"right, %, {words}" for words in ("without", "tokens", "random")),
        "gained, points",
    ]
    rows = [_untouched(found), *(_under(found, each) for each in WORDS if _met(found, each))]
    return (
        f"{head(title)}<p>{escape(' '.join(sentences(found)))}</p>{table(title, columns, rows)}"
        f'<p class="lab-muted">{about.tokens} tokens, {escape(about.source)}; “random” are as many untrained '
        "ones, the control. Cosines are with the clean feature without tokens, under the attack on the "
        f"feature; right answers under PGD. {about.steps} steps, {about.restarts} tries with restarts"
        f"{f', AutoAttack on {about.auto}' * bool(about.auto)}. What is gained is told on the model without "
        "tokens that is attacked with its own gradient and as many tries, picture by picture. 95 % "
        f"intervals, on {escape(about.device)}.</p>"
    )


def _met(found: Findings, attacker: Attacker) -> bool:
    return found.under("private", attacker) is not None


MODELS: tuple[Model, ...] = ("public", "private", "random")


def _untouched(found: Findings) -> str:
    of = {each.model: each for each in found.clean}
    clean = [of.get(model) for model in MODELS]
    cost = of["private"].cost
    return row(
        "untouched",
        [
            *(_cosine(each and each.kept) for each in clean),
            "",
            *(_share(each and each.right) for each in clean),
            _change(Estimate(-cost.value, -cost.high, -cost.low)),
        ],
    )


def _under(found: Findings, attacker: Attacker) -> str:
    met = [found.under(model, attacker) for model in MODELS]
    armed = met[1]
    return row(
        WORDS[attacker],
        [
            *(_cosine(each and each.kept) for each in met),
            _cosine(armed and armed.gain_kept, signed=True),
            *(_share(each and each.stands) for each in met),
            _change(armed and armed.gain_stands),
        ],
    )


class Line(NamedTuple):
    """A model on some pictures in a chart: words, colour, dash."""

    model: Model
    shown: Shown
    words: str
    colour: str
    dash: str


LINES = (
    Line("public", "clean", "untouched, without", CLEAN, "dash"),
    Line("private", "clean", "untouched, with tokens", CLEAN, "solid"),
    Line("public", "transfer", "attacked, without", ATTACKED, "dash"),
    Line("private", "transfer", "transfer, with tokens", ATTACKED, "solid"),
    Line("private", "adaptive", "adaptive, with tokens", ATTACKED, "dot"),
)
INSIDE: tuple[tuple[str, Quantity], ...] = (
    ("largest activation", "largest"),
    ("the tokens’ own", "own"),
    ("outlier columns", "outliers"),
    ("without the tokens’ own rows", "spared"),
    ("patches that ATS keeps", "kept"),
    ("attention paid to the tokens, %", "mass"),
)


def inside(found: Findings) -> tuple[str, go.Figure | None, go.Figure | None]:
    """Activations, outliers, patches and attention, over all blocks, and two of them block by block."""
    title = f"Inside both models, on {found.about.pictures} photographs"
    rows = [
        row(
            words,
            [
                _whole(found, quantity, each.model, each.shown, quantity in ("largest", "own"))
                for each in LINES
            ],
        )
        for words, quantity in INSIDE
    ]
    words = (
        f"{head(title)}{table(title, ['', *(each.words for each in LINES)], rows)}"
        '<p class="lab-muted">The largest of all blocks for activations, the sum for columns, the mean for '
        f"patches (of {found.about.patches}) and attention; mean over photographs, 95 % intervals. Outliers "
        f"begin at {found.about.threshold:.3g}; blocks have {found.about.columns:,} columns in all. What tokens do "
        "to outliers and to pruning, nobody had published.</p>"
    )
    return (
        words,
        _blocks(found, "largest", "largest |activation| after the block"),
        _blocks(found, "outliers", "outlier columns of the block"),
    )


def _whole(found: Findings, quantity: Quantity, model: Model, shown: Shown, fine: bool) -> str:
    curve = found.curve(quantity, model, shown)
    return "" if curve is None else _figure(curve.whole, 2 if fine else 1)


def _blocks(found: Findings, quantity: Quantity, axis: str) -> go.Figure | None:
    lines = [
        (each, curve)
        for each in LINES
        if (curve := found.curve(quantity, each.model, each.shown)) is not None
    ]
    if not lines:
        return None
    drawn = [
        _line(range(1, len(curve.blocks) + 1), curve.blocks, each.words, each.colour, each.dash)
        for each, curve in lines
    ]
    figure = styled(go.Figure(drawn), "", "block", axis, 380)
    return figure.update_yaxes(rangemode="tozero").update_xaxes(dtick=1)


def numbers(found: Findings) -> Section:
    """How many tokens it takes; nothing where that was not measured."""
    if not found.swept:
        return "", None
    title = "How many tokens it takes"
    steps, pictures = found.swept[0].steps, found.swept[0].pictures
    rows = [_swept(each) for each in found.swept]
    columns = ["tokens", "in training", "published", "untouched", "transfer", "adaptive"]
    words = (
        f"{head(title)}{table(title, columns, rows)}"
        f'<p class="lab-muted">Each number trained alike, for {steps} steps on {pictures} photographs, and '
        f"measured on {found.about.few} others: cosine with the clean feature without tokens. In training: the "
        "sum of both cosines, 2 is the most, in the first step and the last; published, beside it, of "
        "DINOv2-S after 200 steps.</p>"
    )
    return words, _over_numbers(found.swept)


def _swept(each: Swept) -> str:
    printed_ = published.COUNTS.get(each.tokens)
    return row(
        str(each.tokens),
        [
            f"{each.first:.2f} → {each.last:.2f}",
            f"{printed_[0]:.2f} → {printed_[1]:.2f}" if printed_ else "",
            *(_cosine(of) for of in (each.clean, each.transfer, each.adaptive)),
        ],
    )


def _over_numbers(of: Sequence[Swept]) -> go.Figure:
    x = [each.tokens for each in of]
    lines = [
        _line(x, [each.clean for each in of], "untouched", CLEAN, "solid"),
        _line(x, [each.transfer for each in of], "transfer", DEFENDED, "solid"),
        _line(x, [each.adaptive for each in of], "adaptive", ATTACKED, "dash"),
    ]
    figure = styled(go.Figure(lines), "", "tokens", "cosine with the clean feature", 340)
    figure.update_xaxes(type="log", tickvals=x, ticktext=[str(each) for each in x])
    return figure.update_yaxes(range=[0, 1.02])


def _line(
    x: Sequence[int], y: Sequence[Estimate], words: str, colour: str, dash: str
) -> go.Scatter:
    """Points with their intervals."""
    return go.Scatter(
        x=[*x],
        y=[each.value for each in y],
        name=words,
        mode="lines+markers",
        line={"color": colour, "width": 2, "dash": dash},
        marker={"size": 6},
        error_y=whiskers(y),
        hovertemplate=f"%{{y:.3g}}<extra>{words}</extra>",
    )


def printed(known: Sequence[Study[Findings]]) -> str:
    """The paper's table, and what was measured here by the same figures as its first lines."""
    name = "The paper’s table beside"
    columns = [
        "",
        "cosine, transfer",
        "cosine, adaptive",
        "right untouched, %",
        "right under PGD, %",
    ]
    called = titles(known)
    rows = [
        *(_ours(each.findings, called[each.model]) for each in known),
        *(_theirs(each) for each in published.TABLE),
    ]
    return (
        f"{head(name)}{table(name, columns, rows)}"
        '<p class="lab-muted">Without tokens → with ten. Cosines are of the attacked feature with the model’s own '
        "clean one. The paper’s run over the tokens, channel by channel, at about 1.8/255 in pixels; its answers "
        "are those of a linear head, on ImageNet (Pulfer et al., ECCV 2024). It measured no attacker who has the "
        "tokens."
        f"{_here(known, called)}</p>"
    )


def _here(known: Sequence[Study[Findings]], called: Mapping[str, str]) -> str:
    """How the lines from here were measured, and what they are by this room's own measure."""
    if not known:
        return ""
    said = [f"{escape(called[each.model])} {_kept(each.findings)}" for each in known]
    eps = " or ".join(sorted({f"{255 * each.findings.about.eps:.2g}" for each in known}))
    return (
        f" What was measured here runs per token over the channels, at {eps}/255; right under PGD is of transfer. "
        "With the clean feature that the model has without tokens, on which its head was trained: "
        f"{'; '.join(said)}."
    )


def _kept(found: Findings) -> str:
    bare, armed, known = _three(found)
    told = f"{_arrow([bare and bare.kept, armed and armed.kept], 2)} transfer"
    return f"{told}, {_minus(f'{known.kept.value:.2f}')} adaptive" if known and known.kept else told


def _three(found: Findings) -> tuple[Met | None, Met | None, Met | None]:
    """The model without tokens, with secret ones, and with known ones."""
    return (
        found.under("public", "transfer"),
        found.under("private", "transfer"),
        found.under("private", "adaptive"),
    )


def _ours(found: Findings, title: str) -> str:
    clean = [found.untouched(model).right for model in ("public", "private")]
    bare, armed, known = _three(found)
    own = [each and each.own for each in (bare, armed)]
    adaptive = [each and each.own for each in (bare, known)]
    stands = [each and each.stands for each in (bare, armed)]
    cells = [_arrow(own, 2), _arrow(adaptive, 2), _arrow(clean, 0), _arrow(stands, 0)]
    return row(f"{title}, here", cells)


def _theirs(each: published.Line) -> str:
    return row(
        f"{each.backbone} {each.size}",
        [_pair(each.cosine, 2), "", _pair(each.clean, 1), _pair(each.robust, 1)],
    )


def _arrow(of: Sequence[Estimate | None], digits: int) -> str:
    return _pair([each and each.value for each in of], digits)


def _pair(of: Sequence[float | None] | None, digits: int) -> str:
    if of is None:
        return ""
    return " → ".join("?" if each is None else _minus(f"{each:.{digits}f}") for each in of)


def _cosine(of: Estimate | None, *, signed: bool = False) -> str:
    return "" if of is None else _figure(of, 2, "+" if signed else "")


def _share(of: Estimate | None) -> str:
    return "" if of is None else _figure(of, 0)


def _change(of: Estimate | None) -> str:
    return "" if of is None else _figure(of, 1, "+")


def _figure(of: Estimate, digits: int, sign: str = "") -> str:
    """A figure of a table, its interval below it where it has a width."""
    value, low, high = (_signed(each, digits, sign) for each in (of.value, of.low, of.high))
    span = f" <small>{low} to {high}</small>" * (of.low < of.high)
    return _minus(f"{value}{span}")


def _signed(value: float, digits: int, sign: str) -> str:
    """What is no more than 0 as it is told has no sign."""
    told = f"{value:{sign}z.{digits}f}"
    return told.removeprefix("+") if not float(told) else told


def _minus(words: str) -> str:
    return words.replace("-", "−")
