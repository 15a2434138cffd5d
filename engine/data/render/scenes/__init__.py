"""The pictures of the gallery, in display order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from engine.data.render.scenes import (
    cassette_player,
    chain_saw,
    church,
    french_horn,
    garbage_truck,
    gas_pump,
    golf_ball,
    parachute,
)


@dataclass(frozen=True)
class Picture:
    """A scene of the gallery: `label` is the ImageNet class it must be recognised as."""

    id: str
    title: str
    label: str
    render: Callable[[], Image.Image]


PICTURES = (
    Picture("golf_ball", "Golf ball on grass", "golf ball", golf_ball.render),
    Picture("parachute", "Parachute in the sky", "parachute", parachute.render),
    Picture("church", "Church at dusk", "church", church.render),
    Picture("cassette_player", "Cassette player", "cassette player", cassette_player.render),
    Picture("french_horn", "French horn", "French horn", french_horn.render),
    Picture("gas_pump", "Gas pump", "gas pump", gas_pump.render),
    Picture("chain_saw", "Chain saw", "chain saw", chain_saw.render),
    Picture("garbage_truck", "Garbage truck", "garbage truck", garbage_truck.render),
)
