"""Published A-ViT and AdaViT checkpoints: names and shapes as published, numbers as a plain loop has them."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from engine.__main__ import main
from engine.core.errors import CorruptWeights, EngineError, UnsupportedModel
from engine.model import published, zoo
from engine.model.sites import Site
from engine.model.sparse import AdaViT, AViT, SparseViT, layout_of
from engine.model.victim import Victim

HEADS, WIDTH, DEPTH, SIZE = 2, 128, 4, 64
State = dict[str, Tensor]


def dense(**sizes: Any) -> VisionTransformer:
    """A narrow DeiT whose attention has opinions."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = VisionTransformer(
            img_size=SIZE,
            patch_size=16,
            embed_dim=WIDTH,
            depth=DEPTH,
            num_heads=HEADS,
            num_classes=7,
            **sizes,
        )
        for name, parameter in made.named_parameters():
            if "norm" not in name:
                torch.nn.init.normal_(parameter, std=0.08)
    return made.eval()


def as_adavit(state: State, deciders: Callable[[tuple[int, ...]], Tensor]) -> State:
    """A DeiT's weights under AdaViT's names: patches decided from block 0, the rest from block 1."""
    made: State = {}
    for key, value in state.items():
        if ".attn.qkv." in key:
            for part, rows in zip(("query", "key", "value"), value.chunk(3), strict=True):
                made[key.replace("qkv", part)] = rows
        else:
            made[key] = value
    width = state["cls_token"].shape[-1]
    depth = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("blocks."))
    heads = width // 64
    for block in range(depth):
        for name, size in (
            ("attn.token_select", 1),
            ("head_select", heads),
            ("layer_select", 2),
        ):
            if block or size == 1:
                made[f"blocks.{block}.{name}.mlp_head.weight"] = deciders((size, width))
                made[f"blocks.{block}.{name}.mlp_head.bias"] = deciders((size,))
    return made


def drawn(seed: int = 2) -> Callable[[tuple[int, ...]], Tensor]:
    noise = torch.Generator().manual_seed(seed)
    return lambda shape: 0.3 * torch.randn(shape, generator=noise)


@pytest.fixture
def pictures() -> Tensor:
    return torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def decided(victim: Victim, pictures: Tensor) -> float:
    with torch.no_grad(), victim.session(observe={Site.KEEP}) as forward:
        return float(torch.stack(forward(pictures).values(Site.KEEP)).mean())


def normalised(pictures: Tensor) -> Tensor:
    mean, std = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    return (pictures - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def test_an_avit_runs_from_the_weights_folder_as_a_plain_loop_runs_it(
    tmp_path: Path, pictures: Tensor, capsys: pytest.CaptureFixture[str]
) -> None:
    state = dense().state_dict()
    # epoch and options lie beside the weights, as the training script saves them
    torch.save(
        {"model": state, "epoch": 99, "args": argparse.Namespace(lr=3e-4)},
        tmp_path / "tiny-2-1.pth",
    )
    out = tmp_path / "weights"
    assert (
        main(["convert", str(tmp_path / "tiny-2-1.pth"), "--layout", "avit", "--out", str(out)])
        == 0
    )
    assert "--model avit_tiny_2_1" in capsys.readouterr().out
    victim = zoo.load("avit_tiny_2_1", out)
    card = zoo.card("avit_tiny_2_1", out)
    assert (card.source, card.task, card.classes, card.license) == (
        "local",
        "sparsify",
        7,
        "CC-BY-NC-SA-4.0",
    )
    assert 0.1 < decided(victim, pictures) < 0.9
    with torch.no_grad():
        for picture in pictures.split(1):
            expected = plain_avit(state, normalised(picture), 2.0, -1.0)
            torch.testing.assert_close(victim.logits(picture), expected, rtol=1e-4, atol=1e-5)


def test_an_adavit_runs_from_the_weights_folder_as_a_plain_loop_runs_it(
    tmp_path: Path, pictures: Tensor
) -> None:
    state = as_adavit(dense().state_dict(), drawn())
    kept = {f"module.{key}": value for key, value in state.items()}
    old = {key: torch.zeros_like(value) for key, value in kept.items()}
    file = tmp_path / "Ada-Step_deit.tar"
    torch.save({"state_dict": old, "state_dict_ema": kept, "arch": "ada"}, file)
    card = published.convert(file, "adavit", tmp_path / "weights")
    assert card["name"] == "adavit_ada_step_deit"
    victim = zoo.load(card["name"], tmp_path / "weights")
    module = victim.module
    assert isinstance(module, SparseViT)
    assert isinstance(module.sparsifier, AdaViT)
    assert module.sparsifier.start == 0
    with torch.no_grad():
        trace = module.trace(normalised(pictures))[1]
        assert 0.1 < float(trace.keep[:, :, 1:].float().mean()) < 0.9
        assert (
            int(trace.heads.min()) < HEADS
        )  # some head is off, so its channels of the MLP are, too
        assert not trace.msa[1:].all() or not trace.ffn[1:].all()
        assert trace.msa[0].all()
        assert (trace.heads[0] == HEADS).all()
        for picture in pictures.split(1):
            expected = plain_adavit(state, normalised(picture))
            torch.testing.assert_close(victim.logits(picture), expected, rtol=1e-4, atol=1e-5)
            masked = module(normalised(picture))
            torch.testing.assert_close(module.compact(normalised(picture)), masked)


def linear(state: State, name: str, x: Tensor) -> Tensor:
    return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])


