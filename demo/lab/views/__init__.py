"""The linked views of the Lab: messages to the browser, and the components that draw them."""

from demo.lab.views.components import attention, carrier, compare, keep, view
from demo.lab.views.payload import payload, slab
from demo.lab.views.progress import RESTORE, live, opened

__all__ = [
    "RESTORE",
    "attention",
    "carrier",
    "compare",
    "keep",
    "live",
    "opened",
    "payload",
    "slab",
    "view",
]
