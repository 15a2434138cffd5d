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
from demo.running import TORCH, Began, Ended, Fetching, Loading, drive, fetch
from demo.store import Job
from engine import studio
from engine.attack import catalog
from engine.core.errors import EngineError
from engine.core.knobs import knobs
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

    for function in (models, attacks):
        gr.api(function, api_name=function.__name__, concurrency_limit=8)
    for function in (predict, attack, inspect):
        gr.api(function, api_name=function.__name__, **TORCH)


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
