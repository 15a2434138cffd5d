"""A class arrives at the Lab: `python -m tests.load [--address URL] [--visitors 40] [--different]`.

Every visitor speaks gradio's protocol as a browser does: gets the page and what it names, is told what
stands there, presses Run, follows the run to its result and fetches its files. Each result is held
against what its own visitor asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import os
import random
import re
import secrets
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from gradio_client.utils import apply_diff
from PIL import Image

from engine.core.assets import ASSETS

API = "gradio_api"
PATIENCE = 600.0
NAMED = re.compile(rb'(?:src|href)="(\.?/[^"]+\.(?:js|css|woff2))"')
MEBI = 1 << 20


@dataclass
class Visitor:
    """One browser: what it asks for, what it was told, and when, in seconds after it pressed Run."""

    number: int
    picture: bytes | None
    steps: int
    eps: int = 8
    session: str = field(default_factory=lambda: secrets.token_hex(6))
    visit: str = field(default_factory=lambda: secrets.token_hex(16))
    arrived: float = 0.0
    pressed: float = 0.0
    sign: float | None = None
    step: float | None = None
    end: float | None = None
    run: str = ""
    said: list[str] = field(default_factory=list[str])
    result: dict[str, Any] | None = None
    errors: list[str] = field(default_factory=list[str])

    @property
    def refused(self) -> bool:
        return any("data-again" in each for each in self.said)

    def heard(self, shown: Any, status: Any) -> None:
        """The views and the line were told something."""
        now = time.monotonic() - self.pressed
        if isinstance(status, str) and status:
            self.said.append(status)
            self.sign = now if self.sign is None else self.sign
        for message in json.loads(shown) if isinstance(shown, str) and shown else ():
            self.sign = now if self.sign is None else self.sign
            if message["kind"] in ("live", "run") and self.step is None:
                self.step = now
            if message["kind"] == "run":
                self.end, self.result = now, message

    def wrong(self) -> Iterator[str]:
        """Where the result is not what this visitor asked for."""
        if self.result is None:
            yield "no result"
            return
        if self.result["run"] != self.run:
            yield "the result of another run"
        if (self.result["done"], self.result["attack"]["eps"]) != (self.steps, self.eps):
            yield "another attack's result"
        if self.picture is not None and not np.array_equal(_pixels(self), _read(self.picture)):
            yield "another picture's result"


def _read(png: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def _pixels(visitor: Visitor) -> Any:
    assert visitor.result is not None
    return _read(base64.b64decode(visitor.result["clean"]))


class Page:
    """The Lab as its configuration declares it: events by what they are for."""

    def __init__(self, config: dict[str, Any]) -> None:
        own = config["page"][""]
        self.parts = {c["id"]: c for c in config["components"] if c["id"] in own["components"]}
        self.events = {
            each["id"]: each
            for each in config["dependencies"]
            if each["id"] in own["dependencies"] and each["backend_fn"]
        }
        self.ids = {c["props"].get("elem_id"): id for id, c in self.parts.items()}

    @property
    def input(self) -> int:
        """The side of the first model's pictures."""
        card = ASSETS / "models" / f"{self.value(self.ids['model'])}.json"
        return json.loads(card.read_text(encoding="utf-8"))["input_size"]

    def at(self, name: str, kind: str) -> dict[str, Any]:
        target = [self.ids[name], kind]
        return next(each for each in self.events.values() if target in each["targets"])

    def after(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        return [each for each in self.events.values() if each["trigger_after"] == event["id"]]

    def loads(self) -> list[dict[str, Any]]:
        return [e for e in self.events.values() if any(t[1] == "load" for t in e["targets"])]

    def value(self, id: int) -> Any:
        return self.parts[id]["props"].get("value")

    def values(self, event: dict[str, Any], **changed: Any) -> list[Any]:
        known = {self.ids[name.replace("_", "-")]: value for name, value in changed.items()}
        return [known.get(id, self.value(id)) for id in event["inputs"]]


class Browser:
    """A visitor's connection: events are posted, and what comes of them is read from one stream."""

    def __init__(self, client: httpx.AsyncClient, page: Page, visitor: Visitor) -> None:
        self.client, self.page, self.visitor = client, page, visitor
        self.heard: dict[str, asyncio.Queue[dict[str, Any]]] = {}
        self._open = 0
        self._reading: asyncio.Task[None] | None = None

    async def ask(self, event: dict[str, Any], data: list[Any]) -> AsyncIterator[list[Any]]:
        """What an event gives, as it comes."""
        asked = {
            "data": data,
            "event_data": None,
            "fn_index": event["id"],
            "session_hash": self.visitor.session,
            "trigger_id": None,
        }
        answer = await self.client.post(f"/{API}/queue/join?", json=asked)
        if answer.status_code != 200:
            self.visitor.errors.append(f"{answer.status_code} {answer.text[:200]}")
            return
        heard = self._heard(answer.json()["event_id"])
        self._open += 1
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        now: list[Any] = []
        while True:
            said = await asyncio.wait_for(heard.get(), PATIENCE)
            output = said.get("output") or {}
            if said["msg"] == "process_generating" and output.get("data") is not None:
                came = output["data"]
                now = (
                    came if not now else [apply_diff(a, b) for a, b in zip(now, came, strict=True)]
                )
                yield now
            elif said["msg"] == "process_completed":
                if not said.get("success", True):
                    self.visitor.errors.append(str(output.get("error"))[:200])
                elif not now:
                    yield output.get("data") or []
                self._open -= 1
                return

    async def all(self, event: dict[str, Any], data: list[Any]) -> list[Any]:
        last: list[Any] = []
        async for each in self.ask(event, data):
            last = each
        return last

    def _heard(self, event: str) -> asyncio.Queue[dict[str, Any]]:
        return self.heard.setdefault(event, asyncio.Queue())

    def close(self) -> None:
        """The tab is closed."""
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self) -> None:
        """Gradio ends a stream where nothing is under way; something may be by then."""
        while self._open:
            await self._read_once()

    async def _read_once(self) -> None:
        url = f"/{API}/queue/data?session_hash={self.visitor.session}"
        async with self.client.stream("GET", url) as answer:
            async for line in answer.aiter_lines():
                said = json.loads(line[5:]) if line.startswith("data:") else {"msg": ""}
                if said["msg"] == "close_stream":
                    return
                if said.get("event_id"):
                    self._heard(said["event_id"]).put_nowait(said)


