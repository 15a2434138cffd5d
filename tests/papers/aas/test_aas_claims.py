"""AAS's claims and its positive control on a tiny victim: equal gradients, pairs, the known answer."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from engine.alter.scaled import Scaled
from engine.attack.attack import observe
from engine.core.errors import BadTask, UnsupportedModel
from engine.evaluate.claim import Row
from engine.evaluate.judge import shown
from engine.evaluate.progress import Progress
from engine.evaluate.study import Study, data, read
from engine.model.sites import Site
from engine.papers.aas import claims, results, saturation
from engine.papers.aas.findings import Findings, Saturation
from engine.papers.aas.sources import Ground
from engine.probe.scores import leads
from tests import tiny

SETTINGS = claims.Settings(eps=0.5 / 255, steps=1, ascent=1, few=8)


def ground(n: int = 8) -> Ground:
    victim = tiny.victim()
    asked = tiny.task(n)
    pixels = (asked.images * 255).round().to(torch.uint8)
    labels = victim.logits(shown(pixels, victim).double()).argmax(1)
    return Ground(victim, pixels, labels, SETTINGS.eps, batch=4)


def kept(name: str, model: str, findings: object, rows: tuple[Row, ...] = ()) -> Study[object]:
    return Study(name, model, {}, {"targets": []}, rows, findings)


def test_every_claim_is_measured_once_on_equal_gradients_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "GRID", (0.1, 0.01))
    on = ground()
    *events, found = (e for e in claims.measure(on, SETTINGS) if not isinstance(e, Progress))
    assert isinstance(found, Findings)
    rows = [each for each in events if isinstance(each, Row)]
    assert sorted({row.claim for row in rows}) == ["D1", "D2", "D3", "D4", "D5"]
    assert {row.budget for row in rows if row.p is not None} == {"3 against 3", "6 against 6"}
    assert all(each.gradients == SETTINGS.gradients for each in found.attacks)
    base, exact = found.attack(claims.BASE), found.attack(claims.FLOAT64)
    assert base is not None
    assert exact is not None
    assert (base.left, base.gain.value) == (exact.left, 0)  # the tiny victim is in double
    least = min(a.left.value for a in found.attacks if a.name.startswith((claims.UNIFORM, "base")))
    learned = found.attack(claims.AAS)
    (manual,) = (row for row in rows if "1 included" in row.statement)
    assert learned is not None
    assert learned.on_scaled is not None
    assert manual.measured.value == pytest.approx(least - learned.left.value)
    most = observe(on.victim, shown(on.pixels, on.victim).double(), {Site.SCORES})
    by_hand = max(float(leads(each).max()) for each in most.values(Site.SCORES))
    assert max(each.largest for each in found.blocks) == pytest.approx(by_hand, rel=1e-4)

    file = tmp_path / "aas_vit_imagenette.json"
    study = data(kept("aas", "vit_imagenette", found, tuple(rows)))
    file.write_text(json.dumps(study), encoding="utf-8")
    monkeypatch.setattr("engine.papers.told.STUDIES", tmp_path)
    assert read(file, Findings).findings == found
    (said,) = results.findings()
    assert f"{base.left.value:.0f} %" in said
    assert f"{by_hand:.1f}" in results.sections()


def test_too_few_pictures_and_a_model_without_scores_are_refused() -> None:
    with pytest.raises(BadTask):
        list(claims.measure(ground(3), SETTINGS))
    cnn = replace(ground(), victim=tiny.victim("resnet"))
    with pytest.raises(UnsupportedModel):
        list(claims.measure(cnn, SETTINGS))


def test_a_factor_of_one_over_c_is_the_model_without_c_and_studies_grow_by_portions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engine.papers.aas.sources.PORTION", 2)
    monkeypatch.setattr(saturation, "GRID", (0.1, 0.01))
    on = ground(4)
    conditions = saturation.Conditions((1.0, 20.0), 1 / 255, (0.5 / 255,), 20.0, 2, 1)
    first, last = (e for e in saturation.grown(on, conditions) if isinstance(e, Saturation))
    small = saturation.grown(replace(on, pixels=on.pixels[:2], labels=on.labels[:2]), conditions)
    assert [e for e in small if isinstance(e, Saturation)] == [first]
    assert {(p.c, p.eps, p.pictures) for p in last.points} == {
        (1.0, 1 / 255, 4),
        (20.0, 1 / 255, 4),
        (20.0, 0.5 / 255, 2),
    }
    sharp = {name: last.at(20, 1 / 255, name) for name in saturation.TITLES}
    assert [name for name, point in sharp.items() if point is None] == ["uniform 0.001"]
    plain = last.at(1, 1 / 255, saturation.BASE)
    undone, base = sharp[saturation.UNDONE], sharp[saturation.BASE]
    assert plain is not None
    assert undone is not None
    assert base is not None
    assert base.gain.value == 0
    best = saturation.best_uniform(last, 20, 1 / 255)
    assert best is not None
    assert best.left.value == min(
        point.left.value for name, point in sharp.items() if point and name.startswith("uniform")
    )
    table = saturation.markdown(last)
    assert f"| {base.left.value:.0f} % [" in table
    assert table.count("\n") == 2 + 3
    assert asdict(last)["points"]


def test_the_gradient_at_one_over_c_is_that_of_the_model_without_c() -> None:
    """What the control rests on: crafted there, the very same pictures come out."""
    on = replace(ground(), c=20.0, eps=1 / 255)
    undone = Scaled(factors="uniform", factor=1 / 20)
    method = saturation.Method("undone", saturation.pgd(1 / 255, 3, 3), (undone,), scaled=True)
    *_, there = on.left(method, slice(0, 8))
    plain = saturation.Method("base", saturation.pgd(1 / 255, 3, 3))
    *_, here = replace(on, c=1.0).left(plain, slice(0, 8))
    assert not isinstance(there, Progress)
    assert not isinstance(here, Progress)
    assert there.kept.tolist() == here.kept.tolist()
    assert there.right.tolist() == here.right.tolist()
