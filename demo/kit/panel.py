"""What every page's recipe column has: buttons with their status line, a picture, hidden values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from demo.kit import status
from demo.kit.events import QUICK
from demo.kit.strip import Brought

# The navigation knows a page by its own address alone: in each of its rooms it is marked, too.
MARK = """
const { page } = element.querySelector('.lab-rooms').dataset;
const mark = (tries) => {
  const link = document.querySelector(`.nav-holder a[href$="/${page}"]`);
  if (link) link.classList.add('active');
  else if (tries) setTimeout(mark, 100, tries - 1);
};
mark(50);
"""


@dataclass(frozen=True)
class Actions:
    """The buttons and the line that says what happens."""

    run: gr.Button
    stop: gr.Button
    status: gr.HTML
    step: gr.Button | None = None


@dataclass(frozen=True)
class Panel:
    """A page's controls: `asked`, by name, is what a job is made of.

    Components are `Any` there because gradio gives them their events at run time. Where `picture` is
    not None, its source is asked as well, under "source".
    """

    controls: Mapping[str, Any]
    actions: Actions
    picture: Brought | None

    @property
    def asked(self) -> dict[str, Any]:
        own = {} if self.picture is None else {"source": self.picture.source}
        return own | dict(self.controls)

    def __getitem__(self, name: str) -> Any:
        return self.asked[name]


def actions(said: str = "", step: bool = False) -> Actions:
    """Run (and Step) and Stop in the current layout, and below them the status line, which says `said`."""
    with gr.Row(elem_id="actions"):
        run = gr.Button("Run", variant="primary", elem_id="run", min_width=64, scale=2)
        one = gr.Button("Step", elem_id="step", min_width=64) if step else None
        stop = gr.Button("Stop", elem_id="stop", min_width=64)
    line = gr.HTML(
        said or status.line(status.EMPTY),
        html_template='<div role="status" aria-live="polite">${value}</div>',
        elem_id="status",
    )
    return Actions(run, stop, line, one)


def model(offered: list[tuple[str, str]], label: str, card: Callable[[str], str]) -> gr.Dropdown:
    """The model in the current layout, of those that are `offered` as (title, name), and below it what
    is known of it, its `card`, which follows the choice."""
    name = offered[0][1] if offered else ""
    chosen = gr.Dropdown(offered, value=name or None, label=label, elem_id="model")
    about = gr.HTML(card(name) if name else "", elem_id="model-card")
    events: Any = chosen
    events.change(card, chosen, about, preprocess=False, **QUICK)
    return chosen


def budget(eps: tuple[int, int, int], steps: tuple[int, int]) -> dict[str, gr.Slider]:
    """The row of eps (least, most and usual, in 255ths) and steps (most and usual), by name."""
    with gr.Row(elem_id="budget"):
        least, most, usual = eps
        size = gr.Slider(
            least, most, usual, step=1, label="Eps (n/255)", interactive=True, elem_id="knob-eps"
        )
        count = gr.Slider(1, *steps, step=1, label="Steps", interactive=True, elem_id="knob-steps")
    return {"eps": size, "steps": count}


def header(title: str, lead: str, switch: str = "") -> None:
    """The page's title, the way to its other rooms where it has any, and what it is about."""
    mark = MARK if switch else ""
    gr.HTML(
        f"<header><h1>{title}</h1>{switch}<p>{lead}</p></header>", elem_id="title", js_on_load=mark
    )
