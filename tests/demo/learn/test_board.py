"""Laws of the claims board: nothing that the studies know is missing or said otherwise."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from demo.kit import claims, link
from demo.learn.board import SEEN_IN, message
from engine.__main__ import parser
from engine.evaluate.study import STUDIES
from engine.papers import results
from engine.papers.catalog import PAPERS
from engine.papers.standing import Standing, command, standing

ENDS = ("holds", "fails")


@pytest.fixture(scope="module")
def found() -> Standing:
    return standing()


@pytest.fixture(scope="module")
def board(found: Standing) -> dict[str, Any]:
    return message(found)


def test_every_row_of_every_study_stands_on_the_board_once(board: dict[str, Any]) -> None:
    kept = [json.loads(path.read_text(encoding="utf-8")) for path in STUDIES.glob("*.json")]
    rows = Counter(
        (row["statement"], row["verdict"], row["pictures"])
        for study in kept
        for row in study["claims"]
    )
    told = Counter(
        (line["statement"], line["verdict"], line["pictures"])
        for claim in board["claims"]
        for line in claim["lines"]
    )
    assert told == rows
    assert not board["problems"]


def test_what_is_decided_comes_first(board: dict[str, Any]) -> None:
    def rank(tally: dict[str, int]) -> tuple[bool, bool]:
        known, barred = (
            sum(tally.get(each, 0) for each in of) for of in (ENDS, (*ENDS, "undecided"))
        )
        return known == 0, known < barred

    decided = [
        rank(claim["tally"]) for claim in board["claims"] if claim["tally"].keys() - {"reported"}
    ]
    assert decided == sorted(decided)
    assert len(set(decided)) == 3
    for claim in board["claims"]:
        verdicts = [list(claims.VERDICTS).index(line["verdict"]) for line in claim["lines"]]
        assert verdicts == sorted(verdicts)


def test_verdicts_and_figures_are_those_of_the_results(board: dict[str, Any]) -> None:
    """Every figure with its verdict is a cell of docs/results.md, in a row of that comparison."""
    table: dict[str, str] = {}
    for line in (results.ROOT / results.PAGE).read_text(encoding="utf-8").splitlines():
        if cells := re.match(r"\| (\w+) \| (.*?) \|", line):
            table[f"{cells[1]} {cells[2]}"] = table.get(f"{cells[1]} {cells[2]}", "") + line
    for claim in board["claims"]:
        for line in claim["lines"]:
            said = {"reported": "", "holds": " **holds**"}.get(
                line["verdict"], f" {line['verdict']}"
            )
            row = table[f"{claim['letters']} {line['statement'].replace('|', '/')}"]
            assert f"| {line['measured']}{said} |" in row


def test_every_claim_says_what_and_where_and_can_be_seen_and_run_again(
    board: dict[str, Any],
) -> None:
    assert set(SEEN_IN) == {each.name for each in PAPERS}
    assert all(claim["says"] and claim["where"] for claim in board["claims"])
    declared = sum(len(paper.says) for paper in PAPERS)
    assert len(board["claims"]) == declared
    for paper in board["papers"]:
        code = paper["again"].partition("?c=")[2]
        assert link.read(code).changes == {"paper": paper["name"]}


def test_the_command_of_a_study_asks_for_the_very_settings_of_it(found: Standing) -> None:
    studies = {
        id(line.study): (claim.paper, line.study) for claim in found.claims for line in claim.lines
    }
    assert len(studies) == len(message(found)["studies"])
    for paper, study in studies.values():
        words = command(paper, study).split()
        asked = parser().parse_args(words[3:])
        settings = {name: getattr(asked, name) for name in study.about["settings"]}
        assert settings == study.about["settings"]
        assert (asked.model, asked.limit) == (study.model, study.about["limit"])


def test_a_study_that_is_cut_or_gone_is_said_in_a_sentence(tmp_path: Path) -> None:
    for name in ("tgr_vit_imagenette.json", "quant_vit_imagenette.json"):
        shutil.copy(STUDIES / name, tmp_path)
    whole = (tmp_path / "tgr_vit_imagenette.json").read_bytes()
    (tmp_path / "tgr_vit_imagenette.json").write_bytes(whole[: len(whole) // 2])
    board = message(standing(folder=tmp_path))
    assert {claim["paper"] for claim in board["claims"]} == {"quant"}
    assert board["problems"][0] == (
        "tgr_vit_imagenette.json holds no study. Its comparisons are left out."
    )
    assert len(board["problems"]) == 1 + len(PAPERS) - 1
