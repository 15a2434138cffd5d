"""The linked views: small `gr.HTML` components whose templates never change, drawn by `js/`.

Gradio only carries the data: `carrier` holds the latest message, every other component is an empty
frame that the script in `HEAD` fills and keeps in step with one selection.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

HERE = Path(__file__).parent
PAGES = HERE.parents[1]  # every page's own `*.css` and `*.js` lie in its folder, and join in
SCRIPTS = (
    "store",
    "arrive",
    "format",
    "draw",
    "chart",
    "pair",
    "scrubber",
    "bars",
    "verdict",
    "attention",
    "gradients",
    "tokens",
    "outliers",
    "depth",
    "start",
)


def _head() -> str:
    styles = (HERE / "lab.css", *sorted(set(PAGES.glob("*/*.css")) - {HERE / "lab.css"}))
    scripts = (*(HERE / "js" / f"{name}.js" for name in SCRIPTS), *sorted(PAGES.glob("*/*.js")))
    style, parts = (
        "\n".join(each.read_text(encoding="utf-8") for each in files) for files in (styles, scripts)
    )
    return f'<style>\n{style}</style>\n<script>\n(() => {{\n"use strict";\n{parts}}})();\n</script>'


HEAD = _head()


def carrier(value: dict[str, Any] | None = None) -> gr.HTML:
    """The hidden component whose value, a message of this package, reaches every view."""
    return gr.HTML(
        value,
        html_template="<i hidden></i>",
        css_template="",
        js_on_load="lab.receive(props.value); watch('value', () => lab.receive(props.value));",
        apply_default_css=False,
        visible="hidden",
        elem_id="lab-carrier",
    )


def _view(name: str, functions: list[Callable[..., Any]] | None = None) -> gr.HTML:
    return gr.HTML(
        html_template=f'<section class="lab-view" data-view="{name}"></section>',
        css_template="",
        js_on_load=f"lab.mount('{name}', element, {'server' if functions else 'null'});",
        apply_default_css=False,
        elem_id=f"lab-{name}",
        server_functions=functions,
    )


def pair() -> gr.HTML:
    """Clean and attacked picture: divider, side by side, blink, or their signed difference."""
    return _view("pair")


def scrubber() -> gr.HTML:
    """The stored steps and the loss: play, step, and see where the model is first fooled."""
    return _view("scrubber")


def bars() -> gr.HTML:
    """Class probabilities, clean over adversarial on one axis, with the noise control."""
    return _view("bars")


def headline() -> gr.HTML:
    """What came out, in one line; at an earlier step, how far the attack was by then."""
    return _view("headline")


def verdict() -> gr.HTML:
    """By how much the picture was changed, the noise control, and what other models say."""
    return _view("verdict")


def attention(fetch: Callable[[str, int], dict[str, Any]]) -> gr.HTML:
    """Where a token looks, block by block and head by head; other queries come from `fetch`."""

    def rows(request: str) -> dict[str, Any]:
        run, query = json.loads(request)
        return fetch(str(run), int(query))

    return _view("attention", [rows])


def gradients() -> gr.HTML:
    """How uneven the attack's gradients are, which tokens carry them, and the score gaps."""
    return _view("gradients")


def tokens() -> gr.HTML:
    """Which tokens the model keeps, or train-free ATS would."""
    return _view("tokens")


def outliers() -> gr.HTML:
    """Which input columns LLM.int8 would send to 16 bits, at any threshold."""
    return _view("outliers")


def depth() -> gr.HTML:
    """Where in depth clean and attacked part, and what each block would answer."""
    return _view("depth")
