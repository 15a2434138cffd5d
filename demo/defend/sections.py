"""What Defend says beside its linked views: every attack on photographs, and the signs of masking."""

from __future__ import annotations

from html import escape
from typing import Any

from demo.kit.sections import Message, head, row, said, table
from engine.evaluate.interval import Estimate
from engine.papers.aas_at.findings import REACHED, Attack, Findings, Judged, between
from engine.papers.told import studies

COMMAND = "python -m engine claims aas_at FOLDER --model NAME --targets ..."
HEADS: dict[Attack, str] = {
    "clean": "untouched",
    "noise": "random noise",
    "borrowed": "PGD made on another model",
    "short": "",
    "long": "",
    "scaled": "",
    "auto": "",
}
"""Columns in order of strength; an empty one is called as its outcome is."""


def sections(found: Message | None) -> list[Any]:
    """The words of both sections, as the page lays them out: the signs, then the table."""
    of = [each.findings for each in studies("aas_at", Findings)]
    best = max(of, key=lambda each: (len(each.models), each.pictures), default=None)
    return [signs(found, best), judged(best)]


def judged(found: Findings | None) -> str:
    """Models by attacks."""
    title = "Accuracy under every attack"
    if found is None:
        return said(title, f"Nothing is measured yet: <code>{COMMAND}</code>.")
    kinds: list[Attack] = [k for k in HEADS if any(each.under(k) for each in found.models)]
    rows = [row(each.title, [_cell(each, kind) for kind in kinds]) for each in found.models]
    return (
        head(f"{title}, at {found.eps:g}/255 on {found.pictures} photographs")
        + table(title, ["", *(_head(kind, found) for kind in kinds)], rows)
        + '<p class="lab-muted">Right answers in %, with 95 % intervals. Every model is attacked with its own '
        "gradient but for the columns that say otherwise; one wrong answer on the way is enough. AAS crafts on "
        "scaled attention and is judged with PGD-100 together: the worse of the two. A model resists only as "
        f"much as its lowest column says. {escape(' '.join(between(found)))}</p>"
    )


def signs(shown: Message | None, found: Findings | None) -> str:
    """Resistance, or a hidden gradient? What to look for, and what each model shows."""
    title = "Resistance, or a hidden gradient?"
    if found is None:
        return said(title, "The signs follow when photographs have been measured.")
    models = [each for each in found.models if each.role != "plain"]
    rows = [
        row(
            f"A change of {found.models[0].curve[-1].eps:g}/255 fools it on every picture",
            [_zero(each) for each in models],
        ),
        row(
            "Its own gradient fools it better than another model’s",
            [_lent(each) for each in models],
        ),
        row("More steps gain little", [_more(each) for each in models]),
        row("On your picture, no other model’s picture does better", _yours(shown, models)),
    ]
    return (
        head(title)
        + table(title, ["", *(escape(each.title) for each in models)], rows)
        + '<p class="lab-muted">A defence that only hides its gradient fails one of these at least, and looks '
        "robust in any table of attacks that follow the gradient (Athalye et al., ICML 2018). The control is "
        "made to fail: the plain ViT with multiplied attention scores, which nobody trained to resist.</p>"
    )


def _head(kind: Attack, found: Findings) -> str:
    words = next(each.words for model in found.models if (each := model.under(kind)))
    return escape(HEADS[kind] or words)


def _cell(of: Judged, kind: Attack) -> str:
    found = of.under(kind)
    if found is None:
        return "–"
    return _rate(found.rate) + f" <small>of {len(found.pictures)}</small>" * (kind == "auto")


def _rate(of: Estimate) -> str:
    return f"{of.value:.0f} <small>{of.low:.0f} to {of.high:.0f}</small>"


def _mark(good: bool | None, words: str) -> str:
    sign = {True: "yes", False: "no", None: "open"}[good]
    return f'<b data-sign="{sign}">{sign}</b> <small>{words}</small>'


def _zero(of: Judged) -> str:
    left, last = of.left, of.curve[-1].eps
    words = f"{left.value:.0f} % left at {last:g}/255"
    if of.reaches_zero:
        zero = next(f"{each.eps:g}/255" for each in of.curve if each.rate.value < REACHED)
        words = f"under {REACHED:g} % left from {zero}"
    return _mark(of.reaches_zero, words)


def _lent(of: Judged) -> str:
    own, lent = of.under("short"), of.under("borrowed")
    if own is None or lent is None:
        return "–"
    good = own.rate.value <= lent.rate.value
    return _mark(
        good, f"{own.rate.value:.0f} % left by its own, {lent.rate.value:.0f} % by another’s"
    )


def _more(of: Judged) -> str:
    short, long = of.under("short"), of.under("long")
    if short is None or long is None:
        return "–"
    gained = short.rate.value - long.rate.value
    return _mark(gained < REACHED, f"{gained:.0f} points from {short.words} to {long.words}")


def _yours(shown: Message | None, models: list[Judged]) -> list[str]:
    known = {each["name"]: each for each in (shown or {}).get("models", ())}
    return [_mine(known.get(each.model)) for each in models]


def _mine(of: dict[str, Any] | None) -> str:
    if of is None:
        return "–"
    lent = of["borrowed"]
    if lent is None:
        return _mark(True, f"own: {of['fall']}; none of the others’")
    return _mark(
        not of["misled"], f"own: {of['fall']}; {escape(lent['maker'])}’s: {lent['eps']}/255"
    )