def norm(state: State, name: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, (WIDTH,), state[f"{name}.weight"], state[f"{name}.bias"], 1e-6)


def embedded(state: State, x: Tensor) -> Tensor:
    x = F.conv2d(x, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=16)
    return torch.cat((state["cls_token"][0], x[0].flatten(1).T)) + state["pos_embed"][0]


def plain_avit(state: State, x: Tensor, gamma: float, beta: float) -> Tensor:
    """Spec 2.2 for one image, token by token."""
    tokens = embedded(state, x)
    on = [True] * len(tokens)
    total, left = [0.0] * len(tokens), [1.0] * len(tokens)
    output = torch.zeros(WIDTH)
    for block in range(DEPTH):
        here = f"blocks.{block}"
        rows = [place for place, each in enumerate(on) if each]
        z = tokens[rows]
        normed = norm(state, f"{here}.norm1", z)
        q, k, v = linear(state, f"{here}.attn.qkv", normed).chunk(3, dim=1)
        y = torch.cat(
            [
                (a @ b.T / 64**0.5).softmax(1) @ c
                for a, b, c in zip(*(each.split(64, dim=1) for each in (q, k, v)), strict=True)
            ],
            dim=1,
        )
        z = z + linear(state, f"{here}.attn.proj", y)
        hidden = F.gelu(linear(state, f"{here}.mlp.fc1", norm(state, f"{here}.norm2", z)))
        z = z + linear(state, f"{here}.mlp.fc2", hidden)
        for place, row in zip(rows, z, strict=True):
            h = 1.0 if block == DEPTH - 1 else float(torch.sigmoid(gamma * row[0] + beta))
            total[place] += h
            halts = total[place] >= 1 - 0.01
            weight = left[place] if halts else h
            left[place] -= weight
            on[place] = not halts
            if place == 0:
                output = output + weight * row
        tokens = tokens.index_copy(0, torch.tensor(rows), z)
        if not any(on):
            break
    return linear(state, "head", norm(state, "norm", output[None]))


def plain_adavit(state: State, x: Tensor) -> Tensor:
    """Spec 3 for one image, as the released flags have it: off heads mask the MLP's input, too."""
    x = embedded(state, x)
    for block in range(DEPTH):
        here = f"blocks.{block}"
        normed = norm(state, f"{here}.norm1", x)
        logit = linear(state, f"{here}.attn.token_select.mlp_head", normed[1:])[:, 0]
        on = torch.cat((torch.tensor([True]), logit.sigmoid() > 0.6))
        head, layer = torch.ones(HEADS), torch.ones(2)
        if block:
            head = (linear(state, f"{here}.head_select.mlp_head", x[0]).sigmoid() > 0.5).float()
            layer = (linear(state, f"{here}.layer_select.mlp_head", x[0]).sigmoid() > 0.5).float()
        width = head.repeat_interleave(64)
        q, k, v = (
            linear(state, f"{here}.attn.{part}", normed) * width
            for part in ("query", "key", "value")
        )
        seen = (on[:, None] & on[None]) | torch.eye(len(on), dtype=torch.bool)
        y = torch.cat(
            [
                (a @ b.T / 64**0.5).masked_fill(~seen, -torch.inf).softmax(1) @ c
                for a, b, c in zip(*(each.split(64, dim=1) for each in (q, k, v)), strict=True)
            ],
            dim=1,
        )
        x = x + layer[0] * on[:, None] * linear(state, f"{here}.attn.proj", y * width)
        read = norm(state, f"{here}.norm2", x) * width
        hidden = F.gelu(linear(state, f"{here}.mlp.fc1", read))
        x = x + layer[1] * on[:, None] * linear(state, f"{here}.mlp.fc2", hidden)
    return linear(state, "head", norm(state, "norm", x[:1]))


