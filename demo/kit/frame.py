"""The empty frame of a view: gradio carries its value, the page's script fills it."""

from __future__ import annotations

from typing import Any

import gradio as gr


def view_frame(data: str, script: str, id: str, value: Any = None, **more: Any) -> gr.HTML:
    """A section with the attributes `data` that never changes by itself; `script` runs once it stands.

    `more` are properties that the script reads, and functions of the server that it may call.
    """
    return gr.HTML(
        value,
        html_template=f'<section class="lab-view" {data}></section>',
        css_template="",
        js_on_load=script,
        apply_default_css=False,
        elem_id=id,
        **more,
    )


def said_frame(words: str, data: str, id: str) -> gr.HTML:
    """A section with the attributes `data` whose content is words alone."""
    return gr.HTML(
        words,
        html_template=f'<section class="lab-view" {data}>${{value}}</section>',
        css_template="",
        apply_default_css=False,
        elem_id=id,
    )


def unseen(script: str, id: str) -> gr.HTML:
    """A value that a script reads and nobody sees."""
    return gr.HTML(
        "",
        html_template="<i hidden></i>",
        css_template="",
        js_on_load=script,
        apply_default_css=False,
        visible="hidden",
        elem_id=id,
    )
