"""A run as a page of its own: one file that opens without server and network, and can be handed in.

It holds the message that the views of the Lab draw from, and their scripts and styles. Modules do not
import one another by relative addresses from a file, so each is a `data:` address in an import map,
by the name of its path below `demo/`.
"""

from __future__ import annotations

import base64
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from typing import Any

from demo.kit import scripts
from demo.lab.citation import bibtex
from engine.studio import Difference, Facts, NoFacts, difference

ENTRY = "lab/report.js"
STYLES = ("kit/kit.css", "lab/lab.css", "lab/report.css")
IMPORT = re.compile(r'((?:from|import)\s*\(?\s*)"(\.[^"]*)"')
SEEN = ("headline", "pair", "scrubber", "bars", "verdict")
INSIDE = {
    "attention": "Where it looks",
    "gradients": "What the gradients are like",
    "tokens": "Which tokens it would keep",
    "outliers": "What int8 would send to 16 bits",
    "depth": "How deep the damage starts",
}
PAPERS = (
    "Dosovitskiy et al., An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale, ICLR 2021",
    "Abnar and Zuidema, Quantifying Attention Flow in Transformers, ACL 2020",
    "Zhang et al., Transferable Adversarial Attacks on Vision Transformers with Token Gradient Regularization, CVPR 2023",
    "Adaptive Attention Scaling, CVPR 2024",
    "Fayyaz et al., Adaptive Token Sampling for Efficient Vision Transformers, ECCV 2022",
    "Dettmers et al., LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale, NeurIPS 2022",
)
"""What the views rest on: the model, rollout, variance of gradients, gaps, sampling, outlier columns."""
MADE = {
    "day": "day",
    "device": "device",
    "processor": "processor",
    "lab": "ViT Adversarial Lab",
    "python": "Python",
    "torch": "torch",
    "timm": "timm",
}
UNSAID = ("pixels",)
"""Of the setting, what is a hash and says nothing to a reader."""


@dataclass(frozen=True)
class About:
    """What a run says of itself (`views.about`), as it comes back from the browser."""

    facts: Facts
    command: str
    code: str
    papers: tuple[str, ...]
    stem: str
    made: Mapping[str, str]

    @staticmethod
    def read(plain: Any) -> About:
        try:
            made = {str(name): str(value) for name, value in plain["made"].items()}
            command, code, stem = (str(plain[name]) for name in ("command", "code", "stem"))
            papers = tuple(str(each) for each in plain["papers"])
            return About(Facts.read(plain), command, code, papers, stem, made)
        except (AttributeError, KeyError, TypeError):
            raise NoFacts("This is no run that could be told.", "Press Run again.") from None


def report(now: Any, pinned: Any = None) -> dict[str, Any]:
    """The report of a run, beside a pinned one if there is one: its file's name, and the page before
    and after the place where the messages stand, as JSON without `<`."""
    runs = [About.read(each) for each in ([] if pinned is None else [pinned]) + [now]]
    found = difference(runs[0].facts, runs[1].facts) if len(runs) > 1 else None
    before, after = _page(runs, found).split(_HERE)
    name = re.sub(r"[^\w.-]+", "_", runs[-1].stem)[:150]
    told = None if found is None else vars(found)
    return {"name": f"{name}-report.html", "before": before, "after": after, "difference": told}


def apart(pinned: Any, now: Any) -> dict[str, str]:
    """In what a run differs from the pinned one, as the Lab's page is told of it."""
    return vars(difference(Facts.read(pinned), Facts.read(now)))


_HERE = "<!-- the messages stand here -->"


def _page(runs: list[About], apart: Difference | None) -> str:
    now = runs[-1]
    setting = now.facts.setting
    title = f"{setting.get('attack')} on {setting.get('model')}: {setting.get('picture')}"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{_styles()}
