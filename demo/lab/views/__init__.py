"""The linked views of the Lab: messages to the browser, and the components that draw them."""

from demo.lab.views.components import (
    HEAD,
    attention,
    bars,
    carrier,
    depth,
    gradients,
    headline,
    outliers,
    pair,
    scrubber,
    tokens,
    verdict,
)
from demo.lab.views.payload import payload, slab
from demo.lab.views.progress import RESTORE, live, opened

__all__ = [
    "HEAD",
    "RESTORE",
    "attention",
    "bars",
    "carrier",
    "depth",
    "gradients",
    "headline",
    "live",
    "opened",
    "outliers",
    "pair",
    "payload",
    "scrubber",
    "slab",
    "tokens",
    "verdict",
]
