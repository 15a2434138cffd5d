"""One thread per test process: workers do not wait for each other's barriers.

And one served page and one browser for all browser tests; nothing but this machine may be asked.
What the engine is called with and gives back is checked against the shapes it declares.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"

sys.path.insert(0, str(Path(__file__).parent / "demo"))

import pytest
import torch
from visitor import CHROMIUM, FIRST_RUN, FLAGS, visiting

from tests import shapes

shapes.watch()
torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of browser tests first: they are long and wait more than they compute, so what computes
    fills the gaps and the end. Within a file nothing is moved."""
    slow = {each.path for each in items if "browser" in getattr(each, "fixturenames", ())}
    items.sort(key=lambda each: each.path not in slow)


@pytest.fixture(scope="session")
def house() -> Iterator[Any]:
    """The application with the bundled models only, laid out once: what its pages share, and itself."""
    from demo.kit.door import Shared
    from demo.kit.store import Store
    from demo.page import build

    os.environ.pop("LAB_WEIGHTS", None)
    shared = Shared(Store(), None)
    yield shared, build(shared=shared)
    shared.store.desk.close()


@pytest.fixture(scope="session")
def doors(house: Any) -> Any:
    """The doors of all pages, by route."""
    return house[0].doors


@pytest.fixture(scope="session")
def served(house: Any) -> Iterator[str]:
    """The address of the page, served as app.py serves it."""
    from demo.kit.chrome import launch_settings

    _, demo = house
    _, url, _ = demo.launch(
        prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **launch_settings()
    )
    yield url.rstrip("/")
    demo.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists() and not os.environ.get("CI"):
        pytest.skip(f"{CHROMIUM} is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield found
        found.close()


visit = visiting("/", FIRST_RUN)
