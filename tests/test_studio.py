"""The façade: what is stored is what happened, and what is reported is what was saved."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine import VERSION, studio
from engine.alter.catalog import parse_stack
from engine.alter.stack import altered
from engine.attack.attack import craft, observe
from engine.attack.catalog import RECIPES, parse, recipe
from engine.core.errors import BadStack, BadTask, MissingSite
from engine.core.streams import Streams
from engine.data.decode import fit
from engine.data.labels import class_index
from engine.data.samples import load_sample
from engine.evaluate import familiar
from engine.model import zoo
from engine.model.task import Task
from engine.probe import attention, depth, outliers, tokens

MODEL = "vit_imagenette"


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return load_sample("golf_ball")


def finish(request: studio.Request) -> studio.Result:
    run = studio.Run(request)
    while not run.done:
        run.advance()
    return run.result()


@pytest.mark.parametrize("kind", RECIPES, ids=lambda kind: kind.name)
def test_every_recipe_stays_inside_eps_after_saving(
    kind: type, picture: Image.Image, tmp_path: Path
) -> None:
    few = {"targets": 1} if kind.name == "fab" else {}
    chosen = kind(steps=1) if kind.name == "fgsm" else kind(steps=2, **few)
    alter = () if chosen.criterion.lacks(zoo.load(MODEL).spec) is None else parse_stack("ats")
    result = finish(studio.Request(picture, MODEL, chosen, alter=alter))
    png, npz, told = studio.save(result, tmp_path)
    saved = np.asarray(Image.open(png)).astype(int)
    clean = fit(picture, 160).permute(1, 2, 0).numpy().astype(int)
    gap = np.abs(saved - clean).max()
    assert gap <= int(chosen.eps * 255 + 1e-4)
    report = json.loads(told.read_text(encoding="utf-8"))
    assert report["schema"] == studio.SCHEMA
    assert report["distances"]["linf_255"] == gap
    arrays = np.load(npz)
    assert np.array_equal(
        arrays["clean"].astype(int) + arrays["delta"], arrays["adversarial"].astype(int)
    )


def test_an_attack_that_is_over_early_tells_its_steps_and_what_it_makes_of_them(
    picture: Image.Image,
) -> None:
    run = studio.Run(studio.Request(picture, MODEL, recipe("autoattack_quick"), views=False))
    asked = run.attack.steps
    events = [run.advance()]
    while not run.done:
        events.append(run.advance())
    result = run.result()
    assert result.finished
    assert result.success
    assert result.steps == result.asked == len(events) == len(result.losses) < 20 < asked
    assert [frame.step for frame in result.frames] == [0, result.steps]
    assert f"; {result.steps} steps, " in studio.verdict(result)
    (told,) = result.told
    assert told.endswith(f": the picture fell to APGD-CE after {result.steps} steps.")
    assert studio.summary(result)["told"] == [told]


def test_mechanisms_side_by_side_are_attacked_as_one_model(picture: Image.Image) -> None:
    names = "vit_imagenette|ats", "vit_imagenette_avit"
    chosen = recipe("desparsify", steps=2)
    alone = [
        finish(studio.Request(picture, name, chosen, views=False)).clean.figures for name in names
    ]
    result = finish(studio.Request(picture, "+".join(names), chosen))
    for figure in ("MACs, clean", "MACs, dense"):
        assert result.clean.figures[figure] == sum(each[figure] for each in alone)
    titles = [zoo.card(each).title for each in ("vit_imagenette", "vit_imagenette_avit")]
    assert result.title == f"{titles[0]}, ATS + {titles[1]}"


def test_files_say_what_they_are(picture: Image.Image, tmp_path: Path) -> None:
    chosen = recipe("mifgsm", eps=4 / 255, steps=2)
    run = studio.Run(
        studio.Request(picture, MODEL, chosen, target=3, seed=7, name="golf_ball", views=False)
    )
    run.advance()
    result = run.result()
    png, npz, told = studio.save(result, tmp_path)
    stem = "golf_ball-vit_imagenette-mifgsm-eps4-seed7"
    assert [each.name for each in (png, npz, told)] == [
        f"{stem}.{k}" for k in ("png", "npz", "json")
    ]
    with Image.open(png) as saved:
        text = dict(saved.text)  # pyright: ignore[reportAttributeAccessIssue]
        pixels = np.asarray(saved)
    assert np.array_equal(pixels, result.adversarial.pixels.permute(1, 2, 0).numpy())
    assert text["Software"] == f"ViT Adversarial Lab {VERSION}"
    assert (text["Picture"], text["Model"], text["Attack"]) == ("golf_ball", MODEL, "mifgsm")
    words = dict(word.split("=") for word in text["Knobs"].split())
    assert parse(text["Attack"], words) == chosen
    assert (text["Seed"], text["Steps"], text["Precision"]) == ("7", "1 of 2", "float32")
    assert text["Goal"] == f"{result.name(result.label)} -> {result.name(3)}"
    report = json.loads(told.read_text(encoding="utf-8"))["picture"]
    original = np.asarray(picture)
    assert report["size"] == [original.shape[1], original.shape[0]]
    for key, shown in (
        ("sha256", original),
        ("input_sha256", np.load(npz)["clean"].transpose(1, 2, 0)),
        ("adversarial_sha256", pixels),
    ):
        assert report[key] == hashlib.sha256(shown.tobytes()).hexdigest()
    assert text["Picture SHA-256"] == report["sha256"]


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("", "picture-"),
        ("my cat.jpeg", "my_cat-"),
        ("../../etc/passwd", "passwd-"),
        ("Señor Café.PNG", "Senor_Cafe-"),
        ("日本.png", "picture-"),
        ("a" * 400 + ".png", "a" * 60 + "-"),
        ('x"<b>&.png', "x_b-"),
    ],
)
def test_any_name_makes_a_file_name(name: str, begins: str, picture: Image.Image) -> None:
    chosen = recipe("pgd", eps=0.5 * 9 / 255)
    run = studio.Run(studio.Request(picture, MODEL, chosen, views=False, name=name))
    stem = studio.stem(run.result())
    assert stem == f"{begins}{MODEL}-pgd-eps4.5-seed0"


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["version"] == VERSION


def test_the_prediction_reported_is_that_of_the_saved_file(picture: Image.Image) -> None:
    result = finish(studio.Request(picture, MODEL, recipe("mifgsm", steps=3)))
    victim = zoo.load(MODEL)
    x = fit(result.image(), 160).unsqueeze(0).float() / 255
    with torch.no_grad():
        expected = victim.logits(x)[0].softmax(0)
    # The same pixels through the fused model; the run used explicit attention to see inside.
    assert torch.allclose(result.adversarial.probabilities, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["mifgsm", "tgr", "pgd"])
def test_watching_does_not_change_the_attack(name: str, picture: Image.Image) -> None:
    chosen = recipe(name, steps=3)
    result = finish(studio.Request(picture, MODEL, chosen, views=True))
    bare = finish(studio.Request(picture, MODEL, chosen, views=False))
    differing = (result.adversarial.pixels != bare.adversarial.pixels).float().mean()
    # Explicit and fused attention round differently; a sign can turn where the gradient is ~ 0.
    assert differing < 0.01


def test_views_read_the_same_as_a_fresh_pass(picture: Image.Image) -> None:
    """Frames recorded in the attack's own passes equal frames measured afresh."""
    run = studio.Run(studio.Request(picture, MODEL, recipe("tgr", steps=3)))
    while not run.done:
        run.advance()
    stored = attention.PROBE.of(run.result().frames[2].readings)
    fresh = studio.Run(studio.Request(picture, MODEL, recipe("tgr", steps=2)))
    fresh.attack = run.attack
    while fresh.state.step < 2:
        fresh.advance()
    other = attention.PROBE.of(fresh.result().frames[2].readings)
    assert stored is not None
    assert other is not None
    # The fresh one is measured on the 8-bit picture, half a level away at most.
    for a, b in zip(stored.maps, other.maps, strict=True):
        assert (a.int() - b.int()).abs().float().mean() < 3


