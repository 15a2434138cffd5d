"""Weights from the model hub: safetensors only, with progress, and a quick kind refusal offline."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from tqdm.std import tqdm

from engine.core.errors import WeightsUnavailable

FILE = "model.safetensors"
PATIENCE_SECONDS = 3.0


class Download(NamedTuple):
    """Bytes that have arrived, of how many."""

    done: int
    total: int


def cached(repo: str) -> Path | None:
    """The weights of a hub repository if they are on this machine already; asks no network."""
    found = try_to_load_from_cache(repo, FILE)
    return Path(found) if isinstance(found, str) else None


def reachable() -> bool:
    """Whether the hub answers within three seconds."""
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        httpx.head(constants.ENDPOINT, timeout=PATIENCE_SECONDS, follow_redirects=True)
    except httpx.HTTPError:
        return False
    return True


def fetch(repo: str, title: str) -> Iterator[Download]:
    """Bring the weights into the hub cache, yielding progress; nothing to do if they are there.

    Raises WeightsUnavailable when the hub cannot be reached or has no safetensors of that model.
    """
    if cached(repo):
        return
    if not reachable():
        raise WeightsUnavailable(
            f"{title} is not bundled, and the model hub cannot be reached from here.",
            "Choose a bundled model, or put its safetensors file into the weights folder.",
        )
    news: queue.Queue[Download | Exception | None] = queue.Queue()

    class Report(tqdm[Any]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **(kwargs | {"disable": True}))
            self.arrived = 0

        def update(self, n: float | None = 1) -> bool | None:
            self.arrived += int(n or 0)
            news.put(Download(self.arrived, int(self.total or 0)))
            return None

    def work() -> None:
        try:
            hf_hub_download(repo, FILE, tqdm_class=Report)  # pyright: ignore[reportUnknownMemberType]
            news.put(None)
        except Exception as error:
            news.put(error)

    threading.Thread(target=work, daemon=True).start()
    while (item := news.get()) is not None:
        if isinstance(item, Exception):
            raise WeightsUnavailable(
                f"{title} could not be fetched from the model hub.",
                "Try again later, choose a bundled model, or use the weights folder.",
            ) from item
        yield item
