"""The line beside the Run button: what happens now, and what went wrong, in one sentence."""

from __future__ import annotations

from html import escape

from demo.kit.desk import Full, Wait
from demo.kit.job import Job
from demo.kit.loading import Fetching, Loading
from engine.core.errors import EngineError
from engine.evaluate.progress import Progress

EARLIER = "Computed earlier with this very model, seed 0. Press Run to compute your own."
BEFORE = "Stopped before it began."
EMPTY = "Choose a picture and press Run."
TAKEN = "The picture is in. Press Run."
RUNNING = "Running."
STOPPING = "Stopping after this step."
AGAIN = ' <button type="button" class="lab-reset" data-again>Try again</button>'
SHARED = "It goes on for others who asked for the same; Run joins them again."


def line(
    text: str,
    kind: str = "idle",
    hint: str = "",
    detail: str = "",
    share: float = -1,
    button: str = "",
) -> str:
    """The line as HTML; `detail` changes often and is not read aloud, `share` draws a bar."""
    bar = f'<i style="width:{share:.1%}"></i>' if share >= 0 else ""
    return (
        f'<div class="status-line" data-kind="{kind}"><p><b>{escape(text)}</b> {escape(hint)}'
        f'<span aria-hidden="true">{escape(detail)}</span>{button}</p><div class="bar">{bar}</div></div>'
    )


def error(problem: EngineError) -> str:
    return line(problem.sentence, "error", hint=problem.hint)


def refused(problem: Full) -> str:
    """There is no room for the run now: `js/again.js` has the button press Run."""
    return line(problem.sentence, "error", hint=problem.hint, button=AGAIN)


def left() -> str:
    """The visitor has stopped a run that others have asked for, too."""
    return line("Stopped here.", "done", hint=SHARED)


def waiting(wait: Wait) -> str:
    """The run waits: for its first turn, or while others have theirs."""
    said = "Others have their turn" if wait.begun else "Waiting for its turn"
    when = "" if wait.seconds is None else f", about {max(1, round(wait.seconds))} s"
    return line(f"{said}:", "busy", detail=f"{ordinal(wait.place)} in the line{when}.")


def ordinal(number: int) -> str:
    teens = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def bug(problem: Exception) -> str:
    """One honest sentence for what should not have happened; the log has the rest."""
    return line(
        f"This is a fault of ours ({type(problem).__name__}), not yours.",
        "error",
        hint="It is in the log; the last result stays. Another model or picture may work.",
    )


def fetching(event: Fetching) -> str:
    done, total = event.download
    share = done / total if total else 0.0
    megabytes = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB" if total else "asking how large it is"
    return line(
        f"Fetching {event.title} from the model hub.", "busy", detail=megabytes, share=share
    )


def loading(event: Loading) -> str:
    return line(f"Reading {event.title}.", "busy")


def stepped(done: int, total: int, left: float, of: str = "") -> str:
    """Steps are done (`of` what), and the rest will take `left` seconds."""
    detail = f"step {done} of {total}{of and ' of '}{of}, about {left:.0f} s left"
    return line(RUNNING, "busy", detail=detail, share=done / total)


def attacking(step: int, steps: int, detail: str) -> str:
    """A step of an attack is done, and what it has come to."""
    said = f"step {step} of {steps}, {detail}"
    return line("Attacking.", "busy", detail=said, share=step / steps)


def progress(event: Progress) -> str:
    """A part of the work, and how far it has come."""
    detail = f"{event.done} of {event.total}" if event.total > 1 else ""
    return line(
        f"{event.what.capitalize()}.", "busy", detail=detail, share=event.done / event.total
    )


def ended(job: Job, seconds: float, patience: float, done: str, whole: bool) -> str:
    """How a run of an attack ended, after so much was `done`, "" where nothing may be; `whole`: all was
    measured."""
    if not done:
        return line(f"Finished in {seconds:.0f} s: nothing may change at eps 0.", "done")
    if job.why == "finished":
        return line(f"Finished: all views in {seconds:.0f} s.", "done")
    left_out = "" if whole else " What was not measured by then is left out."
    if job.why == "stopped":
        return line(f"Stopped after {done}.{left_out}", "done")
    return line(
        f"Stopped after {done}: a run may take {patience:.0f} seconds on this page.{left_out}",
        "done",
        hint="Fewer steps or a smaller model will finish.",
    )