def test_a_run_can_be_asked_at_any_step(picture: Image.Image) -> None:
    run = studio.Run(studio.Request(picture, MODEL, recipe("mifgsm", steps=5)))
    start = run.result()
    assert len(start.frames) == 1
    assert start.distances.linf == 0
    run.advance()
    run.advance()
    partial = run.result()
    assert [frame.step for frame in partial.frames] == [0, 1, 2]
    assert not partial.finished
    assert "stopped at step 2 of 5" in studio.verdict(partial)
    while not run.done:
        run.advance()
    whole = run.result()
    straight = finish(studio.Request(picture, MODEL, recipe("mifgsm", steps=5)))
    assert torch.equal(whole.adversarial.pixels, straight.adversarial.pixels)


def test_the_run_is_the_attack(picture: Image.Image) -> None:
    """Stepping through the façade gives the pixels that the bare attack gives."""
    chosen = recipe("mifgsm", steps=3)
    result = finish(studio.Request(picture, MODEL, chosen, views=False))
    victim = zoo.load(MODEL)
    x = fit(picture, 160).unsqueeze(0).float() / 255
    label = victim.logits(x).argmax(1)
    adversarial = craft(chosen.build(victim.spec), victim, Task(x, label), Streams(0))
    assert torch.equal((adversarial[0] * 255).round().to(torch.uint8), result.adversarial.pixels)


