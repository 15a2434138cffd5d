"""The named endpoints, for `gradio_client` and scripts: the façade the page itself goes through.

Whatever computes waits at the desk like everybody's runs. Annotations are evaluated here, not
postponed: gradio reads the endpoints' types from them.
"""

import itertools
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import FileData
from gradio.context import LocalContext
from gradio.events import api

from demo.kit import goal, labelled, picture
from demo.kit.desk import LINE, Desk, Saying, Stage, Told, Wait, Work, watch
from demo.kit.door import reader
from demo.kit.loading import Fetching, Loading, bring, missing
from demo.kit.picture import Picture
from demo.kit.uploads import peer
from demo.lab.running import Attempt, Began, drive
from demo.transfer.trial import Trial, experiment
from demo.transfer.trial import drive as drive_trial
from engine import studio
from engine.alter.alteration import Stack
from engine.alter.catalog import parse
from engine.attack import catalog
from engine.attack.recipe import Recipe
from engine.core.errors import BadTask, EngineError
from engine.core.knobs import knobs
from engine.data.labels import class_index
from engine.evaluate.evaluate import as_data
from engine.evaluate.progress import Progress
from engine.evaluate.transfer import Filled
from engine.model import zoo
from engine.studio import Request, Run, Stepped

log = logging.getLogger(__name__)

MOST_MODELS = 16
MOST_ATTACKS = 16
MOST_ALTERATIONS = 8
MOST_TEXT = 300
MOST_LABELS = 1000
ANSWER = "answer"
# What was asked has been read; the stages that follow are what the reading returns.
READ: Told = ("read", {"state": "waiting", "before": 0})
Read = Generator[Told, None, tuple[Stage, ...]]


