"""The page Learn: the lessons, what a teacher needs, the words, and whose work it is about."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

import gradio as gr

from demo.kit import rooms
from demo.kit.door import Shared
from demo.kit.panel import header
from demo.kit.scripts import on_load
from demo.learn import board, classes, invite
from demo.learn.catalog import LESSONS
from demo.learn.glossary import GLOSSARY
from demo.learn.lesson import Lesson
from demo.learn.notes import HANDOUT, SHEET, notes
from demo.learn.words import render

LEAD = "Predict, run, look, explain: the lessons drive the real pages, and the numbers are measured now."
PAPERS = (
    (
        "Jianping Zhang, Yizhan Huang, Weibin Wu, Michael R. Lyu",
        "Transferable Adversarial Attacks on Vision Transformers with Token Gradient Regularization",
        "CVPR 2023",
    ),
    (
        "Samyak Jain, Tanima Dutta",
        "Towards Understanding and Improving Adversarial Robustness of Vision Transformers",
        "CVPR 2024",
    ),
    (
        "Oryan Yehezkel, Alon Zolfi, Amit Baras, Yuval Elovici, Asaf Shabtai",
        "DeSparsify: Adversarial Attack Against Token Sparsification Mechanisms",
        "NeurIPS 2024",
    ),
    (
        "Amit Baras, Alon Zolfi, Yuval Elovici, Asaf Shabtai",
        "QuantAttack: Exploiting Quantization Techniques to Attack Vision Transformers",
        "WACV 2025",
    ),
    (
        "Brian Pulfer, Yury Belousov, Slava Voloshynovskiy",
        "Robustness Tokens: Towards Adversarial Robustness of Transformers",
        "ECCV 2024",
    ),
)
HIDDEN = (
    ("goal", "the goal"),
    ("attack", "the attack"),
    ("model", "the model"),
    ("alter", "what stands on the model"),
    ("budget", "the budget"),
    ("more", "“More”"),
)
"""Controls of the Lab that a teacher may take away, in words."""

CLAIMS = '<section id="learn-claims"><h2>What the papers claim, and what was measured here</h2></section>'


def page(shared: Shared, book: classes.Book) -> None:
    """The page Learn, in the current Blocks context."""
    header("Learn", LEAD, rooms.LEARN.switch(rooms.LESSONS))
    _part(
        f'<div class="learn-columns">{_lessons()}{_aside()}</div>{_teachers()}{_class()}',
        "learn",
        js_on_load=on_load("learn(element, server)"),
        server_functions=[*classes.doors(book), *classes.functions(book)],
    )
    _part(_glossary() + CLAIMS, "learn-words")
    board.lay(shared)
    _part(_credits(), "learn-end")


def _part(html: str, id: str, **more: object) -> None:
    gr.HTML(
        f'<div class="lab-view learn" data-state="here">{html}</div>',
        css_template="",
        apply_default_css=False,
        elem_id=id,
        **more,  # pyright: ignore[reportArgumentType]
    )


def _lessons() -> str:
    rows = "".join(_lesson(number, each) for number, each in enumerate(LESSONS))
    return f'<ol class="learn-list" aria-label="Lessons">{rows}</ol>'


def _lesson(number: int, lesson: Lesson) -> str:
    facts = f"{lesson.minutes} minutes · {len(lesson.steps)} steps and a task"
    paper = f'<p class="learn-of">{render(lesson.paper)}</p>' if lesson.paper else ""
    return (
        f'<li class="learn-lesson" data-lesson="{lesson.name}"><b>{number}</b>'
        f"<div><h2>{escape(lesson.title)}</h2><p>{escape(lesson.question)}</p>"
        f'<p class="lab-muted">{facts}</p>{paper}</div>'
        f'<div class="learn-doing"><a class="learn-start" href="{escape(invite.way(lesson))}" '
        f'aria-label="Start: {escape(lesson.title)}">Start</a>'
        f'<button type="button" class="lab-quiet learn-teach" '
        f'aria-label="Teach it to a class: {escape(lesson.title)}">Teach it to a class</button></div>'
        "</li>"
    )


def _aside() -> str:
    return (
        '<aside class="learn-aside"><form class="learn-join"><label for="learn-code">'
        "<b>Are you in a class?</b> Type its code.</label>"
        '<span><input id="learn-code" maxlength="9" autocomplete="off" autocapitalize="characters" '
        'spellcheck="false" placeholder="ABC 346"><button class="lab-quiet">Join</button></span>'
        '<p class="learn-said" role="status"></p></form>'
        "<h2>How a lesson goes</h2><ol class=learn-way>"
        "<li><b>Predict.</b> Before anything is shown you say what will happen.</li>"
        "<li><b>Run.</b> The page itself does it, on a model that is here: seconds, nothing canned.</li>"
        "<li><b>Look.</b> One thing to see, and your prediction beside what was measured.</li>"
        "<li><b>Explain.</b> Plain words; the equation is one click away, the paper one more.</li></ol>"
        "<p>You should know what a softmax is. At the end there is a task for you alone in the Lab; your "
        "own run is checked by computation.</p>"
        '<nav aria-label="On this page"><a href="#learn-teachers">For teachers</a>'
        '<a href="#learn-glossary">Glossary</a><a href="#learn-claims">Claims</a><a href="#learn-credits">Credits</a></nav></aside>'
    )


def _teachers() -> str:
    rows = "".join(_notes(number, each) for number, each in enumerate(LESSONS))
    return (
        '<section id="learn-teachers"><h2>For teachers</h2><div class="learn-two">'
        "<p><b>Teach it to a class</b> gives a code, an address and a QR code. The predictions of all "
        "who join are counted and shown before the result; you set the pace, or let everybody go at "
        "their own. Nobody gives a name, nothing is stored, and a class is forgotten three hours "
        "after it was last used.</p>"
        "<p>It works in a room without internet: start the page with "
        "<code>GRADIO_SERVER_NAME=0.0.0.0 python app.py</code> on a laptop, and everybody on its "
        "network can open it. Equal runs are computed once for the whole class.</p></div>"
        f"{rows}</section>"
    )


def _notes(number: int, lesson: Lesson) -> str:
    found = notes(lesson.name)
    if found is None:
        said = "The notes are not installed here: they are in docs/lessons of the project."
        return _fold(number, lesson, f"<p>{said}</p>")
    read = "".join(f"<h4>{escape(name)}</h4>{html}" for name, html in found.read.items())
    sheets = [(each, found.parts[each]) for each in (HANDOUT, SHEET) if each in found.parts]
    links = "".join(
        f'<a class="lab-quiet" href="learn?print={_id(name, lesson)}" target="_blank">'
        f"Print the {name.lower()}</a>"
        for name, _ in sheets
    )
    papers = "".join(
        f'<section class="learn-paper" id="{_id(name, lesson)}"><h4>{escape(name)}</h4>'
        f'<p class="learn-of">{escape(lesson.title)}. {escape(lesson.question)}</p>{html}</section>'
        for name, html in sheets
    )
    return _fold(number, lesson, f'<p class="lab-quiets">{links}</p>{read}{papers}')


def _fold(number: int, lesson: Lesson, html: str) -> str:
    return (
        f'<details class="learn-notes" id="notes-{lesson.name}"><summary><h3>Notes: lesson {number}, '
        f"{escape(lesson.title)}</h3></summary>{html}</details>"
    )


def _id(name: str, lesson: Lesson) -> str:
    return f"{_slug(name)}-{lesson.name}"


def _slug(words: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def _class() -> str:
    boxes = "".join(
        f'<label><input type="checkbox" value="{name}"> {words}</label>' for name, words in HIDDEN
    )
    return (
        '<dialog class="learn-class" aria-labelledby="learn-class-of"><h2 id="learn-class-of"></h2>'
        "<div class=learn-room></div>"
        "<fieldset><legend>Take controls of the Lab away from the students</legend>"
        f"{boxes}</fieldset>"
        '<p class="learn-doing"><a class="learn-start">Open the teacher’s view</a>'
        '<button type="button" class="lab-quiet" data-do="copy">Copy the students’ link</button>'
        '<button type="button" class="lab-quiet" data-do="end">End the class</button>'
        '<button type="button" class="lab-quiet" data-do="close">Close</button></p>'
        '<p class="lab-muted">Put this on the wall; once they have come in, open the teacher’s view here. '
        "The key to this class stays in this browser.</p></dialog>"
    )


def _glossary() -> str:
    words = "".join(
        f'<div id="{_slug(f"term {term}")}"><dt>{escape(term)}</dt><dd>{escape(said)}</dd></div>'
        for term, said in sorted(GLOSSARY.items(), key=lambda each: each[0].casefold())
    )
    return f'<section id="learn-glossary"><h2>Glossary</h2><dl>{words}</dl></section>'


def _credits() -> str:
    papers = "".join(map(_paper, PAPERS))
    return (
        '<section id="learn-credits"><h2>Credits</h2><p>The five systems are the work of:</p>'
        f"<ul>{papers}</ul><p>What is measured here is measured on small models that this project "
        "trained on Imagenette (fast.ai, a subset of ImageNet); numbers of the papers are never shown "
        "as if they were these. The photographs come with scikit-image (CC0).</p></section>"
    )


def _paper(cited: Iterable[str]) -> str:
    authors, title, venue = map(escape, cited)
    return f"<li>{authors}. <cite>{title}.</cite> {venue}.</li>"