@pytest.mark.parametrize(
    ("size", "stem", "gamma", "beta"),
    [("tiny", "tiny-10-30", 10.0, -30.0), ("small", "small-10-75", 10.0, -75.0)],
)
def test_names_and_shapes_at_the_published_sizes(
    size: str, stem: str, gamma: float, beta: float
) -> None:
    """On tensors without storage: every published name has its place, and no place stays empty."""
    with torch.device("meta"):
        host = timm.create_model(f"deit_{size}_patch16_224")
        state = host.state_dict()
        assert {"cls_token", "pos_embed", "blocks.11.attn.qkv.weight", "head.bias"} <= state.keys()
        avit = published.avit(state, stem)
        adavit = published.adavit(as_adavit(state, lambda shape: torch.empty(shape)), "")
        layout = layout_of(host)
        sparse = {
            "avit": SparseViT(host, AViT(gamma, beta)),
            "adavit": SparseViT(host, AdaViT(layout, start=0)),
        }
    assert avit.sparsifier == {"kind": "avit", "gamma": gamma, "beta": beta, "tau": 0.01}
    assert adavit.sparsifier["start"] == 0
    for found, wanted in ((avit, sparse["avit"]), (adavit, sparse["adavit"])):
        assert {key: value.shape for key, value in found.state.items()} == {
            key: value.shape for key, value in wanted.state_dict().items()
        }
        assert found.backbone == {
            "img_size": 224,
            "patch_size": 16,
            "embed_dim": layout.width,
            "depth": 12,
            "num_heads": layout.heads,
            "mlp_ratio": 4.0,
            "qkv_bias": True,
            "num_classes": 1000,
        }


def test_safetensors_are_read_as_well(tmp_path: Path) -> None:
    save_file(dense().state_dict(), tmp_path / "small-3-4.safetensors")
    card = published.convert(tmp_path / "small-3-4.safetensors", "avit", tmp_path / "out")
    assert card["sparsifier"]["beta"] == -4.0


class Trap:
    """A pickle that would run code."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch trapped",)


def test_a_pickle_that_would_run_code_is_refused_and_runs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model": {"cls_token": Trap()}}, tmp_path / "tiny-10-30.pth")
    with pytest.raises(CorruptWeights, match=r"tiny-10-30\.pth cannot be read"):
        published.convert(tmp_path / "tiny-10-30.pth", "avit", tmp_path / "out")
    assert not (tmp_path / "trapped").exists()


def with_one(key: str) -> Callable[[State], State]:
    return lambda state: state | {key: torch.zeros(1)}


def without(key: str) -> Callable[[State], State]:
    return lambda state: {name: value for name, value in state.items() if name != key}


@pytest.mark.parametrize(
    ("layout", "stem", "change", "error", "sentence"),
    [
        ("avit", "model_best", dict, EngineError, "does not end in an A-ViT's two gate values"),
        ("avit", "t-1-2", without("norm.bias"), CorruptWeights, r"norm.bias is none"),
        ("avit", "t-1-2", with_one("extra.bias"), CorruptWeights, r"extra.bias is \(1,\)"),
        ("avit", "t-1-2", without("cls_token"), CorruptWeights, "no ViT with a class token"),
        ("avit", "t-1-2", with_one("dist_token"), UnsupportedModel, "distilled"),
        ("avit", "t-1-2", with_one("tokens_to_token.x"), UnsupportedModel, "T2T-ViT"),
        ("avit", "t-1-2", without("head.weight"), CorruptWeights, "not the weights of a DeiT"),
        ("adavit", "ada", dict, CorruptWeights, "No block of it decides anything"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    tmp_path: Path,
    layout: str,
    stem: str,
    change: Callable[[State], State],
    error: type[EngineError],
    sentence: str,
) -> None:
    file = tmp_path / f"{stem}.pth"
    torch.save({"model": change(dense().state_dict())}, file)
    with pytest.raises(error, match=sentence) as caught:
        published.convert(file, layout, tmp_path / "out")
    assert caught.value.hint
    assert not (tmp_path / "out").exists()


def test_an_adavit_without_its_keys_is_one_sentence(tmp_path: Path) -> None:
    state = as_adavit(dense().state_dict(), drawn())
    del state["blocks.2.attn.key.weight"]
    torch.save({"state_dict": state}, tmp_path / "ada.pth")
    with pytest.raises(CorruptWeights, match=r"blocks\.2\.attn\.query\.weight, but not the key"):
        published.convert(tmp_path / "ada.pth", "adavit", tmp_path)


def test_a_card_that_does_not_fit_its_weights_is_left_out_or_refused(tmp_path: Path) -> None:
    torch.save({"model": dense().state_dict()}, tmp_path / "t-1-2.pth")
    card = published.convert(tmp_path / "t-1-2.pth", "avit", tmp_path)
    path = tmp_path / "avit_t_1_2.json"
    for change, sentence in (
        ({"backbone": card["backbone"] | {"depth": 3}}, "model on its card"),
        ({"backbone": {"shape": 1}}, "model on its card"),
        ({"sha256": "0" * 64}, "SHA-256"),
    ):
        path.write_text(json.dumps(card | change), encoding="utf-8")
        zoo.unload()
        with pytest.raises(CorruptWeights, match=sentence):
            zoo.load("avit_t_1_2", tmp_path)
    for text in (json.dumps(card | {"name": "other"}), "{", json.dumps({"name": "avit_t_1_2"})):
        path.write_text(text, encoding="utf-8")
        assert not [each for each in zoo.cards(tmp_path) if each.source == "local"]
        assert "avit_t_1_2" in zoo.problems(tmp_path)[0]
