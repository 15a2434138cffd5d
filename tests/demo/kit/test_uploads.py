"""A request is bounded while it comes; what is kept is bounded, and honest visitors lose nothing."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from visitor import alone

from demo.kit import uploads
from demo.kit.uploads import Uploads

MEGABYTE = 1 << 20


def taking(folder: Path) -> Any:
    """An application that writes the body into a folder of its own and says where, as gradio does."""
    count = itertools.count()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = bytearray(), True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        path = folder / str(next(count)) / "file"
        path.parent.mkdir()
        path.write_bytes(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps([str(path)]).encode()})

    return app


def bring(app: Any, megabytes: int, path: str = "/gradio_api/upload", peer: str = "1.2.3.4") -> Any:
    """(status, body, megabytes read) of a request of that size, in pieces of a megabyte."""
    left, sent = [megabytes], []

    async def receive() -> Any:
        left[0] -= 1
        return {"type": "http.request", "body": bytes(MEGABYTE), "more_body": left[0] > 0}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": [], "client": (peer, 1)}
    alone(app(scope, receive, send))
    return sent[0]["status"], sent[1]["body"].decode(), megabytes - left[0]


def kept(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_a_request_is_cut_where_it_is_too_much(tmp_path: Path) -> None:
    app = Uploads(taking(tmp_path))
    assert bring(app, 60)[0] == 200
    status, said, read = bring(app, 5000)
    assert status == 413
    assert "At most 64 MB" in said
    assert read == 65
    assert kept(tmp_path) == ["0"]


def test_who_brings_too_much_loses_their_own_oldest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MOST_OF_ONE", 10 * MEGABYTE)
    app = Uploads(taking(tmp_path))
    bring(app, 4, peer="5.6.7.8")
    for _ in range(3):
        assert bring(app, 4)[0] == 200
    assert kept(tmp_path) == ["0", "2", "3"]


def test_where_all_bring_too_much_the_greediest_loses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MOST_OF_ALL", 10 * MEGABYTE)
    app = Uploads(taking(tmp_path))
    for peer, size in (("modest", 1), ("greedy", 4), ("greedy", 4), ("modest", 2)):
        assert bring(app, size, peer=peer)[0] == 200
    assert kept(tmp_path) == ["0", "2", "3"]


def test_a_file_that_another_has_brought_too_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MOST_OF_ONE", 5 * MEGABYTE)
    app = Uploads(taking(tmp_path))
    same, more = (json.dumps([str(_written(tmp_path / n, 3))]).encode() for n in ("same", "more"))
    for peer in ("one", "two"):
        app._keep(peer, same)
    app._keep("one", more)
    assert kept(tmp_path) == ["more", "same"]
    app._keep("two", more)
    assert kept(tmp_path) == ["more"]


def _written(folder: Path, megabytes: int) -> Path:
    folder.mkdir()
    (folder / "file").write_bytes(bytes(megabytes * MEGABYTE))
    return folder / "file"


def test_other_requests_pass(tmp_path: Path) -> None:
    assert bring(Uploads(taking(tmp_path)), 100, path="/gradio_api/call/predict")[0] == 200
