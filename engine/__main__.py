"""The headless door: `python -m engine COMMAND`. Everything the page does, without the page."""

from __future__ import annotations

import argparse
import io
import json
import math
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from PIL import Image
from tqdm import tqdm

from engine import reproduce, studio
from engine.alter.ensemble import members
from engine.attack.catalog import RECIPES, parse
from engine.attack.recipe import Recipe
from engine.attack.universal import SHIPPED, Universal
from engine.core.errors import BadTask, EngineError
from engine.core.knobs import knobs
from engine.data.decode import decode
from engine.data.samples import load_sample, samples
from engine.evaluate import evaluate as measuring
from engine.evaluate import familiar as knowing
from engine.evaluate import universal as perturbing
from engine.evaluate.bench import bench as measure_speed
from engine.evaluate.parallel import place
from engine.evaluate.transfer import Cell, Progress, table
from engine.model import zoo
from engine.papers.quant import claims as quant_claims
from engine.papers.quant import study as quant_file
from engine.papers.quant.reading import Doing
from engine.papers.tgr import ablation
from engine.papers.tgr import claims as claims_tgr
from engine.train import __main__ as training

# The largest that every reader of a JSON file holds exactly.
MOST_SEED = 2**53 - 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; exit status 2 and one sentence where the caller can mend the request."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["train"]:
        return training.main(words[1:])
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # where it knows no “×”, the rest is still said
    try:
        arguments = parser().parse_args(words)
        arguments.run(arguments)
    except EngineError as error:
        print(f"engine: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("engine: stopped", file=sys.stderr)
        return 130
    return 0


def models(arguments: argparse.Namespace) -> None:
    """Which models there are, with size, licence and where they come from."""
    found = zoo.cards(arguments.weights)
    rows = [
        {
            "name": each.name,
            "title": each.title,
            "family": each.family,
            "task": each.task,
            "classes": each.classes,
            "input_size": each.input_size,
            "source": each.source,
            "available": zoo.available(each),
            "parameters": each.params or None,
            "license": each.license,
            "sha256": each.sha256 or None,
            "measured": dict(each.measured),
        }
        for each in found
    ]
    lines = [
        f"{row['name']:34} {row['source']:8} {row['available']:13} {row['classes']:>5} classes"
        f"  {row['input_size']} px  {row['title']}"
        for row in rows
    ]
    rest = (*zoo.problems(arguments.weights), "Any other timm classifier can be named, too.")
    _show(arguments, rows, [*lines, *rest])


def familiar(arguments: argparse.Namespace) -> None:
    """How well a model's largest logit tells pictures of its classes from others; onto its card."""
    found = knowing.measure(
        zoo.load(arguments.model, arguments.weights), arguments.known, arguments.strangers
    )
    card = zoo.card(arguments.model, arguments.weights)
    if card.source == "bundled":
        knowing.write(card, found)
    told = (
        f"{card.title} is not sure below {found.threshold:g}: {found.flags:.1%} of {found.known} "
        f"pictures of its classes, {found.catches:.1%} of {found.strangers} others."
    )
    _show(arguments, asdict(found), [told])


def attacks(arguments: argparse.Namespace) -> None:
    """Which attacks there are, with their knobs, ranges and units."""
    rows = [
        {
            "name": each.name,
            "title": each.title,
            "paper": each.paper,
            "knobs": [
                {
                    "name": knob.name,
                    "label": knob.label,
                    "kind": knob.kind,
                    "default": knob.default,
                    "low": knob.low,
                    "high": knob.high,
                    "unit": knob.unit,
                    "choices": list(knob.choices),
                    "help": knob.help,
                }
                for knob in knobs(each)
            ],
        }
        for each in RECIPES
    ]
    lines: list[str] = []
    for recipe in RECIPES:
        lines += [f"{recipe.name}: {recipe.title}", f"    {recipe.paper}"]
        lines += [
            f"    --set {each.name}={each.show(each.default):12} {each.allowed}. {each.help}"
            for each in knobs(recipe)
        ]
    _show(arguments, rows, lines)


def probes(arguments: argparse.Namespace) -> None:
    """What is observed inside the model during an attack, and which sites it needs."""
    rows = [
        {
            "name": name,
            "title": title,
            "sites": sorted(sites),
            "available_on": "plain ViT and DeiT" if name == "tokens" else "models with these sites",
        }
        for name, title, sites in studio.PROBES
    ]
    lines = [f"{row['name']:11} {row['title']} (sites: {', '.join(row['sites'])})" for row in rows]
    _show(arguments, rows, lines)


def attack(arguments: argparse.Namespace) -> None:
    """Attack one picture; write the adversarial PNG, the perturbation NPZ and the result JSON."""
    recipe = parse(arguments.attack, _settings(arguments.set))
    _check_known(arguments)
    image = _picture(arguments.image)
    for name in arguments.targets:
        zoo.load(name, arguments.weights)
    spec = zoo.load(arguments.model, arguments.weights).spec
    run = studio.Run(
        studio.Request(
            image=image,
            model=arguments.model,
            recipe=recipe,
            label=_class(spec.classes, arguments.label),
            target=_class(spec.classes, arguments.toward),
            seed=arguments.seed,
            others=tuple(arguments.targets),
            weights=arguments.weights,
            bfloat16=arguments.bf16,
            name=_named(arguments.image),
        )
    )
    most = recipe.steps if arguments.stop_after is None else arguments.stop_after
    with tqdm(total=min(most, recipe.steps), unit="step", disable=arguments.json) as bar:
        while not run.done and run.steps < most:
            event = run.advance()
            bar.set_postfix(loss=f"{event.loss:.3f}", fooled=event.success)
            bar.update()
    result = run.result()
    files = studio.save(result, arguments.out)
    report = studio.summary(result)
    _show(arguments, report, [studio.verdict(result), *(f"Written: {each}" for each in files)])


def _picture(word: str) -> Image.Image:
    """The picture in a file, or `sample:ID`."""
    if word.startswith(reproduce.SAMPLE):
        return load_sample(word.removeprefix(reproduce.SAMPLE))
    return decode(Path(word))


def _named(word: str) -> str:
    return (
        word.removeprefix(reproduce.SAMPLE)
        if word.startswith(reproduce.SAMPLE)
        else Path(word).name
    )


def _check_known(arguments: argparse.Namespace) -> None:
    """Say now, not after hours, that there is no such model; raises UnknownName."""
    sources = [arguments.model] if isinstance(arguments.model, str) else arguments.model
    for name in (*(each for source in sources for each in members(source)), *arguments.targets):
        zoo.card(name, arguments.weights)


def evaluate(arguments: argparse.Namespace) -> None:
    """Clean accuracy and accuracy under attack on a folder, and on other models."""
    settings = _settings(arguments.set)
    _check_known(arguments)
    events = measuring.evaluate(
        arguments.folder,
        arguments.model,
        [parse(name, settings) for name in arguments.attack],
        arguments.targets,
        limit=arguments.limit,
        seed=arguments.seed,
        batch=arguments.batch,
        weights=arguments.weights,
        keep=arguments.keep,
        bfloat16=arguments.bf16,
    )
    for found in _progress(events, arguments):
        report = measuring.summary(found)
        if arguments.out:
            _write(arguments.out, report)
        if arguments.csv:
            arguments.csv.write_text(table(found.matrix.cells), encoding="utf-8")
        _show(arguments, report, [_line(cell) for cell in found.matrix.cells])


def ablate(arguments: argparse.Namespace) -> None:
    """Which part of TGR helps on this source and which costs, each on its own, against MI-FGSM."""
    _check_known(arguments)
    events = ablation.ablate(
        arguments.folder,
        arguments.model,
        arguments.targets,
        ablation.settings(
            [parse("tgr", {"eps": word}).eps for word in arguments.eps],
            steps=parse("tgr", {"steps": arguments.steps}).steps,
        ),
        limit=arguments.limit,
        seed=arguments.seed,
        batch=arguments.batch,
        weights=arguments.weights,
        keep=arguments.keep,
    )
    entries = list(_progress(events, arguments))
    if not place().leads:
        return
    report = ablation.summary(
        entries,
        source=arguments.model,
        targets=arguments.targets,
        folder=arguments.folder.name,
        seed=arguments.seed,
    )
    if arguments.out:
        _write(arguments.out, report)
    _show(arguments, report, [ablation.markdown(entries)])


def claims(arguments: argparse.Namespace) -> None:
    """A paper's claims, measured here: claim, measured, expected, holds or not."""
    _check_known(arguments)
    if arguments.system == "quant":
        _claims_quant(arguments)
        return
    if not arguments.targets:
        raise BadTask("These claims are about transfer.", "Give --targets.")
    events = claims_tgr.claims(
        arguments.folder,
        arguments.model,
        arguments.targets,
        eps=parse("tgr", {"eps": arguments.eps or "16/255"}).eps,
        limit=arguments.limit,
        seed=arguments.seed,
        batch=arguments.batch,
        weights=arguments.weights,
        keep=arguments.keep,
    )
    rows = list(_progress(events, arguments))
    if not place().leads:
        return
    report = claims_tgr.summary(rows)
    if arguments.out:
        _write(arguments.out, report)
    _show(arguments, report, [claims_tgr.markdown(rows)])


def _claims_quant(arguments: argparse.Namespace) -> None:
    if arguments.keep:
        raise BadTask("These claims cannot be resumed.", "Leave --keep out.")
    chosen = quant_claims.Settings(
        threshold=arguments.threshold,
        share=arguments.share,
        eps=parse("quantattack", {"eps": arguments.eps or "8/255"}).eps,
        steps=arguments.steps,
        form=arguments.form,
        calibration=arguments.calibration,
        batch=arguments.batch,
        seed=arguments.seed,
    )
    events = quant_claims.claims(
        arguments.folder,
        arguments.model,
        chosen,
        limit=arguments.limit,
        weights=arguments.weights,
    )
    found = list(_progress(events, arguments))
    rows = [each for each in found if isinstance(each, quant_claims.Row)]
    study = quant_file.Study.of(each for each in found if not isinstance(each, quant_claims.Row))
    chosen = replace(chosen, threshold=study.about.threshold)
    report = {**quant_file.data(study), "claims": quant_claims.summary(rows, chosen)}
    if arguments.out:
        _write(arguments.out, report)
    _show(arguments, report, [quant_claims.markdown(rows)])


def universal(arguments: argparse.Namespace) -> None:
    """Train one perturbation for any picture of a model, measured on pictures held out."""
    zoo.card(arguments.model, arguments.weights)
    out = arguments.out or _file(str(SHIPPED / f"{arguments.model}.safetensors"))
    events = perturbing.universal(
        arguments.folder,
        arguments.model,
        out,
        perturbing.Settings(
            eps=parse("quantattack", {"eps": arguments.eps}).eps,
            epochs=arguments.epochs,
            batch=arguments.batch,
            form=arguments.form,
            threshold=arguments.threshold,
            share=arguments.share,
            seed=arguments.seed,
        ),
        limit=arguments.limit,
        resume=arguments.resume,
        weights=arguments.weights,
    )
    for made in _progress(events, arguments):
        _show(arguments, _header(made), [_trained(made)])


def _header(made: Universal) -> dict[str, Any]:
    """What a perturbation's file says of it."""
    about = {key: value for key, value in vars(made).items() if key != "delta"}
    return about | {"measured": made.measured and asdict(made.measured)}


def _trained(made: Universal) -> str:
    measured = made.measured
    assert measured is not None  # the last event has it
    return (
        f"{made.epochs} epochs on {made.pictures} pictures; outlier columns at {made.threshold:.4g} on "
        f"{measured.pictures} others: clean {measured.clean:.1f}, with it {measured.attacked:.1f}, "
        f"with noise of its size {measured.noise:.1f}"
    )


def bench(arguments: argparse.Namespace) -> None:
    """Speed as ratios to the bare timm model, all from one run."""
    victim = zoo.load(arguments.model, arguments.weights)
    picture = load_sample(samples()[0].id)

    def whole(recipe: Recipe) -> studio.Result:
        run = studio.Run(
            studio.Request(picture, arguments.model, recipe, weights=arguments.weights)
        )
        while not run.done:
            run.advance()
        return run.result()

    rows: list[dict[str, Any]] = []
    for row in measure_speed(victim, whole, batches=tuple(arguments.batches)):
        rows.append({**asdict(row), "ratio": row.ratio})
        if not arguments.json:
            print(
                f"{row.what:28} batch {row.batch:<3} {row.seconds * 1000:8.1f} ms  "
                f"{row.ratio:5.3f} x {row.against} ({row.device})"
            )
    if arguments.json:
        print(json.dumps(rows, indent=2))


def _progress(events: Iterable[Any], arguments: argparse.Namespace) -> Iterator[Any]:
    """Show progress events on a bar and pass everything else on."""
    with tqdm(unit="step", disable=arguments.json) as bar:
        for event in events:
            if isinstance(event, Progress | Doing):
                bar.total, bar.n = event.total, event.done
                bar.refresh()
            else:
                yield event


def _line(cell: Cell) -> str:
    """One cell of a transfer matrix in words."""
    low, high = cell.success.interval
    return (
        f"{cell.source} -> {cell.target}, {cell.recipe.name}: clean {cell.clean.value:.1%}, "
        f"under attack {cell.attacked.value:.1%}, success {cell.success.value:.1%} "
        f"[{low:.1%}, {high:.1%}] of {cell.success.of} that were right"
    )


def _write(path: Path, report: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2, default=_plain) + "\n", encoding="utf-8")


