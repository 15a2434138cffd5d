"""What the Lab says of a result follows from what was measured, by the attack's own criterion."""

from __future__ import annotations

from dataclasses import replace

import pytest

from demo.lab.views import words
from engine import studio
from engine.alter.quantize.int8 import Int8
from engine.attack.catalog import recipe
from engine.attack.recipe import Recipe
from engine.data.samples import load_sample
from engine.papers.quant.threshold import Threshold
from engine.probe import outliers

MODEL = "vit_imagenette"


def finish(chosen: Recipe, **asked: object) -> studio.Result:
    run = studio.Run(studio.Request(load_sample("golf_ball"), MODEL, chosen, **asked))  # pyright: ignore[reportArgumentType]
    while not run.done:
        run.advance()
    return run.result()


@pytest.fixture(scope="module")
def fooled() -> studio.Result:
    return finish(recipe("mifgsm", steps=3), others=("resnet_imagenette",))


def test_an_attack_for_another_answer_is_told_by_the_answer(fooled: studio.Result) -> None:
    told = [words.told(fooled, frame) for frame in fooled.frames]
    for each, frame in zip(told, fooled.frames, strict=True):
        assert each["reached"] == (frame.top != fooled.label)
    assert told[0]["word"] == "clean"
    assert {each["word"] for each in told[1:-1]} <= {"not yet", "fooled"}
    assert told[-1] == {"state": "yes", "word": "fooled", "text": "", "reached": True}
    assert words.first(fooled) == next(
        index for index, frame in enumerate(fooled.frames) if frame.top != fooled.label
    )
    noise = fooled.noise
    assert noise.top == fooled.clean.top
    said = f"still golf ball {float(noise.probabilities[noise.top]):.2f}."
    assert words.control(fooled) == f"Random noise of equal size: {said}"


def test_a_stranger_moves_an_answer_and_fools_nobody(fooled: studio.Result) -> None:
    strange = replace(fooled, request=replace(fooled.request, stranger="a rocket"))
    assert words.told(strange, strange.adversarial)["word"] == "answer moved"
    assert any("not a mistake about a rocket" in each for each in words.caveats(strange))
    assert not any("rocket" in each for each in words.caveats(fooled))


def test_other_models_are_counted_where_they_can_be_compared(fooled: studio.Result) -> None:
    (one,) = fooled.transfers
    other = replace(one, clean="a", adversarial="a")
    changed = replace(one, clean="a", adversarial="b")
    unknown = replace(changed, comparable=False)
    assert words.shown_to((changed, other, unknown)) == (
        "Shown to 2 other models: 1 of 2 changed their answer."
    )
    assert words.shown_to((unknown,)) is None


def test_a_costly_picture_is_told_by_its_cost() -> None:
    """The figures are those that the outlier probe counts by itself."""
    result = finish(recipe("quantattack", steps=3))
    counts = [
        read.total(6.0)
        for frame in (result.clean, result.adversarial)
        if (read := outliers.PROBE.of(frame.readings))
    ]
    assert result.success == (
        counts[1] >= 2 * counts[0] and result.adversarial.top == result.clean.top
    )
    assert result.success
    told = words.told(result, result.adversarial)
    assert told["word"] == "costlier, answer kept"
    assert f"{counts[0]} → {counts[1]}" in told["text"]
    assert result.verdict().text in studio.verdict(result)


def test_no_change_is_no_success_and_a_misread_picture_is_said() -> None:
    still = finish(recipe("fgsm", eps=0), label=3)
    assert words.told(still, still.adversarial)["word"] == "no change"
    assert any("misreads the clean picture" in each for each in words.caveats(still))


@pytest.mark.parametrize(
    ("int8", "set_by", "said"),
    [
        (Int8(threshold=4), None, "4 as in the int8 model"),
        (None, None, "6.0 as published"),
        (None, Threshold(3.5, 0.005, 0.0002, 15, True), "0.5 % of the columns of 15 clean"),
        (None, Threshold(3.5, 0.005, 0.0, 15, True), "None reaches the published 6.0"),
    ],
)
def test_a_threshold_says_where_it_comes_from(
    int8: Int8 | None, set_by: Threshold | None, said: str
) -> None:
    assert said in words.threshold(int8, set_by)
