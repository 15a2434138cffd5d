"""The models there are: bundled with the project, in a local weights folder, or on the hub.

One `Card` per model is the single source for the page, the CLI and the loader. Weights are
safetensors only. A file that cannot be used is left out and named by `problems`; a bundled file
whose SHA-256 differs from its card, and weights that are not finite, are refused.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import timm
import torch
from safetensors.torch import load_file
from timm.models import PretrainedCfg
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from engine.core.assets import ASSETS
from engine.core.errors import (
    CorruptWeights,
    EngineError,
    UnknownName,
    UnsupportedModel,
    WeightsUnavailable,
)
from engine.core.placement import device
from engine.data.labels import imagenet_names
from engine.model import hub
from engine.model.architectures import build
from engine.model.families import adapt
from engine.model.shelf import SHELF
from engine.model.sparse import trained_sparsely
from engine.model.victim import Spec, Victim
from engine.model.weightfile import fault

BUNDLED = ASSETS / "models"
WEIGHTS_VARIABLE = "LAB_WEIGHTS"
Source = Literal["bundled", "local", "hub"]
# What timm counts as classes of the image towers of CLIP and its kin: the width of their embedding.
EMBEDDINGS = {384, 512, 640, 768, 1024, 1152, 1280}


class Offer(NamedTuple):
    """A model of the curated hub list, and its size before it is fetched (tensors in float32)."""

    name: str
    title: str
    params: int
    bytes: int


HUB = (
    Offer("vit_tiny_patch16_224", "ViT-Tiny", 5717416, 22869664),
    Offer("vit_small_patch16_224", "ViT-Small", 22050664, 88202656),
    Offer("vit_base_patch16_224", "ViT-Base", 86567656, 346270624),
    Offer("deit_tiny_patch16_224", "DeiT-Tiny", 5717416, 22869664),
    Offer("deit_small_patch16_224", "DeiT-Small", 22050664, 88202656),
    Offer("deit_base_patch16_224", "DeiT-Base", 86567656, 346270624),
    Offer("deit_tiny_distilled_patch16_224", "DeiT-Tiny distilled", 5910800, 23643200),
    Offer("deit3_small_patch16_224", "DeiT III-Small", 22059496, 88237984),
    Offer("pit_ti_224", "PiT-Tiny", 4847272, 19389088),
    Offer("pit_b_224", "PiT-Base", 73764840, 295059360),
    Offer("cait_xxs24_224", "CaiT-XXS24", 11956264, 47825056),
    Offer("cait_s24_224", "CaiT-S24", 46916200, 187664800),
    Offer("visformer_small", "Visformer-Small", 40219592, 160980224),
    Offer("swin_tiny_patch4_window7_224", "Swin-Tiny", 28288354, 113153416),
    Offer("beit_base_patch16_224", "BEiT-Base", 86530984, 346123936),
    Offer("resnet50", "ResNet-50", 25557032, 102441032),
)
OFFERS = {each.name: each for each in HUB}


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


class Listing(NamedTuple):
    """The models of a folder, and a sentence for each file that is left out."""

    cards: tuple[Card, ...] = ()
    problems: tuple[str, ...] = ()


def cards(weights: Path | None = None) -> tuple[Card, ...]:
    """Every model that can be asked for: bundled, then local, then the curated hub list.

    `weights` is a folder of `TIMM_NAME.safetensors`, and of models with a card of their own beside
    them (`engine.model.published`); by default the LAB_WEIGHTS variable names it.
    """
    folder = weights_folder(weights)
    offered = [_timm_card(name, "hub") for name in OFFERS if not _is_local(name, folder)]
    return (*_bundled(BUNDLED).cards, *_local(folder).cards, *offered)


def problems(weights: Path | None = None) -> tuple[str, ...]:
    """One sentence for each bundled or local file that is left out of `cards`."""
    return _bundled(BUNDLED).problems + _local(weights_folder(weights)).problems


def card(name: str, weights: Path | None = None) -> Card:
    """The card of a model: a listed one, or any timm classifier by its timm name.

    Raises UnknownName, UnsupportedModel (no classifier head), or CorruptWeights for the local file.
    """
    listed = {each.name: each for each in cards(weights)}
    plain = name.removeprefix("timm/")
    if plain in listed:
        return listed[plain]
    if not timm.is_model(plain.split(".")[0]):
        raise UnknownName("model", name, tuple(listed))
    found, folder = _timm_card(plain, "hub"), weights_folder(weights)
    if folder and _is_local(plain, folder):
        return _local_card(_local_file(folder, plain))
    return found


def available(found: Card) -> str:
    """Whether a model is on this machine: "here", or "from the hub" if it must be fetched."""
    if found.source != "hub" or hub.cached(repository(found)):
        return "here"
    return "from the hub"


def class_names(found: Card) -> tuple[str, ...]:
    """The names of a model's classes in the order of its logits, known without loading it."""
    if found.details:
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


