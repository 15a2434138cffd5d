"""The claims board: what every paper says, what was measured here, and what became of it.

Everything on it comes from the papers' own declarations and the studies that ship.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from demo.kit import claims, link, rooms
from demo.kit.door import Shared
from demo.kit.frame import view_frame
from demo.kit.rooms import Room
from demo.kit.scripts import on_load
from engine.evaluate.claim import Verdict
from engine.evaluate.study import Study
from engine.papers.catalog import PAPERS
from engine.papers.paper import Paper
from engine.papers.standing import Claim, Standing, command, standing
from engine.papers.told import measured_on, titles

SEEN_IN: dict[str, tuple[str, Room]] = {
    "tgr": ("Why", rooms.REGULARISED),
    "aas": ("Why", rooms.MASKED),
    "quant": ("Cost", rooms.OUTLIERS),
    "desparsify": ("Cost", rooms.TOKENS),
    "aas_at": ("Defend", rooms.TRAINING),
    "robustness_tokens": ("Defend", rooms.ARMOUR),
}
"""Where a paper's effect can be seen on one picture: the page and its room, by the paper's name."""


def lay(shared: Shared) -> None:
    """Lay the board, in the current Blocks context."""
    del shared
    view_frame(
        'data-view="claims" data-state="run"',
        on_load("claims(element, props)"),
        "learn-board",
        json.dumps(message(standing()), ensure_ascii=False),
    )


def message(found: Standing) -> dict[str, Any]:
    """All that the script draws."""
    studies: list[Study[Any]] = []
    told: list[dict[str, Any]] = []
    for paper in PAPERS:
        own = _studies(found, paper)
        names = titles(own)
        studies += own
        told += [
            {
                "model": names[each.model],
                "on": measured_on(each, names),
                "command": command(paper, each),
            }
            for each in own
        ]
    numbers = {id(each): index for index, each in enumerate(studies)}
    return {
        "counted": counted(found, len(studies)),
        "rule": claims.RULE,
        "verdicts": claims.VERDICTS,
        "several": claims.SEVERAL,
        "few": claims.FEW,
        "problems": list(found.problems),
        "papers": [_paper(each) for each in PAPERS],
        "studies": told,
        "claims": [_claim(each, numbers) for each in found.claims],
    }


def counted(found: Standing, studies: int) -> str:
    """How many comparisons there are, how they fared, and on how little many rest."""
    rows = [each.row for claim in found.claims for each in claim.lines]
    barred = [each for each in rows if each.verdict != "reported"]
    by: Counter[Verdict] = Counter(each.verdict for each in barred)
    measured = sum(bool(each.lines) for each in found.claims)
    few = sum(each.pictures < claims.FEW for each in barred)
    return (
        f"{measured} claims, {len(barred)} comparisons with a bar to pass: {by['holds']} hold, "
        f"{by['fails']} do not, {by['undecided']} are open. {few} of them rest on fewer than "
        f"{claims.FEW} pictures. {len(rows) - len(barred)} further figures have no bar. From {studies} studies "
        "that ship with the Lab."
    )


def again(paper: Paper) -> str:
    """The address of the room where a paper's claims are run again."""
    code = link.spell({"paper": paper.name}, {})
    return f"{rooms.CLAIMS.route}?c={code}"


def _studies(found: Standing, paper: Paper) -> list[Study[Any]]:
    """The studies of a paper, each once, as they come."""
    its = [each for each in found.claims if each.paper is paper]
    return list({id(line.study): line.study for each in its for line in each.lines}.values())


def _paper(of: Paper) -> dict[str, Any]:
    page, room = SEEN_IN[of.name]
    return {
        "name": of.name,
        "short": of.short,
        "reference": of.reference,
        "about": of.told.about,
        "room": {"title": f"{page}: {room.title}", "href": room.route},
        "again": again(of),
    }


def _claim(of: Claim, studies: dict[int, int]) -> dict[str, Any]:
    return {
        "paper": of.paper.name,
        "letters": of.letters,
        "says": of.says.claim,
        "where": of.says.where,
        "tally": dict(of.tally),
        "lines": [claims.line(each.row) | {"study": studies[id(each.study)]} for each in of.lines],
    }
