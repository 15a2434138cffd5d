"""Where the papers' claims stand: what each says, and every comparison of it in the studies that ship."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.core.errors import CorruptWeights
from engine.core.knobs import knobs
from engine.evaluate.claim import Row, Verdict
from engine.evaluate.study import STUDIES, Study, read
from engine.papers.catalog import PAPERS
from engine.papers.paper import Paper, Says
from engine.papers.told import paths

ORDER: tuple[Verdict, ...] = ("holds", "fails", "undecided", "reported")
"""What is decided comes first."""


@dataclass(frozen=True)
class Line:
    """A comparison, and the study that measured it."""

    row: Row
    study: Study[Any]


@dataclass(frozen=True)
class Claim:
    """A claim of a paper, by the letters that stand in its rows, and all its comparisons; none where no
    study that ships has measured it."""

    paper: Paper
    letters: str
    lines: tuple[Line, ...]

    @property
    def says(self) -> Says:
        return self.paper.says[self.letters]

    @property
    def tally(self) -> Counter[Verdict]:
        """How many comparisons have each verdict."""
        return Counter(each.row.verdict for each in self.lines)

    @property
    def rank(self) -> int:
        """0 where all that has a bar is decided, 1 where some is, 2 where nothing is, 3 without a bar, 4
        where nothing was measured."""
        found = self.tally
        if not self.lines:
            return 4
        if not any(found[each] for each in ORDER[:3]):
            return 3
        if not found["undecided"]:
            return 0
        return 1 if found["holds"] or found["fails"] else 2


@dataclass(frozen=True)
class Standing:
    """All claims, what is decided first, and a sentence for each study that is damaged or absent."""

    claims: tuple[Claim, ...]
    problems: tuple[str, ...]


def standing(papers: Sequence[Paper] = PAPERS, folder: Path = STUDIES) -> Standing:
    """Where the claims of these papers stand, by the studies in a folder."""
    problems: list[str] = []
    claims: list[Claim] = []
    for paper in papers:
        found = list(_studies(paper, folder, problems))
        if not found:
            problems.append(f"No study of {paper.short} can be read here: its claims are left out.")
        claims += _claims(paper, found)
    return Standing(tuple(sorted(claims, key=lambda each: each.rank)), tuple(problems))


def command(paper: Paper, study: Study[Any]) -> str:
    """The line that measures a study's claims again; FOLDER holds the photographs."""
    about = study.about
    words = ["python -m engine claims", paper.name, "FOLDER", "--model", study.model]
    if about["targets"]:
        words += ["--targets", *about["targets"]]
    if about["limit"] is not None:
        words += ["--limit", str(about["limit"])]
    for each in knobs(paper.claims.settings):
        value = about["settings"].get(each.name, each.default)
        if value != each.default:
            words += [f"--{each.name.replace('_', '-')}", each.word(value)]
    return " ".join(words)


def _studies(paper: Paper, folder: Path, problems: list[str]) -> Iterator[Study[Any]]:
    for path in paths(paper.name, folder):
        try:
            yield read(path, paper.claims.findings)
        except CorruptWeights as problem:
            problems.append(f"{problem.sentence} Its comparisons are left out.")


def _claims(paper: Paper, studies: Sequence[Study[Any]]) -> Iterator[Claim]:
    lines = [Line(row, study) for study in studies for row in study.claims]
    for letters in paper.says if studies else ():
        its = [each for each in lines if each.row.claim == letters]
        yield Claim(paper, letters, tuple(sorted(its, key=lambda e: ORDER.index(e.row.verdict))))
