"""The way into a class for everybody in the room: an address that other machines can open, as a link,
as a QR code, and short enough to be typed. Nothing outside the room is asked."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

import segno

from demo.learn.lesson import Lesson
from engine.core.errors import EngineError

OWN = ("localhost", "127.0.0.1", "::1", "0.0.0.0")
MOST_LETTERS = 300
CONTROL = re.compile(r"[a-z][a-z0-9-]{1,30}")
PATIENCE = 0.3
"""Seconds in which this machine answers itself."""
SIOCGIFADDR = 0x8915
ALONE = (
    "Only this computer can open this page. For a class, start it as GRADIO_SERVER_NAME=0.0.0.0 "
    "python app.py, and join the network that the students are in."
)


class NoAddress(EngineError):
    """The page did not say where it is."""


async def card(lesson: Lesson, code: str, base: str, hide: str = "") -> dict[str, Any]:
    """Where the class begins: `link` with its `qr`, where a code is typed in (`typed`), and what is
    wrong with them, if anything. `base` is where the teacher has opened the page, without its route."""
    home = urlsplit(base[:MOST_LETTERS])
    if home.scheme not in ("http", "https") or not home.hostname:
        raise NoAddress("The page did not say where it is.")
    said = ""
    if home.hostname in OWN:
        found = await asyncio.to_thread(_in_the_room, home.port or 80)
        home, said = (home._replace(netloc=found), "") if found else (home, ALONE)
    link = _at(home, way(lesson, code, hide))
    return {"link": link, "qr": qr(link), "typed": _at(home, "learn"), "said": said}


def way(lesson: Lesson, code: str = "", hide: str = "") -> str:
    """Where a lesson begins, seen from the Lab's folder: its first step's page."""
    asked = {"l": lesson.name, "s": "0", "k": code, "hide": hide}
    query = urlencode({name: value for name, value in asked.items() if value}, safe=",")
    return f"{lesson.steps[0].page or './'}?{query}"


def hidden(names: str) -> str:
    """Those of the names that can be names of controls."""
    asked = names[:MOST_LETTERS].split(",")
    return ",".join(each for each in asked if CONTROL.fullmatch(each))


def qr(text: str) -> str:
    """A QR code as SVG, dark on white in both modes, as cameras want it."""
    code = segno.make(text, error="m", micro=False)
    return code.svg_inline(border=4, dark="#000", light="#fff", omitsize=True)


def _at(home: SplitResult, way: str) -> str:
    return f"{home.scheme}://{home.netloc}{home.path.rstrip('/')}/{way.removeprefix('./')}"


def _in_the_room(port: int) -> str:
    """This machine's address and port as its neighbours see them; empty where none of them answers."""
    for address in dict.fromkeys(_addresses()):
        if not address.startswith("127.") and _answers(address, port):
            return f"{address}:{port}"
    return ""


def _answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), PATIENCE).close()
    except OSError:
        return False
    return True


def _addresses() -> Iterator[str]:
    """This machine's IPv4 addresses, the likeliest first; a laptop that is itself the hotspot has no
    way out, so its interfaces are asked, too."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.connect(("192.0.2.1", 9))  # nothing is sent: the system picks the interface
        yield out.getsockname()[0]
    with suppress(OSError):
        yield from socket.gethostbyname_ex(socket.gethostname())[2]
    if sys.platform == "linux":
        yield from _interfaces()


def _interfaces() -> Iterator[str]:
    from fcntl import ioctl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            with suppress(OSError):
                told = ioctl(asked, SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                yield socket.inet_ntoa(told[20:24])
