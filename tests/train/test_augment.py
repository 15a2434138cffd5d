from __future__ import annotations

import torch
from torch import Tensor

from engine.core.streams import Streams
from engine.train.augment import Augmentation, Draws, alter, draw, mix

STRONG = Augmentation(crop_area=0.1, jitter=0.9, erase=1.0, cutmix=0.5, mixup=0.5)
NOTHING = Augmentation(crop_area=1.0, jitter=0.0, erase=0.0, cutmix=0.0, mixup=0.0)


def batch(count: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    generator = Streams(1).at("batch")
    images = torch.randint(0, 256, (count, 3, 24, 24), generator=generator, dtype=torch.uint8)
    targets = torch.rand(count, 5, generator=generator).softmax(-1)
    return images, targets, draw(count, generator)


def named(numbers: Tensor) -> Draws:
    return Draws(*numbers.unbind(1))


def test_pixels_stay_in_the_unit_box():
    images, _, numbers = batch(64)
    altered = alter(images, named(numbers), STRONG)
    assert altered.min() >= 0
    assert altered.max() <= 1


def test_a_picture_is_altered_alike_in_any_batch():
    images, _, numbers = batch()
    whole = alter(images, named(numbers), STRONG)
    alone = alter(images[5:6], named(numbers[5:6]), STRONG)
    # The same float32 operations; reductions over a picture may be grouped differently.
    torch.testing.assert_close(whole[5:6], alone, rtol=0, atol=1e-6)


def test_without_strength_only_the_mirror_is_left():
    images, _, numbers = batch()
    numbers[:, Draws._fields.index("shape")] = 0.5  # aspect 1
    altered = alter(images, named(numbers), NOTHING)
    plain = images.float() / 255
    flipped = (numbers[:, Draws._fields.index("flip")] < 0.5).view(-1, 1, 1, 1)
    # Bilinear sampling at pixel centres: coordinates are exact to a few float32 roundings.
    expected = torch.where(flipped, plain.flip(-1), plain)
    torch.testing.assert_close(altered, expected, rtol=0, atol=2e-5)


def test_mixing_keeps_every_target_a_distribution():
    images, targets, numbers = batch(64)
    _, mixed = mix(images.float() / 255, targets, named(numbers), STRONG)
    assert mixed.min() >= 0
    torch.testing.assert_close(mixed.sum(1), torch.ones(64))


def test_mixing_shares_targets_by_the_pixels_kept():
    zeros_and_ones = torch.tensor([0.0, 1.0]).repeat(32).view(-1, 1, 1, 1).expand(-1, 3, 24, 24)
    labels = torch.eye(2).repeat(32, 1)
    numbers = draw(64, Streams(2).at("mix"))
    mixed, targets = mix(zeros_and_ones, labels, named(numbers), STRONG)
    # A picture of ones mixed into one of zeros: its mean is the share of class 1.
    torch.testing.assert_close(mixed.mean(dim=(1, 2, 3)), targets[:, 1], rtol=0, atol=1e-5)
    assert (targets[:, 1] % 1 > 0.01).any()


def test_partners_never_cross_an_even_split_of_the_batch():
    images, targets, numbers = batch()
    pixels = images.float() / 255
    whole = mix(pixels, targets, named(numbers), STRONG)
    half = mix(pixels[8:], targets[8:], named(numbers[8:]), STRONG)
    assert torch.equal(whole[0][8:], half[0])
    assert torch.equal(whole[1][8:], half[1])