async def come(client: httpx.AsyncClient, page: Page, visitor: Visitor) -> None:
    """A visitor's whole stay."""
    await asyncio.sleep(visitor.arrived)
    browser = Browser(client, page, visitor)
    found = await client.get("/")
    for name in dict.fromkeys(NAMED.findall(found.content)):
        await client.get(name.decode().removeprefix("."))
    said = {"lab_visit": visitor.visit, "lab_wish": ""}
    await asyncio.gather(*(browser.all(e, page.values(e, **said)) for e in page.loads()))
    changed: dict[str, Any] = {"knob_steps": visitor.steps, "knob_eps": visitor.eps}
    begin = page.at("run", "click")
    values = page.values(begin, **said, **changed)
    if visitor.picture is not None:
        files = {"files": (f"picture{visitor.number}.png", visitor.picture)}
        values[1] = (await client.post(f"/{API}/upload", files=files)).json()[0]
    visitor.pressed = time.monotonic()
    shown, line, visitor.run = await browser.all(begin, values)
    visitor.heard(shown, line)
    (follow,) = page.after(begin)
    told: list[Any] = []
    async for told in browser.ask(follow, [visitor.visit, visitor.run]):
        visitor.heard(*told)
    for each in page.after(follow):
        await browser.all(each, page.values(each, **said, **changed))
    browser.close()


@contextmanager
def server(address: str) -> Generator[tuple[str, int]]:
    """The address, and the process behind it (0: unknown); an own one where no address is given."""
    if address:
        yield address, 0
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "app.py", "--port", str(port)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, cwd=Path(__file__).parents[1]) as child:
        try:
            yield f"http://127.0.0.1:{port}", child.pid
        finally:
            child.terminate()


async def ready(client: httpx.AsyncClient) -> Page:
    """The page, once it is served and its first run, which warms the model, has been computed."""
    while True:
        with suppress(httpx.TransportError):
            page = Page((await client.get("/config")).json())
            await come(client, page, Visitor(-1, None, 1, eps=1))
            return page
        await asyncio.sleep(0.5)


