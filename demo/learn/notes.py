"""The notes for teachers, `docs/lessons/NAME.md`, as HTML: what is read at the desk, and what is printed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

FOLDER = Path(__file__).parents[2] / "docs" / "lessons"
HANDOUT = "Handout"
SHEET = "Lab sheet"
DEEPER = 2
"""Headings stand below those of the page."""


@dataclass(frozen=True)
class Notes:
    """The parts of one lesson's notes by their headings, in order, each as HTML."""

    parts: dict[str, str]

    @property
    def read(self) -> dict[str, str]:
        """What is for the teacher alone."""
        return {name: html for name, html in self.parts.items() if name not in (HANDOUT, SHEET)}


@cache
def notes(name: str, folder: Path = FOLDER) -> Notes | None:
    """The notes of a lesson; None where they are not installed, as by a wheel."""
    file = folder / f"{name}.md"
    if not file.is_file():
        return None
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    parts: dict[str, list[Token]] = {}
    told: list[Token] = []
    tokens = markdown.parse(file.read_text(encoding="utf-8"))
    for place, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            told = parts.setdefault(tokens[place + 1].content, [])
        told.append(_deeper(token))
    return Notes(
        {
            name: markdown.renderer.render(each[3:], markdown.options, {})
            for name, each in parts.items()
        }
    )


def _deeper(token: Token) -> Token:
    if token.type in ("heading_open", "heading_close"):
        token.tag = f"h{min(6, int(token.tag[1]) + DEEPER)}"
    return token
