"""The headless door: `python -m engine COMMAND`. Everything the page does, without the page."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

from tqdm import tqdm

from engine import arguments, studio, tokens
from engine.alter.alteration import Alteration
from engine.alter.catalog import ALTERATIONS
from engine.alter.stack import named
from engine.attack.catalog import RECIPES, parse
from engine.attack.recipe import Recipe
from engine.core.errors import EngineError
from engine.core.knobs import knobs
from engine.data.decode import fit
from engine.data.labels import class_index
from engine.data.samples import load_sample, samples
from engine.evaluate import evaluate as measuring
from engine.evaluate import familiar as knowing
from engine.evaluate.bench import bench as measure_speed
from engine.evaluate.bench import bench_sparse
from engine.evaluate.transfer import table
from engine.model import published, zoo
from engine.model.sites import Site
from engine.papers import commands as papers
from engine.probe.catalog import PROBES
from engine.train import __main__ as training
from engine.train.speed import bench_tokens


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; exit status 2 and one sentence where the caller can mend the request."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["train"]:
        return training.main(words[1:])
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # where it knows no “×”, the rest is still said
    try:
        asked = parser().parse_args(words)
        asked.run(asked)
    except EngineError as error:
        print(f"engine: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("engine: stopped", file=sys.stderr)
        return 130
    return 0


def models(asked: argparse.Namespace) -> None:
    """Which models there are, with size, licence and where they come from."""
    found = zoo.cards(asked.weights)
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
    rest = (*zoo.problems(asked.weights), "Any other timm classifier can be named, too.")
    arguments.show(asked, rows, [*lines, *rest])


def familiar(asked: argparse.Namespace) -> None:
    """How well a model's largest logit tells pictures of its classes from others; onto its card."""
    found = knowing.measure(zoo.load(asked.model, asked.weights), asked.known, asked.strangers)
    card = zoo.card(asked.model, asked.weights)
    if card.source == "bundled":
        knowing.write(card, found)
    told = (
        f"{card.title} is not sure below {found.threshold:g}: {found.flags:.1%} of {found.known} "
        f"pictures of its classes, {found.catches:.1%} of {found.strangers} others."
    )
    arguments.show(asked, asdict(found), [told])


def convert(asked: argparse.Namespace) -> None:
    """Make of a published A-ViT or AdaViT checkpoint a model of the weights folder."""
    card = published.convert(asked.file, asked.layout, asked.out)
    told = f"{card['title']}: --weights {asked.out} --model {card['name']}"
    arguments.show(asked, card, [told, f"Licence of the weights: {card['license']}."])


def attacks(asked: argparse.Namespace) -> None:
    """Which attacks there are, what success means, and their knobs, ranges and units."""
    _list(asked, RECIPES, "--set {}={:12}")


def alterations(asked: argparse.Namespace) -> None:
    """What can be done to a model before it is judged or attacked, with knobs, ranges and units."""
    _list(asked, ALTERATIONS, "{}={:12}")


