"""Claims: every row is computed from the outcomes as its words say, and no verdict is free."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from small_zoo import MLP, cnn, experiment, finish, load, pictures, vit

from engine.attack.recipes.mifgsm import MIFGSM
from engine.attack.recipes.tgr import TGR
from engine.attack.recipes.vmi import VMI
from engine.core.errors import BadTask
from engine.core.streams import Streams
from engine.data.decode import fit
from engine.evaluate.interval import Estimate, mcnemar
from engine.evaluate.judge import shown
from engine.evaluate.paired import Panel
from engine.evaluate.transfer import Cell, Matrix, Progress, class_indices, transfer
from engine.model import zoo
from engine.model.sites import Site
from engine.model.task import Task, task_for
from engine.model.victim import Victim
from engine.papers.tgr.ablation import Entry, Spared, ablate, settings
from engine.papers.tgr.ablation import markdown as ablation_markdown
from engine.papers.tgr.claims import (
    Row,
    _verdict,
    attends,
    claims,
    gradients_spent,
    markdown,
    scale_free,
    summary,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """small_zoo's pictures on disk, and small_zoo in the zoo's place."""

    def of_that_name(name: str, weights: Path | None = None) -> Victim:
        return load(name)

    monkeypatch.setattr(zoo, "load", of_that_name)
    for index, (image, label) in enumerate(pictures(12)):
        (tmp_path / label).mkdir(exist_ok=True)
        image.save(tmp_path / label / f"{index}.png")
    return tmp_path


def made_up(rows: dict[str, dict[str, list[int]]], right: dict[str, list[int]]) -> Matrix:
    """A matrix whose outcomes are written down by hand: attack -> target -> survived."""
    recipes = {"a": MIFGSM(), "b": TGR()}
    return Matrix(
        tuple(
            Cell("s", recipes[name], t, tuple(map(bool, right[t])), tuple(map(bool, kept)))
            for name, targets in rows.items()
            for t, kept in targets.items()
        )
    )


def test_a_panel_counts_by_hand() -> None:
    right = {"t": [1, 1, 1, 0], "u": [1, 0, 1, 1]}
    matrix = made_up(
        {
            "a": {"t": [0, 1, 1, 0], "u": [1, 0, 0, 1]},
            "b": {"t": [0, 0, 1, 1], "u": [0, 1, 0, 1]},
        },
        right,
    )
    panel = Panel(matrix, "s", ("t", "u"))
    assert panel.rate(MIFGSM()).value == pytest.approx((1 / 3 + 1 / 3) / 2)
    assert panel.rate(TGR()).value == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert panel.gain(TGR(), MIFGSM()).value == pytest.approx(1 / 3)
    assert panel.gain(MIFGSM(), MIFGSM()) == Estimate(0, 0, 0)
    # TGR fools one target more on the first and the second picture, none fewer anywhere.
    assert panel.p(TGR(), MIFGSM()) == mcnemar(2, 0)
    assert panel.images == 4


def test_a_target_that_knows_nothing_is_refused() -> None:
    matrix = made_up({"a": {"t": [0, 0]}}, {"t": [0, 0]})
    with pytest.raises(BadTask, match="none of the pictures right"):
        Panel(matrix, "s", ("t",)).rate(MIFGSM())


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.1, 2, "holds"), (-2, -0.1, "fails"), (-1, 1, "undecided"), (0, 1, "undecided")],
)
def test_a_verdict_needs_the_whole_interval(low: float, high: float, verdict: str) -> None:
    assert _verdict(Estimate((low + high) / 2, low, high), 0) == verdict
    assert _verdict(Estimate(math.nan, -math.inf, math.inf), 0) == "undecided"


def test_gradients_are_counted_as_they_are_spent() -> None:
    source = load("vit_a")
    for recipe, spent in ((MIFGSM(steps=4), 4), (VMI(steps=2, samples=3), 8)):
        assert gradients_spent(recipe, source, pictures()[0]) == spent


def test_attention_is_what_tells_a_vit_from_a_cnn() -> None:
    assert attends(vit())
    assert not attends(cnn())


def a_task(source: Victim, count: int = 4) -> Task:
    few = pictures(count)
    x = torch.stack([fit(each.image, 32) for each in few])
    return task_for(source, shown(x, source), class_indices(few, source))


def test_dispersion_is_that_of_the_edited_gradients_and_knows_no_scale() -> None:
    source = load("vit_a")
    task = a_task(source)
    plain, damped, zeroed = (
        scale_free(source, recipe, task, seed=0, batch=3)
        for recipe in (
            MIFGSM(steps=1),
            TGR(steps=1, k=0, components="mlp", mlp=0.5),
            TGR(steps=1, attention=1.0, qkv=1.0, mlp=1.0),
        )
    )
    assert plain.shape == (2, 4, 1, 2, 3)
    # The last block's MLP gradient is only scaled; 1e-4 covers the probe's float32 arithmetic.
    assert torch.allclose(damped[:, :, :, -1, 2], plain[:, :, :, -1, 2], atol=1e-4)
    # With one class token, zeroing wipes it out: nothing is left to be dispersed.
    assert not zeroed[:, :, :, -1, 2].isfinite().any()
    assert zeroed[:, :, :, 0].isfinite().all()
    assert not torch.allclose(zeroed[:, :, :, 0], plain[:, :, :, 0], atol=1e-2)
    whole = scale_free(source, MIFGSM(steps=1), task, seed=0, batch=4)
    assert torch.allclose(whole, plain, atol=1e-4)


def test_every_claim_is_measured_with_its_budget(folder: Path) -> None:
    targets = ("vit_a", "vit_b", "vit_large", "cnn")
    *events, _ = found = list(claims(folder, "vit_a", targets, steps=1, batch=6))
    rows = [each for each in found if isinstance(each, Row)]
    progress = [each for each in events if isinstance(each, Progress)]
    assert progress[-1].done == progress[-1].total
    assert {row.claim for row in rows} == {f"C{i}" for i in range(1, 10)}
    for row in rows:
        m = row.measured
        assert m.low <= m.value <= m.high, row
        assert 0 < row.pictures <= 12
        sides = [int(n) for n in row.budget.split(" : ")]
        if "unequal" in row.statement:
            assert sides == [1, 21]
        elif "equal cost" in row.statement:
            assert sides == [21, 21]
        elif row.claim != "C9":  # ATT studies the clean pictures once
            assert set(sides) == {1}, row
        if row.unit == "points":
            expected = "holds" if m.low > 0 else "fails" if m.high < 0 else "undecided"
            assert row.verdict == expected
    plain = json.loads(json.dumps(summary(rows), allow_nan=False))
    assert len(plain["rows"]) == len(rows)
    assert len(markdown(rows).splitlines()) == len(rows) + 2


def test_rows_repeat_what_transfer_measures(folder: Path) -> None:
    rows = [r for r in claims(folder, "vit_a", ("vit_b",), steps=1) if isinstance(r, Row)]
    assert not [row for row in rows if row.claim == "C2"]  # no CNN among the targets
    c3 = next(row for row in rows if row.claim == "C3")
    matrix = finish(
        transfer(
            experiment(
                sources=("vit_a",),
                targets=("vit_a", "vit_b"),
                recipes=(TGR(steps=1), MIFGSM(steps=1)),
            ),
            load,
        )
    )
    cell = matrix.cell("vit_a", TGR(steps=1), "vit_a")
    assert (c3.measured.value, c3.pictures) == (100 * cell.success.value, cell.success.of)


def test_claims_need_a_target(folder: Path) -> None:
    with pytest.raises(BadTask, match="not the source"):
        next(claims(folder, "vit_a", ("vit_a",)))


def test_sparing_nothing_and_everything(folder: Path) -> None:
    source = load("vit_a")
    task = a_task(source)

    def step(recipe: TGR) -> torch.Tensor:
        attack = recipe.build(source.spec)
        state = attack.init(source, task, Streams(0))
        _, info = attack.step(source, task, state, Streams(0), MLP)
        assert info.out is not None
        return torch.stack(info.out.gradients(Site.MLP_OUT))

    tgr, spared = step(TGR(steps=1)), step(Spared(steps=1, spare="last mlp"))
    assert torch.equal(step(Spared(steps=1)), tgr)
    factor = step(TGR(steps=1, k=0))
    assert not tgr[-1].any()
    assert torch.equal(spared[-1], factor[-1])
    assert bool((spared[0] == 0).any())
    prefix = step(Spared(steps=1, spare="prefix", components="mlp"))
    assert torch.equal(prefix[-1][:, :1], step(TGR(steps=1, k=0, components="mlp"))[-1][:, :1])
    assert not prefix[-1][:, 1:].any()


def test_the_ablation_compares_with_mi_fgsm_at_its_own_budget(folder: Path) -> None:
    chosen = (MIFGSM(8 / 255, 1), TGR(8 / 255, 1), MIFGSM(16 / 255, 1), TGR(16 / 255, 1))
    found = [e for e in ablate(folder, "vit_a", ("vit_b",), chosen) if isinstance(e, Entry)]
    assert [e.recipe for e in found] == list(chosen)
    assert found[0].gain == found[2].gain == Estimate(0, 0, 0)
    for base, other in ((0, 1), (2, 3)):
        assert found[other].gain.value == pytest.approx(
            found[other].rate.value - found[base].rate.value
        )
    assert len(ablation_markdown(found).splitlines()) == 6


def test_the_ablation_asks_for_every_setting_once() -> None:
    every = settings()
    assert len(set(every)) == len(every)
    assert {TGR(eps=eps) for eps in (8 / 255, 16 / 255)} <= set(every)
