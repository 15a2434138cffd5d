"""The same run without the page: as a command line, and as lines of Python.

Pictures and weights folders are named as their owner knows them, without their path: both are meant to
be run in the folder where these lie. A sample is named by its id.
"""

from __future__ import annotations

import shlex
from pathlib import PurePath

from engine.alter.alteration import Stack
from engine.alter.catalog import spell as spell_alteration
from engine.alter.catalog import spell_stack
from engine.arguments import BARE, SAMPLE
from engine.attack.catalog import spell
from engine.attack.recipe import Recipe
from engine.core.knobs import Knob, knobs
from engine.data.labels import class_index
from engine.data.samples import load_sample, samples
from engine.model import zoo
from engine.studio import Request


def command(request: Request, taken: int | None = None) -> str:
    """The command line whose PNG has the pixels of this run, stopped after `taken` steps if given."""
    sample, recipe = _sample(request), request.recipe
    words = ["python", "-m", "engine", "attack"]
    words += [SAMPLE + sample if sample else _file(request), "--model", request.model]
    words += ["--attack", recipe.name]
    for knob, word in _turned(recipe):
        words += ["--set", f"{knob.name}={word}"]
    for option, index in (("--label", request.label), ("--toward", request.target)):
        if index is not None:
            words += [option, _class(request, index)]
    words += ["--seed", str(request.seed)]
    if request.others:
        words += ["--targets", *request.others]
    if folder := _weights(request):
        words += ["--weights", folder]
    for each in request.alter:
        words += ["--alter", spell_alteration(each)]
    if request.craft_on is not None:
        for word in [spell_alteration(each) for each in request.craft_on] or [BARE]:
            words += ["--craft-on", word]
    if taken is not None:
        words += ["--stop-after", str(taken)]
    return shlex.join([*words, "--out", "."])


def code(request: Request, taken: int | None = None) -> str:
    """The lines of Python that do the same; they end with the paths of the files."""
    sample, recipe = _sample(request), request.recipe
    turned = "".join(f", {knob.name}={_literal(knob, word)}" for knob, word in _turned(recipe))
    fields = {
        "image": f"load_sample({sample!r})" if sample else f"decode(Path({_file(request)!r}))",
        "model": repr(request.model),
        "recipe": f"recipe({recipe.name!r}{turned})",
        "label": _index(request, request.label),
        "target": _index(request, request.target),
        "seed": str(request.seed),
        "others": repr(request.others) if request.others else "",
        "views": "" if request.views else "False",
        "weights": f"Path({folder!r})" if (folder := _weights(request)) else "",
        "alter": _stack(request.alter) if request.alter else "",
        "craft_on": "" if request.craft_on is None else _stack(request.craft_on),
        "name": repr(request.name) if request.name else "",
    }
    lines = [f"    {name}={value}," for name, value in fields.items() if value]
    altered = request.alter or request.craft_on is not None
    until = "not run.done" if taken is None else f"run.steps < {taken}"
    return "\n".join(
        [
            "from pathlib import Path",
            "",
            "from engine import studio",
            *(["from engine.alter.catalog import parse_stack"] if altered else []),
            "from engine.attack.catalog import recipe",
            "from engine.data.samples import load_sample"
            if sample
            else "from engine.data.decode import decode",
            "",
            "request = studio.Request(",
            *lines,
            ")",
            "run = studio.Run(request)",
            f"while {until}:",
            "    run.advance()",
            'print(*studio.save(run.result(), Path(".")))',
            "",
        ]
    )


def _stack(stack: Stack) -> str:
    return f"parse_stack({spell_stack(stack)!r})"


def _sample(request: Request) -> str:
    """The id of the sample that the picture is; empty where it is somebody's own."""
    name = PurePath(request.name).stem
    known = any(each.id == name and each.path.is_file() for each in samples())
    return name if known and load_sample(name) == request.image else ""


def _file(request: Request) -> str:
    name = PurePath(request.name).name or "picture.png"
    return f"./{name}" if name.startswith("-") else name


def _weights(request: Request) -> str:
    """The name of the weights folder, where a model of this run is from there."""
    asked = (request.model, *request.others) if request.weights else ()
    local = any(zoo.card(name, request.weights).source == "local" for name in asked)
    return request.weights.resolve().name if request.weights and local else ""


def _turned(recipe: Recipe) -> list[tuple[Knob, str]]:
    """The knobs that are not at their defaults, with their values as typed words."""
    words = spell(recipe)
    changed = (each for each in knobs(recipe) if getattr(recipe, each.name) != each.default)
    return [(each, words[each.name]) for each in changed]


def _class(request: Request, index: int) -> str:
    """The class by its name, or by its number where another one has the same name."""
    names = zoo.class_names(zoo.card(request.model, request.weights))
    return names[index] if class_index(names, names[index]) == index else str(index)


def _index(request: Request, index: int | None) -> str:
    return "" if index is None else str(index)


def _literal(knob: Knob, word: str) -> str:
    """A typed word as Python: numbers and fractions stand for themselves."""
    if knob.kind in ("choice", "text"):
        return repr(word)
    return word.title() if knob.kind == "flag" else word.replace("/", " / ")
