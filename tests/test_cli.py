"""The headless door: same façade, one sentence and exit status 2 for what the caller can mend."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine import studio
from engine.__main__ import main
from engine.attack.recipe import Recipe
from engine.attack.recipes.mifgsm import MIFGSM
from engine.attack.recipes.tgr import TGR
from engine.data.samples import samples
from engine.evaluate import evaluate as measuring
from engine.model import zoo
from engine.papers.tgr import ablation
from engine.probe.catalog import PROBES

MODEL = "vit_imagenette"
GOLF = str(next(sample.path for sample in samples() if sample.kind == "rendered"))


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(words)
    out, err = capsys.readouterr()
    return status, out, err


@pytest.mark.parametrize("listing", ["models", "attacks", "alterations", "probes"])
def test_listings_speak_json(listing: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, listing, "--json")
    rows = json.loads(out)
    assert status == 0
    assert all({"name", "title"} <= row.keys() for row in rows)
    _, words, _ = run(capsys, listing)
    assert all(row["name"] in words for row in rows)


def test_attacks_declare_ranges_and_units(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row["name"]: row for row in json.loads(run(capsys, "attacks", "--json")[1])}
    eps = next(k for k in rows["tgr"]["knobs"] if k["name"] == "eps")
    assert eps["default"] == 16 / 255
    assert eps["unit"] == "1/255"
    assert 0 <= eps["low"] < eps["high"] < 1


def test_attack_writes_what_it_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("attack", GOLF, "--model", MODEL, "--attack", "mifgsm", "--seed", "3")
    status, out, _ = run(
        capsys, *words, "--set", "eps=4/255", "--set", "steps=3", "--out", str(tmp_path), "--json"
    )
    assert status == 0
    kind = next(sample.id for sample in samples() if sample.kind == "rendered")
    stem = f"{kind}-{MODEL}-mifgsm-eps4-seed3"
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        f"{stem}.json",
        f"{stem}.npz",
        f"{stem}.png",
    ]
    report = json.loads((tmp_path / f"{stem}.json").read_text(encoding="utf-8"))
    assert json.loads(out) == report
    assert report["seed"] == 3
    saved = np.asarray(Image.open(tmp_path / f"{stem}.png")).astype(int)
    arrays = np.load(tmp_path / f"{stem}.npz")
    gap = np.abs(saved - arrays["clean"].transpose(1, 2, 0)).max()
    assert gap == report["distances"]["linf_255"] <= 4


def picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    if kind == "one pixel":
        image.crop((0, 0, 1, 1)).save(buffer, "PNG")
    else:
        image.save(buffer, "JPEG")
    whole = buffer.getvalue()
    return {"not an image": b"hello", "truncated": whole[:-400]}.get(kind, whole)


@pytest.mark.parametrize("kind", ["not an image", "truncated", "one pixel"])
def test_bad_pictures_are_one_sentence(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(picture(kind))
    check_refused(
        run(capsys, "attack", str(path), "--model", MODEL, "--attack", "pgd", "--out", "x")
    )


@pytest.mark.parametrize(
    "words",
    [
        ("--model", "nothing", "--attack", "pgd"),
        ("--model", MODEL, "--attack", "nothing"),
        ("--model", MODEL, "--attack", "pgd", "--set", "eps=nan"),
        ("--model", MODEL, "--attack", "pgd", "--set", "eps=0.5/255"),
        ("--model", MODEL, "--attack", "pgd", "--set", "eps=200/255"),
        ("--model", MODEL, "--attack", "pgd", "--set", "steps=0"),
        ("--model", MODEL, "--attack", "pgd", "--set", "steps"),
        ("--model", MODEL, "--attack", "pgd", "--set", "stepz=3"),
        ("--model", MODEL, "--attack", "pgd", "--toward", "unicorn"),
        ("--model", MODEL, "--attack", "pgd", "--label", "golf_ball", "--toward", "golf ball"),
        ("--model", MODEL, "--attack", "pgd", "--weights", "nowhere"),
        ("--model", MODEL, "--attack", "pgd", "--seed", "-1"),
        ("--model", MODEL, "--attack", "pgd", "--seed", str(10**30)),
        ("--model", MODEL, "--attack", "pgd", "--seed", "³"),
        ("--model", MODEL, "--attack", "pgd", "--stop-after", "-1"),
        ("--model", MODEL, "--attack", "pgd", "--alter", "nothing"),
        ("--model", MODEL, "--attack", "pgd", "--alter", "int8:threshold=no"),
        ("--model", MODEL, "--attack", "pgd", "--alter", "bfloat16", "--alter", "ats"),
        ("--model", MODEL, "--attack", "pgd", "--craft-on", "ats:first"),
        ("--model", "resnet_imagenette", "--attack", "quantattack"),
        ("--model", MODEL, "--attack", "desparsify"),
        ("--model", MODEL, "--attack", "pgd", "--nonsense"),
        ("--model", MODEL),
    ],
    ids=" ".join,
)
def test_bad_requests_are_one_sentence(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refused(run(capsys, "attack", GOLF, *words, "--out", str(tmp_path)))
    assert not list(tmp_path.iterdir())


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever begins to work fails: what can be checked is checked before."""

    def work(*_: object, **__: object) -> None:
        raise AssertionError("work began")

    for owner, name in (
        (studio, "Run"),
        (measuring, "evaluate"),
        (ablation, "ablate"),
        (zoo, "load"),
    ):
        monkeypatch.setattr(owner, name, work)


