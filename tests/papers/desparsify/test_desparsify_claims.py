"""DeSparsify's claims: every row is computed as its words say, and no verdict is free."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.attack.attack import run
from engine.attack.constraint import to_8bit
from engine.attack.recipes.desparsify import DeSparsify
from engine.core.errors import BadTask, UnsupportedModel
from engine.core.streams import Streams
from engine.evaluate.claim import Row, figure
from engine.evaluate.crafter import Crafter
from engine.evaluate.interval import Estimate
from engine.evaluate.judge import predict, shown
from engine.evaluate.noise import noisy
from engine.evaluate.progress import Progress
from engine.evaluate.study import STUDIES, Study, data, read
from engine.model.task import task_for
from engine.papers import told
from engine.papers.desparsify import published, results
from engine.papers.desparsify.claims import CURVE, Settings, measure
from engine.papers.desparsify.findings import Findings
from engine.papers.desparsify.passes import dense_macs, look
from tests.model.sparse.mechanisms import KINDS, sparse
from tests.tiny import CLASSES, SIZE, victim

GEN = torch.Generator().manual_seed(0)
PIXELS = torch.randint(0, 256, (14, 3, SIZE, SIZE), generator=GEN, dtype=torch.uint8)
LABELS = torch.randint(0, CLASSES, (14,), generator=GEN)
EPS, BUDGET, STEPS = 16 / 255, 4 / 255, 2
SETTINGS = Settings(
    eps=EPS, budget=BUDGET, steps=3, few=8, side_steps=STEPS, other_steps=2, calibration=4, rounds=1
)
KNOWN, REST, FEW = PIXELS[:4], PIXELS[4:], PIXELS[4:12]
CRAFT = Crafter(batch=8)
SHIPPED = sorted(STUDIES.glob("desparsify_*.json"))
every = pytest.mark.parametrize("kind", KINDS)


@cache
def measured(kind: str) -> tuple[tuple[Row, ...], Findings]:
    others = {other: sparse(other) for other in KINDS if other != kind} | {"dense": victim()}
    events = list(measure(sparse(kind), PIXELS, LABELS, SETTINGS, others, CRAFT))
    (findings,) = (each for each in events if isinstance(each, Findings))
    return tuple(each for each in events if isinstance(each, Row)), findings


def value(kind: str, words: str) -> Row:
    return next(row for row in measured(kind)[0] if row.statement == words)


@cache
def attacked(kind: str, eps: float, pictures: int, steps: int = STEPS) -> Tensor:
    """The first pictures under DeSparsify, each alone, as a PNG holds them."""
    of = sparse(kind)
    attack = DeSparsify(eps=eps, steps=steps).build(of.spec)
    saved: list[Tensor] = []
    for place, picture in enumerate(REST[:pictures].split(1)):
        clean = shown(picture, of)
        task = task_for(of, clean, LABELS[4 + place : 5 + place])
        *_, (state, _) = run(attack, of, task, Streams(0, (place,)))
        saved.append(to_8bit(state.x, clean, eps))
    return torch.cat(saved)


def macs(kind: str, pixels: Tensor) -> Tensor:
    of = sparse(kind)
    return torch.tensor([each.macs for x in pixels.split(1) for each in look(of, x)]).double()


def gap(kind: str, pixels: Tensor) -> float:
    clean = macs(kind, REST[: len(pixels)]).mean()
    dense = dense_macs(sparse(kind))
    return float(100 * (macs(kind, pixels).mean() - clean) / (dense - clean))


@every
def test_the_gap_is_that_of_each_picture_attacked_and_counted_alone(kind: str) -> None:
    hit = attacked(kind, BUDGET, 10, 3)
    row = value(kind, "gap closed at 4/255")
    assert row.measured.value == pytest.approx(gap(kind, hit))
    assert row.pictures == 10
    clean, dense = macs(kind, REST), dense_macs(sparse(kind))
    each = (100 * (macs(kind, hit) - clean) / (dense - clean)).mean()
    mean = value(kind, "gap closed at 4/255, mean over pictures").measured
    assert mean.value == pytest.approx(float(each))
    of = sparse(kind)
    kept = (predict(of, hit) == predict(of, REST)).double().mean() * 100
    assert value(kind, "answers kept at 4/255").measured.value == pytest.approx(float(kept))
    right = (predict(of, hit) == LABELS[4:]).double().mean() * 100
    assert value(kind, "right answers, attacked at 4/255").measured.value == pytest.approx(
        float(right)
    )
    noise = value(kind, "gap closed by sign noise at 16/255").measured.value
    assert noise == pytest.approx(gap(kind, noisy(FEW, EPS, 0)))


@every
def test_the_curve_holds_what_the_sets_say(kind: str) -> None:
    points = {each.eps: each for each in measured(kind)[1].curve}
    assert list(points) == [step / 255 for step in CURVE]
    for eps in (BUDGET, EPS):
        assert points[eps].gap.value == pytest.approx(gap(kind, attacked(kind, eps, 8)))
        assert points[eps].noise.value == pytest.approx(gap(kind, noisy(FEW, eps, 0)))
    rise = value(kind, "gap closed at 16/255 minus at 8/255").measured.value
    assert rise == pytest.approx(points[EPS].gap.value - points[8 / 255].gap.value)


@every
def test_nothing_moves_a_model_that_skips_nothing_or_a_fixed_share(kind: str) -> None:
    for words in ("the dense model", "a fixed ratio"):
        row = value(kind, f"change of cost in {words}")
        assert (row.measured.value, row.verdict) == (0, "holds")
    there = {each.model: each for each in measured(kind)[1].abroad}
    assert (there["vit"].gap, there["vit"].mechanism) == (Estimate(0, 0, 0), "Dense")
    other = next(each for each in KINDS if each != kind)
    hit = attacked(kind, EPS, 8)
    moved = macs(other, hit).mean() - macs(other, FEW).mean()
    spared = dense_macs(sparse(other)) - macs(other, FEW).mean()
    assert there[other].gap.value == pytest.approx(float(100 * moved / spared))


@every
def test_no_bound_is_passed_and_none_is_the_model_itself(kind: str) -> None:
    bounds = measured(kind)[1].bounds
    for each in bounds:
        assert each.ceiling * 1e9 >= each.blind.value * 1e9 - 1
    assert bounds[-1].bound == 1
    clean = float(macs(kind, REST).mean()) / 1e9
    assert bounds[-1].clean.value == pytest.approx(clean)
    assert (bounds[-1].price.value, bounds[-1].agreed.value) == (0, 100)
    assert {each.bound for each in bounds if each.adaptive} == {0.4, 0.6, 0.8}
    row = value(kind, "dearest picture of all, of what its bound allows")
    assert row.verdict == "holds"
    assert 0 < row.measured.value <= 100


@every
def test_easy_is_what_costs_little(kind: str) -> None:
    clean, hit = macs(kind, REST), macs(kind, attacked(kind, BUDGET, 10, 3))
    order = clean.argsort(stable=True)
    easy, hard = (float((hit - clean)[rows].mean()) for rows in (order[:3], order[-3:]))
    row = value(kind, "cost gained at 4/255, easiest third minus hardest")
    assert row.measured.value == pytest.approx((easy - hard) / 1e9)


def test_what_sleeps_on_all_pictures_is_counted() -> None:
    keep = torch.stack([each.keep for each in look(sparse("avit"), REST)])
    asleep = ~keep.any(0)
    row = value("avit", "tokens, block by block, that sleep on every clean picture")
    assert row.measured.value == pytest.approx(float(asleep.double().mean() * 100))
    row = value("avit", "blocks that use no patch of any clean picture")
    assert row.measured.value == int(asleep[:, 1:].all(1).sum())
    parts = "heads and sub-layers that are off on every clean picture"
    assert value("adavit", parts).unit == "%"
    assert not [row for row in measured("avit")[0] if row.statement == parts]


@every
def test_verdicts_follow_from_intervals(kind: str) -> None:
    rows = measured(kind)[0]
    assert {row.claim for row in rows} == set("abcdefghij")
    assert len({(row.claim, row.statement) for row in rows}) == len(rows)
    for row in rows:
        assert row.measured.low <= row.measured.value <= row.measured.high
        if row.expected == "above 0":
            low, high = row.measured.low, row.measured.high
            said = "holds" if low > 0 else "fails" if high < 0 else "undecided"
            assert row.verdict == said
    noise = value(kind, "gap closed by sign noise at 16/255")
    inside = -5 < noise.measured.low and noise.measured.high < 5
    assert (noise.verdict == "holds") == inside


def test_a_study_reads_back(tmp_path: Path) -> None:
    rows, findings = measured("adavit")
    study = Study("desparsify", "adavit", {}, {"limit": 14}, rows, findings)
    path = tmp_path / "desparsify_adavit.json"
    path.write_text(json.dumps(data(study)), encoding="utf-8")
    assert read(path, Findings) == study


def test_what_is_stored_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"ats": "", "avit": "_avit", "adavit": "_adavit"}
    for kind, end in names.items():
        name = f"vit_imagenette{end}"
        study = Study("desparsify", name, {}, {"limit": 14, "targets": []}, *measured(kind))
        path = tmp_path / f"desparsify_{name}.json"
        path.write_text(json.dumps(data(study)), encoding="utf-8")
    monkeypatch.setattr(told, "STUDIES", tmp_path)
    page = results.sections()
    (order,) = (line for line in page.splitlines() if line.startswith("- **Who gives way most**"))
    wide = {kind: gap(kind, attacked(kind, EPS, 8)) for kind in KINDS}
    said = {"ats": "ATS on ViT", "avit": "A-ViT", "adavit": "AdaViT"}
    places = [
        order.index(f"{said[kind]} {wide[kind]:.1f}")
        for kind in sorted(wide, key=lambda kind: -wide[kind])
    ]
    assert places == sorted(places)
    assert order.endswith("in the paper A-ViT 100 %, ATS 74 % and AdaViT 43 %.")
    for each in measured("adavit")[1].measured:
        assert f"| {figure(each.gap, '%')} |" in page
    table, why = results.findings()
    assert table.count("\n") == 2 + len(KINDS)
    asleep = value("adavit", "heads and sub-layers that are off on every clean picture")
    assert f"{asleep.measured.value:.1f} % of heads and sub-layers" in why
    assert f"- {why}" in page


def test_a_run_that_was_killed_goes_on(tmp_path: Path) -> None:
    craft, of = Crafter(4, keep=tmp_path), sparse("ats")
    attack = DeSparsify(steps=2)
    first = list(craft("attack", attack, of, FEW, LABELS[4:12]))
    again = list(craft("attack", attack, of, FEW, LABELS[4:12]))
    assert len(first) == 5
    assert all(isinstance(each, Progress) for each in first[:-1])
    (saved,), made = again, first[-1]
    assert isinstance(saved, Tensor)
    assert isinstance(made, Tensor)
    assert torch.equal(saved, made)
    other = list(craft("attack", DeSparsify(steps=1), of, FEW, LABELS[4:12]))
    assert len(other) > 1
    files = sorted(path.suffix for path in tmp_path.iterdir())
    assert files == [".safetensors"] * 2


def test_the_papers_figures_are_its_percentages() -> None:
    told = {"ATS": 74, "AdaViT": 44, "A-ViT": 100}  # as printed, from figures before rounding
    for kind, percent in told.items():
        found = published.gap(kind, "desparsify")
        assert found is not None
        assert 100 * found == pytest.approx(percent, abs=1)
    assert published.gap("ATS", "no class term") is None
    assert published.gap("Dense", "pgd") is None


def test_too_few_pictures_and_dense_models_are_refused() -> None:
    with pytest.raises(BadTask):
        list(measure(sparse("ats"), PIXELS[:9], LABELS[:9], SETTINGS, {}, CRAFT))
    with pytest.raises(UnsupportedModel):
        list(measure(victim(), PIXELS, LABELS, SETTINGS, {}, CRAFT))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_is_stored_can_be_read(path: Path) -> None:
    found = read(path, Findings)
    assert found.findings.about.pictures > 0
    assert found.name == "desparsify"
