"""The models there are: bundled with the project, in a local weights folder, or on the hub.

One `Card` per model is the single source for the page, the CLI and the loader. Weights are
safetensors only, and a bundled file whose SHA-256 differs from its card is refused.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from safetensors.torch import load_file
from timm.models import PretrainedCfg
from torch import nn

from engine.core.errors import CorruptWeights, UnknownName, WeightsUnavailable
from engine.core.placement import device
from engine.data.labels import imagenet_names
from engine.model import hub
from engine.model.architectures import build
from engine.model.families import adapt
from engine.model.sparse import trained_sparsely
from engine.model.victim import Spec, Victim

BUNDLED = Path(__file__).parents[2] / "assets" / "models"
WEIGHTS_VARIABLE = "LAB_WEIGHTS"
Source = Literal["bundled", "local", "hub"]

HUB = (
    ("vit_tiny_patch16_224", "ViT-Tiny"),
    ("vit_small_patch16_224", "ViT-Small"),
    ("vit_base_patch16_224", "ViT-Base"),
    ("deit_tiny_patch16_224", "DeiT-Tiny"),
    ("deit_small_patch16_224", "DeiT-Small"),
    ("deit_base_patch16_224", "DeiT-Base"),
    ("deit_tiny_distilled_patch16_224", "DeiT-Tiny distilled"),
    ("deit3_small_patch16_224", "DeiT III-Small"),
    ("pit_ti_224", "PiT-Tiny"),
    ("pit_b_224", "PiT-Base"),
    ("cait_xxs24_224", "CaiT-XXS24"),
    ("cait_s24_224", "CaiT-S24"),
    ("visformer_small", "Visformer-Small"),
    ("swin_tiny_patch4_window7_224", "Swin-Tiny"),
    ("beit_base_patch16_224", "BEiT-Base"),
    ("resnet50", "ResNet-50"),
)


@dataclass(frozen=True)
class Card:
    """What is known of a model before it is loaded; `measured` holds figures with what they are of."""

    name: str
    title: str
    family: str
    task: str
    classes: int
    input_size: int
    source: Source
    params: int = 0
    bytes: int = 0
    license: str = ""
    sha256: str = ""
    measured: Mapping[str, Any] = field(default_factory=dict[str, Any])
    details: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


def cards(weights: Path | None = None) -> tuple[Card, ...]:
    """Every model that can be asked for: bundled, then local, then the curated hub list.

    `weights` is a folder of `TIMM_NAME.safetensors`; by default the LAB_WEIGHTS variable names it.
    """
    local = _local(weights_folder(weights))
    known = {card.name for card in local}
    hub = (_timm_card(name, title, "hub") for name, title in HUB if name not in known)
    return (*_bundled(), *local, *hub)


def card(name: str, weights: Path | None = None) -> Card:
    """The card of a model: a listed one, or any timm classifier by its timm name."""
    listed = {each.name: each for each in cards(weights)}
    if name in listed:
        return listed[name]
    plain = name.removeprefix("timm/")
    if plain in listed:
        return listed[plain]
    if timm.is_model(plain.split(".")[0]):
        return _timm_card(plain, plain, "hub")
    raise UnknownName("model", name, tuple(listed))


def available(found: Card) -> str:
    """Whether a model is on this machine: "here", or "from the hub" if it must be fetched."""
    if found.source != "hub" or hub.cached(repository(found)):
        return "here"
    return "from the hub"


def class_names(found: Card) -> tuple[str, ...]:
    """The names of a model's classes in the order of its logits, known without loading it."""
    if found.source == "bundled":
        return tuple(name.replace("_", " ") for name in found.details["classes"])
    return (
        imagenet_names()
        if found.classes == 1000
        else tuple(f"class {i}" for i in range(found.classes))
    )


def weights_folder(weights: Path | None = None) -> Path | None:
    """The local weights folder: the argument, else LAB_WEIGHTS, else none."""
    named = weights or os.environ.get(WEIGHTS_VARIABLE)
    if not named:
        return None
    folder = Path(named)
    if not folder.is_dir():
        raise WeightsUnavailable(
            f"The weights folder “{folder}” does not exist.",
            f"Give an existing folder by --weights or {WEIGHTS_VARIABLE}.",
        )
    return folder


_LOADING = threading.Lock()