OVER = {
    "evaluate": ("--attack", "pgd", "--targets", "resnet_imagenette"),
    "ablate": ("--targets", "resnet_imagenette"),
    "claims tgr": ("--targets", "resnet_imagenette"),
    "claims quant": (),
    "universal quant": (),
    "universal desparsify": ("--kind", "patch"),
}


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("command", OVER)
@pytest.mark.parametrize(
    "words",
    [
        ("--limit", "-1"),
        ("--limit", "0"),
        ("--limit", "many"),
        ("--batch", "0"),
        ("--seed", str(10**30)),
        ("--out", "FOLDER"),
        ("--out", "FILE/found.json"),
        ("--out", "/dev/null/found.json"),
        ("--model", "typo"),
        ("--out",),
    ],
    ids=" ".join,
)
def test_what_can_be_checked_is_checked_before_any_work(
    command: str, words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refused(run(capsys, *_over(command, tmp_path, words)))
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("evaluate", ("--csv", "FOLDER")),
        ("evaluate", ("--csv", "FILE/found.csv")),
        ("evaluate", ("--keep", "FILE")),
        ("evaluate", ("--targets", "typo")),
        ("evaluate", ("--model", f"{MODEL}+typo")),
        ("ablate", ("--keep", "FILE")),
        ("ablate", ("--targets", "typo")),
        ("claims tgr", ("--keep", "FILE")),
        ("claims tgr", ("--targets", "typo")),
        ("claims quant", ("--share", "1")),
        ("claims quant", ("--share", "nan")),
        ("claims quant", ("--threshold", "0")),
        ("claims quant", ("--threshold", "inf")),
        ("claims quant", ("--steps", "0")),
        ("claims quant", ("--calibration", "0")),
        ("universal quant", ("--epochs", "0")),
        ("universal quant", ("--share", "-0.1")),
        ("universal quant", ("--label", "unicorn")),
        ("universal desparsify", ("--kind", "dots")),
    ],
)
def test_so_is_what_only_some_commands_have(
    command: str, words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refused(run(capsys, *_over(command, tmp_path, words)))


def _over(command: str, folder: Path, words: tuple[str, ...]) -> tuple[str, ...]:
    """A whole command line over a folder of pictures; FOLDER and FILE are some that exist."""
    (folder / "file").touch()
    known = [w.replace("FOLDER", str(folder)).replace("FILE", str(folder / "file")) for w in words]
    return (*command.split(), str(folder), "--model", MODEL, *OVER[command], *known)


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("words", [("--targets", "typo"), ("--out", "FILE"), ("--out", "FILE/in")])
def test_attack_checks_its_targets_and_its_folder_before_any_work(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    known = [word.replace("FILE", str(tmp_path / "file")) for word in words]
    attack = ("attack", GOLF, "--model", MODEL, "--attack", "pgd", "--out", str(tmp_path / "out"))
    check_refused(run(capsys, *attack, *known))
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_words_that_the_terminal_cannot_spell_do_not_end_a_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="ascii"))
    monkeypatch.setattr("engine.__main__.PROBES", (replace(PROBES[0], title="×2 “wide”"),))
    assert main(["probes"]) == 0
    sys.stdout.flush()
    assert written.getvalue().startswith(b"attention   ?2 ?wide?")


def check_refused(done: tuple[int, str, str]) -> None:
    status, out, err = done
    assert status == 2
    assert out == ""
    line = err.strip().splitlines()[-1]
    assert line.startswith("engine: ")
    assert "Traceback" not in err


def test_a_missing_folder_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("evaluate", str(tmp_path / "no"), "--model", MODEL, "--attack", "fgsm")
    check_refused(run(capsys, *words))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of the rendered samples, one sub-folder per class."""
    for sample in samples():
        if sample.kind == "rendered":
            folder = tmp_path / "pictures" / sample.credit.split("(")[1].rstrip(")")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / sample.path.name).write_bytes(sample.path.read_bytes())
    return tmp_path / "pictures"


def test_ablate_measures_settings_against_mifgsm(
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def few(budgets: list[float], steps: int) -> tuple[Recipe, ...]:
        return tuple(kind(eps=eps, steps=steps) for eps in budgets for kind in (MIFGSM, TGR))

    monkeypatch.setattr(ablation, "settings", few)
    words = ("ablate", str(pictures), "--model", MODEL, "--targets", "resnet_imagenette")
    quick = ("--eps", "8/255", "4/255", "--steps", "1", "--limit", "2", "--seed", "3")
    quick = (*quick, "--out", str(tmp_path / "a.json"))
    status, out, _ = run(capsys, *words, *quick, "--json")
    assert status == 0
    report = json.loads(out)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == report
    assert (report["model"], report["about"]["targets"]) == (MODEL, ["resnet_imagenette"])
    entries = report["findings"]["entries"]
    assert [(each["recipe"]["name"], each["eps_255"]) for each in entries] == [
        ("mifgsm", 8),
        ("tgr", 8),
        ("mifgsm", 4),
        ("tgr", 4),
    ]
    assert {(each["recipe"]["steps"], each["images"]) for each in entries} == {(1, 2)}
    assert entries[0]["gain"]["value"] == 0
    _, table, _ = run(capsys, *words, *quick)
    assert table.startswith("| setting | eps |")
    check_refused(run(capsys, *words, "--steps", "0"))
    check_refused(run(capsys, *words, "--eps", "0.5/255"))


def test_evaluate_measures_a_folder(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found.json"
    status, _, _ = run(
        capsys,
        "evaluate",
        str(pictures),
        "--model",
        MODEL,
        "--attack",
        "pgd",
        "--targets",
        MODEL,
        "--limit",
        "4",
        "--out",
        str(out),
        "--json",
    )
    assert status == 0
    assert json.loads(out.read_text(encoding="utf-8"))["schema"].startswith(
        "vit-adversarial-lab/evaluation/"
    )
