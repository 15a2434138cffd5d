"""Published checkpoints of A-ViT and AdaViT, made into models of the weights folder (spec 2.5, 6.3), and
published Robustness Tokens (quant_robtokens spec B6).

Pickles are opened by torch's restricted reader only, which makes nothing but tensors and plain values.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from engine.core.errors import CorruptWeights, EngineError, UnsupportedModel
from engine.data.labels import imagenet_names
from engine.model import tokenfile
from engine.model.sparse import SparseViT, trained_sparsely

State = dict[str, Tensor]
HEAD_WIDTH = 64
"""Of every DeiT; a checkpoint does not say how its width is divided into heads."""
ON = 20.0
"""The bias of a decision that the checkpoint does not take: its sigmoid is 1 in every sense."""
OTHER = "Choose the other layout, or the file as it was published."
MOST_TOKEN_BYTES = 1e8
DENSE = {192: "deit_tiny_patch16_224", 384: "deit_small_patch16_224", 768: "deit_base_patch16_224"}


class Published(NamedTuple):
    """What a checkpoint holds: sizes of the ViT, constants of the sparsifier, weights by our names."""

    backbone: Mapping[str, Any]
    sparsifier: Mapping[str, Any]
    state: State


class Source(NamedTuple):
    """A layout of checkpoints: whose it is, under which keys the weights lie, how they are read."""

    title: str
    license: str
    keys: tuple[str, ...]
    read: Callable[[State, str], Published]


def avit(state: State, name: str) -> Published:
    """A-ViT: tensors are named as timm's DeiT; the file's name ends in gate scale and gate centre.

    `small-10-75` has gamma 10 and beta -75. Raises EngineError for another name.
    """
    gate = re.search(r"-(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)$", name)
    if gate is None:
        raise EngineError(
            f"The name “{name}” does not end in an A-ViT's two gate values.",
            "Name the file as it was published, such as small-10-75.pth.",
        )
    gamma, beta = float(gate[1]), -float(gate[2])
    made = {f"backbone.{key}": value for key, value in state.items()}
    made |= {"sparsifier.gamma": torch.tensor(gamma), "sparsifier.beta": torch.tensor(beta)}
    told = {"kind": "avit", "gamma": gamma, "beta": beta, "tau": 0.01}
    return Published(sizes(state), told, made)


def adavit(state: State, name: str) -> Published:
    """AdaViT: query, key and value apart; deciders inside the blocks.

    `attn.query`, `attn.key`, `attn.value` become `attn.qkv`; `attn.token_select.mlp_head`,
    `head_select.mlp_head` and `layer_select.mlp_head` our deciders. Where a deciding block lacks one
    of these (the first has only the patches'), all of that kind stays on.
    """
    del name
    state = _joined(state)
    deciding = {_block(key) for key in state if ".mlp_head." in key}
    if not deciding:
        raise CorruptWeights("No block of it decides anything, so it is no AdaViT.", OTHER)
    width, start = state["cls_token"].shape[-1], min(deciding)
    heads = next(
        (len(value) for key, value in state.items() if key.endswith("head_select.mlp_head.bias")),
        width // HEAD_WIDTH,
    )
    backbone = {**sizes(state), "num_heads": heads}
    made = {f"backbone.{key}": value for key, value in state.items() if ".mlp_head." not in key}
    for block in range(start, backbone["depth"]):
        for theirs, ours, size in (
            ("attn.token_select", "token", 1),
            ("head_select", "head", heads),
            ("layer_select", "sublayer", 2),
        ):
            like = state["cls_token"]
            always = {"weight": like.new_zeros(size, width), "bias": like.new_full((size,), ON)}
            for part, otherwise in always.items():
                key = f"sparsifier.deciders.{block - start}.{ours}.{part}"
                made[key] = state.get(f"blocks.{block}.{theirs}.mlp_head.{part}", otherwise)
    told = {
        "kind": "adavit",
        "start": start,
        "temperature": 5.0,
        "token_threshold": 0.6,
        "threshold": 0.5,
        "head_masks_mlp": True,
    }
    return Published(backbone, told, made)


LAYOUTS: dict[str, Source] = {
    "avit": Source("A-ViT", "CC-BY-NC-SA-4.0", ("model",), avit),
    "adavit": Source("AdaViT", "none stated", ("state_dict_ema", "state_dict", "model"), adavit),
}


def convert(file: Path, layout: str, out: Path) -> dict[str, Any]:
    """Write NAME.safetensors and its card NAME.json into a weights folder; returns the card.

    Raises CorruptWeights where the file is no such checkpoint, UnsupportedModel where its ViT is
    none that can run here.
    """
    source = LAYOUTS[layout]
    found = source.read(weights(file, source.keys), file.stem)
    module = trained_sparsely(VisionTransformer(**found.backbone), found.sparsifier)
    _check(module, found.state, file)
    name = f"{layout}_{re.sub(r'[^a-z0-9]+', '_', file.stem.lower()).strip('_')}"
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in found.state.items()}, path)
    sizes = found.backbone
    known = (
        DENSE.get(sizes["embed_dim"]) if (sizes["img_size"], sizes["depth"]) == (224, 12) else None
    )
    count = sizes["num_classes"]
    card = {
        "name": name,
        "title": f"{source.title}, published ({file.stem})",
        "family": "vit",
        "task": "sparsify",
        "classes": list(imagenet_names())
        if count == 1000
        else [f"class {i}" for i in range(count)],
        "input_size": sizes["img_size"],
        "mean": list(IMAGENET_DEFAULT_MEAN),
        "std": list(IMAGENET_DEFAULT_STD),
        "params": sum(each.numel() for each in module.parameters()),
        "license": source.license,
        "start": {"name": known or name},
        "backbone": dict(sizes),
        "sparsifier": dict(found.sparsifier),
        "measured": {},
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return card


def tokens(file: Path) -> Tensor:
    """The n tokens (n, d) of a file {"rtokens": (1, n, d)}; raises CorruptWeights for anything else."""
    try:
        size = file.stat().st_size
    except OSError as error:
        raise CorruptWeights(f"{file.name} cannot be read.", "Name the file of tokens.") from error
    if size > MOST_TOKEN_BYTES:
        raise CorruptWeights(
            f"{file.name} is too large to be tokens.", "A published file has 63 kB."
        )
    found = _opened(file)
    if set(found) != {tokenfile.KEY} or not isinstance(found[tokenfile.KEY], Tensor):
        raise CorruptWeights(f"{file.name} holds other things than tokens.", tokenfile.LAYOUT)
    return tokenfile.checked(found[tokenfile.KEY], file.name)


def weights(file: Path, keys: tuple[str, ...]) -> State:
    """The tensors of a checkpoint by their published names, without `module.` in front.

    `keys` are where they may lie in it, best first. Raises CorruptWeights.
    """
    found = _opened(file)
    inner = next((found[key] for key in keys if isinstance(found.get(key), Mapping)), found)
    state = {str(key).removeprefix("module."): value for key, value in inner.items()}
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise CorruptWeights(f"{file.name} holds no weights under {', '.join(keys)}.", OTHER)
    if "cls_token" not in state or "pos_embed" not in state:
        raise CorruptWeights(f"{file.name} holds no ViT with a class token.", OTHER)
    return state


def sizes(state: State) -> dict[str, Any]:
    """The plain ViT that the weights are of; raises UnsupportedModel where it is none."""
    if any(key.startswith("tokens_to_token.") for key in state):
        raise UnsupportedModel(
            "This checkpoint is a T2T-ViT, whose tokens are made in another way.",
            "Convert a DeiT checkpoint.",
        )
    if "dist_token" in state:
        raise UnsupportedModel("This checkpoint is a distilled DeiT.", "Convert a plain one.")
    try:
        _, tokens, width = state["pos_embed"].shape
        patch = state["patch_embed.proj.weight"].shape[-1]
        return {
            "img_size": math.isqrt(tokens - 1) * patch,
            "patch_size": patch,
            "embed_dim": width,
            "depth": 1 + max(_block(key) for key in state if key.startswith("blocks.")),
            "num_heads": max(1, width // HEAD_WIDTH),
            "mlp_ratio": state["blocks.0.mlp.fc1.weight"].shape[0] / width,
            "qkv_bias": "blocks.0.attn.qkv.bias" in state,
            "num_classes": state["head.weight"].shape[0],
        }
    except (KeyError, ValueError) as error:
        raise CorruptWeights("These are not the weights of a DeiT.", OTHER) from error


def _opened(file: Path) -> Mapping[str, Any]:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        with torch.serialization.safe_globals([argparse.Namespace]):  # timm saves its options, too
            found: Any = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # the restricted reader trips in a dozen ways over a damaged file
        raise CorruptWeights(
            f"{file.name} cannot be read as a checkpoint.",
            "Give a file of tensors; a pickle that would run code is refused.",
        ) from error
    if not isinstance(found, Mapping):
        raise CorruptWeights(f"{file.name} holds no weights by name.", OTHER)
    return found


def _joined(state: State) -> State:
    """With `attn.qkv` in place of `attn.query`, `attn.key` and `attn.value`."""
    made = {key: value for key, value in state.items() if not re.search(_PART, key)}
    for key in state:
        if ".attn.query." in key:
            parts = [state.get(key.replace("query", each)) for each in ("query", "key", "value")]
            if any(part is None for part in parts):
                raise CorruptWeights(f"It has {key}, but not the key and the value to it.", OTHER)
            made[key.replace("query", "qkv")] = torch.cat([p for p in parts if p is not None])
    return made


_PART = r"\.attn\.(query|key|value)\."


def _block(key: str) -> int:
    return int(key.split(".")[1])


def _check(module: SparseViT, state: State, file: Path) -> None:
    wanted = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in state.items()}
    wrong = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
    if wrong:
        key = wrong[0].split(".", 1)[1]
        has, needs = (each.get(wrong[0], "none") for each in (found, wanted))
        raise CorruptWeights(
            f"{file.name} does not fit its layout: {key} is {has} instead of {needs}.",
            OTHER,
        )
