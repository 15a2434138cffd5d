"""A comparison to take away: plain data that says what it was made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.attack.places import COMPONENTS
from engine.core.figures import number, table
from engine.model.zoo import Card
from engine.papers.tgr.compare import VARIANTS, Answer, Comparison
from engine.papers.tgr.effects import MEASURES

SCHEMA = "vit-adversarial-lab/why/1"
TITLES = {
    "baseline": "MI-FGSM",
    "gamma": "Gamma only",
    "zeroing": "Zeroing only",
    "both": "Both: TGR",
    "random": "Random tokens",
}
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
    tgr, case = found.tgr, found.case
    cards = {each.name: each for each in (source, *targets)}
    return {
        "schema": SCHEMA,
        "picture": dict(picture),
        "true_class": {"name": _words(case.called), "given": given},
        "source": {"name": source.name, **_model(source)},
        "settings": {
            "eps_255": number(tgr.eps * 255),
            "steps": tgr.steps,
            "steps_taken": len(found.rounds),
            "k": tgr.k,
            "factors": {part: number(getattr(tgr, part)) for part in COMPONENTS},
            "components": list(tgr.parts(case.source.spec)),
            "site": tgr.site,
            "mode": tgr.mode,
            "seed": case.seed,
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
