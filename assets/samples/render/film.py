"""What lens and film do to light: blur, bloom, tone curve, vignette, grain, 8 bits.

Every length on the film is in 448ths of the picture's side, so that a small picture is the large
one seen from further away.
"""

from __future__ import annotations

import io
import itertools
from dataclasses import dataclass

import numpy as np
from PIL import Image

from assets.samples.render.vectors import Array, smoothstep

UNIT = 448


@dataclass(frozen=True)
class Film:
    """What film and file add: `shake` is a blur of (length, degrees), `veil` stray light.

    `exposure` multiplies the scene's own; `jpeg` is the quality of a first saving, 0 for none.
    """

    exposure: float = 1.0
    grain: float = 0.006
    vignette: float = 0.25
    shake: tuple[float, float] = (0.0, 0.0)
    veil: float = 0.0
    jpeg: int = 0


def grid(size: int) -> tuple[Array, Array]:
    """Pixel centres in [-1, 1]: x to the right, y upwards, each `(size, size)`."""
    ticks = (np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1
    x, y = np.meshgrid(ticks, -ticks)
    return x, y


def aperture_blur(light: Array, radius: float) -> Array:
    """Blur `(c, y, x)` by a round aperture of this radius; highlights become discs."""
    radius = radius * light.shape[-1] / UNIT
    if radius < 0.6:
        return light
    pad = int(radius) + 2
    padded = np.pad(light, ((0, 0), (pad, pad), (pad, pad)), mode="edge")
    rows, columns = padded.shape[1:]
    y = np.minimum(np.arange(rows), rows - np.arange(rows))[:, None]
    x = np.minimum(np.arange(columns), columns - np.arange(columns))[None]
    disc = smoothstep(radius + 0.7, radius - 0.7, np.hypot(y, x).astype(np.float32))
    kernel = np.fft.rfft2(disc / disc.sum())
    out = np.fft.irfft2(np.fft.rfft2(padded) * kernel, s=(rows, columns))
    return np.maximum(out[:, pad:-pad, pad:-pad], 0).astype(np.float32)


def shaken(light: Array, reach: float, degrees: float) -> Array:
    """Blur `(c, y, x)` along a line of length `reach`: the camera moved."""
    reach = reach * light.shape[-1] / UNIT
    steps = max(int(np.ceil(reach * 2)), 1)
    pad = int(reach) + 2
    padded = np.pad(light, ((0, 0), (pad, pad), (pad, pad)), mode="edge")
    rows, columns = padded.shape[1:]
    y, x = np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None]
    ahead = np.linspace(-reach / 2, reach / 2, steps)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    kernel = np.mean([np.exp(-2j * np.pi * (x * c * a - y * s * a)) for a in ahead], axis=0)
    out = np.fft.irfft2(np.fft.rfft2(padded) * kernel, s=(rows, columns))
    return np.maximum(out[:, pad:-pad, pad:-pad], 0).astype(np.float32)


def defocus(light: Array, radius: Array, widest: float) -> Array:
    """Blur each pixel of `(c, y, x)` by its own `radius` `(y, x)`, blending a ladder of blurs."""
    if not widest:
        return light
    rungs = [0.0, *np.geomspace(max(widest / 12, 0.8), widest, 5)]
    out = light.copy()
    for low, high in itertools.pairwise(rungs):
        share = np.clip((radius - low) / (high - low), 0, 1)
        out += (aperture_blur(light, high) - out) * share
    return out


def over(top: Array, alpha: Array, below: Array) -> Array:
    """Lay premultiplied light `top` with coverage `alpha` on `below`."""
    return top + (1 - alpha) * below


def shrink(light: Array, factor: int) -> Array:
    """Average `factor` x `factor` pixels of `(c, y, x)` into one."""
    c, y, x = light.shape
    return light.reshape(c, y // factor, factor, x // factor, factor).mean((2, 4))


def develop(light: Array, seed: int, film: Film, exposure: float = 1.0) -> Image.Image:
    """Linear light `(3, y, x)` to an 8-bit picture.

    Shake, bloom, fall-off towards the corners, a film-like shoulder (Hable's curve in its rational
    form), the sRGB power, luminance grain that is strongest in the middle tones, and JPEG.
    """
    size = light.shape[-1]
    light = light * exposure * film.exposure
    if film.shake[0]:
        light = shaken(light, *film.shake)
    light = light + 0.25 * np.minimum(aperture_blur(np.maximum(light - 1.0, 0), 11), 4)
    x, y = grid(size)
    light = light * (1 - film.vignette * smoothstep(0.3, 1.6, np.hypot(x, y)))
    light = light * (1 - film.veil) + film.veil * 0.55
    toned = np.clip(light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14), 0, 1)
    srgb = toned ** (1 / 2.2)
    draw = np.random.default_rng(seed)
    speck = draw.normal(size=(1, size, size)) + 0.35 * draw.normal(size=(3, size, size))
    srgb = srgb + film.grain * speck * (0.35 + 2.6 * srgb * (1 - srgb))
    pixels = np.rint(np.clip(srgb, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    picture = Image.fromarray(pixels)
    return _saved(picture, film.jpeg) if film.jpeg else picture


def _saved(picture: Image.Image, quality: int) -> Image.Image:
    """The picture after a first saving as JPEG."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")