def _settings(words: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise BadTask(f"“{word}” is not a setting.", "Write --set KNOB=VALUE.")
        pairs[name] = value
    return pairs


def _class(classes: tuple[str, ...], word: str | None) -> int | None:
    return None if word is None else studio.class_index(classes, word)


def _show(arguments: argparse.Namespace, data: object, lines: Iterable[str]) -> None:
    if arguments.json:
        print(json.dumps(data, indent=2, default=_plain))
    else:
        print("\n".join(lines))


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not JSON")


class _Parser(argparse.ArgumentParser):
    """One that says what is wrong as everything else here does: in a sentence."""

    def error(self, message: str) -> NoReturn:
        sentence = f"{message[0].upper()}{message[1:].removesuffix('.')}."
        raise BadTask(sentence, f"See {self.prog} --help.")


def _from(least: int, most: int | None = None) -> Callable[[str], int]:
    """A whole number in that range."""
    words = f"from {least}" + ("" if most is None else f" to {most}")

    def number(text: str) -> int:
        found = int(text) if text.isdecimal() and len(text) < 20 else -1
        if found < least or (most is not None and found > most):
            raise argparse.ArgumentTypeError(f"“{text}” is no whole number {words}.")
        return found

    return number


def _size(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 < found < math.inf:
        raise argparse.ArgumentTypeError(f"“{text}” is no number above 0.")
    return found


def _share(text: str) -> float:
    found = 0.0 if text in ("0", "0.0") else _size(text)
    if found >= 1:
        raise argparse.ArgumentTypeError(f"“{text}” is no share below 1.")
    return found


def _file(text: str) -> Path:
    """A file that can be written, found out without leaving anything behind."""
    path = Path(text)
    if path.is_dir():
        raise BadTask(f"“{text}” is a folder.", "Name a file.")
    _check_room(path)
    return path


def _folder(text: str) -> Path:
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


def parser() -> argparse.ArgumentParser:
    """The command line of `python -m engine`."""
    made = _Parser(prog="python -m engine", description=__doc__)
    commands = made.add_subparsers(required=True, metavar="COMMAND")

    def command(function: Any) -> argparse.ArgumentParser:
        made = commands.add_parser(
            function.__name__, help=function.__doc__, description=function.__doc__
        )
        made.set_defaults(run=function)
        made.add_argument("--json", action="store_true", help="print JSON instead of words")
        made.add_argument(
            "--weights", type=Path, help=f"local weights folder (or {zoo.WEIGHTS_VARIABLE})"
        )
        return made

    def crafting(made: argparse.ArgumentParser, many: bool) -> None:
        number: dict[str, Any] = {"nargs": "+"} if many else {}
        made.add_argument(
            "--model", required=True, help="a name from `models`, or a timm name", **number
        )
        made.add_argument("--attack", required=True, help="a name from `attacks`", **number)
        made.add_argument("--set", action="append", default=[], metavar="KNOB=VALUE")
        made.add_argument("--targets", nargs="+", default=[], metavar="T", help="other models")
        made.add_argument("--seed", type=_from(0, MOST_SEED), default=0)
        made.add_argument("--bf16", action="store_true", help="craft in bfloat16")

    def over_folder(made: argparse.ArgumentParser) -> None:
        made.add_argument("folder", type=Path, metavar="FOLDER")
        made.add_argument("--limit", type=_from(1), help="so many pictures, even over the classes")
        made.add_argument("--batch", type=_from(1), default=32)
        made.add_argument("--out", type=_file, metavar="FILE")

    def resumable(made: argparse.ArgumentParser) -> None:
        made.add_argument("--keep", type=_folder, help="folder that lets a killed run resume")

    def quantized(made: argparse.ArgumentParser, form: str) -> None:
        made.add_argument("--threshold", type=_size, default=6.0, help="int8: the outliers' size")
        made.add_argument(
            "--share", type=_share, default=0.0, help="int8: set it by this share of clean columns"
        )
        made.add_argument("--form", default=form, choices=("code", "paper", "count"))

    for listing in (models, attacks, probes):
        command(listing)
    knows = command(familiar)
    knows.add_argument("known", type=Path, help="folder of pictures of the model's classes")
    knows.add_argument("strangers", type=Path, help="folder of pictures of ImageNet's classes")
    knows.add_argument("--model", required=True)
    one = command(attack)
    one.add_argument("image", metavar="IMAGE", help="a file, or sample:ID")
    crafting(one, many=False)
    one.add_argument("--label", help="true class; default: what the model sees")
    one.add_argument("--toward", metavar="CLASS", help="class that a targeted attack aims at")
    one.add_argument(
        "--stop-after", type=_from(0), metavar="N", help="take no more steps than these"
    )
    one.add_argument("--out", type=_folder, required=True, metavar="DIR")
    folder = command(evaluate)
    over_folder(folder)
    resumable(folder)
    crafting(folder, many=True)
    folder.add_argument("--csv", type=_file, metavar="FILE.csv")
    parts = command(ablate)
    over_folder(parts)
    resumable(parts)
    parts.add_argument("--model", required=True, help="the source")
    parts.add_argument("--targets", nargs="+", required=True, metavar="T")
    parts.add_argument("--eps", nargs="+", default=["8/255", "16/255"], help="budgets")
    parts.add_argument("--steps", default="10")
    parts.add_argument("--seed", type=_from(0, MOST_SEED), default=0)
    paper = command(claims)
    paper.add_argument("system", choices=("tgr", "quant"))
    over_folder(paper)
    resumable(paper)
    paper.add_argument("--model", required=True, help="the source")
    paper.add_argument("--targets", nargs="+", default=[], metavar="T", help="tgr: other models")
    paper.add_argument("--eps", help="default: 16/255 for tgr, 8/255 for quant")
    paper.add_argument("--seed", type=_from(0, MOST_SEED), default=0)
    quantized(paper, "code")
    paper.add_argument("--steps", type=_from(1), default=300, help="quant: steps of QuantAttack")
    paper.add_argument("--calibration", type=_from(1), default=32, help="quant: pictures set apart")
    one_for_all = command(universal)
    over_folder(one_for_all)
    one_for_all.add_argument("--model", required=True)
    one_for_all.add_argument("--eps", default="8/255")
    one_for_all.add_argument("--epochs", type=_from(1), default=20)
    one_for_all.add_argument("--resume", action="store_true", help="go on from the saved epoch")
    one_for_all.add_argument("--seed", type=_from(0, MOST_SEED), default=0)
    one_for_all.set_defaults(batch=8)
    quantized(one_for_all, "count")
    speed = command(bench)
    speed.add_argument("--model", default="vit_imagenette")
    speed.add_argument("--batches", type=_from(1), nargs="+", default=[1, 8])
    commands.add_parser("train", help="Train a bundled model by its recipe.", add_help=False)
    return made


if __name__ == "__main__":
    sys.exit(main())
