"""Augmentation of a whole batch at once, on its device, from one row of uniform numbers a picture.

All chance enters through `Draws`: the numbers of an epoch are drawn on the CPU, so a picture is
altered alike on every device and however a batch is split over processes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Augmentation:
    """How strongly pictures are altered in training.

    `crop_area` is the smallest share of the picture a crop keeps; `jitter` the largest relative
    change of brightness, contrast and saturation; `erase`, `cutmix` and `mixup` are probabilities.
    """

    crop_area: float = 0.25
    jitter: float = 0.3
    erase: float = 0.25
    cutmix: float = 0.4
    mixup: float = 0.4


class Draws(NamedTuple):
    """Uniform numbers in [0, 1), each `(b,)`: one row a picture, one name a decision."""

    area: Tensor
    shape: Tensor
    left: Tensor
    top: Tensor
    flip: Tensor
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    erase: Tensor
    hole: Tensor
    hole_left: Tensor
    hole_top: Tensor
    mix: Tensor
    share: Tensor
    box_left: Tensor
    box_top: Tensor


def draw(count: int, generator: torch.Generator) -> Tensor:
    """The numbers of `count` pictures, `(count, len(Draws._fields))`."""
    return torch.rand(count, len(Draws._fields), generator=generator)


def alter(images: Tensor, draws: Draws, how: Augmentation) -> Tensor:
    """Crop, flip, recolour and erase: uint8 or float `(b, 3, y, x)` to float pixels in [0, 1]."""
    pixels = images.float() / 255 if images.dtype == torch.uint8 else images
    return _erase(_recolour(_crop(pixels, draws, how), draws, how), draws, how)


def mix(images: Tensor, targets: Tensor, draws: Draws, how: Augmentation) -> tuple[Tensor, Tensor]:
    """CutMix or mixup of neighbours 2i and 2i+1; targets `(b, k)` are mixed in the same measure.

    The batch was shuffled, so a neighbour is a random partner; and pairs never cross the border
    between two processes. The share of the first is uniform, i.e. Beta(1, 1).
    """
    kind, share = draws.mix[::2].repeat_interleave(2), draws.share[::2].repeat_interleave(2)
    half = torch.sqrt(1 - share) / 2
    left = draws.box_left[::2].repeat_interleave(2)
    top = draws.box_top[::2].repeat_interleave(2)
    box = _box(images, left, top, half, half)
    cut, blend = kind < how.cutmix, (kind >= how.cutmix) & (kind < how.cutmix + how.mixup)
    own = torch.ones_like(box)
    own = torch.where(cut.view(-1, 1, 1, 1), 1 - box, own)
    own = torch.where(blend.view(-1, 1, 1, 1), share.view(-1, 1, 1, 1), own)
    kept = own.mean(dim=(1, 2, 3)).unsqueeze(1)
    return (
        own * images + (1 - own) * _neighbours(images),
        kept * targets + (1 - kept) * _neighbours(targets),
    )


def _neighbours(x: Tensor) -> Tensor:
    return x.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)


def _crop(pixels: Tensor, draws: Draws, how: Augmentation) -> Tensor:
    """A random resized crop, flipped for half of the pictures, in one bilinear resampling.

    Area uniform in [crop_area, 1], aspect log-uniform in [3/4, 4/3].
    """
    area = how.crop_area + (1 - how.crop_area) * draws.area
    aspect = torch.exp((2 * draws.shape - 1) * math.log(4 / 3))
    width, height = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    mirror = torch.where(draws.flip < 0.5, -1.0, 1.0)
    nothing = torch.zeros_like(width)
    across = torch.stack([mirror * width, nothing, (1 - width) * (2 * draws.left - 1)], dim=1)
    down = torch.stack([nothing, height, (1 - height) * (2 * draws.top - 1)], dim=1)
    grid = F.affine_grid(torch.stack([across, down], 1), list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)


def _recolour(pixels: Tensor, draws: Draws, how: Augmentation) -> Tensor:
    """Brightness, then contrast about the picture's mean, then saturation about each pixel's grey."""

    def factor(u: Tensor) -> Tensor:
        return (1 + how.jitter * (2 * u - 1)).view(-1, 1, 1, 1)

    pixels = pixels * factor(draws.brightness)
    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    pixels = mean + (pixels - mean) * factor(draws.contrast)
    grey = pixels.mean(dim=1, keepdim=True)
    return (grey + (pixels - grey) * factor(draws.saturation)).clamp(0, 1)


def _erase(pixels: Tensor, draws: Draws, how: Augmentation) -> Tensor:
    """Fill a square of 2 to 25 % of the picture with mid grey, with probability `erase`."""
    half = torch.sqrt(0.02 + 0.23 * draws.hole) / 2
    box = _box(pixels, draws.hole_left, draws.hole_top, half, half)
    box = box * (draws.erase < how.erase).view(-1, 1, 1, 1)
    return pixels * (1 - box) + 0.5 * box


def _box(
    like: Tensor, left: Tensor, top: Tensor, half_width: Tensor, half_height: Tensor
) -> Tensor:
    """1 inside the box centred at (left, top), 0 outside, `(b, 1, y, x)`; units of the side."""
    rows = (torch.arange(like.shape[2], device=like.device) + 0.5) / like.shape[2]
    columns = (torch.arange(like.shape[3], device=like.device) + 0.5) / like.shape[3]
    down = (rows - top.unsqueeze(1)).abs() < half_height.unsqueeze(1)
    across = (columns - left.unsqueeze(1)).abs() < half_width.unsqueeze(1)
    return (down.unsqueeze(2) & across.unsqueeze(1)).unsqueeze(1).to(like.dtype)