def declare(desk: Desk, weights: Path | None) -> None:
    """Declare every public endpoint in the current Blocks context."""
    first = zoo.cards(weights)[0].name

    def models() -> list[dict[str, Any]]:
        """List the models: name, title, source, size, classes, licence and measured figures."""
        return [
            {k: v for k, v in asdict(each).items() if k != "details"}
            | {"available": zoo.available(each)}
            for each in zoo.cards(weights)
        ]

    def attacks() -> list[dict[str, Any]]:
        """List the attacks and their knobs with kind, default, range, unit and help."""
        return [
            {
                "name": each.name,
                "title": each.title,
                "paper": each.paper,
                "knobs": [asdict(knob) | {"kind": knob.kind} for knob in knobs(each)],
            }
            for each in catalog.RECIPES
        ]

    async def predict(image: FileData, model: str = first, top: int = 5) -> list[dict[str, Any]]:
        """Classify a picture: its most likely classes with index and probability, best first."""

        def read(_: Work) -> Read:
            request, most = _request(image, model, weights), _whole("top", top)
            yield READ
            return (("torch", lambda: look(request, most)),)

        def look(request: Request, most: int) -> Saying:
            run = Run(request)
            names, p = run.victim.spec.classes, run.clean_probabilities
            best = p.topk(max(1, min(most, len(names))))
            yield (
                ANSWER,
                [
                    {"class": names[index], "index": index, "probability": share}
                    for share, index in zip(
                        best.values.tolist(), best.indices.tolist(), strict=True
                    )
                ],
            )

        return await _answer(desk, read)

    async def attack(
        image: FileData,
        model: str = first,
        attack: str = "tgr",
        knobs: dict[str, Any] | None = None,
        target: str = "",
        label: str = "",
        others: list[str] | None = None,
        seed: int = 0,
        alter: list[str] | None = None,
        craft_on: list[str] | None = None,
    ) -> AsyncIterator[dict[str, Any]]:
        """Attack a picture, step by step. Yields {"state": "running", "step", "steps", "loss", ...}
        and last {"state": "finished", "result", "files"}: the versioned summary, and by "png",
        "npz" and "json" the exact adversarial picture, the perturbation and the result. Knobs as in /attacks, a pixel
        distance in [0, 1] or as "8/255"; target and label are class names, empty for an untargeted
        attack and for what the model itself sees; others are models to show the result to. alter is what
        the judged model is altered by, in order, as ["ats", "int8:threshold=4"]; craft_on what the
        attack sees instead, [] for the model as it is. The result says in words what success means
        for the attack, as "verdict" and under "goal"."""

        def read(work: Work) -> Read:
            classes = zoo.class_names(zoo.card(_text("model", model), weights))
            aim, sees = _text("target", target), _text("label", label)
            request = replace(
                _request(image, model, weights),
                recipe=_recipe({"name": attack, "knobs": knobs or {}}),
                target=class_index(classes, aim) if aim else None,
                label=class_index(classes, sees) if sees else None,
                others=_names("others", others, MOST_MODELS),
                seed=goal.seed(seed),
                alter=_stack("alter", alter),
                craft_on=None if craft_on is None else _stack("craft_on", craft_on),
            )
            for name in request.others:
                zoo.card(name, weights)
            attempt = Attempt(request, stop=work.stop, clock=work.clock)
            yield READ
            fetching: Stage = ("hub", lambda: _each(bring(attempt.models, weights)))
            first = (fetching,) if missing(attempt.models, weights) else ()
            return (*first, ("torch", lambda: _work(attempt)))

        async for said in _stream(desk, read):
            yield said

    async def inspect(image: FileData, model: str = first) -> dict[str, Any]:
        """Look inside a model while it sees a picture: attention entropy, gradient variance, score
        gaps, outlier columns, and the tokens ATS would keep, as far as the model shows them."""

        def read(_: Work) -> Read:
            request = _request(image, model, weights)
            yield READ
            return (("torch", lambda: look(request)),)

        def look(request: Request) -> Saying:
            seen = studio.summary(Run(request).result())
            yield (
                ANSWER,
                {"predictions": seen["predictions"]["clean"], "probes": seen["probes"]["clean"]},
            )

        return await _answer(desk, read)

    async def evaluate(
        images: list[FileData],
        labels: list[str] | None = None,
        sources: list[str] | None = None,
        attacks: list[dict[str, Any]] | None = None,
        targets: list[str] | None = None,
        seed: int = 0,
    ) -> AsyncIterator[dict[str, Any]]:
        """Make attacks on source models and show them to targets: the transfer matrix. Yields
        {"state": "running", "done", "total", "cells"} and last {"state": "finished", "result"}: the
        versioned summary of `python -m engine evaluate`, success with 95 % intervals, clean errors
        left out and counted. Images: at most 64 files, or a zip with one folder per class or a labels.csv; labels are
        their class names, in order; without them the names of files and folders say the class.
        Attacks: {"name": "tgr", "knobs": {"eps": "8/255"}}, by default MI-FGSM and TGR as published.
        Every source is a target, too."""

        def read(work: Work) -> Read:
            names = _names("sources", sources, MOST_MODELS) or (first,)
            shown = _names("targets", targets, MOST_MODELS)
            for name in (*names, *shown):
                zoo.card(name, weights)
            recipes = [
                _recipe(each)
                for each in _listed("attacks", attacks, MOST_ATTACKS)
                or ({"name": "mifgsm"}, {"name": "tgr"})
            ]
            files = picture.uploads(images)
            if labels:
                found = labelled.given(files, _listed("labels", labels, MOST_LABELS))
            else:
                found = labelled.read(files, zoo.class_names(zoo.card(names[0], weights)))
            labelled.refuse_rest(found)
            asked = experiment(found, names, recipes, shown, goal.seed(seed))
            trial = Trial(asked, found, weights, stop=work.stop, clock=work.clock)
            yield READ
            return (
                ("hub", lambda: _each(bring((*names, *shown), weights))),
                ("transfer", lambda: _judge(trial)),
            )

        async for said in _stream(desk, read):
            yield said

    for function in (models, attacks):
        api(function, api_name=function.__name__, concurrency_limit=8)
    for function in (predict, attack, inspect, evaluate):
        api(function, api_name=function.__name__, concurrency_limit=None)


async def _stream(desk: Desk, read: Callable[[Work], Read]) -> AsyncIterator[Any]:
    """What a call's work says, as it says it; now and then the last again, as a sign of life."""
    last: Any = READ[1]
    with _kindly():
        async with aclosing(_work_of(desk, read)) as saying:
            async for told in saying:
                if told is not None:
                    slot, value = told
                    last = _waits(value) if slot == LINE else value
                yield last


def _waits(wait: Wait) -> dict[str, Any]:
    """Turns that come first, and in how many seconds its own may come, if that is known."""
    return {"state": "waiting", "before": wait.place, "seconds": wait.seconds}


async def _answer(desk: Desk, read: Callable[[Work], Read]) -> Any:
    """What one short piece of work answers."""
    answer: Any = None
    with _kindly():
        async with aclosing(_work_of(desk, read)) as saying:
            async for told in saying:
                if told is not None and told[0] == ANSWER:
                    answer = told[1]
    return answer


