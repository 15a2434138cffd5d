"""What a report shows, in words: how much the tokens keep, and from whom."""

from __future__ import annotations

from engine.papers.robustness_tokens.compare import Outcome, Report
from engine.papers.robustness_tokens.threat import ADAPTIVE, RESTARTS, TRANSFER, Threat

LITTLE = 0.05
"""A difference of two cosines that one picture does not tell from nothing."""


def verdict(found: Report) -> str:
    """In a few words: what is left of the feature to who has not the tokens, and to who has them."""
    if found.clean is None:
        return "Training." if found.curve_asked else "Not attacked yet."
    lent, knows = outcome(found, TRANSFER), outcome(found, RESTARTS) or outcome(found, ADAPTIVE)
    if lent is None:
        return "Not attacked yet."
    held = gain(lent)
    if held < LITTLE:
        return "The tokens hold nothing here, even against who does not know them."
    if knows is None:
        return f"Against who does not know them, the tokens hold {held:.2f} of cosine."
    against = knows.feature.private.kept - lent.feature.public.kept
    if against < LITTLE:
        return "The tokens help while they are secret, and not beyond."
    return "The tokens help, known or not."


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
        parts.append(f"Who has the tokens brings it to {knows.feature.private.kept:.2f}.")
    fooled = [each.threat.title for each in found.outcomes if each.answer.private.fooled]
    if found.whole:
        told = f"fooled by: {', '.join(fooled)}" if fooled else "fooled by none of these"
        parts.append(f"The answer with tokens, under PGD, is {told}.")
    return " ".join(parts)


def outcome(found: Report, threat: Threat) -> Outcome | None:
    return next((each for each in found.outcomes if each.threat is threat), None)


def gain(of: Outcome) -> float:
    """The cosine that tokens keep of a picture beyond what is kept without them."""
    return of.feature.private.kept - of.feature.public.kept