def load(name: str, weights: Path | None = None) -> Victim:
    """The victim of that name, frozen, on the placed device, in float32; loaded once and shared.

    Raises UnknownName, WeightsUnavailable (not here, and the hub cannot give it), CorruptWeights
    (cut, damaged, of another model, or not finite) or UnsupportedModel.
    """
    folder, where = weights_folder(weights), device()
    key = (name.removeprefix("timm/"), folder, where)
    victim = SHELF.find(key)
    if victim is None:
        found = card(name, folder)
        path = _file(found, folder)  # It may be minutes on its way: nothing is held meanwhile.
        victim = SHELF.get(key, lambda: _made(found, path, where))
    return victim


def unload() -> None:
    """Forget every loaded model and every altered one, so that their memory can go."""
    SHELF.clear()


def repository(found: Card) -> str:
    """The hub repository that holds a timm model's weights."""
    repo = _config(found.name).hf_hub_id
    if not repo:
        raise WeightsUnavailable(f"timm has no published weights for {found.name}.")
    return repo


def _listing(paths: Iterable[Path], card_of: Callable[[Path], Card]) -> Listing:
    found: list[Card] = []
    left_out: list[str] = []
    for path in paths:
        try:
            found.append(card_of(path))
        except EngineError as error:
            reason = error.sentence.replace(path.name, "it", 1)
            left_out.append(f"{path.name} is left out: {reason[0].lower()}{reason[1:]}")
    return Listing(tuple(found), tuple(left_out))


@functools.cache
def _bundled(folder: Path) -> Listing:
    if not folder.is_dir():
        return Listing(problems=("The folder of the bundled models is missing: clone again.",))
    stems = {path.stem for path in folder.iterdir() if path.suffix in (".json", ".safetensors")}
    first = "vit_imagenette"
    ordered = sorted(stems, key=lambda stem: (stem != first, len(stem), stem))
    return _listing((folder / f"{stem}.json" for stem in ordered), _bundled_card)


AGAIN: dict[Source, str] = {"bundled": "Clone again.", "local": "Convert it again."}


def _bundled_card(path: Path) -> Card:
    return _told_card(path, "bundled")


def _told_card(path: Path, source: Source) -> Card:
    """The card that lies beside its weights."""
    again = AGAIN[source]
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        found = Card(
            name=data["name"],
            title=data["title"],
            family=data["family"],
            task=data["task"],
            classes=len(data["classes"]),
            input_size=data["input_size"],
            source=source,
            params=data["params"],
            bytes=data["bytes"],
            license=data["license"],
            sha256=data["sha256"],
            measured=data["measured"],
            details=data,
        )
        weights = path.with_name(data["file"])
    except FileNotFoundError as error:
        raise CorruptWeights("The card is missing.", again) from error
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise CorruptWeights("The card is damaged.", again) from error
    if not weights.is_file():
        raise WeightsUnavailable(f"The {source} file {weights.name} is missing.", again)
    return found


def _local(folder: Path | None) -> Listing:
    return _listing(sorted(folder.glob("*.safetensors")) if folder else (), _local_card)


def _local_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.safetensors"


def _is_local(name: str, folder: Path | None) -> bool:
    """Whether the folder has such a file, however bad: the hub never stands in for it unasked."""
    return folder is not None and os.path.lexists(_local_file(folder, name))


