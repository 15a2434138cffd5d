"""What the masked room shows, without a browser: its numbers are the reports', and what is said of a
study is what the study holds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from demo.kit import stored
from demo.why_masked import first, sections
from demo.why_masked.message import message
from demo.why_masked.trial import Question, Trial, chosen, drive, offered, question
from engine.core.errors import EngineError
from engine.evaluate.interval import Estimate, Rate
from engine.papers.aas.findings import Point, Saturation
from engine.papers.aas.ladder import RUNGS, Ladder

CHURCH = {
    "source": "sample:church",
    "model": "vit_imagenette",
    "eps": 1,
    "steps": 2,
    "per": "head",
}


def read(asked: Question) -> tuple[Trial, Ladder]:
    """The run up to its first report: the clean picture, on the model as it is."""
    trial = Trial(asked)
    for event in drive(trial):
        if isinstance(event, Ladder):
            return trial, event
    raise AssertionError("no report")


def test_the_message_says_what_the_report_holds() -> None:
    trial, found = read(question(CHURCH, None))
    sent = json.loads(json.dumps(message(trial, found), allow_nan=False))
    (rung,), (told,) = found.rungs, sent["rungs"]
    assert (told["c"], sent["cs"], sent["label"]) == (1, [*RUNGS], "church")
    assert told["sentence"] == rung.sentence
    assert told["verdict"] == "Not attacked yet."
    assert told["p"] == pytest.approx(rung.probability, rel=1e-3)
    assert len(told["factors"]) == sent["blocks"]
    assert {len(each) for each in told["factors"]} == {6}, "a factor for each head"
    assert told["gaps"]["clean"]["shares"]["shape"] == [9, 7, len(sent["edges"]) - 1]
    assert told["gaps"]["clean"]["largest"][8][6] == pytest.approx(
        rung.gaps["clean"].largest.max().item(), rel=1e-3
    )
    assert len(told["norms"]["as it is"]) == len(told["aligned"]) == 9
    assert told["outcomes"] == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"eps": 0}, "cannot be 0"),
        ({"eps": 1.5}, "a whole number"),
        ({"steps": 101}, "cannot be 101"),
        ({"per": None}, "One factor"),
        ({"model": "resnet_imagenette"}, "does not show its scores"),
        ({"model": "nonsense"}, "nonsense"),
        ({"source": ""}, "no picture"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(change: dict[str, Any], words: str) -> None:
    with pytest.raises(EngineError) as refused:
        question(CHURCH | change, None)
    assert words in f"{refused.value.sentence} {refused.value.hint}"


def test_every_model_on_offer_can_be_asked() -> None:
    names = [name for _, name in offered(None)]
    assert names[0] == "vit_imagenette"
    assert not {"resnet_imagenette", "vit_imagenette_avit"} & {*names}
    for name in names:
        question(CHURCH | {"model": name}, None)


def test_what_changes_a_run_changes_its_words() -> None:
    was = chosen(CHURCH, None)
    for change in ({"eps": 2}, {"steps": 3}, {"per": "block"}, {"model": "pit_imagenette"}):
        assert chosen(CHURCH | change, None) != was
    assert chosen(CHURCH | {"eps": 1.0}, None) == was


def test_what_stands_there_first_is_of_the_run_that_run_would_do() -> None:
    kept = stored.read(first.RESULT.file, first.made_of())
    assert kept is not None
    asked = first.settings()
    assert asked is not None
    assert kept["choice"] == chosen(asked, None)
    assert [each["c"] for each in kept["rungs"]] == [*RUNGS]
    assert all(each["whole"] for each in kept["rungs"])


def point(c: float, name: str, left: float, eps: float = 1 / 255) -> Point:
    return Point(
        c, eps, name, 200, Estimate(left, left - 3, left + 4), Rate(left, 0, 100, 200, False), 0.5
    )


def test_the_study_is_drawn_where_there_is_one_and_asked_for_where_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured = [
        *(
            (c, name, left)
            for c, left in ((300.0, 40.0), (1.0, 5.0))
            for name in ("base", "float64")
        ),
        (300.0, "undone", 4.0),
        (300.0, "uniform 0.1", 9.0),
        (300.0, "uniform 0.01", 7.0),
    ]
    points = (*(point(*each) for each in measured), point(300.0, "base", 30.0, 2 / 255))
    known: dict[str, Any] = {"m": Saturation("m", 20, 10, "CPU", points), "damaged": "It is cut."}
    monkeypatch.setattr(sections, "study", known.get)

    def of(name: str) -> dict[str, Any]:
        return {"model": {"name": name, "title": "The <model>"}}

    words, figure = sections.curve(of("m"))
    assert "200 labelled pictures, PGD of 20 steps" in words
    assert figure is not None
    lines = {(each.name, each.xaxis): each for each in figure.data}
    own, best = lines["its own gradient", "x"], lines["one factor for all, the best of three", "x"]
    assert (list(own.x), list(own.y)) == ([1, 300], [5, 40])
    assert list(own.error_y.array) == [4, 4]
    assert (list(best.x), list(best.y)) == ([300], [7]), "of several factors the best"
    assert list(lines["at factor 1/c", "x"].x) == [300]
    over_eps = lines["its own gradient", "x2"]
    assert [round(255 * eps) for eps in over_eps.x] == [1, 2]
    assert list(over_eps.y) == [40, 30]
    assert not over_eps.showlegend
    assert sections.curve(of("damaged"))[0].endswith("It is cut.</p>")
    words, figure = sections.curve(of("none"))
    assert figure is None
    assert "The &lt;model&gt; has none yet" in words
    assert sections.sections(None) == ["", None]
