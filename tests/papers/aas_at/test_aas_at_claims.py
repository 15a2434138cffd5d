"""Robust models on photographs: every picture's fate, what follows from it, and what is said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.attack.recipes.pgd import PGD
from engine.evaluate.claim import Row
from engine.evaluate.progress import Progress
from engine.evaluate.robust import Robust, survivors
from engine.evaluate.study import data, read
from engine.evaluate.transfer import class_indices, pixels
from engine.model.victim import Victim
from engine.papers import told
from engine.papers.aas_at import claims, results
from engine.papers.aas_at.claims import CURVE, Settings, rows
from engine.papers.aas_at.contenders import Contender, Role
from engine.papers.aas_at.findings import (
    Attack,
    Findings,
    Judged,
    Outcome,
    Point,
    sentences,
)
from engine.papers.paper import Photographs, study
from tests import small_zoo

N = 100


def first(count: int) -> str:
    return "1" * count + "0" * (N - count)


def judged(
    title: str, role: Role, left: Sequence[int], curve: Sequence[int], lent: int = 0
) -> Judged:
    """A model that keeps so many pictures when clean, under short, long and scaled PGD."""
    clean, short, long, scaled = left
    kept: dict[Attack, int] = {"clean": clean, "noise": clean, "short": short, "long": long}
    kept |= {"scaled": scaled, "borrowed": lent}
    outcomes = tuple(Outcome(name, name, 20, first(count)) for name, count in kept.items())
    points = tuple(Point(eps, first(k)) for eps, k in zip((1.0, 4.0, 32.0), curve, strict=True))
    return Judged(f"m_{title}", title, role, outcomes, points)


FOUND = Findings(
    4.0,
    (
        judged("plain", "plain", (87, 0, 0, 0), (5, 0, 0), 30),
        judged("one", "robust", (70, 47, 46, 40), (70, 47, 0), 72),
        judged("other", "robust", (69, 47, 46, 45), (70, 47, 0), 72),
        judged("control", "control", (55, 30, 28, 9), (35, 30, 20), 3),
    ),
)


def test_what_follows_from_every_pictures_fate() -> None:
    found = {(row.claim, row.statement): row for row in rows(FOUND)}
    gain = found["R1", "one > plain under long"]
    assert (gain.measured.value, gain.verdict, gain.pictures) == (46, "holds", N)
    cost = found["R1", "what one costs on untouched pictures"]
    assert (cost.measured.value, cost.verdict) == (17, "reported")
    assert found["R2", "other > one"].verdict == "undecided"
    gap = found["D7", "AAS gains more on one than on other"]
    assert (gap.measured.value, gap.verdict) == (5, "holds")
    astray = "its own gradient does better than another model's"
    assert found["M3", f"one: {astray}"].verdict == "holds"
    assert found["M3", f"control: {astray}"].verdict == "fails"
    assert found["M5", "one: accuracy left at 32/255"].verdict == "holds"
    assert found["M5", "control: accuracy left at 32/255"].verdict == "fails"


def test_what_is_said_are_the_figures() -> None:
    attacked, cost, between, hidden = sentences(FOUND)
    assert "the plain has 0 % [0, 4] of 100 photographs right, one 46 % [37, 56]" in attacked
    assert "costs 17 points (87 % before, 70 % after)" in cost
    assert "one and other are not told apart (46 % and 46 % under attack; McNemar p 1)" in between
    assert "seems to keep 28 %" in hidden
    assert "leave 3 %" in hidden


def test_a_study_reads_back_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Photographs(tmp_path, "vit_imagenette_aas_at", ("vit_imagenette",), limit=N)
    kept = study("aas_at", asked, {}, [*rows(FOUND), FOUND])
    path = tmp_path / "aas_at_vit_imagenette_aas_at.json"
    path.write_text(json.dumps(data(kept)), encoding="utf-8")
    assert read(path, Findings).findings == FOUND
    monkeypatch.setattr(told, "STUDIES", tmp_path)
    (said,) = results.findings()
    assert said.startswith("**What adversarial training buys.** Changed by")
    page = results.sections()
    assert "| one | 70.0 [60.4, 78.1] % |" in page
    assert "| control | 35 [26, 45] | 30 [22, 40] | 20 [13, 29] |" in page


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[list[Any], Photographs]:
    """Two tiny models measured on a few pictures, with a folder that the run could go on from."""
    here = tuple(
        Contender(name, name, role, small_zoo.load(name))
        for name, role in (("vit_a", "plain"), ("vit_b", "robust"))
    )
    few = small_zoo.pictures(6)
    monkeypatch.setattr(claims, "contenders", lambda *_: here)
    monkeypatch.setattr(claims, "folder_pictures", lambda *_: few)
    monkeypatch.setattr(claims, "CURVE", (1.0, 4.0, 16.0))
    asked = Photographs(tmp_path, "vit_a", ("vit_b",), batch=2, keep=tmp_path)
    return list(claims.claims(asked, Settings(short=2, long=3, control=0))), asked


def test_every_attack_is_the_one_that_it_says(measured: tuple[list[Any], Photographs]) -> None:
    events, asked = measured
    found = events[-1]
    assert isinstance(found, Findings)
    assert all(isinstance(each, Progress | Row) for each in events[:-1])
    for each, rival in zip(found.models, ("vit_b", "vit_a"), strict=True):
        short = each.kept("short")
        assert short.equal(kept(each.model))
        assert each.kept("borrowed").equal(kept(each.model, small_zoo.load(rival)))
        assert not (each.kept("scaled") & ~each.kept("long")).any()  # the worse of the two
        masks = [torch.tensor([bit == "1" for bit in point.pictures]) for point in each.curve]
        for before, after in pairwise(masks):
            assert not (after & ~before).any()  # who fell has fallen
        assert masks[1].equal(masks[0] & short)
    assert asked.keep
    assert [*asked.keep.iterdir()]


def kept(model: str, source: Victim | None = None) -> torch.Tensor:
    """Under the short attack, all pictures at once."""
    victim, few = small_zoo.load(model), small_zoo.pictures(6)
    labels = class_indices(few, victim)
    recipe = PGD(eps=4 / 255, steps=2)
    *_, last = survivors(victim, recipe, pixels(few, 32), labels, source=source, batch=6)
    assert isinstance(last, Robust)
    return last.kept


def test_the_curve_ends_where_nothing_should_be_left() -> None:
    assert list(CURVE) == sorted(CURVE)
    assert CURVE[-1] == 32
