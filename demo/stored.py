"""Whether what ships computed in `assets/` is still what is here would make, and its renewal.

A result of other weights, pictures or settings is stale. Where only code has changed, a cheap part
is computed again: the result is current if that gives the same. What is stale is computed anew,
the quick ones first; `--check` only says so. `tests/demo/kit/test_stored.py` asks the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open
from tqdm import tqdm

from demo.cost import first as cost
from demo.cost_tokens import first as cost_tokens
from demo.defend import first as defend
from demo.defend_tokens import first as armour
from demo.kit.stored import FOLDER, Stored
from demo.lab import first as lab
from demo.transfer import first as transfer
from demo.transfer.first import Photographs
from demo.why import first as why
from demo.why_masked import first as masked
from engine.alter.ensemble import members
from engine.core.errors import EngineError
from engine.evaluate.store import fingerprint
from engine.evaluate.transfer import bare
from engine.model import tokenfile, zoo
from engine.model.tokenfile import Tokens

WORDS = {
    "current": "current",
    "missing": "missing",
    "damaged": "stale: cannot be read",
    "stale": "stale: of other weights, pictures or settings",
}
SAME = "current: the code has changed, a part made again is the same"
MOST_TOLD = 4
OTHERS = {
    "studies/aas_at_*.json": (
        "python -m engine claims aas_at FOLDER --model NAME --targets NAMES --out FILE"
    ),
    "studies/aas_vit_*.json": "python -m engine claims aas FOLDER --model NAME --out FILE",
    "studies/aas_deit_*.json": "python -m engine claims aas FOLDER --model NAME --out FILE",
    "studies/aas_saturation_*.json": "python -m engine saturate FOLDER --model NAME --out FILE",
    "studies/desparsify_*.json": (
        "python -m engine claims desparsify FOLDER --model NAME --out FILE"
    ),
    "studies/quant_*.json": "python -m engine claims quant FOLDER --model NAME --out FILE",
    "studies/robustness_tokens_*.json": (
        "python -m engine claims robustness_tokens FOLDER --model NAME --out FILE"
    ),
    "studies/tgr_*.json": "python -m engine ablate FOLDER --model NAME --out FILE",
    "tokens/*.safetensors": "python -m engine tokens train FOLDER --model NAME",
    "universal/quantattack_*.safetensors": "python -m engine universal quant FOLDER --model NAME",
    "universal/desparsify_*.safetensors": (
        "python -m engine universal desparsify FOLDER --model NAME [--label CLASS] [--kind patch]"
    ),
    "samples/photographs.json": "python -m assets.samples.measure FOLDER",
    "samples/measured.json": "python -m assets.samples.measure",
}
"""What else ships computed, and what computes it, from labelled pictures that do not ship."""


def results(photographs: Photographs | None = None) -> tuple[Stored, ...]:
    """What stands on the pages, by its cost: seconds, but minutes for the last."""
    quick = lab, why, cost, cost_tokens, defend, armour, masked
    return *(each.RESULT for each in quick), transfer.result(photographs)


def look(result: Stored) -> tuple[bool, list[str]]:
    """Whether a result is current, and why not.

    Of one that only its code has left behind a part is computed; if that is the same, it is noted.
    """
    state = result.state()
    if state != "due":
        return state == "current", [WORDS[state]]
    if found := result.differences():
        more = [f"and {len(found) - MOST_TOLD} more"] * (len(found) > MOST_TOLD)
        return False, ["stale: a part made again differs", *found[:MOST_TOLD], *more]
    result.approve()
    return True, [SAME]


def renew(result: Stored) -> bool:
    """Compute it with a bar, and say what came of it."""
    with tqdm(desc=result.file, unit="step", leave=False) as bar:

        def told(done: int, total: int) -> None:
            bar.total, bar.n = total, done
            bar.refresh()

        try:
            bytes_ = result.renew(told)
        except EngineError as problem:
            say(result.file, [f"not renewed: {problem}"])
            return False
    say(result.file, [f"renewed: {bytes_ / 1e6:.2f} MB"])
    return True


def others() -> Iterator[tuple[Path, list[str]]]:
    """Each other file that ships computed, and how it stands; last, what computes it."""
    for pattern, command in OTHERS.items():
        for path in sorted(FOLDER.glob(pattern)):
            of = weights(path)
            changed = _changed(of or {})
            if of is None:
                yield path, ["names no weights"]
            else:
                yield path, [f"stale: {', '.join(changed)}", command] if changed else ["current"]


def weights(path: Path) -> Mapping[str, str] | None:
    """The SHA-256 of the weights that a file was made with, by model, if the file says so."""
    if path.parent == tokenfile.SHIPPED:
        return _of_tokens(tokenfile.opened(path))
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as opened:
            about: dict[str, str] = opened.metadata() or {}
        if not about.get("weights"):
            return None
        models = (each.strip() for each in members(bare(about["victim"])))
        return dict(zip(models, members(about["weights"]), strict=True))
    found: Any = json.loads(path.read_text(encoding="utf-8")).get("weights")
    return found or None


def _of_tokens(tokens: Tokens) -> Mapping[str, str]:
    """Their card has a hash of the weights as they are read: the file's own where these are here."""
    made_with = str(tokens.card["weights"])
    bundled = {each.name: each for each in zoo.cards() if each.source == "bundled"}
    card = bundled.get(tokens.model)
    if card and fingerprint(zoo.load(card.name)) == made_with:
        return {card.name: card.sha256}
    return {tokens.model: made_with}


def _changed(of: Mapping[str, str]) -> list[str]:
    here = {each.name: each.sha256 for each in zoo.cards() if each.source == "bundled"}
    return [f"other weights of {name}" for name, sha in of.items() if here.get(name, sha) != sha]


def say(file: object, lines: Sequence[str]) -> None:
    """A file, and the lines on it."""
    print(f"{file}: {lines[0]}", *lines[1:], sep="\n    ")


def main(words: Sequence[str] | None = None) -> int:
    """Say what is stale, and unless `--check` renew it; 1 where something stays stale."""
    parser = argparse.ArgumentParser(prog="python -m demo.stored", description=__doc__)
    parser.add_argument("files", nargs="*", metavar="FILE", help="renew these, stale or not")
    parser.add_argument("--check", action="store_true", help="say what is stale, renew nothing")
    parser.add_argument("--photographs", type=Path, metavar="FOLDER", help="for the Transfer map")
    parser.add_argument("--limit", type=int, default=60, help="so many, even over the classes")
    parser.add_argument("--name", default="Imagenette’s val", help="what the folder is")
    asked = parser.parse_args(words)
    photographs = asked.photographs and Photographs(asked.photographs, asked.limit, asked.name)
    good = True
    for result in results(photographs):
        current, lines = look(result)
        say(result.file, lines)
        if not asked.check and (not current or result.file in asked.files):
            current = renew(result)
        good &= current
    for path, lines in others():
        say(path.relative_to(FOLDER), lines)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
