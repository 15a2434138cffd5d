"""One picture at a growing budget: who falls where, by whose picture, and what is said of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.__main__ import main
from engine.attack.recipes.pgd import PGD
from engine.core.errors import BadTask
from engine.data.samples import load_sample
from engine.evaluate.judge import predict
from engine.model import zoo
from engine.papers.aas_at import contenders, export
from engine.papers.aas_at.compare import LADDER, Borrowed, Report, Stand, Try, Working, report
from engine.papers.aas_at.contenders import Contender
from engine.papers.paper import Exhibit
from tests import small_zoo

EXHIBIT = Exhibit(load_sample("church"), "church", "vit_imagenette")


def contender(name: str) -> Contender:
    return Contender(name, name, "plain", small_zoo.load(name))


def pgd(eps: float) -> PGD:
    return PGD(eps=eps, steps=3)


@pytest.fixture(scope="module")
def reports() -> list[Report]:
    models = [contender(name) for name in ("vit_a", "vit_b", "cnn")]
    return [each for each in report(EXHIBIT, models, pgd) if isinstance(each, Report)]


def test_every_budget_is_told_and_the_last_report_is_whole(reports: list[Report]) -> None:
    assert [each.eps for each in reports] == [0, *LADDER[: len(reports) - 1]]
    assert [each.whole for each in reports] == [False] * (len(reports) - 1) + [True]
    for stand in reports[-1].stands:
        assert [each.eps for each in stand.tries] == [0, *LADDER][: len(stand.tries)]
        assert all(not each.fooled for each in stand.tries[:-1])  # who has fallen is left alone
        assert stand.falls == (stand.tries[-1].eps if stand.tries[-1].fooled else None)


def test_what_is_said_of_a_picture_is_what_the_model_says_to_it(reports: list[Report]) -> None:
    for stand in reports[-1].stands:
        clean = stand.tries[0].pixels.int()
        for each in stand.tries:
            assert int((each.pixels.int() - clean).abs().max()) <= each.eps
            assert int(predict(stand.model.victim, each.pixels[None])) == each.answer
            assert each.fooled == (each.answer != stand.label)


def test_a_lent_picture_is_one_of_another_model_that_fools(reports: list[Report]) -> None:
    last = reports[-1].stands
    for stand in last:
        victim = stand.model.victim
        made = [
            each
            for other in last
            if other.model != stand.model and other.label == stand.label
            for each in other.tries[1:]
            if int(predict(victim, each.pixels[None])) != stand.label
        ]
        known = [each.eps for each in made]
        assert stand.borrowed is None or stand.borrowed.eps in known
        assert stand.borrowed is not None or not known


def test_who_is_stopped_has_all_models_equally_far() -> None:
    models, seen = [contender("vit_a"), contender("vit_b")], list[object]()
    for each in report(EXHIBIT, models, lambda _: PGD(eps=0, steps=2), lambda: len(seen) > 7):
        seen.append(each)
    last = [each for each in seen if isinstance(each, Report)][-1]
    assert not last.whole
    assert len({len(each.tries) for each in last.stands}) == 1
    assert isinstance(seen[-1], Working)


def stand(falls: int | None, lent: int | None) -> Stand:
    pixels: Tensor = torch.zeros(3, 4, 4, dtype=torch.uint8)
    tries = (
        Try(0, 0, pixels, 1, 0.9, False),
        Try(falls or 32, 5, pixels, 2, 0.1, falls is not None),
    )
    return Stand(contender("vit_a"), 1, tries, lent and Borrowed(lent, "another"))


@pytest.mark.parametrize(
    ("falls", "lent", "misled"),
    [(6, None, False), (6, 6, False), (6, 4, True), (None, 32, True), (None, None, False)],
)
def test_a_gradient_leads_astray_where_a_picture_made_without_it_does_better(
    falls: int | None, lent: int | None, misled: bool
) -> None:
    found = stand(falls, lent)
    assert (found.falls, found.misled) == (falls, misled)
    whole = Report((found,), LADDER, asked=len(LADDER), steps=len(LADDER))
    assert export.fall(found, whole) == (f"{falls}/255" if falls else "stands at 32/255")
    wrong = replace(found, tries=(replace(found.tries[0], fooled=True),))
    assert export.fall(wrong, whole) == "wrong unattacked"


def test_robust_models_are_offered_behind_the_plain_one_they_came_from() -> None:
    found = contenders.offered()
    assert [each.name for each in found] == [
        "vit_imagenette",
        "vit_imagenette_pgd_at",
        "vit_imagenette_aas_at",
    ]
    assert contenders.titles(found) == ["plain ViT", "PGD-AT", "AAS-AT"]
    assert contenders.start(found[1]) == "vit_imagenette"
    twins = [found[1], replace(found[1], name="mine")]
    assert contenders.titles(twins) == ["vit_imagenette_pgd_at", "mine"]


def test_a_local_robust_model_is_offered_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = replace(zoo.card("vit_imagenette_pgd_at"), name="mine", title="Mine (TRADES, 2/255)")
    known = zoo.cards()
    monkeypatch.setattr(zoo, "cards", lambda _: (*known, replace(mine, source="local")))
    assert contenders.titles(contenders.offered(tmp_path))[1:] == ["TRADES", "PGD-AT", "AAS-AT"]


def test_the_control_needs_a_plain_model() -> None:
    with pytest.raises(BadTask, match="no model"):
        contenders.fit([], 0)
    with pytest.raises(BadTask, match="made of a plain model"):
        contenders.fit(["vit_imagenette_pgd_at"], 30)
    (robust,) = contenders.fit(["vit_imagenette_pgd_at"], 0)
    assert robust.task == contenders.ROBUST
    *_, control = contenders.contenders(["vit_imagenette"], 30)
    assert (control.role, control.name) == ("control", "vit_imagenette|saturated")


def test_the_command_says_what_the_report_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found.json"
    words = ("compare", "aas_at", "sample:church", "--targets", "vit_imagenette_pgd_at")
    assert main([*words, "--steps", "1", "--control", "0", "--out", str(out)]) == 0
    table = capsys.readouterr().out
    plain, robust = json.loads(out.read_text(encoding="utf-8"))["models"]
    for each in (plain, robust):
        fell = each["falls_at_255"]
        assert f"| {each['title']} | church | {fell}/255 | {each['tries'][-1]['answer']} |" in table
        assert [it["eps_255"] for it in each["tries"] if it["fooled"]] == [fell]
    assert plain["falls_at_255"] < robust["falls_at_255"]
