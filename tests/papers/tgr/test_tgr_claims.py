"""Claims: every row is computed from the outcomes as its words say, and no verdict is free."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from small_zoo import MLP, cnn, experiment, finish, load, pictures, vit

from engine.attack.recipes.mifgsm import MIFGSM
from engine.attack.recipes.tgr import TGR
from engine.attack.recipes.vmi import VMI
from engine.core.errors import BadTask
from engine.core.streams import Streams
from engine.data.decode import decode, fit
from engine.evaluate.claim import Row
from engine.evaluate.evaluate import folder_pictures
from engine.evaluate.interval import Estimate, Proportion, mcnemar
from engine.evaluate.judge import shown
from engine.evaluate.jury import Jury
from engine.evaluate.progress import Progress
from engine.evaluate.transfer import Cell, Matrix, class_indices, transfer
from engine.model import zoo
from engine.model.sites import Site
from engine.model.task import Task, task_for
from engine.model.victim import Victim
from engine.papers.paper import Photographs
from engine.papers.tgr.ablation import Parts, Spared, ablate, markdown, settings
from engine.papers.tgr.claims import (
    WORDS,
    Settings,
    attends,
    claims,
    gradients_spent,
    recipes,
    scale_free,
)

EPS = 16 / 255
TARGETS = ("vit_b", "vit_large", "cnn")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """small_zoo's pictures on disk, and small_zoo in the zoo's place."""

    def of_that_name(name: str, weights: Path | None = None) -> Victim:
        return load(name)

    found = tmp_path_factory.mktemp("pictures")
    for index, (image, label) in enumerate(pictures(12)):
        (found / label).mkdir(exist_ok=True)
        image.save(found / label / f"{index}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo, "load", of_that_name)
        yield found


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def rows(folder: Path, kept: Path) -> list[Row]:
    asked = Photographs(folder, "vit_a", ("vit_a", *TARGETS), batch=6, keep=kept)
    events = list(claims(asked, Settings(steps=1)))
    progress = [each for each in events if isinstance(each, Progress)]
    assert progress[-1].done == progress[-1].total
    return [each for each in events if isinstance(each, Row)]


@pytest.fixture(scope="module")
def outcomes(folder: Path, kept: Path, rows: list[Row]) -> Matrix:
    """What the attacks did, picture by picture: what the claims have kept, read again."""
    asked = experiment(
        pictures=folder_pictures(folder, load("vit_a")),
        sources=("vit_a",),
        recipes=tuple(recipes(EPS, 1).values()),
        targets=("vit_a", *TARGETS),
        batch=6,
    )
    return finish(transfer(asked, load, kept))


def rate(outcomes: Matrix, word: str, targets: tuple[str, ...]) -> float:
    """Mean share fooled, in points, of an attack by its word in a row: counted one by one."""
    (name,) = (name for name, its in WORDS.items() if its == word)
    shares: list[float] = []
    for target in targets:
        cell = outcomes.cell("vit_a", recipes(EPS, 1)[name], target)
        pairs = list(zip(cell.right, cell.survived, strict=True))
        had = [kept for right, kept in pairs if right]
        shares.append(100 * had.count(False) / len(had))
    return sum(shares) / len(shares)


def test_every_difference_is_that_of_the_outcomes_counted_by_hand(
    rows: list[Row], outcomes: Matrix
) -> None:
    checked = 0
    for row in rows:
        if row.unit != "points":
            continue
        where, _, said = row.statement.rpartition(": ")
        targets = TARGETS
        if where.startswith(("ViT", "CNN")):
            targets = ("cnn",) if where.startswith("CNN") else ("vit_b", "vit_large")
        if where.startswith("k has"):
            one = max(rate(outcomes, each, targets) for each in ("TGR", "k=2", "k=5"))
            other = max(rate(outcomes, each, targets) for each in ("k=0", "k=10"))
        else:
            better, worse = said.split(" > ")
            words = worse.removeprefix("best of ").split(", ")
            one = rate(outcomes, better, targets)
            other = max(rate(outcomes, each, targets) for each in words)
        assert row.measured.value == pytest.approx(one - other), row
        assert row.measured.low <= row.measured.value <= row.measured.high
        expected = "holds" if row.measured.low > 0 else "fails" if row.measured.high < 0 else None
        assert row.verdict == (expected or "undecided")
        checked += 1
    assert checked == 23  # twelve of C1 and C2, four of C4, three of C5, two of C6, C8, C9
    assert len({round(row.measured.value, 6) for row in rows if row.unit == "points"}) > 3


def test_on_its_own_source_tgr_is_one_cell_with_wilsons_interval(
    rows: list[Row], outcomes: Matrix
) -> None:
    (row,) = (row for row in rows if row.claim == "C3")
    cell = outcomes.cell("vit_a", recipes(EPS, 1)["tgr"], "vit_a")
    fooled = Proportion(cell.success.count, sum(cell.right))
    assert row.measured == Estimate(
        100 * fooled.value, 100 * fooled.interval[0], 100 * fooled.interval[1]
    )
    assert row.pictures == sum(cell.right)


def test_calmness_is_the_mean_ratio_to_mi_fgsm_over_pictures(folder: Path, rows: list[Row]) -> None:
    source = load("vit_a")
    chosen = folder_pictures(folder, source)
    images = torch.stack([fit(decode(each.image), 32) for each in chosen])
    task = task_for(source, shown(images, source), class_indices(chosen, source))
    base, own = (
        scale_free(source, each, task, seed=0, batch=6) for each in (MIFGSM(EPS, 1), TGR(EPS, 1))
    )
    gaps = (own - base)[0].flatten(1)
    means = [g[g.isfinite()].mean() for g in gaps if g.isfinite().any()]
    (row,) = (row for row in rows if row.statement == "dispersion of gradients, TGR / MI-FGSM")
    assert row.measured.value == pytest.approx(float(torch.stack(means).mean().exp()))
    assert row.verdict == ("holds" if row.measured.high < 1 else "undecided")
    assert len([row for row in rows if row.claim == "C7"]) == 4


def test_every_row_says_what_its_sides_spend(rows: list[Row]) -> None:
    assert {row.claim for row in rows} == {f"C{i}" for i in range(1, 10)}
    for row in rows:
        sides = [int(n) for n in row.budget.split(" : ")]
        if "unequal" in row.statement:
            assert sides == [1, 21]
        elif "equal cost" in row.statement:
            assert sides == [21, 21]
        elif row.claim != "C9":  # ATT studies the clean pictures once
            assert set(sides) == {1}, row


def test_without_a_cnn_nothing_is_claimed_of_cnns(folder: Path) -> None:
    asked = Photographs(folder, "vit_a", ("vit_b",), limit=6)
    found = [each for each in claims(asked, Settings(steps=1)) if isinstance(each, Row)]
    assert {row.claim for row in found} == {f"C{i}" for i in (1, 3, 4, 5, 6, 7, 8, 9)}


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


def test_a_jury_counts_by_hand() -> None:
    right = {"t": [1, 1, 1, 0], "u": [1, 0, 1, 1]}
    matrix = made_up(
        {
            "a": {"t": [0, 1, 1, 0], "u": [1, 0, 0, 1]},
            "b": {"t": [0, 0, 1, 1], "u": [0, 1, 0, 1]},
        },
        right,
    )
    jury = Jury(matrix, "s", ("t", "u"))
    assert jury.rate(MIFGSM()).value == pytest.approx((1 / 3 + 1 / 3) / 2)
    assert jury.rate(TGR()).value == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert jury.gain(TGR(), MIFGSM()).value == pytest.approx(1 / 3)
    assert jury.gain(MIFGSM(), MIFGSM()) == Estimate(0, 0, 0)
    # TGR fools one target more on the first and the second picture, none fewer anywhere.
    assert jury.p(TGR(), MIFGSM()) == mcnemar(2, 0)
    assert jury.images == 4


def test_a_target_that_knows_nothing_is_refused() -> None:
    matrix = made_up({"a": {"t": [0, 0]}}, {"t": [0, 0]})
    with pytest.raises(BadTask, match="none of the pictures right"):
        Jury(matrix, "s", ("t",)).rate(MIFGSM())


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


def test_claims_need_a_target(folder: Path) -> None:
    with pytest.raises(BadTask, match="not the source"):
        next(claims(Photographs(folder, "vit_a", ("vit_a",)), Settings()))


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
    *_, parts = ablate(Photographs(folder, "vit_a", ("vit_b",)), chosen)
    assert isinstance(parts, Parts)
    found = parts.entries
    assert [e.title for e in found] == [
        "mifgsm(eps=8/255, steps=1)",
        "tgr(eps=8/255, steps=1)",
        "mifgsm(steps=1)",
        "tgr(steps=1)",
    ]
    assert found[0].gain == found[2].gain == Estimate(0, 0, 0)
    for base, other in ((0, 1), (2, 3)):
        assert found[other].gain.value == pytest.approx(
            found[other].rate.value - found[base].rate.value
        )
    assert parts.find(8) == found[1]
    assert len(markdown(parts).splitlines()) == 6


def test_the_ablation_asks_for_every_setting_once() -> None:
    every = settings()
    assert len(set(every)) == len(every)
    assert {TGR(eps=eps) for eps in (8 / 255, 16 / 255)} <= set(every)
