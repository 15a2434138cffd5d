"""The notes for teachers: parts by their headings, nothing of a file becomes markup, and a page without them works."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.learn.catalog import LESSONS
from demo.learn.notes import FOLDER, HANDOUT, SHEET, notes

PARTS = (
    "At a glance",
    "Step by step",
    "Misconceptions",
    "Questions to discuss",
    "Without a projector",
    HANDOUT,
    SHEET,
)


@pytest.mark.parametrize("name", [each.name for each in LESSONS])
def test_every_lesson_has_all_parts_and_what_is_printed_stands_alone(name: str) -> None:
    found = notes(name)
    assert found is not None
    assert tuple(found.parts) == PARTS
    assert all(html.strip() for html in found.parts.values())
    assert "<hr" in found.parts[HANDOUT]  # room to write
    assert "python -m engine" in found.parts[SHEET]
    assert not {HANDOUT, SHEET} & set(found.read)


def test_headings_stand_below_the_pages_and_markup_stays_text(tmp_path: Path) -> None:
    text = "# T\n\nlead\n\n## One\n\n### Two\n\n<b>x</b> & `<i>`\n\n| a |\n|---|\n| 1 |\n\n## Handout\n\n---\n"
    (tmp_path / "made.md").write_text(text, encoding="utf-8")
    found = notes("made", tmp_path)
    assert found is not None
    assert list(found.parts) == ["One", HANDOUT]
    assert "<h5>Two</h5>" in found.parts["One"]
    assert "&lt;b&gt;x" in found.parts["One"]
    assert "<td>1</td>" in found.parts["One"]
    assert "One" not in found.parts["One"]


def test_without_the_notes_the_page_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from demo.learn import page

    assert FOLDER.is_dir()
    assert notes("fooled", tmp_path) is None
    monkeypatch.setattr(page, "notes", lambda name: notes(name, tmp_path))
    assert "not installed here" in page._teachers()
