"""A run in words, and in what two runs differ: in how they were set, and in what came out.

Words alone are compared, so two runs can be told apart where only these are left of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.alter import catalog
from engine.attack.catalog import spell
from engine.core.errors import EngineError
from engine.core.knobs import Knob, knobs
from engine.probe.tokens import PROBE as TOKENS
from engine.studio.result import Result

PICTURE, PIXELS = "picture", "pixels"
NOTHING, SAME = "nothing", "the same"
LABELLED = 3
"""A label names no more than so many things beside the attack and its budget."""
Words = Mapping[str, str]


class NoFacts(EngineError):
    """What is to be compared are not two runs."""


@dataclass(frozen=True)
class Facts:
    """What a run was asked, by name, and what came out of it, in words.

    `attack` and `eps` are in `setting`, too; they are the run's label. What one attack alone has as a
    knob stands in its own `setting` alone.
    """

    setting: Words
    outcome: Words

    @staticmethod
    def of(result: Result) -> Facts:
        return Facts(_setting(result), _outcome(result))

    @staticmethod
    def read(plain: Any) -> Facts:
        """Of what `plain` gave, from wherever it comes back; raises NoFacts where it is something else."""
        try:
            parts = [plain[name] for name in ("setting", "outcome")]
            setting, outcome = ({str(k): str(v) for k, v in part.items()} for part in parts)
        except (AttributeError, KeyError, TypeError):
            raise NoFacts("This is no run that could be compared.", "Pin a run again.") from None
        return Facts(setting, outcome)

    @property
    def plain(self) -> dict[str, dict[str, str]]:
        return {"setting": dict(self.setting), "outcome": dict(self.outcome)}


@dataclass(frozen=True)
class Difference:
    """Two runs, `before` and `after`, by labels that tell them apart, and in what they differ."""

    before: str
    after: str
    setting: str
    outcome: str


def difference(before: Facts, after: Facts) -> Difference:
    """In what the second of two runs differs from the first, in sentences."""
    changed = _changed(before.setting, after.setting)
    came = _came(before, after)
    if changed:
        said = _listed([_instead(name, *changed[name]) for name in changed])
        setting = f"Now {said}; nothing else in the setting differs."
        if len(changed) > 1:
            setting += (
                " With more than one thing changed, this pair cannot tell which of them did it."
            )
    else:
        setting = "Nothing differs in the setting."
    outcome = f"{_capital('; '.join(came))}." if came else "Nothing differs in the outcome."
    labels = [_label(each, changed) for each in (before, after)]
    return Difference(labels[0], labels[1], setting, outcome)


def _setting(result: Result) -> dict[str, str]:
    request, recipe = result.request, result.request.recipe
    altered = ", ".join(catalog.spell(each) for each in request.alter)
    crafted = ", ".join(catalog.spell(each) for each in request.crafted_on)
    words = spell(recipe)
    return {
        PICTURE: Path(request.name or "picture").stem.replace("_", " "),
        PIXELS: hashlib.sha256(request.image.convert("RGB").tobytes()).hexdigest(),
        "model": result.card.title,
        "altered by": altered or NOTHING,
        "attack": recipe.title.partition(":")[0],
        **{_called(each): words[each.name] for each in knobs(recipe)},
        "made on": SAME if request.crafted_on == request.alter else crafted or "the bare model",
        "aim": "any other answer" if request.target is None else _shown(result, request.target),
        "true class": "the model's own answer"
        if request.label is None
        else _shown(result, request.label),
        "seed": str(request.seed),
        "shown to": ", ".join(request.others) or NOTHING,
        "steps done": str(result.steps),
    }


def _called(knob: Knob) -> str:
    return knob.label.lower().removeprefix("budget ")


def _outcome(result: Result) -> dict[str, str]:
    end = result.adversarial
    comparable = [each for each in result.transfers if each.comparable]
    masks = TOKENS.of(end.readings)
    figures = [(name, f"{value:.3g}") for name, value in end.figures.items()]
    return {
        "verdict": result.verdict().short,
        "answer": _shown(result, end.top),
        "probability": f"{float(end.probabilities[end.top]):.2f}",
        **({} if end.loss is None else {"loss": f"{end.loss:.3g}"}),
        **(
            {"others": f"{sum(t.changed for t in comparable)} of {len(comparable)}"}
            if comparable
            else {}
        ),
        **({} if masks is None else {"tokens": f"{100 * masks.utilisation:.0f} %"}),
        **({"counted": figures[0][0], "cost": figures[0][1]} if figures else {}),
        "linf": f"{result.distances.linf}/255",
        PIXELS: hashlib.sha256(end.pixels.numpy().tobytes()).hexdigest(),
    }


def _shown(result: Result, index: int) -> str:
    return result.name(index).replace("_", " ")


def _changed(before: Words, after: Words) -> dict[str, tuple[str, str]]:
    """What both were asked and each otherwise; how far a run came counts where it was stopped."""
    changed = {k: (before[k], after[k]) for k in before if k in after and before[k] != after[k]}
    pixels = changed.pop(PIXELS, None)
    if pixels and PICTURE not in changed:
        name = before.get(PICTURE, "")
        changed = {PICTURE: (name, f"another of the name {name}")} | changed
    if changed.get("steps") == changed.get("steps done"):
        changed.pop("steps done", None)
    return changed


def _instead(name: str, before: str, after: str) -> str:
    if name == "attack":
        return f"{after} instead of {before}"
    return f"{name} {after} instead of {before}"


def _came(before: Facts, after: Facts) -> list[str]:
    """What came out otherwise, the success and the answer first."""
    a, b = before.outcome, after.outcome
    apart = {name for name in a.keys() & b.keys() if a[name] != b[name]}
    parts: list[str] = []
    if "verdict" in apart:
        parts.append(f"{b['verdict']} instead of {a['verdict']}")
    if "answer" in apart:
        parts.append(
            f"the model says {b['answer']} ({b.get('probability')}) instead of "
            f"{a['answer']} ({a.get('probability')})"
        )
    elif "probability" in apart:
        parts.append(
            f"the model says {b.get('answer')} with {b['probability']} instead of {a['probability']}"
        )
    if "others" in apart:
        parts.append(f"{b['others']} other models changed their answer instead of {a['others']}")
    if "cost" in apart and a.get("counted") == b.get("counted"):
        parts.append(f"{b['counted']} {b['cost']} instead of {a['cost']}")
    if "tokens" in apart:
        parts.append(
            f"a token sampler would keep {b['tokens']} of the tokens instead of {a['tokens']}"
        )
    if "loss" in apart:
        own = "" if _same_loss(before, after) else " (each attack's own)"
        parts.append(f"the loss ends at {b['loss']} instead of {a['loss']}{own}")
    if "linf" in apart:
        parts.append(f"the largest change of a pixel is {b['linf']} instead of {a['linf']}")
    if not parts and PIXELS in apart:
        parts.append("these figures agree, but the pictures differ in their pixels")
    return parts


def _same_loss(before: Facts, after: Facts) -> bool:
    names = ("attack", "aim", "model", "altered by", "made on")
    return all(before.setting.get(name) == after.setting.get(name) for name in names)


def _label(facts: Facts, changed: Mapping[str, Any]) -> str:
    """Attack and budget, and what else tells the two apart."""
    setting = facts.setting
    more = [name for name in changed if name not in ("attack", "eps")]
    bare = (PICTURE, "model")
    parts = [setting.get("attack", ""), f"eps {setting.get('eps', '')}"]
    parts += [setting[n] if n in bare else f"{n} {setting[n]}" for n in more[:LABELLED]]
    return ", ".join(parts)


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
