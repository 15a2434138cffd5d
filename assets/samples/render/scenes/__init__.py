"""The pictures of the gallery, in display order: twice and more each of the ten classes.

They are to answer models as photographs do, not as catalogue pictures, on which every model is
sure: part views, distance, clutter, hard and dull light, a hand that shook. They were chosen by
that measure among about sixty shots that were drawn (`assets/samples/measure.py`); no pixel was
ever changed by a gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from assets.samples.render.film import UNIT, Film
from assets.samples.render.scenes import (
    cassette_player,
    chain_saw,
    church,
    english_springer,
    french_horn,
    garbage_truck,
    gas_pump,
    golf_ball,
    parachute,
    tench,
)
from assets.samples.render.shot import EVENING, FLASH, OVERCAST, SHADE, Light, Shot


@dataclass(frozen=True)
class Picture:
    """A shot of a scene; what it is called and shows stands in `gallery.json`."""

    id: str
    scene: Callable[[Shot, int], Image.Image]
    shot: Shot

    def render(self, size: int = UNIT) -> Image.Image:
        """The picture, `size` pixels square."""
        return self.scene(self.shot, size)


def _against(x: float, y: float, z: float) -> Light:
    """A low sun behind the object."""
    return Light((x, y, z), (1.3, 1.05, 0.75), (0.7, 0.7, 0.75), (1.0, 0.9, 0.75))


# The church's own light is that of the last sun.
_NOON = Light(direct=(1.6, 3.0, 5.5), sky=(1.4, 1.6, 1.5), far=(0.75, 1.05, 1.6))
_LAMPS = Light(direct=(1.1, 0.78, 0.42), sky=(0.75, 0.52, 0.28), far=(0.75, 0.5, 0.26))

PICTURES = (
    Picture(
        "golf_ball",
        golf_ball.render,
        Shot(
            distance=1.3,
            aim=(0.15, -0.15),
            light=_against(0.2, 0.3, 0.8),
            film=Film(exposure=1.1, grain=0.003, veil=0.12, jpeg=70),
            front="branch",
            seed=9,
        ),
    ),
    Picture(
        "english_springer",
        english_springer.render,
        Shot(
            turn=-60,
            distance=1.1,
            aim=(-0.2, -0.1),
            light=OVERCAST,
            film=Film(exposure=1.4, grain=0.003, jpeg=70),
            seed=4,
        ),
    ),
    Picture(
        "parachute",
        parachute.render,
        Shot(
            turn=15,
            distance=2.5,
            aim=(0.25, 0.2),
            light=EVENING,
            film=Film(exposure=1.15, grain=0.003, jpeg=75),
            hue=-100,
        ),
    ),
    Picture(
        "church",
        church.render,
        Shot(
            distance=0.6,
            aim=(-0.3, -0.3),
            roll=4,
            light=_NOON,
            film=Film(grain=0.003, veil=0.08, jpeg=55),
        ),
    ),
    Picture(
        "tench",
        tench.held,
        Shot(
            turn=14,
            distance=0.95,
            aim=(0.1, 0),
            roll=-6,
            light=OVERCAST,
            film=Film(exposure=1.5, jpeg=70),
            seed=1,
        ),
    ),
    Picture(
        "cassette_player",
        cassette_player.render,
        Shot(
            turn=45,
            rise=22,
            light=FLASH,
            film=Film(exposure=1.2, grain=0.003, vignette=0.5, jpeg=60),
            near=4,
            seed=1,
        ),
    ),
    Picture(
        "french_horn",
        french_horn.render,
        Shot(
            turn=165,
            distance=1.3,
            aim=(0.3, -0.2),
            roll=10,
            film=Film(grain=0.003, shake=(4, 30), jpeg=65),
            near=5,
            seed=6,
        ),
    ),
    Picture(
        "gas_pump",
        gas_pump.render,
        Shot(
            turn=-12,
            distance=1.25,
            aim=(0.15, 0),
            light=EVENING,
            film=Film(exposure=1.15, grain=0.003, jpeg=70),
            front="leaves",
            seed=4,
        ),
    ),
    Picture(
        "chain_saw",
        chain_saw.render,
        Shot(
            turn=15,
            distance=0.62,
            aim=(-0.4, 0.1),
            light=FLASH,
            film=Film(exposure=1.2, grain=0.002, vignette=0.5, shake=(2.5, 30), jpeg=45),
        ),
    ),
    Picture(
        "garbage_truck",
        garbage_truck.render,
        Shot(
            turn=12,
            distance=0.85,
            aim=(-0.15, 0),
            film=Film(grain=0.003, shake=(3, 0), jpeg=60),
            seed=1,
        ),
    ),
    Picture(
        "golf_ball_2",
        golf_ball.render,
        Shot(
            rise=14,
            distance=2.2,
            aim=(-0.2, 0.1),
            light=OVERCAST,
            film=Film(exposure=1.7, grain=0.003, jpeg=70),
            seed=1,
        ),
    ),
    Picture(
        "english_springer_2",
        english_springer.render,
        Shot(
            turn=-45,
            distance=1.5,
            light=OVERCAST,
            film=Film(exposure=1.5, jpeg=60),
            front="stalks",
            seed=1,
        ),
    ),
    Picture(
        "parachute_2",
        parachute.render,
        Shot(
            turn=25,
            distance=0.62,
            aim=(-0.2, -0.65),
            light=_against(-0.4, 0.5, -0.8),
            film=Film(grain=0.004, shake=(5, 60), jpeg=70),
            hue=-40,
        ),
    ),
    Picture(
        "church_2",
        church.render,
        Shot(
            turn=30,
            distance=1.7,
            light=_NOON,
            film=Film(grain=0.003, shake=(2, 0), jpeg=50),
            front="fence",
            seed=2,
        ),
    ),
    Picture(
        "tench_2",
        tench.on_grass,
        Shot(turn=10, distance=1.1, aim=(0.05, 0), film=Film(grain=0.003, jpeg=60), seed=6),
    ),
    Picture(
        "cassette_player_2",
        cassette_player.render,
        Shot(
            turn=-25,
            distance=0.55,
            aim=(0.6, 0.1),
            roll=-4,
            light=_LAMPS,
            film=Film(grain=0.004, jpeg=55),
        ),
    ),
    Picture(
        "french_horn_2",
        french_horn.render,
        Shot(
            turn=60,
            rise=-10,
            distance=1.7,
            light=OVERCAST,
            film=Film(exposure=1.5, jpeg=60),
            near=6,
            seed=4,
        ),
    ),
    Picture(
        "gas_pump_2",
        gas_pump.render,
        Shot(turn=-40, distance=1.5, light=EVENING, film=Film(jpeg=80), near=3, seed=1),
    ),
    Picture(
        "chain_saw_2",
        chain_saw.render,
        Shot(
            turn=40,
            rise=12,
            distance=1.1,
            light=SHADE,
            film=Film(exposure=1.6, grain=0.003, jpeg=60),
            near=3,
            seed=1,
        ),
    ),
    Picture(
        "garbage_truck_2",
        garbage_truck.render,
        Shot(
            turn=40,
            distance=1.05,
            light=OVERCAST,
            film=Film(exposure=1.5, grain=0.003, jpeg=60),
            hue=160,
            front="leaves",
            seed=6,
        ),
    ),
    Picture(
        "golf_ball_3",
        golf_ball.render,
        Shot(
            distance=1.5,
            aim=(0.2, -0.2),
            light=_against(0.5, 0.3, 0.8),
            film=Film(exposure=1.1, veil=0.12, jpeg=80),
            front="stalks",
            seed=5,
        ),
    ),
)
