"""Every hostile file, brought to the page in a browser: one sentence beside the Run button."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cases import ARCHIVES, PICTURES, TABLES, Case, picture, with_table, zipped
from visitor import Visit


@pytest.fixture(scope="module")
def lab(browser: Any, served: str) -> Iterator[Visit]:
    """One visitor who tries all of them on the Lab page."""
    found = Visit(browser, served, 1280, 720, "light")
    yield found
    found.close()


@pytest.fixture(scope="module")
def transfer(browser: Any, served: str) -> Iterator[Visit]:
    found = Visit(browser, served, 1280, 720, "light", "/transfer", "#lab-transfer .transfer-cell")
    yield found
    found.close()


@pytest.mark.parametrize("case", PICTURES, ids=lambda case: case.name)
def test_pictures(lab: Visit, case: Case) -> None:
    lab.upload(case.name, "image/png", case.make())
    said = lab.status(case.name)  # each sentence names its file: none is a row's before
    assert case.words in said


@pytest.mark.parametrize("case", ARCHIVES + tuple(map(with_table, TABLES)), ids=lambda c: c.name)
def test_archives(transfer: Visit, case: Case) -> None:
    if transfer.page.locator("#files [aria-label=Clear]").count():
        transfer.page.click("#files [aria-label=Clear]")
    transfer.status("bundled samples")
    transfer.page.set_input_files(
        "#files input[type=file]",
        {"name": case.name, "mimeType": "application/zip", "buffer": case.make()},
    )
    assert transfer.status(case.words)


def test_an_archive_with_a_table_is_taken(transfer: Visit) -> None:
    """As a spreadsheet writes it: UTF-16, a class's index or its name."""
    files = {"a/ü.png": picture(), "a/labels.csv": "file,class\nü.png,Golf_Ball\n".encode("utf-16")}
    transfer.page.click("#files [aria-label=Clear]")
    transfer.status("bundled samples")
    transfer.page.set_input_files(
        "#files input[type=file]",
        {"name": "mine.zip", "mimeType": "application/zip", "buffer": zipped(files)},
    )
    assert transfer.status("1 picture of 1 class")
