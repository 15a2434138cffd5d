"""What Defend says: where models fall, the signs of a hidden gradient, the table, a refusal."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import torch

from demo.defend import first, sections
from demo.defend.message import message
from demo.defend.trial import Trial, chosen, drive, question
from engine.core.errors import BadKnob, BadTask
from engine.papers.aas_at.compare import Borrowed, Report
from engine.papers.aas_at.findings import Findings, Judged, Outcome, Point

ASKED = {
    "source": "sample:church",
    "model": ["vit_imagenette", "vit_imagenette_pgd_at"],
    "control": False,
    "attack": "pgd",
    "steps": 1,
}


@pytest.fixture(scope="module")
def trial() -> Trial:
    """A run of one step at each budget, on the plain model and a robust one."""
    torch.set_num_threads(1)
    made = Trial(question(ASKED, None))
    for _ in drive(made):
        pass
    return made


def test_a_message_holds_every_budget_and_says_where_each_falls(trial: Trial) -> None:
    assert trial.report is not None
    told = message(trial, trial.report)
    assert [each["title"] for each in told["models"]] == ["plain ViT", "PGD-AT"]
    for each in told["models"]:
        assert each["called"] == "church"
        assert [it["eps"] for it in each["tries"]] == [0, *told["ladder"]][: len(each["tries"])]
        assert each["falls"] == next((it["eps"] for it in each["tries"] if it["fooled"]), None)
    plain, robust = (each["falls"] for each in told["models"])
    assert plain < robust  # that is what training buys
    assert told["said"][0] == f"the plain ViT falls at {plain}/255, PGD-AT at {robust}/255."
    assert trial.why == "finished"
    assert told["files"]["stem"] == "church-vit_imagenette-pgd-eps32-seed0"
    assert told["files"]["csv"].count("\n") == 1 + sum(len(e["tries"]) for e in told["models"])


def test_a_borrowed_picture_that_does_better_is_told(trial: Trial) -> None:
    assert trial.report is not None
    one, other = trial.report.stands
    lent = replace(other, borrowed=Borrowed(1, "plain ViT"))
    control = replace(lent, model=replace(lent.model, role="control", title="control"))
    said = message(trial, replace(trial.report, stands=(one, lent, control)))["said"]
    assert said[1] == (
        "A picture made on plain ViT fools PGD-AT at 1/255, before its own gradient."
    )
    assert said[2].startswith(f"The control seems to stand until {other.falls}/255, yet a picture")


def test_while_it_runs_they_stand_so_far(trial: Trial) -> None:
    assert trial.report is not None
    stands = tuple(
        replace(each, tries=each.tries[:1], borrowed=None) for each in trial.report.stands
    )
    begun = Report(stands, trial.report.ladder, asked=len(trial.report.ladder))
    assert message(trial, begun)["said"] == ["the plain ViT is right, PGD-AT is right."]


def judged(title: str, role: Any, short: int, lent: int, left: int) -> Judged:
    def of(count: int) -> str:
        return "1" * count + "0" * (100 - count)

    outcomes = (
        Outcome("clean", "unattacked", 0, of(80)),
        Outcome("short", "PGD-20", 20, of(short)),
        Outcome("long", "PGD-100", 100, of(short - 2)),
        Outcome("borrowed", "PGD-20 made on other", 20, of(lent)),
        Outcome("auto", "AutoAttack", 100, "1" * 4 + "0" * 6),
    )
    return Judged(title, title, role, outcomes, (Point(4, of(short)), Point(32, of(left))))


STUDY = Findings(4, (judged("ours", "robust", 46, 70, 0), judged("control", "control", 30, 3, 20)))


def test_the_signs_tell_resistance_from_a_hidden_gradient() -> None:
    html = sections.signs(None, STUDY)
    told = [re.findall(r'data-sign="(\w+)"', line) for line in html.split("<tr>")[2:]]
    assert told == [["yes", "no"], ["yes", "no"], ["yes", "yes"], []]
    assert "46 % left by its own, 70 % by another’s" in html
    assert "20 % left at 32/255" in html
    mine = {
        "models": [
            {
                "name": "ours",
                "misled": True,
                "fall": "6/255",
                "borrowed": {"maker": "<b>", "eps": 4},
            }
        ]
    }
    assert "own: 6/255; &lt;b&gt;’s: 4/255" in sections.signs(mine, STUDY)


def test_the_table_names_every_attack_and_how_few_autoattack_saw() -> None:
    html = sections.judged(STUDY)
    assert "at 4/255 on 100 photographs" in html
    assert re.findall(r'<th scope="col">([^<]+)', html) == [
        "untouched",
        "PGD made on another model",
        "PGD-20",
        "PGD-100",
        "AutoAttack",
    ]
    assert "46 <small>37 to 56</small>" in html
    assert "<small>of 10</small>" in html
    assert "Nothing is measured yet" in sections.judged(None)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"model": []}, "no model"),
        ({"model": ["vit_imagenette_pgd_at"], "control": True}, "made of a plain model"),
        ({"attack": "tgr"}, "no attack"),
        ({"steps": 1.5}, "whole number"),
        ({"steps": 0}, "Steps"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_cannot_be_run_is_a_sentence(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises((BadTask, BadKnob), match=said):
        question(ASKED | wrong, None)


def test_the_choice_in_words_changes_with_every_control() -> None:
    words = {
        str(chosen(ASKED | change, None))
        for change in (
            {},
            {"source": "sample:tench"},
            {"model": ["vit_imagenette"]},
            {"control": True},
            {"attack": "apgd"},
            {"steps": 2},
        )
    }
    assert len(words) == 6


def test_what_stands_there_first_has_every_model_and_tells_the_control() -> None:
    asked = first.settings()
    assert asked is not None
    assert asked["model"] == ["vit_imagenette", "vit_imagenette_pgd_at", "vit_imagenette_aas_at"]
    found = first.stored()
    assert found is not None, "run python -m demo.stored first_defend.json"
    assert [each["role"] for each in found["models"]] == ["plain", "robust", "robust", "control"]
    assert found["models"][-1]["misled"]
    assert not any(each["misled"] for each in found["models"][:-1])
