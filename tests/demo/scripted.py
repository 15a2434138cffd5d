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


def show(page: Any, mount: str, told: dict[str, Any]) -> None:
    """A room's report, by the script that mounts its parts, as its scripts draw it."""
    page.goto(HOME)
    page.evaluate("document.body.innerHTML = '<div id=room><div></div><div id=report></div></div>'")
    page.evaluate(mount, told)
    settle(page)


def settle(page: Any) -> None:
    """Until what was asked for is drawn."""
    page.evaluate("new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))")


def words(page: Any, selector: str) -> str:
    """What is read there, once it is drawn, on one line."""
    settle(page)
    return " ".join(page.inner_text(selector).split())
