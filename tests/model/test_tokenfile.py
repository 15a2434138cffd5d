"""Tokens are found by name, written whole, read back exactly, and anything else is refused in a sentence."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from engine.__main__ import main
from engine.core.errors import BadKnob, CorruptWeights, TokensUnavailable
from engine.model import published, tokenfile, zoo
from engine.model.tokenfile import Tokens
from engine.model.victim import Victim
from tests.tiny import task, victim

PUBLISHED = Path(__file__).parents[3] / "shared" / "models" / "robustness_tokens"
R = torch.randn(3, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own, and one that ships, both empty."""
    monkeypatch.setattr(tokenfile, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setenv(tokenfile.FOLDER_VARIABLE, str(tmp_path / "mine"))
    return tmp_path / "mine"


def test_what_is_written_is_read_back_exactly_in_the_published_layout(folder: Path) -> None:
    card = {"seed": 1, "losses": [0.5, 1.5]}
    path = tokenfile.write(Tokens(R.requires_grad_(), "vit", card), folder, "vit")
    found = tokenfile.read("vit")
    assert torch.equal(found.values, R)
    assert (found.model, found.card, found.values.requires_grad) == ("vit", card, False)
    assert {name: tuple(each.shape) for name, each in load_file(path).items()} == {
        "rtokens": (1, 3, 8)
    }
    assert not list(folder.glob("*.part"))


def test_own_surrogate_and_any_other_name_and_what_ships_comes_first(folder: Path) -> None:
    for name, factor in (("vit", 1.0), ("vit_surrogate", 2.0), ("mine.v1", 3.0)):
        tokenfile.write(Tokens(factor * R, "vit"), folder, name)
    found = [tokenfile.find(each, "vit").values for each in ("own", "surrogate", "mine.v1")]
    assert all(torch.equal(one, factor * R) for one, factor in zip(found, (1, 2, 3), strict=True))
    before = tokenfile.state("own", "vit")
    tokenfile.write(Tokens(4 * R, "vit"), tokenfile.SHIPPED, "vit")
    assert torch.equal(tokenfile.find("own", "vit").values, 4 * R)
    assert tokenfile.state("own", "vit") != before
    assert [(each.name, each.shipped) for each in tokenfile.listed("vit")] == [
        ("vit", True),
        ("mine.v1", False),
        ("vit_surrogate", False),
    ]
    assert tokenfile.listed("deit") == ()


def test_what_is_not_here_is_said_of_the_model_or_by_its_name() -> None:
    with pytest.raises(
        TokensUnavailable, match=r"no Robustness Tokens for vit here\. .* --model vit"
    ):
        tokenfile.find("own", "vit")
    with pytest.raises(TokensUnavailable, match=r"no surrogate tokens for vit .*--name vit_surrog"):
        tokenfile.find("surrogate", "vit")
    with pytest.raises(TokensUnavailable, match=r"called “deit3” here\. Known: none"):
        tokenfile.find("deit3", "vit")
    assert tokenfile.state("own", "vit") is None


@pytest.mark.parametrize(
    "name", ["", "..", "a/b", "../vit", "/etc/passwd", "a..b", ".hidden", "own", "a|b", "x" * 129]
)
def test_a_name_is_never_a_path(name: str, folder: Path) -> None:
    with pytest.raises(BadKnob):
        tokenfile.read(name)
    with pytest.raises(BadKnob):
        tokenfile.write(Tokens(R), folder, name)


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "pickle": (lambda path: path.write_bytes(pickle.dumps({"rtokens": 1})), "is a pickle"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-9]), "is cut off"),
    "other key": (lambda path: save_file({"tokens": R[None]}, path), "other things than tokens"),
    "one more": (
        lambda path: save_file({"rtokens": R[None], "weight": R.clone()}, path),
        "other things than tokens",
    ),
    "flat": (lambda path: save_file({"rtokens": R.clone()}, path), "its shape is 3 x 8"),
    "none": (lambda path: save_file({"rtokens": R[None, :0]}, path), "its shape is 1 x 0 x 8"),
    "many": (
        lambda path: save_file({"rtokens": torch.zeros(1, 1001, 1)}, path),
        "its shape is 1 x 1001 x 1",
    ),
    "whole numbers": (
        lambda path: save_file({"rtokens": R[None].int()}, path),
        "no finite numbers",
    ),
    "not finite": (lambda path: save_file({"rtokens": R[None] / 0}, path), "no finite numbers"),
    "card": (lambda path: save_file({"rtokens": R[None].clone()}, path, {"card": "{"}), "damaged"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_file_that_is_none_is_refused_and_left_out_of_the_list(what: str, folder: Path) -> None:
    damage, sentence = BAD[what]
    damage(tokenfile.write(Tokens(R), folder, "vit"))
    with pytest.raises(CorruptWeights, match=sentence) as caught:
        tokenfile.read("vit")
    assert caught.value.hint
    assert tokenfile.listed() == ()
    assert sentence in tokenfile.problems()[0]


class Dangerous:
    """What would run code if its pickle were opened freely."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("ran"),))


NOT_PUBLISHED: dict[str, Any] = {
    "a list": [R[None]],
    "another key": {"weight": R[None]},
    "one more": {"rtokens": R[None], "weight": R},
    "a word": {"rtokens": "tokens"},
    "flat": {"rtokens": R},
    "nothing": {"rtokens": torch.zeros(1, 0, 8)},
    "not finite": {"rtokens": R[None] / 0},
    "whole": {"rtokens": R[None].long()},
    "nowhere": {"rtokens": R[None].to("meta")},
    "code": {"rtokens": Dangerous()},
}


@pytest.mark.parametrize("what", NOT_PUBLISHED)
def test_a_checkpoint_that_holds_anything_else_is_refused(what: str, tmp_path: Path) -> None:
    file = tmp_path / "small.pt"
    torch.save(NOT_PUBLISHED[what], file)
    with pytest.raises(CorruptWeights, match=r"small\.pt"):
        published.tokens(file)


def test_a_damaged_checkpoint_is_refused_or_read_and_never_trips(tmp_path: Path) -> None:
    file, gen = tmp_path / "small.pt", torch.Generator().manual_seed(0)
    torch.save({"rtokens": torch.nn.Parameter(R[None])}, file)
    whole = file.read_bytes()
    assert torch.equal(published.tokens(file), R)
    refused = 0
    for _ in range(60):
        at, byte = torch.randint(len(whole), (12,), generator=gen), bytearray(whole)
        for place in at.tolist():
            byte[place] ^= 0x5A
        file.write_bytes(byte)
        try:
            published.tokens(file)
        except CorruptWeights:
            refused += 1
    assert refused > 20


def test_import_and_list_on_the_command_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "deit3" / "base16.pt"
    file.parent.mkdir()
    torch.save({"rtokens": torch.nn.Parameter(R[None])}, file)
    assert main(["tokens", "import", str(file)]) == 0
    assert main(["tokens", "import", str(file), "--model", "vit_x", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.split("\n", 2)[2])["model"] == "vit_x"
    assert torch.equal(tokenfile.find("own", "deit3_base_patch16_224").values, R)
    assert main(["tokens", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(each["name"], each["tokens"], each["width"]) for each in rows] == [
        ("deit3_base_patch16_224", 3, 8),
        ("vit_x", 3, 8),
    ]
    assert main(["tokens", "import", str(tmp_path / "nothing.pt")]) == 2
    assert main(["tokens", "import", str(file), "--name", "../x"]) == 2
    assert "engine: nothing.pt cannot be read." in capsys.readouterr().err


def test_training_on_the_command_line_writes_them_with_their_card_and_refuses_early(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def load(name: str, weights: Path | None = None) -> Victim:
        made = victim(name)
        return replace(made, module=made.module.float())

    monkeypatch.setattr(zoo, "load", load)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number, pixels in enumerate(task(3).images.mul(255).byte()):
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(pictures / f"{number}.png")
    asked = ["tokens", "train", str(pictures), "--json", "--count", "4", "--steps", "2"]
    asked += ["--batch", "2", "--attack-steps", "1", "--limit", "2", "--val", str(pictures)]
    assert main([*asked, "--model", "vit", "--name", "vit_surrogate", "--seed", "3"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["seed"], told["training"]["count"], told["data"]["pictures"]) == (3, 4, 2)
    assert tokenfile.find("surrogate", "vit").values.shape == (4, 24)
    assert main(["tokens", "list"]) == 0
    assert "attacked cosine" in capsys.readouterr().out
    for refused in (["--model", "resnet"], ["--model", "vit", "--name", "random"]):
        assert main([*asked, *refused]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert [each.name for each in tokenfile.listed()] == ["vit_surrogate"]


WIDTHS = {
    "dinov2": {"small": 384, "base": 768, "large": 1024, "giant": 1536},
    "deit3": {"base16": 768, "large16": 1024, "huge14": 1280},
    "openclip": {"base16": 768, "large14": 1024, "huge14": 1280},
}


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published files are not here")
def test_all_published_files_import_with_their_shape(folder: Path) -> None:
    files = sorted(PUBLISHED.glob("*/*.pt"))
    assert len(files) == 14
    for file in files:
        assert main(["tokens", "import", str(file)]) == 0
        wide = WIDTHS[file.parent.name][file.stem.removesuffix("_reg")]
        assert published.tokens(file).shape == (10, wide)
    assert len(tokenfile.listed()) == 14
    assert tokenfile.problems() == ()
    assert all(each.model == each.name for each in tokenfile.listed())