def test_long_runs_keep_a_bounded_number_of_frames(picture: Image.Image) -> None:
    run = studio.Run(studio.Request(picture, MODEL, recipe("mifgsm", steps=40), views=False))
    while not run.done:
        run.advance()
    frames = run.result().frames
    assert len(frames) <= studio.MOST_FRAMES + 1
    assert frames[0].step == 0
    assert frames[-1].step == 40


def test_targeted_attacks_reach_for_the_target(picture: Image.Image) -> None:
    spec = zoo.load(MODEL).spec
    target = class_index(spec.classes, "parachute")
    result = finish(
        studio.Request(picture, MODEL, recipe("mifgsm", steps=10, eps=16 / 255), target=target)
    )
    before = result.clean.probabilities[target]
    assert result.adversarial.probabilities[target] > before + 0.5
    with pytest.raises(BadTask, match="already has"):
        studio.Run(studio.Request(picture, MODEL, recipe("mifgsm"), target=result.label))


def test_random_noise_is_as_large_as_the_attack(picture: Image.Image) -> None:
    result = finish(studio.Request(picture, MODEL, recipe("pgd", steps=3)))
    gap = (result.noise.pixels.int() - result.clean.pixels.int()).abs()
    assert int(gap.max()) == result.distances.linf


def test_a_seed_is_a_result(picture: Image.Image) -> None:
    results = [
        finish(studio.Request(picture, MODEL, recipe("pgd", steps=2), seed=seed))
        for seed in (1, 1, 2)
    ]
    first, same, other = (each.adversarial.pixels for each in results)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_transfers_are_judged_by_the_other_model(picture: Image.Image) -> None:
    request = studio.Request(picture, MODEL, recipe("mifgsm", steps=2), others=(MODEL,))
    result = finish(request)
    (transfer,) = result.transfers
    assert transfer.clean == result.name(result.clean.top)
    assert transfer.adversarial == result.name(result.adversarial.top)


STACKS = ["int8:threshold=4", "ats", "ats|int8:threshold=4", "bfloat16"]


@pytest.mark.parametrize("words", STACKS)
def test_all_that_is_shown_is_measured_on_the_stack_that_is_judged(
    words: str, picture: Image.Image
) -> None:
    stack = parse_stack(words)
    asked = studio.Request(picture, MODEL, recipe("mifgsm", steps=2), alter=stack, craft_on=())
    result = finish(asked)
    judged = altered(zoo.load(MODEL), stack)
    for frame in (result.clean, result.adversarial, result.noise):
        x = frame.pixels.unsqueeze(0).float() / 255
        out = observe(judged, x, outliers.SITES)
        # One picture alone or with a gradient taken: other kernels; int8 and bfloat16 round coarsely.
        assert torch.allclose(frame.probabilities, out.logits[0].softmax(0), atol=0.02)
        read = outliers.PROBE.of(frame.readings)
        assert read is not None
        fresh = outliers.read(out, judged.spec.blocks)
        assert read.total(1.0) == pytest.approx(fresh.total(1.0), rel=0.02)
    if "ats" in words:
        masks = tokens.PROBE.of(result.adversarial.readings)
        assert masks is not None
        x = result.adversarial.pixels.unsqueeze(0).float() / 255
        fresh = tokens.read(observe(judged, x, tokens.SITES), judged.spec.blocks[0])
        assert (masks.keep != fresh.keep).float().mean() < 0.01