def _list(
    asked: argparse.Namespace, kinds: Sequence[type[Recipe | Alteration]], written: str
) -> None:
    """Kinds of values that are made of knobs."""
    rows = [
        {
            "name": each.name,
            "title": each.title,
            "paper": each.paper,
            **({"success_means": each().criterion.goal} if issubclass(each, Recipe) else {}),
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
        for each in kinds
    ]
    lines: list[str] = []
    for kind in kinds:
        lines += [f"{kind.name}: {kind.title}", f"    {kind.paper}"]
        lines += [
            f"    {written.format(each.name, each.show(each.default))} {each.allowed}. {each.help}"
            for each in knobs(kind)
        ]
    arguments.show(asked, rows, lines)


def probes(asked: argparse.Namespace) -> None:
    """What is observed inside the model during an attack, and which sites it needs."""
    rows = [
        {
            "name": each.name,
            "title": each.title,
            "sites": sorted(each.sites | each.gradients),
            "available_on": each.models,
        }
        for each in PROBES
    ]
    lines = [f"{row['name']:11} {row['title']} (sites: {', '.join(row['sites'])})" for row in rows]
    arguments.show(asked, rows, lines)


def attack(asked: argparse.Namespace) -> None:
    """Attack one picture; write the adversarial PNG, the perturbation NPZ and the result JSON."""
    recipe = parse(asked.attack, arguments.settings(asked.set))
    arguments.check_known(_models(asked), asked.weights)
    image = arguments.picture(asked.image)
    for name in asked.targets:
        zoo.load(name, asked.weights)
    spec = named(asked.model, lambda name: zoo.load(name, asked.weights)).spec
    run = studio.Run(
        studio.Request(
            image=image,
            model=asked.model,
            recipe=recipe,
            label=_class(spec.classes, asked.label),
            target=_class(spec.classes, asked.toward),
            seed=asked.seed,
            others=tuple(asked.targets),
            weights=asked.weights,
            alter=tuple(asked.alter),
            craft_on=None if asked.craft_on is None else tuple(asked.craft_on),
            name=arguments.called(asked.image),
        )
    )
    steps = run.attack.steps
    most = steps if asked.stop_after is None else min(steps, asked.stop_after)
    with tqdm(total=most, unit="step", disable=asked.json) as bar:
        while run.steps < most and not run.done:
            event = run.advance()
            reached = {run.criterion.name: "yes" if event.success else "not yet"}
            bar.set_postfix({"loss": f"{event.loss:.3f}", **reached})
            bar.update()
    result = run.result()
    files = studio.save(result, asked.out)
    report = studio.summary(result)
    written = (f"Written: {each}" for each in files)
    arguments.show(asked, report, [studio.verdict(result), *result.told, *written])


def _models(asked: argparse.Namespace) -> tuple[str, ...]:
    sources = [asked.model] if isinstance(asked.model, str) else asked.model
    return (*sources, *asked.targets)


def evaluate(asked: argparse.Namespace) -> None:
    """Clean and robust accuracy on a folder, and how often attacks succeed on other models."""
    settings = arguments.settings(asked.set)
    arguments.check_known(_models(asked), asked.weights)
    events = measuring.evaluate(
        asked.folder,
        asked.model,
        [parse(name, settings) for name in asked.attack],
        asked.targets,
        limit=asked.limit,
        seed=asked.seed,
        batch=asked.batch,
        weights=asked.weights,
        keep=asked.keep,
        alter=tuple(asked.alter),
        craft_on=None if asked.craft_on is None else tuple(asked.craft_on),
    )
    for found in arguments.progress(events, asked):
        report = measuring.summary(found)
        if asked.out:
            arguments.write(asked.out, report)
        if asked.csv:
            asked.csv.write_text(table(found.matrix.cells), encoding="utf-8")
        arguments.show(asked, report, [measuring.line(cell) for cell in found.matrix.cells])


def bench(asked: argparse.Namespace) -> None:
    """Speed as ratios to the bare timm model, all from one run."""
    victim = named(asked.model, lambda name: zoo.load(name, asked.weights))
    picture, batches = load_sample(samples()[0].id), tuple(asked.batches)

    def whole(recipe: Recipe) -> studio.Result:
        run = studio.Run(studio.Request(picture, asked.model, recipe, weights=asked.weights))
        while not run.done:
            run.advance()
        return run.result()

    if Site.COST in victim.spec.sites:
        measured = bench_sparse(victim, fit(picture, victim.spec.input_size)[None], batches=batches)
    else:
        request = whole if victim.spec.full == asked.model else None  # of one bare model
        measured = chain(
            measure_speed(victim, request, batches=batches), bench_tokens(victim, batches=batches)
        )
    rows: list[dict[str, Any]] = []
    for row in measured:
        rows.append({**asdict(row), "ratio": row.ratio})
        if not asked.json:
            print(
                f"{row.what:28} batch {row.batch:<3} {row.seconds * 1000:8.1f} ms  "
                f"{row.ratio:5.3f} x {row.against} ({row.device})"
            )
    if asked.json:
        print(json.dumps(rows, indent=2))


def _class(classes: tuple[str, ...], word: str | None) -> int | None:
    return None if word is None else class_index(classes, word)


def parser() -> argparse.ArgumentParser:
    """The command line of `python -m engine`."""
    made = arguments.Parser(prog="python -m engine", description=__doc__)
    command = arguments.Commands(made, train="Train a bundled model by its recipe.")

    def crafting(made: argparse.ArgumentParser, many: bool) -> None:
        number: dict[str, Any] = {"nargs": "+"} if many else {}
        made.add_argument(
            "--model", required=True, help="a name from `models`, or a timm name", **number
        )
        made.add_argument("--attack", required=True, help="a name from `attacks`", **number)
        made.add_argument("--set", action="append", default=[], metavar="KNOB=VALUE")
        made.add_argument("--targets", nargs="+", default=[], metavar="T", help="other models")
        arguments.seeded(made)
        arguments.stacked(made)

    for listing in (models, attacks, alterations, probes):
        command(listing)
    knows = command(familiar)
    knows.add_argument("known", type=Path, help="folder of pictures of the model's classes")
    knows.add_argument("strangers", type=Path, help="folder of pictures of ImageNet's classes")
    knows.add_argument("--model", required=True)
    making = command(convert)
    making.add_argument("file", type=Path, metavar="FILE", help="such as small-10-75.pth")
    making.add_argument("--layout", choices=tuple(published.LAYOUTS), required=True)
    making.add_argument("--out", type=arguments.folder, required=True, metavar="FOLDER")
    one = command(attack)
    one.add_argument("image", metavar="IMAGE", help="a file, or sample:ID")
    crafting(one, many=False)
    one.add_argument("--label", help="true class; default: what the model sees")
    one.add_argument("--toward", metavar="CLASS", help="class that a targeted attack aims at")
    one.add_argument(
        "--stop-after", type=arguments.whole(0), metavar="N", help="take no more steps than these"
    )
    one.add_argument("--out", type=arguments.folder, required=True, metavar="DIR")
    folder = command(evaluate)
    arguments.over_folder(folder)
    arguments.resumable(folder)
    crafting(folder, many=True)
    folder.add_argument("--csv", type=arguments.file, metavar="FILE.csv")
    papers.declare(command)
    tokens.declare(command)
    speed = command(bench)
    speed.add_argument("--model", default="vit_imagenette")
    speed.add_argument("--batches", type=arguments.whole(1), nargs="+", default=[1, 8])
    return made


if __name__ == "__main__":
    sys.exit(main())
