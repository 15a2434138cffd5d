"""Two runs told apart in words: nothing where nothing differs, and else what does, on both sides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine import studio
from engine.alter.catalog import parse_stack
from engine.attack.catalog import recipe
from engine.data.samples import load_sample
from engine.studio import Facts, NoFacts, difference

MODEL, OTHER = "vit_imagenette", "resnet_imagenette"


def finish(**changes: Any) -> studio.Result:
    request = studio.Request(
        load_sample("golf_ball"),
        MODEL,
        recipe("mifgsm", steps=2, eps=8 / 255),
        others=(OTHER,),
        views=False,
        name="golf_ball.png",
    )
    run = studio.Run(replace(request, **changes))
    while not run.done:
        run.advance()
    return run.result()


@pytest.fixture(scope="module")
def result() -> studio.Result:
    return finish()


@pytest.fixture(scope="module")
def before(result: studio.Result) -> Facts:
    return Facts.of(result)


def otherwise(facts: Facts, **changes: str) -> Facts:
    """The same with other words; a name's spaces are written _."""
    words = {name.replace("_", " "): word for name, word in changes.items()}
    part = "setting" if words.keys() <= facts.setting.keys() else "outcome"
    return replace(facts, **{part: {**getattr(facts, part), **words}})


def test_the_same_request_differs_in_nothing(before: Facts) -> None:
    found = difference(before, Facts.of(finish()))
    assert found.setting == "Nothing differs in the setting."
    assert found.outcome == "Nothing differs in the outcome."
    assert found.before == found.after == "MI-FGSM, eps 8/255"


def test_what_differs_in_two_runs_is_said_with_their_own_figures(
    result: studio.Result, before: Facts
) -> None:
    other = finish(recipe=recipe("tgr", steps=2, eps=16 / 255), alter=parse_stack("ats"), seed=1)
    found = difference(before, Facts.of(other))
    assert found.setting == (
        "Now altered by ats instead of nothing, TGR instead of MI-FGSM, eps 16/255 instead of "
        "8/255 and seed 1 instead of 0; nothing else in the setting differs. With more than one thing "
        "changed, this pair cannot tell which of them did it."
    )
    assert found.before == "MI-FGSM, eps 8/255, altered by nothing, seed 0"
    assert found.after == "TGR, eps 16/255, altered by ats, seed 1"
    for each in (result, other):
        end = each.adversarial
        assert f"{float(end.probabilities.max()):.2f}" in found.outcome
        assert end.loss is not None
        assert f"{end.loss:.3g}" in found.outcome
    assert "(each attack's own)" in found.outcome
    assert "16/255 instead of 8/255" in found.outcome


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": "1"}, "Now seed 1 instead of 0; nothing else in the setting differs."),
        ({"picture": "church", "pixels": "ab"}, "Now picture church instead of golf ball;"),
        ({"pixels": "ab"}, "Now picture another of the name golf ball instead of golf ball;"),
        ({"steps": "4", "steps_done": "4"}, "Now steps 4 instead of 2;"),
        ({"steps_done": "1"}, "Now steps done 1 instead of 2;"),
    ],
    ids=lambda each: "-".join(each) if isinstance(each, dict) else "",
)
def test_one_thing_is_named_on_both_sides_and_blamed(
    before: Facts, changes: dict[str, str], said: str
) -> None:
    found = difference(before, otherwise(before, **changes))
    assert found.setting.startswith(said)
    assert "cannot tell" not in found.setting
    assert found.outcome == "Nothing differs in the outcome."


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"verdict": "not fooled"}, "Not fooled instead of fooled."),
        ({"answer": "church", "probability": "0.50"}, "The model says church (0.50) instead of "),
        ({"probability": "0.50"}, "with 0.50 instead of 0."),
        ({"others": "9 of 9"}, "9 of 9 other models changed their answer instead of "),
        ({"loss": "9"}, "The loss ends at 9 instead of "),
        ({"pixels": "ab"}, "These figures agree, but the pictures differ in their pixels."),
    ],
    ids=lambda each: "-".join(each) if isinstance(each, dict) else "",
)
def test_what_came_out_otherwise_is_said(before: Facts, changes: dict[str, str], said: str) -> None:
    found = difference(before, replace(before, outcome={**before.outcome, **changes}))
    assert said in found.outcome
    assert found.setting == "Nothing differs in the setting."


def test_a_cost_is_compared_where_both_attacks_count_the_same(before: Facts) -> None:
    costs = [
        replace(before, outcome={**before.outcome, "counted": "outlier columns", "cost": cost})
        for cost in ("12", "90")
    ]
    assert "Outlier columns 90 instead of 12" in difference(*costs).outcome
    assert difference(before, costs[0]).outcome == "Nothing differs in the outcome."


def test_facts_come_back_as_they_went(before: Facts) -> None:
    assert Facts.read(before.plain) == before


@pytest.mark.parametrize("plain", [None, [], {}, {"setting": 1, "outcome": {}}, "run"])
def test_what_is_no_run_is_said_to_be_none(plain: Any) -> None:
    with pytest.raises(NoFacts):
        Facts.read(plain)
