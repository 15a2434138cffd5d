"""Robustness Tokens are trained: the laws of the losses, the budget, and a run that is cut off."""

from __future__ import annotations

import dataclasses
from itertools import islice
from pathlib import Path

import pytest
import tiny
import torch
from PIL import Image
from small_zoo import victim as small
from small_zoo import vit

from engine.attack.attack import observe
from engine.attack.feature_objective import cosine
from engine.core.errors import BadKnob, BadTask, NotFinite, UnsupportedModel
from engine.core.streams import Streams
from engine.data.table import BadFolder
from engine.evaluate.feature import featured
from engine.evaluate.judge import shown
from engine.evaluate.progress import Progress
from engine.model.sites import Site
from engine.model.tokenfile import opened
from engine.model.tokens import hosted
from engine.train.checkpoint import BadCheckpoint
from engine.train.pictures import read_any
from engine.train.speed import bench_tokens
from engine.train.tokens import (
    OFTEN,
    Step,
    TokenTraining,
    Trained,
    attacked,
    batch_of,
    cosines,
    train,
    train_folder,
)

SHORT = TokenTraining(count=3, steps=12, batch=2, rate=0.1, attack_steps=2, eps=16 / 255)
SEEDED = Streams(0)


def pixels(count: int = 3, seed: int = 0) -> torch.Tensor:
    return (tiny.task(count, seed).images * 255).round().to(torch.uint8)


def made(victim: tiny.Victim, images: torch.Tensor, training: TokenTraining = SHORT):
    events = attacked(victim, images, training, SEEDED)
    return torch.cat([each for each in events if isinstance(each, torch.Tensor)])


def write_pictures(folder: Path) -> Path:
    for place, picture in enumerate(pixels(5)):
        path = folder / ("a" if place % 2 else "b/deep") / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(path)
    (folder / "a" / "notes.txt").write_text("no picture", encoding="utf-8")
    return folder


def test_a_step_is_adams_on_both_cosines_and_moves_the_tokens_alone():
    victim, images = tiny.victim(), pixels()
    before = {name: value.clone() for name, value in victim.module.state_dict().items()}
    copies = made(victim, images)
    steps = list(train(victim, images, copies, SHORT, SEEDED))
    assert [each.step for each in steps] == list(range(1, 13))

    tokens = (SHORT.spread * torch.randn(3, 24, generator=SEEDED.at("tokens"))).double()
    tokens.requires_grad_()
    adam = torch.optim.Adam([tokens], lr=SHORT.rate, maximize=True)
    for each in islice(steps, 3):
        rows = batch_of(each.step - 1, 3, 2, SEEDED)
        wanted = featured(victim, images[rows]).values
        losses = []
        for shown_ones in (images, copies):  # in two passes, where training needs one
            with hosted(victim, tokens).session(graph={Site.FEATURE}) as forward:
                (seen,) = forward(shown(shown_ones[rows], victim).double()).values(Site.FEATURE)
                losses.append(cosine(seen, wanted).mean())
        adam.zero_grad()
        sum(losses).backward()
        adam.step()
        assert torch.allclose(each.tokens, tokens.detach(), atol=1e-9)  # sums in another order
        assert [each.inv, each.adv] == pytest.approx([loss.item() for loss in losses], abs=1e-9)
        assert each.inv + each.adv <= 2

    for axis in ("token", "flat"):
        first = next(train(victim, images, copies, dataclasses.replace(SHORT, axis=axis), SEEDED))
        rows = batch_of(0, 3, 2, SEEDED)
        start = hosted(victim, SHORT.spread * torch.randn(3, 24, generator=SEEDED.at("tokens")))
        wanted = featured(victim, images[rows])
        found = [featured(start, each[rows]).near(wanted, axis).mean() for each in (images, copies)]
        assert [first.inv, first.adv] == pytest.approx([each.item() for each in found], abs=1e-9)

    assert all(
        torch.equal(before[name], value) for name, value in victim.module.state_dict().items()
    )
    assert all(p.grad is None and not p.requires_grad for p in victim.module.parameters())


def test_training_brings_an_attacked_feature_closer_than_the_start_was():
    victim, images = tiny.victim(), pixels()
    copies = made(victim, images)
    longer = dataclasses.replace(SHORT, steps=40, batch=3)
    *_, last = train(victim, images, copies, longer, SEEDED)
    start = next(train(victim, images, copies, dataclasses.replace(longer, steps=1), SEEDED))
    assert last.inv + last.adv > start.inv + start.adv + 0.005
    found = cosines(victim, last.tokens, images, copies, longer)
    again = observe(hosted(victim, last.tokens), shown(copies, victim).double(), {Site.FEATURE})
    (seen,) = again.values(Site.FEATURE)
    mean = cosine(seen, featured(victim, images).values).mean().item()
    assert found["attacked_with"]["value"] == pytest.approx(mean, abs=1e-4)  # told in 4 digits
    off = featured(victim, images)
    assert torch.allclose(
        off.near(off), torch.ones(3).double(), atol=1e-12
    )  # tokens off: L_inv = 1


@pytest.mark.parametrize("space", ["pixel", "normalised"])
def test_what_is_attacked_keeps_the_budget_and_knows_no_tokens(space: str):
    victim, images = tiny.victim(), pixels()
    training = dataclasses.replace(SHORT, space=space, eps=8 / 255)
    copies = made(victim, images, training)
    far = (copies.int() - images.int()).abs().amax((0, 2, 3))
    std = torch.tensor(victim.spec.std)
    most = torch.full((3,), 8.0) if space == "pixel" else (8 * std + 0.5).floor()
    assert torch.equal(far.float(), most)  # whole 255ths; half a one where rounding goes outward
    more = dataclasses.replace(training, count=7, spread=1.0, batch=3)
    assert torch.equal(made(victim, images, more), copies)  # nor its batch-mates
    assert bool((featured(victim, copies).near(featured(victim, images)) < 0.999).all())


