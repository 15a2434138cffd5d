"""A result told: in one line, as files, and as plain data."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import unicodedata
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from engine import VERSION
from engine.alter import catalog
from engine.alter.alteration import Stack
from engine.attack.catalog import spell
from engine.core.knobs import knobs
from engine.probe.catalog import PROBES
from engine.studio.request import Request
from engine.studio.result import Frame, Result

SCHEMA = "vit-adversarial-lab/result/1"
BARE = "bare"
"""How a stack of nothing is called."""


def verdict(result: Result) -> str:
    """The run in one line, measured on the saved 8-bit picture."""
    clean, adversarial, noise = result.clean, result.adversarial, result.noise
    size, told = result.distances, result.verdict()
    asked = result.asked
    done = f"{asked} steps" if result.finished else f"stopped at step {result.steps} of {asked}"
    still = "still " if noise.top == clean.top else ""
    said = told.text if adversarial.figures else told.short
    return (
        f"{said}; {_answer(result, clean)} -> {_answer(result, adversarial)}; "
        f"L-inf {size.linf}/255 on the saved PNG, L2 {size.l2:.2f}, PSNR {size.psnr:.1f} dB, "
        f"SSIM {size.ssim:.3f}; {done}, {result.seconds:.1f} s on {result.device}, "
        f"seed {result.request.seed}; random noise of equal size: {still}{_answer(result, noise)}"
    )


def _answer(result: Result, frame: Frame) -> str:
    return f"{result.name(frame.top)} {float(frame.probabilities.max()):.2f}"


def save(result: Result, folder: Path) -> tuple[Path, Path, Path]:
    """Write the adversarial PNG, the perturbation NPZ and the JSON; gives their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    png, npz, told = (folder / f"{stem(result)}.{kind}" for kind in ("png", "npz", "json"))
    text = PngInfo()
    for key, value in inscription(result).items():
        text.add_itxt(key, value)
    result.image().save(png, pnginfo=text)
    np.savez_compressed(npz, **arrays(result))
    told.write_text(json.dumps(summary(result), indent=2) + "\n", encoding="utf-8")
    return png, npz, told


def stem(result: Result) -> str:
    """What the files are called: `golf_ball-vit_imagenette-mifgsm-eps4-seed0`, in plain letters."""
    request = result.request
    words = [_plain(Path(request.name).stem) or "picture", _plain(request.model) or "model"]
    words += [_plain(catalog.spell(each)) for each in request.alter]
    if request.craft_on is not None:
        words += ["on", *(_plain(word) for word in spelled(request.craft_on))]
    words += [request.recipe.name, f"eps{request.recipe.eps * 255:g}", f"seed{request.seed}"]
    return "-".join(words)


def spelled(stack: Stack) -> list[str]:
    """A stack as words, one for each of its alterations."""
    return [catalog.spell(each) for each in stack] or [BARE]


def _plain(text: str, most: int = 60) -> str:
    letters = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._]+", "_", letters).strip("._")[:most]


def inscription(result: Result) -> dict[str, str]:
    """What the PNG says of itself, as text beside its pixels: enough to make it again."""
    request, recipe = result.request, result.request.recipe
    wanted = "anything else" if request.target is None else result.name(request.target)
    return {
        "Software": f"ViT Adversarial Lab {VERSION}",
        "Picture": request.name or "picture",
        "Picture SHA-256": _sha256(request.image),
        "Model": request.model,
        "Altered": " | ".join(spelled(request.alter)),
        "Crafted on": " | ".join(spelled(request.crafted_on)),
        "Attack": recipe.name,
        "Knobs": " ".join(f"{name}={word}" for name, word in spell(recipe).items()),
        "Steps": f"{result.steps} of {result.asked}",
        "Seed": str(request.seed),
        "Precision": _precision(request),
        "Goal": f"{result.name(result.label)} -> {wanted}",
    }


def _precision(request: Request) -> str:
    named = (each.name for each in request.crafted_on)
    return next((name for name in named if name in ("bfloat16", "float64")), "float32")


def _sha256(image: Image.Image) -> str:
    """Of the decoded pixels: 8-bit RGB, row by row from the top."""
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


