"""What visitors may bring: bounded by request, by visitor and hour, and in all."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo import scratch

MOST_OF_A_REQUEST = 64 << 20
MOST_OF_AN_HOUR = 1 << 30  # a class shares one address
HOUR = 3600.0


class TooMuch(Exception):
    """The request has brought more than it may."""


class Uploads:
    """Counts what is uploaded while it comes, and refuses the rest in one sentence."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._brought: dict[str, deque[tuple[float, int]]] = defaultdict(deque)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].rstrip("/").endswith("/upload"):
            await self.app(scope, receive, send)
            return
        brought = self._recent(_peer(scope))
        before = sum(size for _, size in brought)
        if scratch.used() >= scratch.MOST_BYTES:
            await _refuse(507, "There is no room for more files here just now. Try again later.")(
                scope, receive, send
            )
            return
        came = 0

        async def counted() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > MOST_OF_A_REQUEST or before + came > MOST_OF_AN_HOUR:
                raise TooMuch
            return message

        try:
            await self.app(scope, counted, send)
        except TooMuch:
            much = f"{MOST_OF_A_REQUEST >> 20} MB at once, {MOST_OF_AN_HOUR >> 20} MB an hour"
            await _refuse(413, f"This is more than may be uploaded: {much}.")(scope, receive, send)
        finally:
            brought.append((time.monotonic(), came))

    def _recent(self, peer: str) -> deque[tuple[float, int]]:
        """What a visitor has brought within the last hour; who brought nothing is forgotten."""
        start = time.monotonic() - HOUR
        for each in [p for p, found in self._brought.items() if found and found[-1][0] < start]:
            del self._brought[each]
        found = self._brought[peer]
        while found and found[0][0] < start:
            found.popleft()
        return found


def _peer(scope: Scope) -> str:
    headers: dict[bytes, bytes] = dict(scope.get("headers") or ())
    forwarded = headers.get(b"x-forwarded-for", b"").split(b",")[0].strip().decode("latin-1")
    client: Any = scope.get("client")
    return forwarded or (client[0] if client else "")


def _refuse(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"detail": sentence}, status_code=status)
