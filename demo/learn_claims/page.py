"""What stands in the room where claims are run again, and what happens there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from demo.kit import goal, models, panel, rooms, status
from demo.kit.door import RESTORE, Doing, Door, Note, Pace, Shared, Sights
from demo.kit.frame import said_frame, view_frame
from demo.kit.labelled import MOST_PICTURES
from demo.kit.loading import Loading
from demo.kit.panel import Panel, header
from demo.kit.scripts import on_load
from demo.kit.store import Values
from demo.learn_claims.message import message, minutes, planned
from demo.learn_claims.trial import (
    BY_NAME,
    LEAST_PICTURES,
    MOST_STEPS,
    PATIENCE_SECONDS,
    PICTURES,
    STEPS,
    Trial,
    drive,
    question,
)
from engine.evaluate.progress import Progress

LEAD = "A paper’s claims, measured on your model and your pictures, by the same rule."
BRING = "The bundled samples; or your own, labelled: golf_ball_1.jpg, or one zip with a folder per class."


def page(shared: Shared) -> None:
    """The room, in the current Blocks context."""
    header("Learn", LEAD, rooms.LEARN.switch(rooms.CLAIMS))
    with gr.Row(elem_id="room"):
        with gr.Column(elem_id="recipe"):
            made = _controls(shared.weights)
        with gr.Column(elem_id="report"):
            first = {name: each.value for name, each in made.asked.items()}
            said = said_frame(planned(first, shared.weights), 'data-state="run"', "claims-planned")
            shown = view_frame(
                'data-view="rerun" data-state="run"',
                on_load("see(element, props, watch)"),
                "claims-rows",
            )
    note = Note([said], lambda _, values: [planned(values, shared.weights)])
    door = Door[Trial](shared, made, shown, restore=_kept, note=note)
    door.opens(partial(_make, shared.weights), stages)


def _controls(weights: Path | None) -> Panel:
    here = models.choices(weights)
    asked: dict[str, Any] = {
        "paper": gr.Dropdown(
            [(each.short, name) for name, each in BY_NAME.items()],
            value=next(iter(BY_NAME)),
            label="Claims of",
            interactive=True,
            elem_id="paper",
        ),
        "model": gr.Dropdown(
            here,
            value=here[0][1] if here else None,
            label="Model",
            interactive=True,
            elem_id="model",
        ),
    }
    gr.HTML(f"<b>Pictures</b><p>{BRING}</p>", elem_id="bring")
    asked["files"] = gr.File(
        file_count="multiple",
        file_types=["image", ".zip"],
        label="Pictures",
        show_label=False,
        height=96,
        elem_id="files",
    )
    asked["pictures"] = gr.Slider(
        LEAST_PICTURES,
        MOST_PICTURES,
        PICTURES,
        step=1,
        label="Pictures at most",
        interactive=True,
        elem_id="knob-pictures",
    )
    asked["steps"] = gr.Slider(
        1,
        MOST_STEPS,
        STEPS,
        step=1,
        label="Steps of each attack",
        interactive=True,
        elem_id="knob-steps",
    )
    made = panel.actions(status.line("Choose a paper and press Run."))
    asked["seed"] = goal.seed_control()
    return Panel(asked, made, None)


def _make(weights: Path | None, place: str, values: Values) -> Trial:
    return Trial(question(values, weights), place=place)


def stages(trial: Trial) -> Iterator[Doing]:
    """What must be done for a measurement."""
    yield "transfer", _follow(trial)


def _follow(trial: Trial) -> Sights:
    """What happens in a measurement, thinned to what an eye can follow."""
    pace, told = Pace(), 0
    for event in drive(trial):
        if isinstance(event, Loading):
            pace = Pace()
            yield message(trial), status.loading(event)
        elif pace.due:
            fresh, told = len(trial.rows) > told, len(trial.rows)
            said = _going(trial, event, pace.spent) if isinstance(event, Progress) else None
            yield message(trial) if fresh else None, said
    yield _kept(trial), _ended(trial, pace.spent)


def _going(trial: Trial, at: Progress, spent: float) -> str:
    """What is computed now, and how far all of it may be."""
    whole = max(trial.seconds, spent)
    of = f"{at.done} of {at.total}; " if at.total > 1 else ""
    about = f"{spent:.0f} s of about {minutes(whole)}, {minutes(PATIENCE_SECONDS)} at most"
    what = f"{at.what[:1].upper()}{at.what[1:]}."
    return status.line(what, "busy", detail=f"{of}{about}", share=min(0.99, spent / max(whole, 1)))


def _kept(trial: Trial) -> dict[str, Any]:
    """What was found, for good; where nothing was, what was there before."""
    return message(trial, done=True) if trial.rows else RESTORE


def _ended(trial: Trial, seconds: float) -> str:
    count = len(trial.rows)
    if trial.why == "finished":
        return status.line(f"Finished: {count} comparisons in {minutes(seconds)}.", "done")
    rest = f"{count} comparisons stay." if count else "No comparison was reached."
    if trial.why == "stopped":
        return status.line(f"Stopped. {rest}", "done")
    return status.line(
        f"Stopped after {minutes(PATIENCE_SECONDS)}, the most that a run may take. {rest}",
        "done",
        hint="Fewer pictures or steps will finish.",
    )