def arrays(result: Result) -> dict[str, Any]:
    """The run as arrays: clean, adversarial (3, y, x) uint8, delta int16, and every stored step."""
    return {
        "clean": result.clean.pixels.numpy(),
        "adversarial": result.adversarial.pixels.numpy(),
        "delta": result.perturbation().numpy(),
        "steps": np.array([frame.step for frame in result.frames]),
        "frames": np.stack([frame.pixels.numpy() for frame in result.frames]),
        "probabilities": np.stack([frame.probabilities.numpy() for frame in result.frames]),
        "classes": np.array(result.spec.classes),
    }


def summary(result: Result) -> dict[str, Any]:
    """The run as plain data, versioned: what result.json holds."""
    request, recipe = result.request, result.request.recipe
    return {
        "schema": SCHEMA,
        "picture": {
            "name": request.name or "picture",
            "size": list(request.image.size),
            "sha256": _sha256(request.image),
            "input_sha256": _sha256(result.image(result.clean)),
            "adversarial_sha256": _sha256(result.image()),
            "hashed": "decoded pixels: 8-bit RGB, row by row from the top",
        },
        "model": {
            "name": result.card.name,
            "source": result.card.source,
            "sha256": result.card.sha256,
            "input_size": result.spec.input_size,
            "classes": len(result.spec.classes),
            "altered": [catalog.spell(each) for each in request.alter],
        },
        "attack": {
            "name": recipe.name,
            "title": recipe.title,
            "paper": recipe.paper,
            "knobs": {each.name: getattr(recipe, each.name) for each in knobs(recipe)},
        },
        "seed": request.seed,
        "crafted_on": [catalog.spell(each) for each in request.crafted_on],
        "crafted_in": _precision(request),
        "goal": {
            "label": result.name(result.label),
            "target": None if request.target is None else result.name(request.target),
            "label_from": "the model's own answer" if request.label is None else "the caller",
            "criterion": request.criterion.name,
            "success_means": request.criterion.goal,
        },
        "success": result.success,
        "verdict": result.verdict().text,
        "figures": _by_picture(result, lambda frame: dict(frame.figures)),
        "steps": {"done": result.steps, "asked": result.asked, "finished": result.finished},
        "predictions": {
            "measured_on": "8-bit pixels, as saved",
            **_by_picture(result, lambda frame: _answers(result, frame)),
        },
        "distances": {
            "linf_255": result.distances.linf,
            "l2": result.distances.l2,
            "psnr_db": None if result.distances.linf == 0 else result.distances.psnr,
            "ssim": result.distances.ssim,
        },
        "losses": list(result.losses),
        "transfers": [
            {
                "model": each.model,
                "clean": each.clean,
                "clean_probability": each.clean_probability,
                "adversarial": each.adversarial,
                "adversarial_probability": each.adversarial_probability,
                "comparable": each.comparable,
                "changed": each.changed,
            }
            for each in result.transfers
        ],
        "probes": _by_picture(result, _readings),
        "cost": {
            "seconds": result.seconds,
            "crafting_seconds": result.crafting_seconds,
            "device": result.device,
        },
        "notes": list(result.notes),
        "told": list(result.told),
        "versions": {
            "lab": VERSION,
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "timm")},
        },
    }


def _by_picture(result: Result, tell: Callable[[Frame], Any]) -> dict[str, Any]:
    return {
        "clean": tell(result.clean),
        "adversarial": tell(result.adversarial),
        "random_noise_of_equal_size": tell(result.noise),
    }


def _answers(result: Result, frame: Frame, count: int = 5) -> list[dict[str, Any]]:
    top = frame.probabilities.topk(min(count, len(frame.probabilities)))
    return [
        {"class": result.name(index), "index": index, "probability": p}
        for p, index in zip(top.values.tolist(), top.indices.tolist(), strict=True)
    ]


def _readings(frame: Frame) -> Mapping[str, Any]:
    """A few numbers of every probe that read this frame."""
    told: dict[str, Any] = {}
    for probe in PROBES:
        reading = probe.of(frame.readings)
        if reading is not None:
            told |= probe.summary(reading)
    return told
