"""What a report shows, in words: how much the tokens keep, and from whom."""

from __future__ import annotations

from engine.papers.robustness_tokens.compare import Outcome, Report
from engine.papers.robustness_tokens.threat import ADAPTIVE, RESTARTS, TRANSFER, Threat

LITTLE = 0.05
"""A difference of two cosines that one picture does not tell from nothing."""


def verdict(found: Report) -> str:
    """In a few words: what tokens hold against an attacker without them, and against one who has them."""
    lent, knows = outcome(found, TRANSFER), outcome(found, RESTARTS) or outcome(found, ADAPTIVE)
    if lent is None:
        trained = found.clean is None and found.curve_asked
        return f"Nothing is attacked yet{': the tokens are trained first' if trained else ''}."
    held = gain(lent)
    if held < LITTLE:
        return "The tokens hold nothing here, even against an attacker who does not know them."
    if knows is None:
        return f"Against an attacker who does not know them, the tokens hold {held:.2f} of cosine."
    against = knows.feature.private.kept - lent.feature.public.kept
    when = "only while they are secret" if against < LITTLE else "known or not"
    answers = "; the answer falls all the same" if found.whole and _all_fall(found) else ""
    return f"The tokens keep more of the feature, {when}{answers}."


def honest(found: Report) -> str:
    """The figures behind it: cosines with the clean feature, and what came of the answer."""
    if found.clean is None:
        return ""
    parts = [
        f"On the clean picture {found.tokens} tokens leave a cosine of {found.clean.private.kept:.2f} with the "
        "feature without them."
    ]
    lent = outcome(found, TRANSFER)
    if lent is not None:
        parts.append(
            f"Attacked on the public model it falls to {lent.feature.public.kept:.2f} without tokens and to "
            f"{lent.feature.private.kept:.2f} with them."
        )
    knows = outcome(found, RESTARTS) or outcome(found, ADAPTIVE)
    if knows is not None:
        parts.append(
            f"An attacker who has the tokens brings it to {knows.feature.private.kept:.2f}."
        )
    return " ".join([*parts, *([_answers(found)] if found.whole else [])])


def _answers(found: Report) -> str:
    """Who takes the answer from the model with tokens."""
    fooled = [each.threat.title.lower() for each in found.outcomes if each.answer.private.fooled]
    if _all_fall(found):
        return "Under PGD every attacker takes the answer from the model with tokens."
    if not fooled:
        return "Under PGD no attacker takes the answer from the model with tokens."
    return f"Under PGD the model with tokens loses its answer to: {'; '.join(fooled)}."


def _all_fall(found: Report) -> bool:
    return all(each.answer.private.fooled for each in found.outcomes)


def outcome(found: Report, threat: Threat) -> Outcome | None:
    return next((each for each in found.outcomes if each.threat is threat), None)


def gain(of: Outcome) -> float:
    """The cosine that tokens keep of a picture beyond what is kept without them."""
    return of.feature.private.kept - of.feature.public.kept
