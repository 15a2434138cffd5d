"""A comparison to take away: plain data that says what it was made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from engine.attack.places import COMPONENTS
from engine.core.figures import number, table
from engine.evaluate.claim import table as markdown_table
from engine.model.zoo import Card
from engine.papers.tgr.compare import VARIANTS, Answer, Comparison
from engine.papers.tgr.effects import MEASURES, effects, fooled

SCHEMA = "vit-adversarial-lab/why/1"
TITLES = {
    "baseline": "MI-FGSM",
    "gamma": "Gamma only",
    "zeroing": "Zeroing only",
    "both": "Both: TGR",
    "random": "Random tokens",
}
LONG = {"attention": "attention", "qkv": "QKV", "mlp": "MLP"}
READ_AS = (
    "the value at step s is of the picture after s steps; measures are "
    "[step][block][attention, qkv, mlp]; four significant figures"
)


def summary(
    found: Comparison,
    picture: Mapping[str, Any],
    given: bool,
    source: Card,
    targets: Sequence[Card] = (),
) -> dict[str, Any]:
    """The comparison so far as plain data, versioned; `given`: the true class was named."""
    tgr, subject = found.tgr, found.subject
    cards = {each.name: each for each in (source, *targets)}
    return {
        "schema": SCHEMA,
        "picture": dict(picture),
        "true_class": {"name": _words(subject.called), "given": given},
        "source": {"name": source.name, **_model(source)},
        "settings": {
            "eps_255": number(tgr.eps * 255),
            "steps": tgr.steps,
            "steps_taken": len(found.rounds),
            "k": tgr.k,
            "factors": {part: number(getattr(tgr, part)) for part in COMPONENTS},
            "components": list(tgr.parts(subject.victim.spec)),
            "site": tgr.site,
            "mode": tgr.mode,
            "seed": subject.seed,
        },
        "read_as": READ_AS,
        "attacks": {
            name: {
                "title": TITLES[name],
                "loss": [number(its[i].loss) for its in found.rounds],
                "probability": [number(its[i].probability) for its in found.rounds],
                **{
                    measure: [table(getattr(its[i], measure)) for its in found.rounds]
                    for measure in MEASURES
                },
            }
            for i, name in enumerate(VARIANTS)
        },
        "transfer": [
            {
                "model": name,
                **_model(cards[name]),
                "white_box": name == source.name,
                "answers": dict(zip(("clean", *VARIANTS), map(_answer, its), strict=True)),
            }
            for name, its in found.answers.items()
        ],
    }


def _model(card: Card) -> dict[str, Any]:
    return {"title": card.title, "sha256": card.sha256}


def _answer(said: Answer) -> dict[str, Any]:
    return {
        "answer": _words(said.answer),
        "probability": None if said.probability is None else number(said.probability),
        "fooled": said.fooled,
    }


def _words(name: str) -> str:
    return name.replace("_", " ")


def markdown(found: Comparison) -> str:
    """The comparison in a table: how each variant ended, beside MI-FGSM."""
    source = found.subject.victim.spec.name
    judged, fools = fooled(found.answers, source)
    calm = effects(found.rounds, "dispersion")
    last = found.rounds[-1]
    clean, *own = found.answers[source]
    columns = {
        "attack": [TITLES[name] for name in VARIANTS],
        "loss": [f"{each.loss:.3g}" for each in last],
        f"{source} says": [_said(each) for each in own],
        **{
            f"dispersion, {LONG[part]}": [_times(calm[name].ratio[-1, at]) for name in VARIANTS]
            for at, part in enumerate(COMPONENTS)
        },
    }
    if judged:
        columns[f"fools, of {judged} other models that were right"] = [str(each) for each in fools]
    about = (
        f"{len(found.rounds)} steps at {found.tgr.eps * 255:g}/255 on {source}, which says "
        f"{_said(clean)} to the clean picture. Dispersion is Var(g) / mean|g|², beside MI-FGSM's: no "
        "factor changes it."
    )
    return f"{about}\n\n{markdown_table(columns)}"


def _said(answer: Answer) -> str:
    chance = "" if answer.probability is None else f" (true class {answer.probability:.0%})"
    return f"{_words(answer.answer)}{chance}"


def _times(ratio: Tensor) -> str:
    value = float(ratio)
    return "" if value != value else f"×{value:.2f}"
