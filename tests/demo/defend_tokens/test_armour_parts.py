"""What the tokens room of Defend shows, without a browser: its numbers are the report's and the study's."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from demo.defend_tokens import first, sections
from demo.defend_tokens.message import message
from demo.defend_tokens.trial import NEW, Trial, chosen, drive, offered, question
from engine.core.errors import EngineError
from engine.evaluate.interval import Estimate, Rate
from engine.evaluate.study import Study
from engine.model import tokenfile
from engine.model.tokenfile import Tokens
from engine.papers.robustness_tokens import published
from engine.papers.robustness_tokens.compare import Report
from engine.papers.robustness_tokens.findings import (
    About,
    Attacker,
    Clean,
    Curve,
    Findings,
    Met,
    Model,
    Secrecy,
    Swept,
)

ASKED = {
    "source": "sample:church",
    "model": "vit_imagenette",
    "tokens": "here",
    "count": 2,
    "training": 1,
    "eps": 2,
    "steps": 1,
}


@pytest.fixture(scope="module", autouse=True)
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Tokens for a model without any that ship, and a surrogate's."""
    folder = tmp_path_factory.mktemp("tokens")
    values = torch.randn(3, 192, generator=torch.Generator().manual_seed(0)) / 10
    for name in ("vit_imagenette", "vit_imagenette_surrogate"):
        tokenfile.write(Tokens(values, "vit_imagenette"), folder, name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenfile, "SHIPPED", folder)
        yield folder


@pytest.fixture(scope="module")
def trial() -> Trial:
    """A run of one step of each attack."""
    torch.set_num_threads(1)
    made = Trial(question(ASKED, None))
    for _ in drive(made):
        pass
    return made


def test_the_message_says_what_the_report_holds(trial: Trial) -> None:
    found = trial.report
    assert found is not None
    told = json.loads(json.dumps(message(trial, found), allow_nan=False))
    names = ["transfer", "surrogate", "adaptive", "restarts"]
    assert [each["name"] for each in told["threats"]] == names
    assert (told["count"], told["blocks"], told["patches"], told["eps"]) == (3, 8, 100, 2)
    assert told["even"] == pytest.approx(3 / 104, abs=1e-4)
    for of, each in zip(found.outcomes, told["threats"], strict=True):
        for aim, look in (("feature", of.feature), ("answer", of.answer)):
            assert each[aim]["private"]["kept"] == pytest.approx(look.private.kept, abs=1e-3)
            assert each[aim]["public"]["fooled"] == look.public.fooled
            likeliest = {row["name"]: row["private"] for row in each[aim]["top"]}
            assert likeliest[each[aim]["private"]["answer"]] == each[aim]["private"]["p"]
            assert each[aim]["linf"] <= 2
        assert len(each["inside"]["largest"]["private"]) == len(each["inside"]["spared"]) == 8
        assert {len(heads) for heads in each["inside"]["mass"]} == {6}
    assert told["clean"]["public"]["kept"] == pytest.approx(1, abs=1e-4)
    assert told["files"]["csv"].count("\n") == 1 + 2 * (1 + 2 * 4)
    assert told["files"]["stem"] == "church-vit_imagenette-feature-eps2-seed0"
    assert json.loads(told["files"]["json"])["finished"]


def test_what_is_not_known_yet_is_left_open(trial: Trial) -> None:
    found = trial.report
    assert found is not None
    begun = replace(found, clean=None, rest=None, outcomes=(), curve_asked=4, steps=0)
    told = message(trial, begun)
    assert told["clean"] is None
    assert (told["files"]["csv"], told["files"]["png"]) == ("", "")
    assert told["curve"]["points"] == []
    assert [each["feature"] for each in told["threats"]] == [None] * 4


