"""A visitor: a browser page that remembers all that went wrong in it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
# Remarks of Chromium and gradio, none of them about this page; the last two are gradio asking how an
# upload goes on that is already over.
HARMLESS = (
    "svelte-i18n",
    "Too many arguments provided for the endpoint",
    "/upload_progress?upload_id=",
    "Response (",
    # leaving a page ends its streams
    "AbortError",
    "Connection errored out",
)
# The earlier run stands there: the views have drawn without a click.
FIRST_RUN = "#lab-headline :text('golf ball')"


def alone(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine gives, on a thread of its own: the browser's loop runs in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


class Visit:
    """A visitor's page and all that went wrong in it.

    Visitors share the browser's cache, as one who comes back does; a visit is a tab of its own.
    """

    def __init__(
        self,
        browser: Any,
        url: str,
        width: int,
        height: int,
        theme: str,
        path: str = "/",
        ready: str = FIRST_RUN,
    ) -> None:
        context = browser.contexts[0] if browser.contexts else browser.new_context()
        self.page = context.new_page()
        self.url = url
        self.resize(width, height)
        self.faults: list[str] = []
        self.page.on("request", lambda r: self._asked(r.url, url))
        self.page.on("pageerror", lambda error: self.faults.append(f"page: {error.stack or error}"))
        self.page.on("console", self._said)
        self.page.set_default_timeout(60_000)
        self.page.goto(f"{url}{path}?__theme={theme}")
        self.page.wait_for_selector(ready)

    def resize(self, width: int, height: int) -> None:
        self.page.set_viewport_size({"width": width, "height": height})

    def dress(self, theme: str) -> None:
        """Go over to the light or the dark mode, as gradio's settings do, until colours have."""
        self.page.evaluate(
            "async (dark) => { document.body.classList.toggle('dark', dark);"
            " await new Promise(requestAnimationFrame); await new Promise(requestAnimationFrame);"
            " await Promise.allSettled(document.getAnimations().map((each) => each.finished)); }",
            theme == "dark",
        )

    def _asked(self, what: str, home: str) -> None:
        if not what.startswith((home, "data:", "blob:")):
            self.faults.append(f"asked for {what}")

    def _said(self, message: Any) -> None:
        said = f"{message.text} ({message.location['url']})"
        if message.type == "error" and not any(word in said for word in HARMLESS):
            self.faults.append(f"console: {said}")

    def status(self, *words: str) -> str:
        """Wait until the line beside the Run button holds one of these words; give it back."""
        self.page.wait_for_function(
            "words => words.some(w => document.querySelector('#status')?.innerText.includes(w))",
            arg=list(words),
        )
        return self.page.inner_text("#status")

    def stop(self) -> None:
        """Press Stop at once; a click would wait for still frames, which a run that draws delays."""
        self.page.dispatch_event("#stop", "click")

    def upload(self, name: str, kind: str, content: bytes) -> None:
        self.page.set_input_files(
            "#picture input[type=file]", {"name": name, "mimeType": kind, "buffer": content}
        )

    def overflow(self) -> int:
        return self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")

    def close(self) -> None:
        self.page.close()
        assert not self.faults, self.faults


def visiting(path: str, ready: str) -> Any:
    """A fixture: a fresh visitor of a page; parametrise indirectly with (width, height, theme)."""

    @pytest.fixture
    def visit(browser: Any, served: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
        width, height, theme = getattr(request, "param", (1440, 900, "light"))
        found = Visit(browser, served, width, height, theme, path, ready)
        yield found
        found.close()

    return visit
