"""The whole application: its pages, and the endpoints for scripts."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import gradio as gr
from gradio.components import Navbar

from demo import endpoints
from demo.cost.page import page as cost
from demo.cost_tokens.page import page as cost_tokens
from demo.defend.page import page as defend
from demo.defend_tokens.page import page as defend_tokens
from demo.kit import rooms, scratch
from demo.kit.door import Shared
from demo.kit.store import Store
from demo.lab.page import TITLE
from demo.lab.page import page as lab
from demo.learn import panel
from demo.learn.classes import Book
from demo.learn.page import page as learn
from demo.learn_claims.page import page as learn_claims
from demo.transfer.page import page as transfer
from demo.why.page import page as why
from demo.why_masked.page import page as why_masked

PAGES: tuple[tuple[str, str, Callable[[Shared], None], bool], ...] = (
    ("Transfer", "transfer", transfer, True),
    ("Why", rooms.REGULARISED.route, why, True),
    ("Why, masked gradients", rooms.MASKED.route, why_masked, False),
    ("Cost", rooms.OUTLIERS.route, cost, True),
    ("Cost, tokens", rooms.TOKENS.route, cost_tokens, False),
    ("Defend", rooms.TRAINING.route, defend, True),
    ("Defend, tokens", rooms.ARMOUR.route, defend_tokens, False),
    ("Learn, claims", rooms.CLAIMS.route, learn_claims, False),
)
"""Title, route, content, and whether the navigation names it: to a second room the page leads."""


def build(weights: Path | None = None, shared: Shared | None = None) -> gr.Blocks:
    """The application, not yet launched; the Lab is its first page."""
    scratch.sweep()
    os.environ["GRADIO_TEMP_DIR"] = str(scratch.home() / "uploads")  # goes when the process does
    shared, book = shared or Shared(Store(), weights), Book()
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, fill_width=True, delete_cache=(600, 3600)
    ) as demo:
        _navbar()
        lab(shared)
        panel.lay(shared, book)
        endpoints.declare(shared.store.desk, weights)

        def leave(visitor: gr.Request) -> None:
            shared.store.leave(str(visitor.session_hash))

        demo.unload(leave)
    lessons = ("Learn", "learn", partial(learn, book=book), True)
    for name, route, content, named in (*PAGES, lessons):
        with demo.route(name, route, show_in_navbar=named):
            _navbar()
            content(shared)
            panel.lay(shared, book)
            demo.load(None, None, None, js=f"() => {{ document.title = '{name} · {TITLE}'; }}")
    demo.queue(api_open=False)
    return demo


def _navbar() -> None:
    Navbar(main_page_name="Lab", visible=True)
