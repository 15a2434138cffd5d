"""The linked views: small `gr.HTML` components whose templates never change, drawn by `demo/lab/js/`.

Gradio only carries the data: `carrier` holds the latest messages, every other component is an empty
frame that the page's script fills and keeps in step with one selection.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gradio as gr

from demo.kit.frame import unseen, view_frame
from demo.kit.scripts import on_load
from demo.lab import report as reports
from engine.core.errors import EngineError


def carrier() -> gr.HTML:
    """The hidden component whose value, messages of this package, reaches every view."""
    return unseen(on_load("carry(props, watch)"), "lab-carrier")


def view(name: str, functions: list[Callable[..., Any]] | None = None) -> gr.HTML:
    """The frame of the view of that name in `demo/lab/lab.js`, which may call these functions."""
    script = on_load(f"mount('{name}', element, {'server' if functions else 'null'})")
    return view_frame(f'data-view="{name}"', script, f"lab-{name}", server_functions=functions)


def attention(fetch: Callable[[str, int], dict[str, Any]]) -> gr.HTML:
    """Where a token looks, block by block and head by head; other queries come from `fetch`."""

    def rows(request: str) -> dict[str, Any]:
        run, query = json.loads(request)
        return fetch(str(run), int(query))

    return view("attention", [rows])


def keep() -> gr.HTML:
    """What a visitor may take of a run: the report is made of what the run says of itself."""

    def report(request: str) -> dict[str, Any]:
        return _told(reports.report, request)

    return view("keep", [report])


def compare() -> gr.HTML:
    """The run that is pinned, and in what the one beside it differs."""

    def compare(request: str) -> dict[str, Any]:
        return _told(reports.apart, request)

    return view("compare", [compare])


def _told(make: Callable[..., dict[str, Any]], request: str) -> dict[str, Any]:
    """What is made of runs as they tell of themselves, or why nothing can be made of them."""
    try:
        return make(*json.loads(request))
    except EngineError as problem:
        return {"error": str(problem)}
