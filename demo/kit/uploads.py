"""What visitors bring: a request is bounded while it comes, and what is kept by visitor and in all.

Nobody is refused because of others: where there is too much, the oldest of whoever brought most goes.
"""

from __future__ import annotations

import json
import shutil
from collections import OrderedDict, defaultdict
from pathlib import Path

import gradio as gr
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_OF_A_REQUEST = 64 << 20
MOST_OF_ONE = 256 << 20  # a class shares one address
MOST_OF_ALL = 1 << 30
OK = 200


class TooMuch(Exception):
    """The request has brought more than it may."""


class Uploads:
    """Counts what is uploaded while it comes, and makes room for it afterwards."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._kept: dict[str, OrderedDict[Path, int]] = defaultdict(OrderedDict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].rstrip("/").endswith("/upload"):
            await self.app(scope, receive, send)
            return
        came, answer = 0, bytearray()

        async def counted() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > MOST_OF_A_REQUEST:
                raise TooMuch
            return message

        async def heard(message: Message) -> None:
            if message.get("status", OK) == OK:
                answer.extend(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, counted, heard)
        except TooMuch:
            sentence = f"At most {MOST_OF_A_REQUEST >> 20} MB can be uploaded at once."
            await JSONResponse({"detail": sentence}, 413)(scope, receive, send)
        self._keep(peer(HTTPConnection(scope)), bytes(answer))

    def _keep(self, peer: str, answer: bytes) -> None:
        """Remember whose the files are that gradio says it has written, and make room."""
        try:
            paths = [Path(each) for each in json.loads(answer)]
        except (ValueError, TypeError):
            return
        for path in paths:
            if path.is_file():
                self._kept[peer][path] = path.stat().st_size
                self._kept[peer].move_to_end(path)
        while _size(self._kept[peer]) > MOST_OF_ONE:
            self._drop(peer)
        while sum(map(_size, self._kept.values())) > MOST_OF_ALL:
            self._drop(max(self._kept, key=lambda each: _size(self._kept[each])))

    def _drop(self, peer: str) -> None:
        """The visitor's oldest file goes, with the folder that gradio made for it.

        Gradio names folders by content: who has brought the same file keeps it.
        """
        path, _ = self._kept[peer].popitem(last=False)
        if not self._kept[peer]:
            del self._kept[peer]
        if not any(path in kept for kept in self._kept.values()):
            shutil.rmtree(path.parent, ignore_errors=True)


def _size(kept: OrderedDict[Path, int]) -> int:
    return sum(kept.values())


def peer(visitor: HTTPConnection | gr.Request) -> str:
    """Whose share a request takes: the caller's address, as far as it is known."""
    forwarded = visitor.headers.get("x-forwarded-for", "").split(",")[0].strip()
    return forwarded or (visitor.client.host if visitor.client else "")
