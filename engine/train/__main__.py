"""`python -m engine.train RECIPE`: train one model of the bundled zoo, one line an epoch."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from engine.core.errors import EngineError
from engine.train import RECIPES, Epoch, Finished, train
from engine.train.options import with_inner, with_scaling, with_seed


def main(argv: list[str] | None = None) -> int:
    """Run the command line; 0 when the model is written, 2 after a mistake the caller can mend."""
    asked = _parser().parse_args(argv)
    try:
        recipe = with_scaling(with_inner(RECIPES[asked.recipe], asked.inner), asked.aas_every)
        recipe = with_seed(recipe, asked.seed)
        events = train(
            recipe,
            asked.data,
            asked.out or Path("runs") / recipe.name,
            models=asked.models,
            epochs=asked.epochs,
            resume=asked.resume,
            device=asked.device,
            seed=asked.seed,
            teachers=asked.teachers,
        )
        for event in events:
            sys.stdout.write(_line(event) + "\n")
            sys.stdout.flush()
    except EngineError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engine train", description=__doc__)
    parser.add_argument("recipe", choices=tuple(RECIPES))
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("data/imagenette160"),
        help="folder with train/ and val/, one folder of pictures per class",
    )
    parser.add_argument(
        "--inner",
        action="append",
        default=[],
        metavar="KNOB=VALUE",
        help="the inner attack of adversarial training: steps=10, eps=8/255, step=2/255, start=near",
    )
    parser.add_argument(
        "--aas-every",
        type=int,
        default=0,
        metavar="EPOCHS",
        help="adversarial training with the attention-scaling step in every so many epochs (AAS-AT)",
    )
    parser.add_argument("--epochs", type=int, help="instead of the recipe's own number")
    parser.add_argument("--resume", action="store_true", help="go on from the last epoch in --out")
    parser.add_argument("--out", type=Path, help="where the checkpoint lives (runs/RECIPE)")
    parser.add_argument("--models", type=Path, default=Path("assets/models"))
    parser.add_argument("--teachers", type=Path, help="folder of timm weights, NAME.safetensors")
    parser.add_argument(
        "--seed", type=int, default=0, help="any but 0 makes a model of its own, NAME_seed1"
    )
    parser.add_argument("--device", type=torch.device, help="cpu, cuda, cuda:1, mps")
    return parser


def _line(event: Epoch | Finished) -> str:
    if isinstance(event, Finished):
        return f"{event.path}: {event.card['measured']}"
    return (
        f"epoch {event.epoch:>3}/{event.epochs}  loss {event.loss:.4f}  "
        f"val {event.val_accuracy:.2%}  {event.seconds:.1f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
