"""The gallery: every sample opens offline, says whose it is, and is what the renderer draws."""

from __future__ import annotations

import socket
from importlib import import_module

import numpy as np
import pytest
import torch

from engine.core.errors import UnknownName
from engine.data.decode import fit
from engine.data.labels import folded, imagenet_names, spellings
from engine.data.render.scenes import PICTURES, Picture
from engine.data.samples import Sample, load_sample, samples
from engine.model import zoo

RENDERED = [sample for sample in samples() if sample.kind == "rendered"]
PHOTOGRAPHS = [sample for sample in samples() if sample.kind == "photograph"]


def test_ids_are_unique_and_everything_is_credited() -> None:
    assert len({sample.id for sample in samples()}) == len(samples())
    assert all(sample.title and sample.credit and sample.licence for sample in samples())


@pytest.mark.parametrize("id", [sample.id for sample in samples()])
def test_every_sample_opens_without_a_network(id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a sample asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    image = load_sample(id)
    assert image.mode == "RGB"
    assert min(image.size) >= 224


def test_an_unknown_sample_is_named() -> None:
    with pytest.raises(UnknownName, match="unicorn"):
        load_sample("unicorn")


@pytest.mark.parametrize("sample", RENDERED, ids=lambda sample: sample.id)
def test_rendered_pictures_are_square_and_small(sample: Sample) -> None:
    width, height = load_sample(sample.id).size
    assert width == height >= 448
    assert sample.path.stat().st_size < 400_000


def test_a_label_is_a_class_of_imagenet_or_none() -> None:
    labels = {sample.id: sample.label for sample in samples()}
    assert {label for label in labels.values() if label} <= set(imagenet_names())
    assert all(sample.label for sample in RENDERED)
    assert labels["cat"] == "tabby"
    assert labels["coffee"] == "espresso"
    assert labels["astronaut"] is None


def test_rendered_pictures_come_first() -> None:
    kinds = [sample.kind for sample in samples()]
    assert kinds == sorted(kinds, reverse=True)  # "rendered" > "photograph"


@pytest.mark.parametrize("sample", PHOTOGRAPHS, ids=lambda sample: sample.id)
def test_the_licence_is_what_the_owner_says(sample: Sample) -> None:
    """scikit-image states the licence of each picture in the docstring of its loader."""
    loader = getattr(import_module("skimage.data"), sample.path.stem)
    assert sample.licence in " ".join(loader.__doc__.split())


def test_pixels_are_the_owners() -> None:
    shown = np.asarray(load_sample("cat"))
    assert np.array_equal(shown, import_module("skimage.data").chelsea())


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.id)
def test_the_bundled_model_recognises_each_rendered_picture(picture: Picture) -> None:
    victim = zoo.load("vit_imagenette")
    x0 = fit(load_sample(picture.id), victim.spec.input_size)[None] / 255
    with torch.no_grad():
        shares = victim.logits(x0).softmax(-1)[0]
    wanted = spellings(victim.spec.classes)[folded(picture.label)]
    assert shares[wanted] >= 0.7