</style>
<script type="importmap">{_import_map()}</script>
</head>
<body>
<main>
<header>
<p class="report-kind">ViT Adversarial Lab · report of a run · {escape(now.made.get("day", ""))}</p>
<h1>{escape(title)}</h1>
<p class="report-name">Name: <span id="name" contenteditable role="textbox" aria-label="Your name"></span>
<button type="button" id="save">Save with name and notes</button></p>
</header>
{_apart(apart)}
<section>{"".join(_view(name) for name in SEEN)}</section>
<section>
<h2>Notes</h2>
<div id="notes" contenteditable role="textbox" aria-multiline="true" aria-label="Your notes"></div>
</section>
{"".join(f"<section><h2>{escape(head)}</h2>{_view(name)}</section>" for name, head in INSIDE.items())}
<section><h2>Setting</h2>{_settings(runs)}</section>
<section><h2>Make it again</h2>{"".join(_again(each) for each in runs[::-1])}</section>
<section><h2>Made with</h2>{_made(runs)}</section>
<section><h2>Papers</h2>{_papers(runs)}</section>
</main>
<script type="application/json" id="runs">{_HERE}</script>
<script type="module">import {{ open }} from "{ENTRY}"; open();</script>
</body>
</html>
"""


def _view(name: str) -> str:
    return f'<div id="lab-{name}"><div class="lab-view" data-view="{name}"></div></div>'


def _apart(apart: Difference | None) -> str:
    if apart is None:
        return ""
    return f"<section><p>{escape(apart.setting)}</p><p>{escape(apart.outcome)}</p></section>"


def _settings(runs: list[About]) -> str:
    """What was asked, a row a setting; of two runs, what differs is marked."""
    names = dict.fromkeys(name for run in runs for name in run.facts.setting if name not in UNSAID)
    head = ("", "pinned", "now") if len(runs) > 1 else ()
    rows = [f"<tr>{''.join(f'<th>{each}</th>' for each in head)}</tr>"] if head else []
    for name in names:
        values = [run.facts.setting.get(name, "–") for run in runs]
        mark = ' class="report-apart"' if len({*values}) > 1 else ""
        cells = "".join(f"<td>{escape(value)}</td>" for value in values)
        rows.append(f"<tr{mark}><th scope=row>{escape(name)}</th>{cells}</tr>")
    return f"<table>{''.join(rows)}</table>"


def _again(run: About) -> str:
    return f"<pre>{escape(run.command)}</pre><pre>{escape(run.code)}</pre>"


def _made(runs: list[About]) -> str:
    said = dict.fromkeys(
        "; ".join(f"{title} {run.made.get(name, '')}" for name, title in MADE.items())
        for run in runs
    )
    return "".join(f"<p>{escape(each)}.</p>" for each in said)


def _papers(runs: list[About]) -> str:
    papers = dict.fromkeys([*(paper for run in runs for paper in run.papers), *PAPERS])
    listed = "".join(f"<li>{escape(each)}.</li>" for each in papers)
    entries = escape("\n\n".join(map(bibtex, papers)))
    return f"<ol>{listed}</ol><details><summary>BibTeX</summary><pre>{entries}</pre></details>"


@cache
def _styles() -> str:
    return "\n".join(scripts.files()[each].decode() for each in STYLES)


@cache
def _import_map() -> str:
    """Every module that the report needs, by its name, as an address that holds it."""
    held = {name: _address(_renamed(name)) for name in modules()}
    return json.dumps({"imports": held})


@cache
def modules() -> tuple[str, ...]:
    """The modules that the report needs, by their paths below `demo/`."""
    found, next_ones = list[str](), [ENTRY]
    while next_ones:
        name = next_ones.pop()
        if name not in found:
            found.append(name)
            next_ones += _imported(name)
    return tuple(found)


def _imported(name: str) -> Iterator[str]:
    for each in IMPORT.finditer(scripts.files()[name].decode()):
        yield _path(name, each[2])


def _renamed(name: str) -> str:
    """The module with what it imports by name instead of by relative address."""
    text = scripts.files()[name].decode()
    return IMPORT.sub(lambda found: f'{found[1]}"{_path(name, found[2])}"', text)


def _path(importer: str, address: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(importer), address))


def _address(module: str) -> str:
    return f"data:text/javascript;base64,{base64.b64encode(module.encode()).decode()}"
