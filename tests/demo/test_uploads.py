"""What may be brought is bounded while it comes, by request and by hour; nothing else is touched."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from demo import scratch, uploads
from demo.uploads import Uploads

MEGABYTE = 1 << 20


async def taking(scope: Any, receive: Any, send: Any) -> None:
    """An application that reads the whole body."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"taken"})


def bring(app: Any, megabytes: int, path: str = "/gradio_api/upload", peer: str = "1.2.3.4") -> Any:
    """(status, body) of a request of that size, in pieces of a megabyte."""
    left, sent = [megabytes], []

    async def receive() -> Any:
        left[0] -= 1
        return {"type": "http.request", "body": bytes(MEGABYTE), "more_body": left[0] > 0}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": [], "client": (peer, 1)}
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], sent[1]["body"].decode(), megabytes - left[0]


def test_a_request_is_cut_where_it_is_too_much() -> None:
    app = Uploads(taking)
    assert bring(app, 60)[:2] == (200, "taken")
    status, said, read = bring(app, 5000)
    assert status == 413
    assert "64 MB at once" in said
    assert read == 65


def test_an_hour_has_a_bound_for_each_visitor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_OF_AN_HOUR", 10 * MEGABYTE)
    app = Uploads(taking)
    assert bring(app, 8)[0] == 200
    assert bring(app, 8)[0] == 413
    assert bring(app, 8, peer="5.6.7.8")[0] == 200
    now = uploads.time.monotonic()
    monkeypatch.setattr(uploads.time, "monotonic", lambda: now + 2 * uploads.HOUR)
    assert bring(app, 8)[0] == 200


def test_where_there_is_no_room_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "used", lambda: scratch.MOST_BYTES)
    status, said, read = bring(Uploads(taking), 1)
    assert (status, read) == (507, 0)
    assert "no room" in said


def test_other_requests_pass() -> None:
    assert bring(Uploads(taking), 100, path="/gradio_api/call/predict")[0] == 200