def _local_card(path: Path) -> Card:
    card = path.with_suffix(".json")
    if card.is_file():
        found = _told_card(card, "local")
        if found.name != path.stem:
            raise CorruptWeights(f"{path.name} has the card of {found.name}.", AGAIN["local"])
        return found
    if not timm.is_model(path.stem.split(".")[0]):
        raise UnknownName("timm model", path.stem, tuple(OFFERS))
    found = _timm_card(path.stem, "local")
    if wrong := fault(path):
        raise CorruptWeights(f"{path.name} {wrong}.", "Put the file there again.")
    return replace(found, bytes=path.stat().st_size)


def _timm_card(name: str, source: Source) -> Card:
    config = _config(name)
    if not config.num_classes or config.num_classes in EMBEDDINGS:
        raise UnsupportedModel(
            f"{name} has no classifier head, so there is no answer to attack.",
            "Choose a model that was trained or tuned to tell classes apart.",
        )
    offer = OFFERS.get(name, Offer(name, name, 0, 0))
    return Card(
        name=name,
        title=offer.title,
        family=timm.models.model_entrypoint(name.split(".")[0]).__module__.rsplit(".", 1)[-1],
        task="classify",
        classes=config.num_classes,
        input_size=int(config.input_size[-1]),
        source=source,
        params=offer.params,
        bytes=offer.bytes,
        license=config.license or "",
    )


def _config(name: str) -> PretrainedCfg:
    try:
        config = timm.models.get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError:
        config = None
    if config is None:
        tagged = tuple(timm.models.get_arch_pretrained_cfgs(name))
        raise UnknownName("model", name, tagged or tuple(OFFERS))
    return config


def _file(found: Card, folder: Path | None) -> Path:
    """Where a model's weights are, fetched from the hub if need be."""
    if found.source == "bundled":
        return BUNDLED / found.details["file"]
    if found.source == "local" and folder is not None:
        return _local_file(folder, found.name)
    repo = repository(found)
    for _ in hub.fetch(repo, found.title):
        pass
    path = hub.cached(repo)
    if path is None:
        raise WeightsUnavailable(f"{found.title} is gone from the hub's cache.", "Run again.")
    return path


def _made(found: Card, path: Path, where: torch.device) -> Victim:
    made = _from_card if found.details else _from_timm
    module, mean, std = made(found, path)
    _refuse_not_finite(module, path)
    family, blocks = adapt(module, found.input_size)
    names = class_names(found)
    spec = Spec(found.name, found.family, names, found.input_size, mean, std, blocks, family.sites)
    return Victim(spec, module.to(where, torch.float32), family)


Made = tuple[nn.Module, tuple[float, ...], tuple[float, ...]]


def _from_card(found: Card, path: Path) -> Made:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != found.sha256:
        raise CorruptWeights(
            f"{path.name} does not match the SHA-256 of its card.", AGAIN[found.source]
        )
    details = found.details
    try:
        module = _network(found)
        module.load_state_dict(load_file(path))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CorruptWeights(
            f"{path.name} does not hold the weights of the model on its card.", AGAIN[found.source]
        ) from error
    return module, tuple(details["mean"]), tuple(details["std"])


def _network(found: Card) -> nn.Module:
    """What a card describes, with fresh weights."""
    details = found.details
    told = details.get("backbone")
    module = VisionTransformer(**told) if told else build(found.name)
    return trained_sparsely(module, details["sparsifier"]) if "sparsifier" in details else module


def _from_timm(found: Card, path: Path) -> Made:
    if wrong := fault(path):
        raise CorruptWeights(
            f"{path.name} of {found.title} {wrong}.", "Delete it and fetch it anew."
        )
    config = _config(found.name)
    try:
        module = timm.create_model(
            found.name, pretrained=True, pretrained_cfg_overlay={"file": str(path)}
        )
    except Exception as error:  # timm rearranges what it reads, and trips over what is not there.
        raise CorruptWeights(
            f"{path.name} does not hold the weights of timm's {found.name}.",
            "Put the right file there.",
        ) from error
    return module, tuple(config.mean), tuple(config.std)


def _refuse_not_finite(module: nn.Module, path: Path) -> None:
    for name, values in module.state_dict().items():
        if not values.isfinite().all():
            raise CorruptWeights(
                f"{path.name} holds values that are no numbers, in {name}.",
                "Fetch or train it anew.",
            )