async def _work_of(desk: Desk, read: Callable[[Work], Read]) -> AsyncGenerator[Told | None, None]:
    """A call's work, of which the first stage reads what was asked; it ends where the caller goes."""
    visitor = LocalContext.request.get(None)
    assert visitor is not None, "a call has a caller"
    work = Work(f"api {peer(visitor)}", ())
    work.stages = (("read", partial(read, work)),)
    desk.submit(work)
    try:
        async for news in watch(desk, work, present=reader(str(visitor.session_hash))):
            for told in news:
                work.mail.forget(told[0])
                yield told
            if not news:
                yield None
    finally:
        work.stop.set()
    if work.failed is not None:
        raise work.failed


def _each(events: Iterator[Any]) -> Saying:
    """Events as plain data, each of which must be told."""
    for number, event in enumerate(events):
        yield f"{type(event).__name__} {number}", _told(event)


def _work(attempt: Attempt) -> Saying:
    yield from _each(drive(attempt))
    yield "ended", {"state": "ended", "why": attempt.why}
    yield "end", _finished(attempt)


def _judge(trial: Trial) -> Saying:
    number = itertools.count()
    for step in drive_trial(trial):
        said = _advanced(step) if isinstance(step, Progress) else _told(step)
        yield f"progress {next(number)}", said
    yield "end", {"state": trial.why, "result": trial.report()}


@contextmanager
def _kindly() -> Generator[None]:
    """What the caller can mend reaches the client as its sentence, without a traceback."""
    try:
        yield
    except EngineError as problem:
        raise gr.Error(str(problem), print_exception=False) from problem
    except GeneratorExit:
        raise
    except Exception as problem:
        log.exception("a call failed")
        raise gr.Error(
            f"This is a fault of ours ({type(problem).__name__}), not yours. It is in the log.",
            print_exception=False,
        ) from problem


def _request(image: Any, model: Any, weights: Path | None) -> Request:
    """A request for a picture sent through the client, with the first attack as it stands."""
    found = Picture.of(picture.uploaded(image))
    return Request(
        found.image,
        _text("model", model),
        catalog.RECIPES[0](),
        name=found.name,
        weights=weights,
    )


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > MOST_TEXT or "\0" in value:
        raise BadTask(f"{name} must be a name.", f"A text of at most {MOST_TEXT} characters.")
    return value


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise BadTask(f"{name} must be a whole number.", "Give, for instance, 5.")
    return int(value)


def _listed(name: str, value: Any, most: int) -> Sequence[Any]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > most:
        raise BadTask(f"{name} must be a list.", f"It may hold at most {most}.")
    return value


def _names(name: str, value: Any, most: int) -> tuple[str, ...]:
    """Names, each once."""
    return tuple(
        dict.fromkeys(_text(f"Each of {name}", each) for each in _listed(name, value, most))
    )


def _stack(name: str, asked: Any) -> Stack:
    """Alterations as they are spelled; raises BadTask, UnknownName, BadKnob."""
    spelled = _listed(name, asked, MOST_ALTERATIONS)
    return tuple(parse(_text(f"Each of {name}", each)) for each in spelled)


def _recipe(asked: Any) -> Recipe:
    """{"name", "knobs"} as a recipe; raises BadTask, UnknownName, BadKnob."""
    if not isinstance(asked, dict) or not isinstance(asked.get("knobs", {}), dict):
        raise BadTask("This is not an attack.", 'Give {"name": "tgr", "knobs": {"eps": "8/255"}}.')
    knobs = {_text("A knob", k): str(v)[:MOST_TEXT] for k, v in asked.get("knobs", {}).items()}
    return catalog.parse(_text("attack", asked.get("name")), knobs)


def _advanced(event: Progress) -> dict[str, Any]:
    """Progress of an experiment; the cells that just changed as in the result."""
    cells = [as_data(each) for each in event.cells] if isinstance(event, Filled) else []
    return {"state": "running", "done": event.done, "total": event.total, "cells": cells}


def _told(event: Fetching | Loading | Began | Stepped) -> dict[str, Any]:
    """An event as plain data."""
    if isinstance(event, Fetching):
        done, total = event.download
        return {"state": "fetching", "model": event.title, "bytes": done, "of": total}
    if isinstance(event, Loading):
        return {"state": "loading", "model": event.title}
    if isinstance(event, Began):
        names, p = event.run.victim.spec.classes, event.run.clean_probabilities
        return {"state": "began", "clean": names[int(p.argmax())]}
    return {
        "state": "running",
        "step": event.step,
        "steps": event.steps,
        "loss": event.loss,
        "success": event.success,
        "seconds": event.seconds,
    }


def _finished(attempt: Attempt) -> dict[str, Any]:
    """The summary and the files of an attempt that has ended."""
    assert attempt.result is not None
    files = {path.suffix[1:]: FileData(path=str(path)).model_dump() for path in attempt.files()}
    return {"state": "finished", "result": studio.summary(attempt.result), "files": files}