def test_tokens_are_trained_here_where_that_is_asked() -> None:
    """Until the first pictures are attacked; then it is stopped, and nothing follows."""
    made = Trial(question(ASKED | {"tokens": NEW}, None))
    whole: list[bool] = []
    for event in drive(made):
        if isinstance(event, Report):
            whole.append(message(made, event)["whole"])
            made.stop.set()
    assert whole == [False, True]
    found = made.report
    assert isinstance(found, Report)
    assert (found.tokens, found.curve_asked, found.clean) == (2, 1, None)
    assert "trained here for 1 step" in message(made, found)["curve"]["source"]
    assert made.why == "stopped"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"eps": 0}, "cannot be 0"),
        ({"eps": 1.5}, "a whole number"),
        ({"steps": 0}, "cannot be 0"),
        ({"tokens": NEW, "count": 0}, "cannot be 0"),
        ({"tokens": NEW, "training": 0.5}, "a whole number"),
        ({"tokens": NEW, "training": 0}, "at least one step"),
        ({"model": None}, "no model"),
        ({"model": "nonsense"}, "nonsense"),
        ({"source": ""}, "no picture"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(change: dict[str, Any], words: str) -> None:
    with pytest.raises(EngineError) as refused:
        question(ASKED | change, None)
    assert words in f"{refused.value.sentence} {refused.value.hint}"


def test_models_on_offer_have_tokens_and_what_changes_a_run_changes_its_words() -> None:
    assert [name for _, name in offered(None)] == ["vit_imagenette"]
    new = ASKED | {"tokens": NEW}
    was = [chosen(each, None) for each in (ASKED, new)]
    assert was[0] != was[1]
    for change in ({"eps": 3}, {"steps": 2}, {"source": "sample:tench"}):
        assert chosen(ASKED | change, None) != was[0]
    for change in ({"count": 3}, {"training": 2}):
        assert chosen(ASKED | change, None) == was[0], "it is not asked for"
        assert chosen(new | change, None) != was[1]


def test_the_first_run_is_of_the_very_tokens_that_are_here(tokens: Path) -> None:
    before = first.made_of()
    other = Tokens(torch.zeros(3, 192), "vit_imagenette")
    path = tokenfile.write(other, tokens, "vit_imagenette_surrogate")
    assert first.made_of() != before
    path.unlink()
    assert first.made_of() != before


def estimate(value: float) -> Estimate:
    return Estimate(value, value - 0.1, value + 0.1)


def met(model: Model, attacker: Attacker, kept: float, stands: float) -> Met:
    gains: dict[str, Any] = {"gain_kept": None, "gain_stands": None}
    if model == "private":
        change = Rate.change(Estimate(-3, -8, 0.04), 60)
        gains = {"gain_kept": estimate(0.25), "gain_stands": change}
    own = estimate(kept + 0.01)
    return Met(model, attacker, 20, 60, estimate(kept), own, None, estimate(stands), **gains)


ABOUT = About(
    "m", "CPU", 60, 0, 24, 2 / 255, 20, 3, 10, "trained <b> for 800 steps", 3.6, 9000, 100
)
STUDY = Findings(
    ABOUT,
    (
        Clean("public", estimate(1), estimate(90), Rate.change(estimate(0), 60)),
        Clean("private", estimate(0.96), estimate(89), Rate.change(estimate(1), 60)),
    ),
    (
        met("public", "transfer", 0.4, 7),
        met("private", "transfer", 0.65, 12),
        met("private", "adaptive", -0.2, 4),
    ),
    Secrecy(estimate(0.2), Rate.change(Estimate(8, 2, 14), 60)),
    (Curve("largest", "public", "clean", (estimate(3), estimate(8)), estimate(8)),),
    (Swept(10, 50, 64, 1.2, 1.5, estimate(0.9), estimate(0.6), estimate(0.3)),),
)
OF = {"model": {"name": "m", "title": "The <model>"}}


def test_photographs_are_told_where_there_is_a_study(monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[str, Any] = {"m": STUDY, "damaged": "It is cut."}
    monkeypatch.setattr(sections, "study", known.get)
    shipped = Study("robustness_tokens", "vit_imagenette", {}, {"targets": []}, (), STUDY)
    monkeypatch.setattr(sections, "every", lambda: (shipped,))
    words, within, peaks, columns, numbers, sweep, table = sections.sections(OF)
    assert "On 60 photographs, changed by at most 2/255" in words
    assert "trained &lt;b&gt; for 800 steps" in words
    names = re.findall(r'<th scope="row">([^<]+)', words)
    assert names == ["untouched", "transfer (published)", "adaptive"]
    assert "−0.20 <small>−0.30 to −0.10</small>" in words
    assert "+0.25 <small>+0.15 to +0.35</small>" in words
    assert "−3.0 <small>−8.0 to 0.0</small>" in words
    assert "8.00 <small>7.90 to 8.10</small>" in within
    assert columns is None
    assert (list(peaks.data[0].x), list(peaks.data[0].y)) == ([1, 2], [3, 8])
    assert "1.20 → 1.50" in numbers
    assert "1.04 → 1.80" in numbers, "published beside"
    assert [list(each.y) for each in sweep.data] == [[0.9], [0.6], [0.3]]
    assert ">ViT, here<" in table
    assert "0.41 → 0.66" in table
    assert "0.41 → −0.19" in table, "an attacker who has the tokens"
    assert "0.40 → 0.65 transfer, −0.20 adaptive." in table
    assert table.count("<tr>") == 2 + len(published.TABLE)


def test_without_a_study_the_way_to_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[str, Any] = {"damaged": "It is cut."}
    monkeypatch.setattr(sections, "study", known.get)
    monkeypatch.setattr(sections, "every", tuple)
    words, *_, table = sections.sections(OF)
    assert "The &lt;model&gt; has none yet" in words
    assert "here" not in table
    (cut, *_) = sections.sections({"model": {"name": "damaged", "title": "x"}})
    assert cut.endswith("It is cut.</p>")
    assert [each for each in sections.sections(None) if each] == []
