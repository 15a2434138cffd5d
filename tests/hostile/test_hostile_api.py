"""Every hostile file, sent to the endpoints: one sentence, in time, and nothing left on disk."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from cases import ARCHIVES, GREEDY, PICTURES, SECONDS, SLOW, TABLES, Case, with_table
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from demo.kit import scratch


@pytest.fixture(scope="module")
def client(served: str) -> Client:
    return Client(served, verbose=False)


def ident(case: Case) -> str:
    return case.name


def unpacked() -> int:
    """Bytes on disk beside what was uploaded, which stays for a while."""
    brought = Path(os.environ["GRADIO_TEMP_DIR"])
    return scratch.used() - sum(
        each.stat().st_size for each in brought.rglob("*") if each.is_file()
    )


def answered(client: Client, folder: Path, case: Case, endpoint: str) -> None:
    (folder / case.name).write_bytes(case.make())
    image = handle_file(folder / case.name)
    before, began = unpacked(), time.monotonic()
    with pytest.raises(AppError, match=re.escape(case.words)) as caught:
        client.predict([image] if endpoint == "/evaluate" else image, api_name=endpoint)
    assert time.monotonic() - began < SECONDS
    assert len(str(caught.value)) < 400
    assert unpacked() == before


@pytest.mark.parametrize("case", PICTURES + SLOW + GREEDY, ids=ident)
def test_pictures(client: Client, tmp_path: Path, case: Case) -> None:
    answered(client, tmp_path, case, "/predict")


@pytest.mark.parametrize("case", ARCHIVES + tuple(map(with_table, TABLES)), ids=ident)
def test_archives(client: Client, tmp_path: Path, case: Case) -> None:
    answered(client, tmp_path, case, "/evaluate")


def test_the_honest_are_served_after_all_that(client: Client) -> None:
    best = client.predict(handle_file("assets/samples/church.png"), api_name="/predict")
    assert best[0]["class"] == "church"
