"""The Why page without a browser: an inquiry's end, its messages, and the study in words and charts."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from demo.why import charts
from demo.why.inquiry import Inquiry, drive
from demo.why.message import ended, live
from demo.why.page import stages
from engine.attack.recipe import Recipe
from engine.attack.recipes.tgr import TGR
from engine.data.samples import load_sample
from engine.evaluate import transfer
from engine.evaluate.interval import Estimate
from engine.evaluate.study import Study, data
from engine.model import zoo
from engine.papers.paper import Exhibit
from engine.papers.tgr import ablation, gains, paper
from engine.papers.tgr.compare import VARIANTS, Comparison, comparison
from engine.papers.tgr.effects import MEASURES, effects, unevenness, zeroed


def inquiry(source: str = "vit_imagenette", steps: int = 2) -> Inquiry:
    exhibit = Exhibit(load_sample("golf_ball"), "golf_ball", source, ("deit_imagenette",))
    return Inquiry(exhibit, TGR(steps=steps))


@cache
def finished(source: str) -> tuple[Comparison, dict[str, Any]]:
    """What an inquiry has found at its end, and all that the page is told of it, after JSON."""
    asked = inquiry(source)
    for _ in drive(asked):
        pass
    assert asked.found is not None
    return asked.found, sent(ended(asked, asked.found))


def sent(message: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(message, allow_nan=False))


def unpacked(packed: dict[str, Any]) -> np.ndarray:
    kind = {"u1": np.uint8, "f2": np.dtype("<f2")}[packed["type"]]
    found = np.frombuffer(base64.b64decode(packed["data"]), kind).reshape(packed["shape"])
    return found / 255 if packed["type"] == "u1" else found.astype(float)


SOURCES = ["vit_imagenette", "pit_imagenette", "resnet_imagenette"]


@pytest.mark.parametrize("source", SOURCES)
def test_maps_arrive_as_they_were_read(source: str) -> None:
    kept, message = finished(source)
    for i, name in enumerate(VARIANTS):
        blocks = kept.subject.victim.spec.blocks
        wanted = zeroed([its[i] for its in kept.rounds], blocks)
        for told, row in zip(message["zeroed"][name], wanted, strict=True):
            for found, each in zip(told, row, strict=True):
                assert (found is None) == (each is None)
                if each is None:
                    continue
                got = np.concatenate([unpacked(found["steps"]), unpacked(found["all"])[None]])
                # half of 1/255, to which a step's shares are rounded; means come as float16
                assert np.abs(got - each.shares.numpy()).max() <= 0.5 / 255 + 1e-6
                assert np.allclose(got[-1], each.shares[-1].numpy(), rtol=2**-10, atol=1e-6)
                assert (found["prefix"], tuple(found["grid"])) == (each.prefix, each.grid)
                tops = each.shares.gather(1, torch.tensor(found["top"])[:, None])[:, 0]
                assert torch.equal(tops, each.shares.amax(1))
    assert message["lacking"] == (["attention", "qkv"] if source.startswith("resnet") else [])


@pytest.mark.parametrize("source", SOURCES[:1])
def test_the_verdicts_are_those_of_the_engine(source: str) -> None:
    kept, message = finished(source)
    for measure in MEASURES:
        for name, found in effects(kept.rounds, measure).items():
            told = message["effects"][measure][name]
            for row, wanted in zip(told["ratio"], found.ratio.tolist(), strict=True):
                assert row == pytest.approx(wanted, rel=1e-3)  # four significant figures
            if measure == "variance":
                assert "so" not in told
            else:
                wanted = [[unevenness(each) for each in row] for row in found.ratio.tolist()]
                assert told["so"] == wanted
    assert set(message["so"]) == {"more", "less", "same"}


def test_what_is_shown_is_the_report_that_is_saved() -> None:
    kept, message = finished("vit_imagenette")
    report = message["report"]
    exhibit = inquiry().exhibit
    *_, alone = comparison(exhibit, TGR(steps=2))  # as the command line makes it
    assert isinstance(alone, Comparison)
    assert report == sent(paper.summary(exhibit, alone))
    assert report["settings"]["steps_taken"] == len(kept.rounds) == 2
    for name, told in report["attacks"].items():
        losses = [its[VARIANTS.index(name)].loss for its in kept.rounds]
        assert told["loss"] == pytest.approx(losses, rel=1e-3)
    assert [each["white_box"] for each in report["transfer"]] == [True, False]
    (target,) = report["transfer"][1:]
    right = target["answers"]["clean"]["fooled"] is False
    assert message["judged"] == right
    fooled = {name: right and target["answers"][name]["fooled"] for name in VARIANTS}
    assert message["fooled"] == fooled


def test_while_it_runs_no_maps_are_sent_and_rounds_are_whole() -> None:
    asked = inquiry()
    seen = 0
    for _ in drive(asked):
        if asked.found is None:
            continue
        seen += 1
        message = sent(live(asked, asked.found))
        assert "zeroed" not in message
        done = message["report"]["settings"]["steps_taken"]
        assert {len(each["loss"]) for each in message["report"]["attacks"].values()} == {done}
    assert seen > 10


def test_stopped_it_tells_of_the_rounds_that_were_done() -> None:
    asked = inquiry(steps=30)
    for _ in drive(asked):
        if asked.rounds == 2:
            asked.stop.set()
    assert (asked.why, asked.rounds) == ("stopped", 2)
    assert asked.found is not None
    assert set(asked.found.answers) == {"vit_imagenette", "deit_imagenette"}


def halt(asked: Inquiry) -> None:
    asked.stop.set()


@pytest.mark.parametrize(("before", "why"), [(halt, "stopped"), (lambda _: None, "late")])
def test_without_a_step_nothing_is_told(before: Callable[[Inquiry], None], why: str) -> None:
    asked = inquiry(steps=30)
    before(asked)
    for _ in drive(asked, patience=0):
        pass
    assert (asked.why, asked.rounds) == (why, 0)
    assert asked.found is None or not asked.found.answers


def test_a_page_is_told_to_restore_where_nothing_came_of_it() -> None:
    asked = inquiry()
    asked.stop.set()
    ((lane, sights),) = stages(asked)
    shown, said = list(sights)[-1]
    assert (lane, shown) == ("torch", {"kind": "restore"})
    assert "Stopped before the first step" in str(said)


def entry(recipe: Recipe, gain: Estimate) -> ablation.Entry:
    told = transfer.settings(recipe)
    return ablation.Entry(
        transfer.title(recipe), told, recipe.eps * 255, Estimate(0.5, 0.4, 0.6), gain, 0.5, 40, 44
    )


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A study as the command writes it: three settings at one budget."""
    found = {0.0: ablation.MIFGSM(), -0.1: TGR(), 0.2: TGR(k=0, components="mlp")}
    parts = ablation.Parts(
        tuple(entry(each, Estimate(gain, gain - 0.1, gain + 0.1)) for gain, each in found.items())
    )
    told = Study("tgr_ablation", "vit_imagenette", {}, {"targets": ["pit_imagenette"]}, (), parts)
    path = tmp_path / "tgr_ablation_vit_imagenette.json"
    path.write_text(json.dumps(data(told)), encoding="utf-8")
    return tmp_path


