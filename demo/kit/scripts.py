"""The pages' scripts and styles: modules, served once, at addresses that name their content.

A page is a folder of `demo/` by the name of its route (the Lab's is `lab`; a dash is written `_`):
`NAME/NAME.js` exports what the page's components call, `NAME/NAME.css` is its style beside
`kit/kit.css`; a room, PAGE_ROOM, has its page's style too. All lie under one folder named by the hash
of them all, so imports between them are relative and browsers keep them for good; the page itself
holds `kit/js/head.js` alone.
"""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PAGES = Path(__file__).parents[1]
KINDS = {".js": "text/javascript", ".css": "text/css"}
FOR_GOOD = "public, max-age=31536000, immutable"
HEAD = PAGES / "kit" / "js" / "head.js"


SHARED = "labAddress.then((page) => page."
"""What scripts of every page call, as `on_load` calls those of one: the page's address."""


@cache
def files() -> dict[str, bytes]:
    """Every script and style by its path below `demo/`."""
    found = (each for each in PAGES.rglob("*") if each.suffix in KINDS and each != HEAD)
    return {each.relative_to(PAGES).as_posix(): each.read_bytes() for each in sorted(found)}


@cache
def folder() -> str:
    """Where they are served, below gradio's root."""
    content = hashlib.sha256()
    for path, text in files().items():
        content.update(f"{path}\0{len(text)}\0".encode() + text)
    return f"scripts/{content.hexdigest()[:16]}"


@cache
def _packed(path: str) -> bytes:
    return gzip.compress(files()[path], mtime=0)


def _answer(request: Request) -> Response:
    path = request.path_params["path"]
    if path not in files():
        return Response("There is no such file.", 404)
    headers = {"Cache-Control": FOR_GOOD, "Vary": "Accept-Encoding"}
    kind = KINDS[Path(path).suffix]
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(files()[path], media_type=kind, headers=headers)
    headers["Content-Encoding"] = "gzip"
    return Response(_packed(path), media_type=kind, headers=headers)


def routes() -> list[Route]:
    """What gradio's app answers beside its own."""
    return [Route(f"/{folder()}/{{path:path}}", _answer)]


def head() -> str:
    """What stands in every page's head."""
    script = HEAD.read_text(encoding="utf-8")
    return f'<script data-folder="{folder()}">\n{script}</script>'


def on_load(call: str) -> str:
    """A component's `js_on_load`: a call of an export of its page's module, once it is there."""
    return f"lab.then((page) => page.{call});"