def test_every_picture_is_seen_before_any_is_seen_again():
    for pictures, batch in ((5, 2), (3, 8), (4, 4)):
        size = min(pictures, batch)
        seen = torch.cat([batch_of(step, pictures, batch, SEEDED) for step in range(2 * pictures)])
        assert len(seen) == 2 * pictures * size
        for deck in seen.split(pictures):
            assert sorted(deck.tolist()) == list(range(pictures))
        assert len({tuple(deck.tolist()) for deck in seen.split(pictures)}) > 1


def test_a_killed_run_goes_on_as_if_it_had_not_been(tmp_path: Path):
    victim, data = tiny.victim(), write_pictures(tmp_path / "pictures")
    falling = dataclasses.replace(SHORT, pace="cosine")
    rates = [falling.rate_at(step) for step in (0, 6, 12)]
    assert rates == pytest.approx([SHORT.rate, SHORT.rate / 2, 0])

    def run(name: str, *, resume: bool = False, training: TokenTraining = falling, seed: int = 0):
        return train_folder(
            victim, data, training, tmp_path, name, resume=resume, seed=seed,
            limit=4, skip=1, held_out=data, held_out_pictures=2,
        )  # fmt: skip

    whole = list(run("whole"))
    end = whole[-1]
    assert isinstance(end, Trained)
    cuts = {"attacking": 3, "training": sum(isinstance(e, Progress) for e in whole[:9]) + OFTEN + 1}
    for name, cut in cuts.items():
        begun = list(islice(run(name), cut))
        assert not (tmp_path / f"{name}.safetensors").exists()
        rest = list(run(name, resume=True))
        assert len(rest) < len(whole)
        assert len(begun) + len(rest) >= len(whole)
        last = rest[-1]
        assert isinstance(last, Trained)
        assert torch.equal(opened(last.path).values, opened(end.path).values)
        timeless = [{**each.card, "seconds": 0} for each in (last, end)]
        assert timeless[0] == timeless[1]
        assert not list(tmp_path.glob("*.training"))
    other = list(run("other", seed=1))[-1]
    assert isinstance(other, Trained)
    assert not torch.equal(opened(other.path).values, opened(end.path).values)

    card = opened(end.path).card
    steps = [each for each in whole if isinstance(each, Step)]
    assert card["history"]["inv"] == [round(each.inv, 4) for each in steps]
    assert card["data"]["pictures"] == 4
    assert card["training"]["eps"] == 16 / 255
    assert set(card["held_out"]) >= {"clean_with", "attacked_without", "attacked_with"}

    with pytest.raises(BadCheckpoint, match="no run"):
        next(run("never", resume=True))
    next(run("changed"))
    with pytest.raises(BadCheckpoint, match="other settings"):
        next(run("changed", resume=True, training=dataclasses.replace(SHORT, rate=0.2)))


def test_any_folder_of_pictures_will_do(tmp_path: Path):
    folder = write_pictures(tmp_path)
    everything = read_any(folder, tiny.SIZE)
    assert everything.shape == (5, 3, 32, 32)
    assert torch.equal(everything[1:3], read_any(folder, tiny.SIZE, limit=2, skip=1))
    assert {each.numpy().tobytes() for each in everything} == {
        each.numpy().tobytes() for each in pixels(5)
    }
    with pytest.raises(BadFolder, match="after the first 5"):
        read_any(folder, tiny.SIZE, skip=5)
    with pytest.raises(BadFolder):
        read_any(folder / "nothing", tiny.SIZE)


def test_what_cannot_be_trained_is_said(tmp_path: Path):
    victim, images = tiny.victim(), pixels()
    with pytest.raises(BadKnob):
        TokenTraining(count=0)
    with pytest.raises(BadTask):
        next(train(victim, images[:0], images[:0], SHORT, SEEDED))
    folder, swin = write_pictures(tmp_path), tiny.victim("swin")
    with pytest.raises(UnsupportedModel, match="cannot host"):
        next(train(swin, images, images, SHORT, SEEDED))
    with pytest.raises(UnsupportedModel, match="cannot host"):
        next(train_folder(swin, folder, SHORT, tmp_path, "swin"))
    with pytest.raises(BadKnob, match="name"):
        next(train_folder(victim, folder, SHORT, tmp_path, "../own"))
    broken = Step(1, 12, 0.0, 0.0, torch.full((3, 24), torch.nan), (torch.zeros(3, 24),) * 2)
    with pytest.raises(NotFinite):
        next(train(victim, images, images, SHORT, SEEDED, broken))


def test_the_price_of_tokens_is_measured_where_a_model_can_host_them():
    single = small("single", vit(), 32, dtype=torch.float32)
    rows = list(bench_tokens(single, batches=(1, 2), rounds=1))
    assert [(row.what, row.batch) for row in rows] == [
        ("forward with 10 tokens", 1),
        ("forward with 10 tokens", 2),
        ("token training step", 1),
        ("token training step", 2),
    ]
    assert all(row.seconds > 0 and row.floor > 0 for row in rows)
    assert not list(bench_tokens(tiny.victim("swin")))
