"""The Lab page: the recipe on the left, what you see in the middle, what happens inside beside it.

Only layout stands here; `recipe` makes the controls, `views` what is drawn, `wiring` what happens.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import gradio as gr

from demo import endpoints
from demo.cost.page import page as cost
from demo.kit import scratch
from demo.kit.chrome import TITLE
from demo.kit.launch import Door
from demo.kit.store import Store
from demo.lab import first as first_run
from demo.lab import recipe, views, wiring
from demo.lab.wiring import Lab
from demo.transfer.page import page as transfer
from demo.why.page import page as why

LEAD = "Change a picture a little, fool a Vision Transformer, see inside it."
FILES = (("png", "Adversarial PNG"), ("npz", "Perturbation NPZ"), ("json", "Result JSON"))

PAGES: tuple[tuple[str, str, Callable[[Lab], None]], ...] = (
    ("Transfer", "/transfer", transfer),
    ("Why", "/why", why),
    ("Cost", "/cost", cost),
)


def build(weights: Path | None = None) -> gr.Blocks:
    """The whole application, not yet launched."""
    scratch.sweep()
    os.environ["GRADIO_TEMP_DIR"] = str(scratch.home() / "uploads")  # goes when the process does
    lab = Lab(Store(), first_run.Warm(weights), weights)
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, fill_width=True, delete_cache=(600, 3600)
    ) as demo:
        _navbar()
        page(demo, lab)
        endpoints.declare(lab.store.desk, weights)
    for name, path, content in PAGES:
        with demo.route(name, path):
            _navbar()
            content(lab)
            demo.load(None, None, None, js=f"() => {{ document.title = '{name} · {TITLE}'; }}")
    demo.queue(api_open=False)
    lab.warm.start()
    return demo


def _navbar() -> None:
    gr.Navbar(main_page_name="Lab", visible=True)


def page(demo: gr.Blocks, lab: Lab) -> None:
    """The Lab page, in the current Blocks context."""
    gr.HTML(f"<header><h1>{TITLE}</h1><p>{LEAD}</p></header>", elem_id="title")
    carrier = views.carrier()
    with gr.Row(elem_id="lab"):
        with gr.Column(elem_id="recipe"):
            panel = recipe.make(lab.warm.job and lab.warm.job.request, lab.weights)
        with gr.Column(elem_id="see"):
            stale = gr.HTML("", elem_id="stale")
            files, lines = _see()
        with gr.Column(elem_id="inside"):
            data = _inside(lab)
    door = Door(lab.store, panel, carrier, wiring.noted(lab, panel, stale))
    ends = wiring.runs(lab, door, files, lines)
    wiring.numbers(lab, door, ends, *data)
    wiring.picture(panel)
    wiring.goal(lab, panel)
    wiring.acquaint(lab, panel)
    wiring.opening(demo, lab, door)


def _see() -> tuple[list[gr.DownloadButton], list[gr.Code]]:
    views.view("headline")
    views.view("pair")
    views.view("scrubber")
    views.view("verdict")
    views.view("bars")
    with gr.Row(elem_id="downloads"):
        files = [
            gr.DownloadButton(label, interactive=False, size="sm", elem_id=f"save-{name}")
            for name, label in FILES
        ]
    with gr.Accordion("The same without the page", open=False, elem_id="reproduce"):
        lines = [
            gr.Code(language="shell", label="Command line", elem_id="reproduce-command"),
            gr.Code(language="python", label="Python", elem_id="reproduce-code"),
        ]
    return files, lines


def _inside(lab: Lab) -> tuple[gr.Tab, tuple[gr.Dropdown, gr.Plot, gr.Dataframe]]:
    with gr.Tabs(elem_id="tabs", overflow_behavior="wrap"):
        # Hidden tabs keep their views mounted: they redraw when they are shown.
        with gr.Tab("Attention", render_children=True):
            views.attention(lab.patch)
        for title, view in (
            ("Gradients", "gradients"),
            ("Tokens", "tokens"),
            ("Outliers", "outliers"),
            ("Depth", "depth"),
        ):
            with gr.Tab(title, render_children=True):
                views.view(view)
        with gr.Tab("Data", elem_id="data") as tab:
            choice = gr.Dropdown([], label="What to show", interactive=True, elem_id="data-choice")
            plot = gr.Plot(show_label=False, visible=False, elem_id="data-plot")
            table = gr.Dataframe(
                interactive=False,
                show_label=False,
                visible=False,
                wrap=True,
                max_height=320,
                elem_id="data-table",
            )
    return tab, (choice, plot, table)
