"""Words of a lesson as HTML: a term that the glossary knows is a button that explains it in place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape

from demo.learn.glossary import GLOSSARY
from demo.learn.lesson import Lesson

TERM = re.compile(r"\[\[([^\]|]+)(?:\|([^\]]+))?\]\]")


def render(html: str, glossary: Mapping[str, str] = GLOSSARY) -> str:
    """`[[term]]` and `[[term|as it stands here]]` as buttons, made to work by `js/words.js`; a term that
    nobody has explained stays a word."""

    def shown(found: re.Match[str]) -> str:
        term, said = found[1].strip(), found[2] or found[1]
        if term not in glossary:
            return said
        return (
            f'<button type="button" class="learn-term" data-means="{escape(glossary[term])}">'
            f"{said}</button>"
        )

    return TERM.sub(shown, html)


def terms(lesson: Lesson) -> Iterator[str]:
    """The terms that a lesson's words use, each as often as it stands there."""
    for text in _texts(lesson):
        for found in TERM.finditer(text):
            yield found[1].strip()


def _texts(lesson: Lesson) -> Iterator[str]:
    for step in lesson.steps:
        yield from (step.text, step.look, step.explain, step.equation)
        if step.ask is not None:
            yield step.ask.question
    yield from (lesson.task.text, *lesson.task.hints)