def test_a_study_is_drawn_by_gain_and_told_alike(written: Path) -> None:
    known = gains.study("vit_imagenette", written)
    none, drawn = charts.figures(known)
    assert none is None  # nothing was measured at 8/255
    assert drawn is not None
    assert list(drawn.layout.yaxis.ticktext) == ["MLP, k 0", "MI-FGSM", "all, k 1"]
    points = {at: x for trace in drawn.data for at, x in zip(trace.y, trace.x, strict=True)}
    assert points == pytest.approx({0: 20, 1: 0, 2: -10})
    for trace in drawn.data:
        for low, high in zip(trace.error_x.arrayminus, trace.error_x.array, strict=True):
            assert (low, high) == pytest.approx((10, 10))
    low, high = drawn.layout.xaxis.range
    assert low < -20
    assert high > 30
    told = charts.table(known)
    assert told.index("MLP, k 0") < told.index("MI-FGSM") < told.index("all, k 1")
    assert "+20.0 [+10.0, +30.0]" in told
    words = charts.words(known, None)
    assert zoo.card("pit_imagenette").title in words
    assert "44 photographs, each model judged on those it had right (40 had it right)" in words


@pytest.mark.parametrize(
    ("recipe", "variant", "text"),
    [
        (TGR(attention=1.0, qkv=1.0, mlp=1.0), "zeroing", "all, k 1, no factors"),
        (TGR(site="map", components="attention+qkv"), "both", "attention + QKV, k 1, on the map"),
        (ablation.RandomTokens(), "random", "all, k 1, random tokens"),
        (ablation.Spared(spare="prefix"), "both", "all, k 1, prefix spared"),
        (TGR(mlp=0.25), "both", "all, k 1, factors 0.25/0.75/0.25"),
    ],
)
def test_settings_in_few_words(recipe: TGR, variant: str, text: str) -> None:
    told = entry(recipe, Estimate(0, 0, 0))
    assert (gains.variant(told), told.words) == (variant, text)


def test_of_no_study_nothing_is_said(written: Path) -> None:
    assert gains.study("pit_imagenette", written) is None
    (written / "up").mkdir()
    assert gains.study("../tgr_ablation_vit_imagenette", written / "up") is None
    path = written / "tgr_ablation_vit_imagenette.json"
    other = json.loads(path.read_text(encoding="utf-8")) | {"schema": "another/2"}
    path.write_text(json.dumps(other), encoding="utf-8")
    assert gains.study("vit_imagenette", written) is None
    assert gains.findings(None, written) == []
    assert (charts.words(None, None), charts.figures(None), charts.table(None)) == (
        "",
        [None, None],
        "",
    )


@pytest.mark.parametrize(
    ("own", "random", "words"),
    [
        ((0.06, 0.01, 0.11), (0.06, 0.02, 0.1), "the same, whichever tokens are zeroed"),
        ((0.06, 0.01, 0.11), (0.02, -0.01, 0.05), "the intervals overlap"),
        ((0.06, 0.05, 0.07), (0.02, 0.01, 0.03), "the extreme tokens help"),
        ((-0.06, -0.07, -0.05), (0.02, 0.01, 0.03), "the extreme tokens hurt"),
    ],
)
def test_whether_the_extreme_tokens_matter_is_read_off_the_study(
    own: tuple[float, ...], random: tuple[float, ...], words: str
) -> None:
    recipes = {TGR(eps=16 / 255): own, ablation.RandomTokens(eps=16 / 255): random}
    entries = (entry(recipe, Estimate(*gain)) for recipe, gain in recipes.items())
    said = gains.tokens(ablation.Parts(tuple(entries)))
    assert said.startswith(f"At 16/255 TGR gains {100 * own[0]:+.1f} [".replace("-", "−"))
    assert words in said


def test_what_each_study_found_is_a_sentence_of_its_own_numbers(written: Path) -> None:
    (said,) = gains.findings(None, written)
    assert said == (
        "Gain on MI-FGSM made on ViT, mean attack success rate on PiT (points, 44 photographs): "
        "TGR −10 [−20, 0] at 16/255."
    )
