"""What the commands of `python -m engine` share: kinds of arguments, groups of them, and the answer.

A kind turns a word into a value, or says in one sentence why it cannot be one.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from engine.alter import catalog
from engine.alter.alteration import Stack
from engine.alter.ensemble import members
from engine.core.errors import BadTask
from engine.core.knobs import Knobbed, knobs
from engine.data.decode import decode
from engine.data.samples import load_sample
from engine.evaluate.progress import Progress
from engine.model import zoo

# The largest that every reader of a JSON file holds exactly.
MOST_SEED = 2**53 - 1
SAMPLE = "sample:"
BARE = "bare"

Settings = TypeVar("Settings", bound=Knobbed)
Command = Callable[[argparse.Namespace], None]


class Parser(argparse.ArgumentParser):
    """One that says what is wrong as everything else here does: in a sentence."""

    def error(self, message: str) -> NoReturn:
        sentence = f"{message[0].upper()}{message[1:].removesuffix('.')}."
        raise BadTask(sentence, f"See {self.prog} --help.")


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """A whole number in that range."""
    words = f"from {least}" + ("" if most is None else f" to {most}")

    def number(text: str) -> int:
        found = int(text) if text.isdecimal() and len(text) < 20 else -1
        if found < least or (most is not None and found > most):
            raise argparse.ArgumentTypeError(f"“{text}” is no whole number {words}.")
        return found

    return number


def size(text: str) -> float:
    """A number above 0."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 < found < math.inf:
        raise argparse.ArgumentTypeError(f"“{text}” is no number above 0.")
    return found


def share(text: str) -> float:
    """A number from 0 on, below 1."""
    found = 0.0 if text in ("0", "0.0") else size(text)
    if found >= 1:
        raise argparse.ArgumentTypeError(f"“{text}” is no share below 1.")
    return found


def file(text: str) -> Path:
    """A file that can be written, found out without leaving anything behind."""
    path = Path(text)
    if path.is_dir():
        raise BadTask(f"“{text}” is a folder.", "Name a file.")
    _check_room(path)
    return path


def folder(text: str) -> Path:
    """A folder that can be written in, or made."""
    path = Path(text)
    if path.is_file():
        raise BadTask(f"“{text}” is a file.", "Name a folder.")
    _check_room(path)
    return path


def _check_room(path: Path) -> None:
    try:
        here = next(each for each in (path, *path.parents) if each.exists())
        if here == path and path.is_file():
            path.open("ab").close()
        else:
            tempfile.TemporaryFile(dir=here).close()
    except OSError as error:
        raise BadTask(f"“{path}” cannot be written ({error.strerror}).", "Name another.") from error


class Commands:
    """What adds commands to a parser: each is called and described as its function is.

    `elsewhere` describes commands whose words are read by another parser.
    """

    def __init__(
        self, made: argparse.ArgumentParser, metavar: str = "COMMAND", **elsewhere: str
    ) -> None:
        self._found = made.add_subparsers(required=True, metavar=metavar)
        for name, told in elsewhere.items():
            self._found.add_parser(name, help=told, add_help=False)

    def __call__(self, function: Command, name: str = "") -> argparse.ArgumentParser:
        """A command's own parser."""
        told = function.__doc__
        made = self._found.add_parser(name or function.__name__, help=told, description=told)
        made.set_defaults(run=function)
        made.add_argument("--json", action="store_true", help="print JSON instead of words")
        made.add_argument(
            "--weights", type=Path, help=f"local weights folder (or {zoo.WEIGHTS_VARIABLE})"
        )
        return made

    def group(self, name: str, told: str, metavar: str) -> Commands:
        """A command that has commands of its own."""
        return Commands(self._found.add_parser(name, help=told, description=told), metavar)


def seeded(made: argparse.ArgumentParser) -> None:
    """A seed."""
    made.add_argument("--seed", type=whole(0, MOST_SEED), default=0)


