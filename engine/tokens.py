"""What the command line does with Robustness Tokens: `tokens import`, `tokens train`, `tokens list`."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from engine import arguments
from engine.evaluate.progress import Progress
from engine.model import published, tokenfile, zoo
from engine.model.tokenfile import Card, Tokens
from engine.model.tokens import width
from engine.train.tokens import Step, TokenTraining, Trained, train_folder

PUBLISHED = {
    "dinov2/small": "vit_small_patch14_dinov2",
    "dinov2/base": "vit_base_patch14_dinov2",
    "dinov2/large": "vit_large_patch14_dinov2",
    "dinov2/giant": "vit_giant_patch14_dinov2",
    "dinov2/small_reg": "vit_small_patch14_reg4_dinov2",
    "dinov2/base_reg": "vit_base_patch14_reg4_dinov2",
    "dinov2/large_reg": "vit_large_patch14_reg4_dinov2",
    "dinov2/giant_reg": "vit_giant_patch14_reg4_dinov2",
    "deit3/base16": "deit3_base_patch16_224",
    "deit3/large16": "deit3_large_patch16_224",
    "deit3/huge14": "deit3_huge_patch14_224",
    "openclip/base16": "vit_base_patch16_clip_224.laion2b",
    "openclip/large14": "vit_large_patch14_clip_224.laion2b",
    "openclip/huge14": "vit_huge_patch14_clip_224.laion2b",
}
"""timm's names of the backbones that the published files are for (spec B6), by folder and file."""


def declare(command: arguments.Commands) -> None:
    """Add the command `tokens`."""
    group = command.group(
        "tokens", "Robustness Tokens: import published ones, train new ones, list all.", "ACTION"
    )
    reading = group(import_file, "import")
    reading.add_argument("file", type=Path, metavar="FILE", help="such as dinov2/small.pt")
    reading.add_argument("--model", help="whose they are; default: as they were published")
    _named(reading)
    learning = group(train)
    learning.add_argument("folder", type=Path, metavar="FOLDER", help="pictures, labelled or not")
    learning.add_argument("--model", required=True, help="a name from `models`, or a timm name")
    _named(learning)
    learning.add_argument("--limit", type=arguments.whole(1), metavar="N", help="so many pictures")
    learning.add_argument(
        "--skip", type=arguments.whole(0), default=0, metavar="N", help="after the first so many"
    )
    learning.add_argument("--val", type=Path, metavar="FOLDER", help="pictures to measure them on")
    learning.add_argument("--val-pictures", type=arguments.whole(1), default=64, metavar="N")
    learning.add_argument("--resume", action="store_true", help="go on from where it was killed")
    arguments.seeded(learning)
    arguments.turning(learning, TokenTraining)
    group(list_all, "list").add_argument("--model", help="those of one model only")


def _named(made: argparse.ArgumentParser) -> None:
    made.add_argument("--name", help="what they are called; default: as the model, its own")
    made.add_argument(
        "--out", type=arguments.folder, metavar="FOLDER", help="default: LAB_TOKENS, or runs/tokens"
    )


def import_file(asked: argparse.Namespace) -> None:
    """Make of a published file of tokens one that models here find; a pickle runs no code."""
    values = published.tokens(asked.file)
    called = f"{asked.file.resolve().parent.name}/{asked.file.stem}"
    model = asked.model or PUBLISHED.get(called, "")
    card = {
        "imported": called,
        "sha256": hashlib.sha256(asked.file.read_bytes()).hexdigest(),
    }
    name = asked.name or model or asked.file.stem
    path = tokenfile.write(Tokens(values, model, card), asked.out or tokenfile.folder(), name)
    found = tokenfile.card(path)
    arguments.show(asked, _row(found), [_line(found), f"Written: {path}"])


def train(asked: argparse.Namespace) -> None:
    """Train tokens for a model on a folder of pictures; --resume goes on after a kill."""
    victim = zoo.load(asked.model, asked.weights)
    name = asked.name or victim.spec.name
    tokenfile.file_name(name)  # refused now, not after hours
    width(victim)
    events = train_folder(
        victim,
        asked.folder,
        arguments.turned(asked, TokenTraining),
        asked.out or tokenfile.folder(),
        name,
        seed=asked.seed,
        limit=asked.limit,
        skip=asked.skip,
        resume=asked.resume,
        held_out=asked.val,
        held_out_pictures=asked.val_pictures,
    )
    for trained in _followed(events, asked):
        told = [f"Written: {trained.path}"]
        arguments.show(asked, {"file": str(trained.path), **trained.card}, told)


def list_all(asked: argparse.Namespace) -> None:
    """Which tokens there are here, for which model, and where they come from."""
    found = tokenfile.listed(asked.model)
    lines = [_line(each) for each in found] or ["There are no Robustness Tokens here."]
    arguments.show(asked, [_row(each) for each in found], [*lines, *tokenfile.problems()])


def _followed(
    events: Iterator[Progress | Step | Trained], asked: argparse.Namespace
) -> Iterator[Trained]:
    """The pictures that are made and both losses on one bar, and what comes of it."""
    with tqdm(disable=asked.json) as bar:
        for event in events:
            match event:
                case Trained():
                    yield event
                case Progress():
                    bar.total, bar.n = event.total, event.done
                    bar.set_description(event.what)
                case Step():
                    bar.total, bar.n = event.steps, event.step
                    bar.set_description("steps of Adam", refresh=False)
                    bar.set_postfix(clean=f"{event.inv:.3f}", attacked=f"{event.adv:.3f}")


def _row(card: Card) -> dict[str, Any]:
    return {
        "name": card.name,
        "model": card.model or None,
        "tokens": card.count,
        "width": card.width,
        "source": "shipped" if card.shipped else "local",
        "card": dict(card.details),
    }


def _line(card: Card) -> str:
    row = _row(card)
    whose = card.model or "a model that nobody named"
    told = f"{card.name:34} {row['source']:8} {card.count:>4} x {card.width:<5} for {whose}"
    match card.details.get("held_out"):
        case {
            "attacked_without": {"value": float(without)},
            "attacked_with": {"value": float(having)},
            "pictures": int(count),
        }:
            gain = f"{without:.2f} -> {having:.2f}"
            return f"{told}; attacked cosine {gain} on {count} pictures held out"
        case _:
            return told
