"""DeSparsify's one perturbation for any picture: what ships does what its file says, to any upload."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from demo.stored import weights
from engine.alter.ensemble import ensemble
from engine.alter.stack import named
from engine.attack.universal import PATCH, SHIPPED, Universal, load, save, shipped_for, ships_as
from engine.core.errors import BadTask, UnsupportedModel
from engine.data.decode import fit
from engine.data.samples import load_sample, samples
from engine.evaluate.universal import measured, saved
from engine.model import zoo
from engine.papers.desparsify.universal import Cost, Settings, train
from engine.papers.perturbing import Ground
from tests.model.sparse.mechanisms import KINDS as MECHANISMS
from tests.model.sparse.mechanisms import sparse
from tests.tiny import SIZE, victim

GEN = torch.Generator().manual_seed(0)
PIXELS = torch.randint(0, 256, (15, 3, SIZE, SIZE), generator=GEN, dtype=torch.uint8)
SETTINGS = Settings(eps=32 / 255, epochs=5, batch=4, lam=0)
FIGURES = ["GMACs", "utilisation", "gap closed", "answers kept"]
DESPARSIFY = sorted(SHIPPED.glob("desparsify_*.safetensors"))


def last(ground: Ground, chosen: Settings, before: Universal | None = None) -> Universal:
    found = list(train(ground, chosen, before))[-1]
    assert isinstance(found, Universal)
    return found


@pytest.mark.parametrize("kind", MECHANISMS)
def test_it_wakes_tokens_in_pictures_it_never_saw(kind: str) -> None:
    source = sparse(kind)
    made = last(Ground(source, PIXELS), SETTINGS)
    assert list(made.measured.figures) == FIGURES
    gap = made.measured.figures["gap closed"]
    assert gap.clean == pytest.approx(0, abs=1e-12)
    assert gap.attacked > max(0.0, gap.noise)
    steps = made.delta * 255
    assert torch.equal(steps, steps.round())
    assert float(steps.abs().max()) <= 32


def test_one_of_an_ensemble_serves_all_its_members() -> None:
    members = [sparse(kind) for kind in MECHANISMS]
    made = last(Ground(ensemble(members), PIXELS), SETTINGS)
    held = PIXELS[: made.measured.pictures]
    alone = [measured(each, made, held, Cost.of(each, held).of_pictures) for each in members]
    assert all(each.figures["gap closed"].attacked > 0 for each in alone)
    total = sum(each.figures["GMACs"].attacked for each in alone)
    assert made.measured.figures["GMACs"].attacked == pytest.approx(total)


@pytest.mark.parametrize("attack", ["desparsify", "slowformer"])
def test_a_patch_wakes_them_too_and_says_what_it_is_of(attack: str) -> None:
    chosen = replace(SETTINGS, kind=PATCH, seed=1, attack=attack)
    made = last(Ground(sparse("avit"), PIXELS, "golf ball", "abc"), chosen)
    assert made.attack == attack
    assert (made.side, made.label, made.weights) == (round(SIZE * 64 / 224), "golf ball", "abc")
    assert made.settings["seed"] == 1
    assert made.measured.figures["gap closed"].attacked > 0


def test_a_stopped_run_goes_on_to_the_same_bits_and_other_settings_are_refused(
    tmp_path: Path,
) -> None:
    ground = Ground(sparse("ats"), PIXELS)
    events = [each for each in train(ground, SETTINGS) if isinstance(each, Universal)]
    save(events[1], tmp_path / "x.safetensors")
    halfway = load(tmp_path / "x.safetensors")
    assert halfway.epochs == 2
    again = last(ground, SETTINGS, halfway)
    assert torch.equal(again.delta, events[-1].delta)
    assert again.measured == events[-1].measured
    assert torch.equal(last(ground, SETTINGS).delta, events[-1].delta)  # law 17
    for other in (replace(SETTINGS, lam=1.0), replace(SETTINGS, epochs=9)):
        with pytest.raises(BadTask, match="another run"):
            last(ground, other, halfway)
    with pytest.raises(BadTask, match="another run"):
        last(replace(ground, label="golf ball"), SETTINGS, halfway)


def test_a_dense_model_is_refused() -> None:
    with pytest.raises(UnsupportedModel):
        last(Ground(victim(), PIXELS), SETTINGS)


@pytest.mark.parametrize("path", DESPARSIFY, ids=lambda path: path.stem)
def test_what_ships_does_to_any_upload_what_its_file_says(path: Path) -> None:
    """Rendered samples are neither training's pictures nor those held out, and drawn besides."""
    made = load(path)
    assert ships_as(made.attack, made.victim, made.label, made.side) == path
    assert weights(path) == {(name := made.victim.split("|")[0]): zoo.card(name).sha256}
    assert made.title in [each.title for each in shipped_for(made.victim, "desparsify")]
    source = named(made.victim, zoo.load)
    size = source.spec.input_size
    drawn = [each for each in samples() if each.kind == "rendered"][:8]
    pixels = torch.stack([fit(load_sample(each.id), size) for each in drawn])
    changed = (saved(made, pixels, source).int() - pixels.int()).abs()
    if made.side:
        assert not changed[:, :, made.side :].any()
        assert not changed[:, :, :, made.side :].any()
    else:
        assert int(changed.max()) == round(255 * made.eps) == 16
    gap = measured(source, made, pixels, Cost.of(source, pixels).of_pictures).figures["gap closed"]
    assert gap.attacked > max(0.1, gap.noise)
    assert made.measured.figures["gap closed"].attacked > 0.1