def test_an_attack_is_crafted_on_the_stack_that_it_is_told(picture: Image.Image) -> None:
    """On the judged one unless another is named, which stands on the bare model."""
    chosen, ats = recipe("mifgsm", steps=2), parse_stack("ats")
    bare = zoo.load(MODEL)
    for alter, craft_on, crafted_on in (
        (ats, None, altered(bare, ats)),
        (ats, (), bare),
        ((), ats, altered(bare, ats)),
    ):
        asked = studio.Request(picture, MODEL, chosen, views=False, alter=alter, craft_on=craft_on)
        result = finish(asked)
        x = fit(picture, 160).unsqueeze(0).float() / 255
        label = altered(bare, alter).logits(x).argmax(1)
        made = craft(chosen.build(crafted_on.spec), crafted_on, Task(x, label), Streams(0))
        assert torch.equal((made[0] * 255).round().to(torch.uint8), result.adversarial.pixels)


def test_files_name_the_stacks(picture: Image.Image, tmp_path: Path) -> None:
    asked = studio.Request(
        picture,
        MODEL,
        recipe("fgsm"),
        views=False,
        name="golf_ball",
        alter=parse_stack("ats|int8:threshold=4"),
        craft_on=parse_stack("bfloat16"),
    )
    png, _, told = studio.save(finish(asked), tmp_path)
    assert png.stem == f"golf_ball-{MODEL}-ats-int8_threshold_4-on-bfloat16-fgsm-eps8-seed0"
    with Image.open(png) as saved:
        text = dict(saved.text)  # pyright: ignore[reportAttributeAccessIssue]
    assert parse_stack(text["Altered"]) == asked.alter
    assert parse_stack(text["Crafted on"]) == asked.craft_on
    report = json.loads(told.read_text(encoding="utf-8"))
    assert report["model"]["altered"] == ["ats", "int8:threshold=4"]
    assert (report["crafted_on"], report["crafted_in"]) == (["bfloat16"], "bfloat16")


def test_what_cannot_be_judged_is_said_before_any_step(picture: Image.Image) -> None:
    with pytest.raises(MissingSite, match="outlier columns"):
        studio.Run(studio.Request(picture, "resnet_imagenette", recipe("quantattack")))
    stack = parse_stack("bfloat16|ats")
    with pytest.raises(BadStack):
        studio.Run(studio.Request(picture, MODEL, recipe("fgsm"), alter=stack))


def test_a_random_start_is_compared_with_the_clean_picture(picture: Image.Image) -> None:
    result = finish(studio.Request(picture, MODEL, recipe("pgd", steps=2)))
    apart = [depth.PROBE.of(frame.readings) for frame in result.frames]
    assert apart[0] is not None
    assert float(apart[0].cosine.abs().max()) < 1e-6
    assert all(each is not None and float(each.cosine.max()) > 1e-3 for each in apart[1:])


def test_a_picture_of_no_class_it_knows_may_leave_a_model_unsure() -> None:
    """Said by the card's threshold on the clean picture's largest logit, and by nothing else."""
    measured = familiar.of(zoo.card("vit_imagenette"))
    assert measured is not None
    seen = set()
    for image in (load_sample("golf_ball"), Image.new("RGB", (200, 200), (90, 90, 90))):
        made = studio.Request(image, "vit_imagenette", recipe("fgsm", eps=0), views=False)
        result = studio.Run(made).result()
        assert result.unsure == (result.clean.logit < measured.threshold)
        seen.add(result.unsure)
    assert seen == {False, True}
