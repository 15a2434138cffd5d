"""What can go wrong, each with one sentence for the visitor and a hint at what to do."""

from __future__ import annotations


class EngineError(Exception):
    """Something the caller can mend: `sentence` says what was wrong, `hint` what to do."""

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__(f"{sentence} {hint}".strip())
        self.sentence = sentence
        self.hint = hint


class UnknownName(EngineError):
    """A model, attack, probe or sample of that name does not exist."""

    def __init__(self, kind: str, name: str, known: tuple[str, ...]) -> None:
        shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
        super().__init__(f"There is no {kind} called “{name}”.", f"Known: {shown}.")


class BadKnob(EngineError):
    """A knob was given a value outside its range, or no number at all."""

    def __init__(self, name: str, value: object, allowed: str) -> None:
        super().__init__(f"{name} cannot be {value}.", f"Choose {allowed}.")


class BadImage(EngineError):
    """A picture cannot be used: not an image, broken, too small or too large."""


class BadTask(EngineError):
    """Images, labels or targets do not fit each other or the model."""


class UnsupportedModel(EngineError):
    """No adapter knows this kind of model, or one of its parts."""


class BadStack(EngineError):
    """Two alterations of a model that cannot stand on one another in this order."""


class MissingSite(EngineError):
    """A rule, objective or probe asks for a place that this model does not have."""


class RuleNeverFired(EngineError):
    """A rule was installed and its place was never reached: the attack would silently be another."""


class RaggedSite(EngineError):
    """Blocks of this model differ in shape, so a site cannot be stacked over blocks."""


class NotFinite(EngineError):
    """A loss or gradient became NaN or infinite."""


class WeightsUnavailable(EngineError):
    """Weights are neither bundled nor in the local folder, and the hub cannot or may not give them."""


class TokensUnavailable(EngineError):
    """Robustness tokens of that name, or for that model, are not here."""


class CorruptWeights(EngineError):
    """A weight file is damaged, of another model, not finite, or does not match its card."""
