"""A report to take away: plain data that says what it was made of, and one CSV line for each block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from engine.core.figures import number
from engine.evaluate.claim import table as markdown_table
from engine.papers.desparsify.compare import ATTACKED, CLEAN, NOISE, Report
from engine.papers.export import Made, digest, sheet

SCHEMA = "vit-adversarial-lab/tokens/1"
SEEN = {CLEAN: "clean", NOISE: "noise", ATTACKED: "attacked"}


def summary(found: Report, made: Made) -> dict[str, Any]:
    """The report as plain data, versioned. MACs are counted, times are measured."""
    return {
        "schema": SCHEMA,
        **made.origin,
        "victim": found.model,
        "mechanism": found.mechanism,
        "steps": {"done": found.steps, "asked": found.asked},
        "measured_on": "8-bit pixels, as saved, each picture alone",
        "linf_255": found.linf,
        "macs_dense": found.dense,
        "macs_of": dict(found.formula),
        "pictures": {words: _seen(found, name) for name, words in SEEN.items()},
        "blocks": rows(found),
        "macs_by_step": [[each.step, each.seen.macs] for each in found.path],
        "elsewhere": [asdict(each) for each in found.elsewhere],
        "macs_a_picture_of_a_padded_batch": {
            str(each.size): {"all_clean": each.clean, "one_attacked": each.attacked}
            for each in found.batch
        },
        "countermeasures": [asdict(each) for each in found.defences],
        "seconds_of_a_pass": found.times
        and {SEEN.get(name, name): asdict(each) for name, each in found.times.items()},
        "machine": found.machine and asdict(found.machine),
        "bytes_at_the_worst_moment": _named(found.memory),
        "energy": {"joules": _named(found.energy), "meter": found.meter},
    }


def rows(found: Report) -> list[dict[str, Any]]:
    """Each block: tokens it uses on each picture, and how many of them the attack woke or put to sleep."""
    clean, attacked = found.seen[CLEAN], found.seen[ATTACKED]
    counts = {words: found.seen[name].tokens.tolist() for name, words in SEEN.items()}
    woken, slept = (x.sum(1).tolist() for x in (attacked.woken(clean), clean.woken(attacked)))
    return [
        {
            "block": block + 1,
            "decides": block in found.sparse,
            "tokens": clean.keep.shape[1],
            **{f"tokens_{words}": counts[words][block] for words in counts},
            "woken": woken[block],
            "put_to_sleep": slept[block],
        }
        for block in range(len(clean.keep))
    ]


def table(data: Mapping[str, Any]) -> str:
    """The blocks of a `summary` as CSV, every line with what it was made of."""
    return sheet(data, data["blocks"], victim=data["victim"])


def markdown(found: Report) -> str:
    """The report in tables: the picture as it was, under noise and attacked; elsewhere; defended."""
    names, times = list(SEEN), found.times
    pictures = {
        "picture": [SEEN[name] for name in names],
        "answer": [found.classes[found.seen[name].answer] for name in names],
        "GMACs": [_giga(found.seen[name].macs) for name in names],
        "gap closed": [f"{found.gap(name):.1%}" for name in names],
        "tokens used": [f"{found.seen[name].utilisation:.1%}" for name in names],
        "time of a pass": [
            f"{times[name].median * 1000:.1f} ms" if times else "" for name in names
        ],
    }
    elsewhere = {
        "the same pictures in": [each.title for each in found.elsewhere],
        "GMACs, clean": [_giga(each.clean) for each in found.elsewhere],
        "noise": [_giga(each.noise) for each in found.elsewhere],
        "attacked": [_giga(each.attacked) for each in found.elsewhere],
        "answer kept": [_yes(each.kept) for each in found.elsewhere],
    }
    defences = {
        "countermeasure": [each.name for each in found.defences],
        "GMACs, clean": [_giga(each.clean) for each in found.defences],
        "attacked": [_giga(each.attacked) for each in found.defences],
        "clean answer": [_yes(each.answer) for each in found.defences],
        "answer kept": [_yes(each.kept) for each in found.defences],
    }
    about = (
        f"{found.model} ({found.mechanism}), {_giga(found.dense)} GMACs if nothing slept, "
        f"{found.steps} steps, changed by at most {found.linf}/255\n"
    )
    return "\n".join((about, *map(markdown_table, (pictures, elsewhere, defences))))


def _seen(found: Report, name: str) -> dict[str, Any]:
    seen = found.seen[name]
    return {
        "answer": found.classes[seen.answer],
        "probability": seen.probability,
        "macs": seen.macs,
        "gap_closed": number(found.gap(name)),
        "token_utilisation": seen.utilisation,
        "heads_in_use": None if seen.heads is None else seen.heads.sum(1).tolist(),
        "sub_layers_in_use": None if seen.sublayers is None else seen.sublayers.int().tolist(),
        "pixels_sha256": digest(found.pixels[name]),
    }


def _named(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if values is None:
        return None
    return {SEEN.get(name, name): value for name, value in values.items()}


def _giga(macs: int) -> str:
    return f"{macs / 1e9:.3f}"


def _yes(true: bool) -> str:
    return "yes" if true else "no"
