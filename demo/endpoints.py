"""The named endpoints, for `gradio_client` and scripts: the façade the page itself goes through.

Annotations are evaluated here, not postponed: gradio reads the endpoints' types from them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import FileData

from demo import pictures
from demo.running import TORCH, Began, Ended, Fetching, Loading, bring, drive, fetch
from demo.store import Job
from demo.transfer import labelled
from demo.transfer.trial import SHARED, Trial, experiment
from demo.transfer.trial import drive as drive_trial
from engine import studio
from engine.attack import catalog
from engine.attack.recipe import Recipe
from engine.core.errors import BadTask, EngineError
from engine.core.knobs import knobs
from engine.evaluate.evaluate import as_data
from engine.evaluate.transfer import Progress
from engine.model import zoo
from engine.studio import Request, Run, Stepped


def declare(weights: Path | None) -> None:
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

    def predict(image: FileData, model: str = first, top: int = 5) -> list[dict[str, Any]]:
        """Classify a picture: its most likely classes with index and probability, best first."""
        with _kindly():
            run = Run(_request(image, model, weights))
        names, p = run.victim.spec.classes, run.clean_probabilities
        best = p.topk(max(1, min(int(top), len(names))))
        return [
            {"class": names[index], "index": index, "probability": share}
            for share, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]

    def attack(
        image: FileData,
        model: str = first,
        attack: str = "tgr",
        knobs: dict[str, Any] | None = None,
        target: str = "",
        label: str = "",
        others: list[str] | None = None,
        seed: int = 0,
    ) -> Iterator[dict[str, Any]]:
        """Attack a picture, step by step. Yields {"state": "running", "step", "steps", "loss", ...}
        and last {"state": "finished", "result", "files"}: the versioned summary, and the exact
        adversarial PNG, the perturbation NPZ and the result JSON. Knobs as in /attacks, a pixel
        distance in [0, 1] or as "8/255"; target and label are class names, empty for an untargeted
        attack and for what the model itself sees; others are models to show the result to."""
        with _kindly():
            classes = zoo.class_names(zoo.card(model, weights))
            request = replace(
                _request(image, model, weights),
                recipe=catalog.parse(attack, {k: str(v) for k, v in (knobs or {}).items()}),
                target=studio.class_index(classes, target) if target else None,
                label=studio.class_index(classes, label) if label else None,
                others=tuple(others or ()),
                seed=int(seed),
            )
            for event in fetch(request):
                yield _told(event)
            job = Job(request)
            for event in drive(job):
                yield _told(event)
            yield _finished(job)

    def inspect(image: FileData, model: str = first) -> dict[str, Any]:
        """Look inside a model while it sees a picture: attention entropy, gradient variance, score
        gaps, outlier columns, and the tokens ATS would keep, as far as the model shows them."""
        with _kindly():
            read = studio.summary(Run(_request(image, model, weights)).result())
        return {"predictions": read["predictions"]["clean"], "probes": read["probes"]["clean"]}

    def evaluate(
        images: list[FileData],
        labels: list[str] | None = None,
        sources: list[str] | None = None,
        attacks: list[dict[str, Any]] | None = None,
        targets: list[str] | None = None,
        seed: int = 0,
    ) -> Iterator[dict[str, Any]]:
        """Make attacks on source models and show them to targets: the transfer matrix. Yields
        {"state": "running", "done", "total", "cells"} and last {"state": "finished", "result"}: the
        versioned summary of `python -m engine evaluate`, success with 95 % intervals, clean errors
        left out and counted. Images: at most 64 files, or a zip with one folder per class; labels are
        their class names, in order; without them the names of files and folders say the class.
        Attacks: {"name": "tgr", "knobs": {"eps": "8/255"}}, by default MI-FGSM and TGR as published.
        Every source is a target, too."""
        with _kindly():
            names, shown = tuple(sources or (first,)), tuple(targets or ())
            for event in bring((*names, *shown), weights):
                yield _told(event)
            files = labelled.uploads(images)
            if labels:
                found = labelled.given(files, labels)
            else:
                found = labelled.read(files, zoo.class_names(zoo.card(names[0], weights)))
            labelled.refuse_rest(found)
            recipes = [_recipe(each) for each in attacks or ({"name": "mifgsm"}, {"name": "tgr"})]
            trial = Trial(experiment(found, names, recipes, shown, int(seed)), found, weights)
            for step in drive_trial(trial):
                if isinstance(step, Progress):
                    yield _advanced(step)
                elif isinstance(step, Loading):
                    yield _told(step)
            yield {"state": trial.why, "result": trial.report()}

    for function in (models, attacks):
        gr.api(function, api_name=function.__name__, concurrency_limit=8)
    for function in (predict, attack, inspect):
        gr.api(function, api_name=function.__name__, **TORCH)
    gr.api(evaluate, api_name="evaluate", **SHARED)


@contextmanager
def _kindly() -> Iterator[None]:
    """What the caller can mend reaches the client as its sentence, without a traceback."""
    try:
        yield
    except EngineError as problem:
        raise gr.Error(str(problem), print_exception=False) from problem


def _request(image: Any, model: str, weights: Path | None) -> Request:
    """A request for a picture sent through the client, with the first attack as it stands."""
    picture = pictures.read(pictures.uploaded(image))
    return Request(picture, model, catalog.RECIPES[0](), weights=weights)


def _recipe(asked: Any) -> Recipe:
    """{"name", "knobs"} as a recipe; raises BadTask, UnknownName, BadKnob."""
    if not isinstance(asked, dict) or not isinstance(asked.get("knobs", {}), dict):
        raise BadTask("This is not an attack.", 'Give {"name": "tgr", "knobs": {"eps": "8/255"}}.')
    knobs = {str(k): str(v) for k, v in asked.get("knobs", {}).items()}
    return catalog.parse(str(asked.get("name")), knobs)


def _advanced(event: Progress) -> dict[str, Any]:
    """Progress of an experiment; the cells that just changed as in the result."""
    cells = [as_data(each) for each in event.cells]
    return {"state": "running", "done": event.done, "total": event.total, "cells": cells}


def _told(event: Fetching | Loading | Began | Stepped | Ended) -> dict[str, Any]:
    """An event as plain data."""
    if isinstance(event, Fetching):
        done, total = event.download
        return {"state": "fetching", "model": event.title, "bytes": done, "of": total}
    if isinstance(event, Loading):
        return {"state": "loading", "model": event.title}
    if isinstance(event, Began):
        names, p = event.run.victim.spec.classes, event.run.clean_probabilities
        return {"state": "began", "clean": names[int(p.argmax())]}
    if isinstance(event, Ended):
        return {"state": "ended", "why": event.why}
    return {
        "state": "running",
        "step": event.step,
        "steps": event.steps,
        "loss": event.loss,
        "success": event.success,
        "seconds": event.seconds,
    }


def _finished(job: Job) -> dict[str, Any]:
    """The summary and the files of a job that has ended."""
    assert job.result is not None
    files = {path.name: FileData(path=str(path)).model_dump() for path in job.files()}
    return {"state": "finished", "result": studio.summary(job.result), "files": files}