def load(name: str, weights: Path | None = None) -> Victim:
    """The victim of that name, frozen, on the placed device, in float32; loaded once and shared.

    Raises UnknownName, WeightsUnavailable (not local and the hub cannot be reached),
    CorruptWeights (file and card differ) or UnsupportedModel.
    """
    with _LOADING:
        return _load(name, weights_folder(weights), device())


def unload() -> None:
    """Forget every loaded model, so that its memory can go."""
    _load.cache_clear()


@functools.lru_cache(maxsize=12)
def _load(name: str, weights: Path | None, where: torch.device) -> Victim:
    found = card(name, weights)
    if found.source == "bundled":
        module, names, mean, std = _from_bundle(found)
    else:
        module, mean, std = _from_timm(found, weights)
        names = class_names(found)
    family, blocks = adapt(module, found.input_size)
    spec = Spec(found.name, found.family, names, found.input_size, mean, std, blocks, family.sites)
    return Victim(spec, module.to(where, torch.float32), family)


@functools.cache
def _bundled() -> tuple[Card, ...]:
    found: list[Card] = []
    for path in sorted(BUNDLED.glob("*.json"), key=lambda p: (len(p.stem), p.stem)):
        data = json.loads(path.read_text(encoding="utf-8"))
        found.append(
            Card(
                name=data["name"],
                title=data["title"],
                family=data["family"],
                task=data["task"],
                classes=len(data["classes"]),
                input_size=data["input_size"],
                source="bundled",
                params=data["params"],
                bytes=data["bytes"],
                license=data["license"],
                sha256=data["sha256"],
                measured=data["measured"],
                details=data,
            )
        )
    first = "vit_imagenette"
    return tuple(sorted(found, key=lambda each: each.name != first))


def _local(folder: Path | None) -> tuple[Card, ...]:
    if folder is None:
        return ()
    titles = dict(HUB)
    return tuple(
        replace(
            _timm_card(path.stem, titles.get(path.stem, path.stem), "local"),
            bytes=path.stat().st_size,
        )
        for path in sorted(folder.glob("*.safetensors"))
        if timm.is_model(path.stem.split(".")[0])
    )


def _timm_card(name: str, title: str, source: Source) -> Card:
    config = _config(name)
    return Card(
        name=name,
        title=title,
        family=timm.models.model_entrypoint(name.split(".")[0]).__module__.rsplit(".", 1)[-1],
        task="classify",
        classes=config.num_classes,
        input_size=int(config.input_size[-1]),
        source=source,
        license=config.license or "",
    )


def _config(name: str) -> PretrainedCfg:
    config = timm.models.get_pretrained_cfg(name, allow_unregistered=False)
    if config is None:
        raise UnknownName("model", name, tuple(each for each, _ in HUB))
    return config


def _from_bundle(
    found: Card,
) -> tuple[nn.Module, tuple[str, ...], tuple[float, ...], tuple[float, ...]]:
    path = BUNDLED / found.details["file"]
    if not path.is_file():
        raise WeightsUnavailable(f"The bundled file {path.name} is missing.", "Clone again.")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != found.sha256:
        raise CorruptWeights(
            f"{path.name} does not match the SHA-256 of its card.", "Clone again, or train it anew."
        )
    details = found.details
    module = build(found.name)
    if "sparsifier" in details:
        module = trained_sparsely(module, details["sparsifier"])
    module.load_state_dict(load_file(path))
    return module, class_names(found), tuple(details["mean"]), tuple(details["std"])


def _from_timm(
    found: Card, weights: Path | None
) -> tuple[nn.Module, tuple[float, ...], tuple[float, ...]]:
    config = _config(found.name)
    if found.source == "local" and weights is not None:
        path = weights / f"{found.name}.safetensors"
    else:
        for _ in hub.fetch(repository(found), found.title):
            pass
        path = hub.cached(repository(found))
    try:
        module = timm.create_model(
            found.name, pretrained=True, pretrained_cfg_overlay={"file": str(path)}
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise CorruptWeights(f"{path} does not hold the weights of timm's {found.name}.") from error
    return module, tuple(config.mean), tuple(config.std)


def repository(found: Card) -> str:
    """The hub repository that holds a timm model's weights."""
    repo = _config(found.name).hf_hub_id
    if not repo:
        raise WeightsUnavailable(f"timm has no published weights for {found.name}.")
    return repo