def stacked(made: argparse.ArgumentParser) -> None:
    """What stands on the model when it is judged, and when it is attacked."""
    for option, told in (
        ("--alter", "judge the model with this on it; several stand on one another"),
        ("--craft-on", f"attack the model with this on it instead; {BARE}: nothing"),
    ):
        made.add_argument(option, type=stack, action="extend", metavar="ALTERATION", help=told)
    made.set_defaults(alter=[])


def over_folder(made: argparse.ArgumentParser) -> None:
    """A folder of labelled pictures, how many of them, and where the report goes."""
    made.add_argument("folder", type=Path, metavar="FOLDER")
    made.add_argument("--limit", type=whole(1), help="so many pictures, even over the classes")
    made.add_argument("--batch", type=whole(1), default=32)
    made.add_argument("--out", type=file, metavar="FILE")


def resumable(made: argparse.ArgumentParser) -> None:
    """A folder for finished batches."""
    made.add_argument("--keep", type=folder, help="folder that lets a killed run resume")


def turning(made: argparse.ArgumentParser, kind: type[Knobbed], *but: str) -> None:
    """An option for every knob of a kind of settings, other than those named."""
    for knob in knobs(kind):
        if knob.name not in but:
            made.add_argument(
                f"--{knob.name.replace('_', '-')}",
                type=knob.parse,
                default=knob.default,
                metavar="|".join((*knob.choices, *["NAME"] * knob.open)) or knob.kind.upper(),
                help=f"{knob.help} {knob.allowed}; default {knob.show(knob.default)}".replace(
                    "%", "%%"
                ),
            )


def turned(arguments: argparse.Namespace, kind: type[Settings]) -> Settings:
    """The settings that `turning` asked for."""
    given = vars(arguments)
    return kind(**{each.name: given[each.name] for each in knobs(kind) if each.name in given})


def stack(word: str) -> Stack:
    """Alterations, `int8:threshold=4` or `ats|int8`; none where it is `bare`."""
    return () if word == BARE else catalog.parse_stack(word)


def settings(words: Sequence[str]) -> dict[str, str]:
    """`KNOB=VALUE` as pairs."""
    pairs: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise BadTask(f"“{word}” is not a setting.", "Write --set KNOB=VALUE.")
        pairs[name] = value
    return pairs


def picture(word: str) -> Image.Image:
    """The picture in a file, or `sample:ID`."""
    if word.startswith(SAMPLE):
        return load_sample(word.removeprefix(SAMPLE))
    return decode(Path(word))


def called(word: str) -> str:
    """What that picture is called."""
    return word.removeprefix(SAMPLE) if word.startswith(SAMPLE) else Path(word).name


def check_known(models: Iterable[str], weights: Path | None) -> None:
    """Say now, not after hours, that there is no such model; raises UnknownName."""
    for name in models:
        for each in members(name):
            model, _, stack = each.partition(catalog.ON)
            zoo.card(model, weights)
            catalog.parse_stack(stack)


def progress(events: Iterable[Any], arguments: argparse.Namespace) -> Iterator[Any]:
    """Show progress events on a bar and pass everything else on."""
    with tqdm(unit="step", disable=arguments.json) as bar:
        for event in events:
            if isinstance(event, Progress):
                bar.total, bar.n = event.total, event.done
                bar.refresh()
            else:
                yield event


def show(
    arguments: argparse.Namespace, data: Mapping[str, Any] | Sequence[Any], lines: Iterable[str]
) -> None:
    """Print the answer, as JSON or in words."""
    print(dumps(data) if arguments.json else "\n".join(lines))


def write(path: Path, report: Mapping[str, Any]) -> None:
    """Write a report as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dumps(report) + "\n", encoding="utf-8")


def dumps(data: Mapping[str, Any] | Sequence[Any]) -> str:
    """JSON as this program writes it."""
    return json.dumps(data, indent=2, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not JSON")
