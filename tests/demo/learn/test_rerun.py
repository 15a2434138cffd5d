"""Running a claim again: rows by the papers' own rule, on the visitor's pictures; and how the room looks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import Any

import pytest
import torch
from small_zoo import CLASSES, pictures, victim, vit
from visitor import Visit, visiting

from demo.kit.labelled import Labelled, samples
from demo.learn_claims import trial as room
from demo.learn_claims.message import message, planned
from demo.learn_claims.trial import BY_NAME, Question, Trial, drive, exported, question
from engine.core.errors import BadTask
from engine.data.folder import batches, read_folder
from engine.evaluate import study
from engine.evaluate.claim import Row, verdict
from engine.evaluate.interval import Rate, mean
from engine.evaluate.judge import predict
from engine.evaluate.progress import Progress
from engine.evaluate.transfer import Picture
from engine.model import zoo
from engine.papers.catalog import PAPERS
from engine.papers.paper import Photographs

visit = visiting("/learn-claims", "#claims-planned p")
FIRST: dict[str, Any] = {
    "paper": "tgr",
    "model": "vit_imagenette",
    "files": None,
    "pictures": 20,
    "steps": 5,
    "seed": 0,
}


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Question:
    """TGR in one step on three of small_zoo's pictures, small_zoo in the zoo's place."""
    known = {
        name: replace(
            zoo.card("vit_imagenette"),
            name=name,
            title=name,
            sha256="",
            details={"classes": CLASSES},
        )
        for name in ("vit_a", "vit_b")
    }
    shown = pictures(12)[:3]
    small = {name: victim(name, vit(), 32, dtype=torch.float32) for name in known}
    monkeypatch.setattr(zoo, "load", lambda name, weights=None: small[name])
    real = zoo.card
    monkeypatch.setattr(zoo, "card", lambda name, weights=None: known.get(name) or real(name))
    cards = (*known.values(), *zoo.cards())
    monkeypatch.setattr(zoo, "cards", lambda weights=None: cards)
    mine: list[Picture] = []
    for index, each in enumerate(shown):
        assert not isinstance(each.image, Path)
        mine.append(Picture(tmp_path / f"{index}.png", each.label))
        each.image.save(tmp_path / f"{index}.png")
    brief = BY_NAME["tgr"].claims.brief
    assert brief is not None
    return Question(BY_NAME["tgr"], "vit_a", 1, brief("vit_a", None, 1), Labelled(tuple(mine), 3))


def test_a_paper_is_measured_on_three_pictures_and_kept_as_the_command_line_would(
    asked: Question, tmp_path: Path
) -> None:
    trial = Trial(asked)
    assert [event for event in drive(trial) if isinstance(event, Progress)]
    assert (trial.why, asked.brief.targets) == ("finished", ("vit_b",))
    assert trial.pace is not None
    (tmp_path / "mine.json").write_text(exported(trial), encoding="utf-8")
    kept = study.read(tmp_path / "mine.json", NoneType)
    assert kept.claims == trial.rows
    assert (kept.about["settings"]["steps"], kept.about["limit"]) == (1, 3)
    told = message(trial, done=True)
    lines = [line for claim in told["claims"] for line in claim["lines"]]
    verdicts = {(each.statement, each.verdict) for each in trial.rows}
    assert {(each["statement"], each["verdict"]) for each in lines} == verdicts
    assert len(lines) == len(trial.rows)
    assert any("3 pictures are few" in each for each in told["said"])
    assert {each["model"] for line in lines for each in line["beside"]} == {"ViT", "ViT-Tiny"}


def test_who_stops_keeps_what_was_found(asked: Question) -> None:
    trial = Trial(asked)
    for _ in drive(trial):
        trial.stop.set()
    assert (trial.why, trial.rows) == ("stopped", ())


def test_every_paper_can_be_run_again_and_says_what_it_spends() -> None:
    assert list(BY_NAME) == [each.name for each in PAPERS]
    for name in BY_NAME:
        told = planned(FIRST | {"paper": name}, None)
        assert "20 bundled samples" in told
        assert all(letters in told for letters in BY_NAME[name].says)
        more, less = (question(FIRST | {"paper": name, "steps": n}, None) for n in (10, 5))
        assert more.gradients > less.gradients > 20 * 5


def test_what_cannot_be_measured_is_said_in_a_sentence() -> None:
    alone = FIRST | {"paper": "aas_at", "model": "resnet_imagenette"}
    assert "was trained robustly from" in planned(alone, None)
    with pytest.raises(BadTask, match="trained robustly from"):
        question(alone, None)
    with pytest.raises(BadTask, match="Between 3 and 64"):
        question(FIRST | {"pictures": 2}, None)
    assert len(question(FIRST | {"pictures": 4}, None).labelled.pictures) == 4


def right(asked: Photographs, settings: object) -> Iterator[Progress | Row]:
    """A made-up claim that is quickly measured: the model has the pictures right."""
    del settings
    victim = zoo.load(asked.model)
    items = read_folder(asked.folder, victim.spec.classes)
    (found,) = batches(items, victim.spec.input_size, 1.0, len(items))
    known = predict(victim, found.images) == found.labels
    yield Progress("looking", 1, 1)
    share = Rate.of(mean(known.double() * 100), len(known))
    yield Row("C3", "TGR on its own source", share, "%", "above 10", verdict(share, 10), len(known))


@pytest.mark.parametrize("visit", [(1280, 720, "light")], indirect=True)
def test_a_visitor_runs_a_claim_again(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    paper = BY_NAME["tgr"]
    monkeypatch.setitem(
        room.BY_NAME, "tgr", replace(paper, claims=replace(paper.claims, measure=right))
    )
    page = visit.page
    assert page.locator(".rerun-list li").count() == len(paper.says)
    page.fill("#knob-pictures input[type=number]", "4")
    page.wait_for_function(
        "document.querySelector('#claims-planned').innerText.includes('4 pictures ×')"
    )
    page.click("#run")
    said = visit.status("Finished")
    assert "1 comparison" in said
    row = page.locator(".rerun .claim-lines tbody tr")
    row.wait_for()
    assert row.locator("[data-name=Pictures]").inner_text().startswith("4")
    assert "ViT: 100.0 [93.1, 100.0] %" in row.locator("[data-name=Shipped]").inner_text()
    assert not page.locator(".rerun-list").is_visible()
    with page.expect_download() as saved:
        page.click("#claims-rows button")
    kept = json.loads(Path(saved.value.path()).read_text(encoding="utf-8"))
    assert [each["pictures"] for each in kept["claims"]] == [4]
    visit.resize(390, 844)
    assert visit.overflow() <= 0
    assert samples().bundled


@pytest.mark.slow
def test_the_board_leads_to_the_room_set_up_for_its_paper(visit: Visit) -> None:
    page = visit.page
    page.goto(f"{visit.url}/learn")
    page.wait_for_selector(".claim")
    page.click(".lab-choices[aria-label=Paper] button:has-text('QuantAttack')")
    page.click(".lab-choices[aria-label=Verdict] button:has-text('open')")
    claim = page.locator(".claim")
    assert set(page.locator(".claim-of b").all_inner_texts()) == {"QuantAttack"}
    claim.locator("button").first.click()
    marks = page.locator(".claim-lines tbody tr").evaluate_all(
        "rows => rows.map((row) => row.dataset.verdict)"
    )
    assert set(marks) == {"undecided"}
    claim.locator(".claim-again").first.click()
    page.wait_for_function(
        "document.querySelector('#claims-planned')?.innerText.startsWith('QuantAttack')"
    )
