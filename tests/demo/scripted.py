"""The pages' scripts in a browser without gradio: what the head needs of it, and the files."""

from __future__ import annotations

from typing import Any

from demo.kit import scripts

HOME = "http://lab.test/"


def alone(page: Any, root: str = HOME, name: str = "") -> list[str]:
    """From now on the browser's page finds the scripts below `root`; gives what it asks for."""
    asked: list[str] = []
    config = f"<script>window.gradio_config = {{root: '{root}', current_page: '{name}'}}</script>"
    below = f"{root.rstrip('/').partition('.test')[2]}/{scripts.folder()}/"

    def answer(route: Any) -> None:
        asked.append(route.request.url)
        path = route.request.url.partition(".test")[2]
        file = path.removeprefix(below)
        if path.startswith(below) and file in scripts.files():
            kind = scripts.KINDS[f".{file.rpartition('.')[2]}"]
            route.fulfill(body=scripts.files()[file], content_type=kind)
        elif path.endswith("/"):
            body = f"<html><head>{config}{scripts.head()}</head><body></body></html>"
            route.fulfill(body=body, content_type="text/html")
        else:
            route.fulfill(status=404, body="")

    page.route("**/*", answer)
    return asked