def worked(pid: int) -> float:
    """Seconds of processor that a process has used; NaN where that is not told."""
    path = Path(f"/proc/{pid}/stat")
    if not pid or not path.exists():
        return float("nan")
    spent = path.read_text(encoding="ascii").rpartition(")")[2].split()[11:13]
    return sum(map(int, spent)) / os.sysconf("SC_CLK_TCK")


def memory(pid: int, name: str) -> float:
    """MiB of a process: VmRSS now, VmHWM at its worst moment; NaN where that is not told."""
    path = Path(f"/proc/{pid}/status")
    if not pid or not path.exists():
        return float("nan")
    found = re.search(rf"{name}:\s+(\d+) kB", path.read_text(encoding="ascii"))
    return int(found[1]) * 1024 / MEBI if found else float("nan")


def pictures(count: int, size: int) -> list[bytes]:
    """Samples at the model's own size, each with pixels of its own."""
    samples = sorted((ASSETS / "samples").glob("*.png"))
    drawn = random.Random(0)
    made: list[bytes] = []
    for number in range(count):
        image = Image.open(samples[number % len(samples)]).convert("RGB").resize((size, size))
        for _ in range(5):
            at = drawn.randrange(size), drawn.randrange(size)
            image.putpixel(at, (number, drawn.randrange(256), drawn.randrange(256)))
        stream = io.BytesIO()
        image.save(stream, "PNG")
        made.append(stream.getvalue())
    return made


@asynccontextmanager
async def connected(address: str) -> AsyncGenerator[httpx.AsyncClient]:
    # The server ends what is idle for 5 s, perhaps just as it is used again.
    limits = httpx.Limits(keepalive_expiry=1)
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE, limits=limits) as client:
        yield client


async def load(
    address: str, visitors: int, different: bool, steps: int, within: float, pid: int = 0
) -> tuple[list[Visitor], float]:
    """So many visitors come within so many seconds, with one picture or each with their own; and what
    they cost: seconds of processor of the process that serves them."""
    async with connected(address) as client:
        page = await ready(client)
        before = worked(pid)
        own = pictures(visitors, page.input) if different else [None] * visitors
        crowd = [
            Visitor(number, picture, steps, arrived=within * number / visitors)
            for number, picture in enumerate(own)
        ]
        await asyncio.gather(*(come(client, page, each) for each in crowd))
    return crowd, worked(pid) - before


def told(crowd: Sequence[Visitor]) -> Iterator[str]:
    """What it came to, in lines."""
    for name in ("sign", "step", "end"):
        times = [t for each in crowd if (t := getattr(each, name)) is not None]
        spread = f"{statistics.median(times):.1f} s, worst {max(times):.1f} s" if times else "never"
        yield f"time to the {'first ' * (name != 'end')}{name}: median {spread} ({len(times)} visitors)"
    wrong = [f"{each.number}: {why}" for each in crowd for why in each.wrong()]
    errors = [f"{each.number}: {why}" for each in crowd for why in each.errors]
    yield f"runs computed: {len({each.run for each in crowd})} for {len(crowd)} visitors"
    yield f"refused: {sum(each.refused for each in crowd)}; errors: {len(errors)} {errors[:5]}"
    yield f"results that reached the wrong visitor, or none: {len(wrong)} {wrong[:5]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--address", default="", help="of a page that is served (default: an own one)"
    )
    parser.add_argument("--visitors", type=int, default=40)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--same", action="store_true", help="all ask for the same (default)")
    kind.add_argument("--different", action="store_true", help="each brings a picture of their own")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--within", type=float, default=5.0, help="seconds in which they arrive")
    asked = parser.parse_args()
    with server(asked.address) as (address, pid):
        before = time.monotonic()
        crowd, cost = asyncio.run(
            load(address, asked.visitors, asked.different, asked.steps, asked.within, pid)
        )
        print(f"{asked.visitors} visitors, {'different' if asked.different else 'same'} pictures,")
        print(
            f"{asked.steps} steps, within {asked.within:g} s; load average {os.getloadavg()[0]:.1f}"
        )
        print("\n".join(told(crowd)))
        print(f"they cost {cost:.0f} s of processor; start and end included it took ", end="")
        print(f"{time.monotonic() - before:.0f} s; memory at the worst moment ", end="")
        print(f"{memory(pid, 'VmHWM'):.0f} MiB, now {memory(pid, 'VmRSS'):.0f} MiB")
    return int(any(each.errors or [*each.wrong()] for each in crowd))


if __name__ == "__main__":
    sys.exit(main())
