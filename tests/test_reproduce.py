"""A run is told as words that make it again, bit for bit: each is run and its pixels compared."""

from __future__ import annotations

import math
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file

from engine.__main__ import main
from engine.alter.bfloat16 import BFloat16
from engine.alter.catalog import parse_stack
from engine.attack.catalog import RECIPES, parse, recipe, spell
from engine.core.errors import EngineError
from engine.core.knobs import knobs
from engine.data.decode import decode
from engine.data.samples import load_sample
from engine.reproduce import code, command
from engine.studio import Request, Result, Run

ROOT = Path(__file__).parents[1]
MODEL = "vit_imagenette"


def finish(request: Request, taken: int | None = None) -> Result:
    run = Run(request)
    while not run.done and (taken is None or run.steps < taken):
        run.advance()
    return run.result()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the words are run: beside nothing of this program."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(folder: Path) -> np.ndarray:
    """The pixels of the one PNG that a run left there, which goes."""
    (found,) = (each for each in folder.glob("*.png") if each.with_suffix(".npz").is_file())
    pixels = np.asarray(Image.open(found))
    found.unlink()
    return pixels


def words(request: Request, taken: int | None = None) -> list[str]:
    python, flag, program, *rest = shlex.split(command(request, taken))
    assert (python, flag, program) == ("python", "-m", "engine")
    return rest


def check_both(request: Request, folder: Path, taken: int | None = None) -> None:
    """The command line and the lines of Python make the same pixels."""
    expected = finish(request, taken).adversarial.pixels.permute(1, 2, 0).numpy()
    assert main(words(request, taken)) == 0
    assert np.array_equal(made(folder), expected)
    exec(compile(code(request, taken), "told", "exec"), {})
    assert np.array_equal(made(folder), expected)


@pytest.mark.slow
def test_the_command_runs_by_itself(folder: Path) -> None:
    request = Request(load_sample("golf_ball"), MODEL, recipe("fgsm"), name="golf_ball")
    done = subprocess.run(
        [sys.executable, "-m", "engine", *words(request)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    expected = finish(request).adversarial.pixels.permute(1, 2, 0).numpy()
    assert np.array_equal(made(folder), expected)


def test_a_sample_as_the_page_attacks_it(folder: Path) -> None:
    request = Request(
        load_sample("golf_ball"),
        MODEL,
        recipe("mifgsm", eps=4 / 255, steps=3),
        others=("resnet_imagenette",),
        name="golf_ball",
    )
    assert command(request).startswith("python -m engine attack sample:golf_ball --model ")
    check_both(request, folder)


@pytest.mark.parametrize(
    ("alter", "craft_on"),
    [("ats|int8:threshold=4,product=compact", None), ("ats:first=3", ""), ("", "bfloat16")],
)
def test_stacks_are_told(alter: str, craft_on: str | None, folder: Path) -> None:
    request = Request(
        load_sample("golf_ball"),
        MODEL,
        recipe("mifgsm", eps=4 / 255, steps=2),
        alter=parse_stack(alter),
        craft_on=None if craft_on is None else parse_stack(craft_on),
        name="golf_ball",
    )
    check_both(request, folder)


def test_a_picture_of_ones_own_with_everything_turned(folder: Path) -> None:
    """Knobs that no few digits say, a name that a shell would take apart, and a run stopped early."""
    own = Path("-my cat's & co.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)).save(own)
    chosen = recipe("pgd", eps=math.pi / 255, step_size=1 / 3 / 255, steps=5)
    picture = decode(own)
    request = Request(
        picture,
        "vit_imagenette_pgd_at",
        chosen,
        label=3,
        target=5,
        seed=12,
        craft_on=(BFloat16(),),
        name=own.name,
    )
    check_both(request, folder, taken=2)


def test_choices_and_flags_are_told() -> None:
    """Whatever is not a number is quoted in Python and plain on the command line."""
    kind = next(
        (each, knob)
        for each in RECIPES
        for knob in knobs(each)
        if knob.kind == "choice" and len(knob.choices) > 1
    )
    other = next(each for each in kind[1].choices if each != kind[1].default)
    chosen = replace(kind[0](), **{kind[1].name: other})
    request = Request(load_sample("golf_ball"), MODEL, chosen, name="golf_ball")
    assert f"--set {kind[1].name}={shlex.quote(other)}" in command(request)
    assert f"{kind[1].name}={other!r}" in code(request)


def test_a_picture_that_only_shares_a_samples_name_is_not_taken_for_it() -> None:
    other = load_sample("golf_ball").rotate(90)
    request = Request(other, MODEL, recipe("fgsm"), name="golf_ball")
    assert "sample:" not in command(request)
    assert "load_sample" not in code(request)


def test_a_weights_folder_is_told_by_its_name_where_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "private" / "models"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder.parent)
    local = "vit_tiny_patch16_224"
    save_file(timm.create_model(local).state_dict(), folder / f"{local}.safetensors")
    golf = load_sample("golf_ball")
    bundled = Request(golf, MODEL, recipe("fgsm"), weights=folder, name="golf_ball")
    assert "weights" not in command(bundled)
    assert "weights=" not in code(bundled)
    for request in (replace(bundled, others=(local,)), replace(bundled, model=local)):
        assert "--weights models" in command(request)
        assert "weights=Path('models')" in code(request)
        assert "private" not in command(request) + code(request)
    expected = finish(request).adversarial.pixels.permute(1, 2, 0).numpy()
    assert main(words(request)) == 0
    assert np.array_equal(made(folder.parent), expected)


@pytest.mark.parametrize("kind", RECIPES, ids=lambda kind: kind.name)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_every_knob_is_spelled_so_that_it_reads_back_exactly(
    kind: type, data: st.DataObject
) -> None:
    values = {}
    for each in knobs(kind):
        if each.kind == "flag":
            values[each.name] = data.draw(st.booleans())
        elif each.kind == "choice":
            values[each.name] = data.draw(st.sampled_from(each.choices))
        elif each.kind == "integer":
            values[each.name] = data.draw(st.integers(int(each.low or 0), int(each.high or 100)))
        else:
            low = each.low or getattr(each, "grain", 0.0) or 0.0
            values[each.name] = data.draw(st.floats(low, each.high or 10.0))
    try:
        chosen = kind(**values)
    except EngineError:  # knobs that do not go together
        assume(False)
        raise
    assert parse(kind.name, spell(chosen)) == chosen
