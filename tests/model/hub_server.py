"""A model hub on 127.0.0.1, as far as huggingface_hub 2.4 and the Lab speak to one.

Two servers, as in the world: the hub answers `HEAD` and `GET /REPO/resolve/REVISION/FILE` with a
redirect that carries commit, ETag and size, and another host has the bytes and knows ranges.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILE = "model.safetensors"
RESOLVE = re.compile(rf"/(?P<repo>[\w.-]+/[\w.-]+)/resolve/(main|{COMMIT})/{FILE}")


class Asked(NamedTuple):
    """One request, as a server saw it."""

    host: str
    method: str
    path: str
    range: str
    token: str


@dataclass
class Hub:
    """What the hub holds, how it misbehaves, and what it was asked."""

    address: str = ""
    store: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    fails: int = 0
    captive: bool = False
    says: int | None = None
    cuts: list[int] = field(default_factory=list)
    stalls_at: int | None = None
    knows_ranges: bool = True
    damaged: bool = False
    gate: threading.Event = field(default_factory=threading.Event)
    asked: list[Asked] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    def of(self, host: str, method: str) -> list[Asked]:
        return [each for each in self.asked if (each.host, each.method) == (host, method)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub
    host: str

    def log_message(self, format: str, *args: object) -> None:
        pass

    def note(self) -> None:
        sent = self.headers
        self.hub.asked.append(
            Asked(
                self.host,
                self.command,
                self.path,
                sent.get("Range") or "",
                sent.get("Authorization") or "",
            )
        )

    def answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", "0")
        self.end_headers()


class _Front(_Handler):
    """The hub itself: it knows where files are, and sends none."""

    host = "hub"

    def do_HEAD(self) -> None:
        self.note()
        asked = RESOLVE.fullmatch(self.path)
        hub = self.hub
        if hub.captive or asked is None:
            return self.answer(200, Content_Type="text/html")
        repo = asked["repo"]
        if hub.fails:
            return self.answer(hub.fails)
        if repo in hub.renamed:
            return self.answer(307, Location=self.path.replace(repo, hub.renamed[repo]))
        if repo in hub.gated:
            return self.answer(
                401, X_Error_Code="GatedRepo", X_Error_Message="Access is restricted."
            )
        if repo not in hub.files:
            return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
        content = hub.files[repo]
        digest = hashlib.sha256(content).hexdigest()
        return self.answer(
            302,
            Location=f"{hub.store}/{repo}/{digest}",
            X_Repo_Commit=COMMIT,
            X_Linked_Etag=f'"{digest}"',
            X_Linked_Size=str(hub.says or len(content)),
            X_Xet_Hash=digest,
            Link=f'<{hub.address}/api/models/{repo}/xet-read-token/{COMMIT}>; rel="xet-auth"',
            Accept_Ranges="bytes",
        )

    do_GET = do_HEAD


class _Store(_Handler):
    """The host that has the bytes."""

    host = "store"

    def do_GET(self) -> None:
        self.note()
        hub = self.hub
        content = hub.files[self.path[1:].rpartition("/")[0]]
        if hub.damaged:
            content = bytes([content[0] ^ 1]) + content[1:]
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(wanted[1]) if wanted and hub.knows_ranges else 0
        rest = content[start:]
        told = {"Content_Length": str(len(rest))}
        if wanted and hub.knows_ranges:
            self.answer(
                206, **told, Content_Range=f"bytes {start}-{len(content) - 1}/{len(content)}"
            )
        else:
            self.answer(200, **told)
        end = hub.cuts.pop(0) if hub.cuts else hub.stalls_at
        if end is not None:
            self.wfile.write(rest[:end])
            self.wfile.flush()
            if hub.stalls_at is not None:
                hub.gate.wait(60)
            self.close_connection = True
            return
        half = len(rest) // 2
        self.wfile.write(rest[:half])
        self.wfile.flush()
        hub.gate.wait(60)
        self.wfile.write(rest[half:])


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub that listens until the end of the `with`."""
    hub = Hub()
    with ExitStack() as stack:
        for kind in (_Front, _Store):
            handler = type(kind.__name__, (kind,), {"hub": hub})
            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), handler))
            server.handle_error = lambda *about: None  # A visitor who leaves is no error.
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            stack.callback(server.shutdown)
            address = f"http://127.0.0.1:{server.server_address[1]}"
            if kind is _Front:
                hub.address = address
            else:
                hub.store = address
        stack.callback(hub.gate.set)
        yield hub
