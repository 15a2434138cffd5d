"""What the lesson's dock asks of the server: odd requests, missing runs, near and far predictions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from demo.kit.door import Shared
from demo.kit.store import Store
from demo.learn.lesson import Checked, Choose, Estimate, Lesson, Mark, Seen, Step, Task
from demo.learn.panel import Desk, near
from demo.learn.words import render
from engine.studio import Result

CHURCH = {"source": "sample:church", "attack": "mifgsm", "knob-steps": 1}
LOUD = CHURCH | {"knob-eps": 32}
OPTIONS = (("same", "It keeps its answer"), ("other", "It says something else"))


def _answer(of: Result) -> Seen:
    fooled = of.adversarial.top != of.clean.top
    return Seen(f"It is {'another' * fooled}.", "other" if fooled else "same", 1.0)


def _sure(of: Result) -> Seen:
    return Seen("So sure.", 100 * float(of.clean.probabilities[of.label]), 1.0)


TRIAL = Lesson(
    "trial",
    "A trial",
    "Does the dock work?",
    1,
    (
        Step("Read", "An [[attack]] changes a picture.", look="Both.", point="#lab-pair"),
        Step(
            "Choose",
            "Which?",
            look="The bars.",
            explain="<p>Because.</p>",
            setup=LOUD,
            ask=Choose("What does it say?", OPTIONS),
            see=_answer,
            point="#lab-bars",
            equation="x + δ",
            source="A paper.",
        ),
        Step(
            "Estimate",
            "How much?",
            setup=LOUD,
            ask=Estimate("How sure is it?", 0, 100, 1, "%"),
            see=_sure,
            tab="Depth",
            point="#lab-depth",
        ),
    ),
    Task(
        "Move it by two levels.",
        lambda of: Checked(of.request.attack.eps * 255 == 2, "Counted on your run."),
        ("Look at eps.", "Two."),
        CHURCH | {"knob-eps": 2},
        setup=CHURCH,
    ),
)


def _desk(doors: Any) -> Desk:
    return Desk(Shared(Store(), None, doors), {"trial": TRIAL})


@pytest.mark.parametrize(
    "request_", ["", "{", "[]", '{"name": []}', '{"name": "trial", "step": {}}']
)
@pytest.mark.parametrize("function", [0, 1, 2])
def test_odd_requests_are_told_in_a_sentence(doors: Any, function: int, request_: str) -> None:
    said = json.loads(_desk(doors).functions[function](request_))
    assert said["problem"]


def test_no_run_and_no_visit_are_told(doors: Any) -> None:
    desk = _desk(doors)
    for visit, words in (("", "keeps nothing"), ("a" * 20, "no run of yours")):
        asked = json.dumps({"name": "trial", "visit": visit, "step": 1})
        for function in desk.functions[1:]:
            assert words in json.loads(function(asked))["problem"]


def test_near_is_right_or_about_right() -> None:
    assert near(TRIAL.steps[1].ask, "same", "same")
    assert not near(TRIAL.steps[1].ask, "same", "other")
    assert near(TRIAL.steps[2].ask, 50, 59.9)
    assert not near(TRIAL.steps[2].ask, 50, 61)
    five = Mark("Which?", 5)
    assert near(five, [1, 2, 3, 40, 50], (1, 2, 3, 4, 5))
    assert not near(five, [1, 2, 30, 40, 50], (1, 2, 3, 4, 5))
    assert not near(five, 3, (1, 2))
    assert not near(TRIAL.steps[2].ask, "x", 1.0)


def test_a_term_is_explained_and_an_unknown_one_stays_a_word() -> None:
    said = render("An [[eps|ε]] and [[none]].", {"eps": 'So "much".'})
    assert ">ε</button>" in said
    assert "So &quot;much&quot;." in said
    assert "and none." in said
