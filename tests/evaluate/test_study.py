"""A study comes back as it was written, and a damaged one is a sentence."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

import pytest

from engine.core.errors import CorruptWeights
from engine.evaluate.claim import Row
from engine.evaluate.interval import Estimate, Rate
from engine.evaluate.study import STUDIES, Study, data, kept, read
from engine.papers.quant.findings import Findings


@dataclass(frozen=True)
class Seen:
    """Everything that findings may be made of."""

    count: int
    share: float
    kept: Rate
    curve: tuple[float, ...]
    bound: float | None
    knobs: dict[str, Any]


ROW = Row("C1", "a > b", Estimate(1, 0.5, 2), "points", "above 0", "holds", 12, 0.25, "1 : 2")
SEEN = Seen(3, 0.5, Rate(100, 91, 100, 32, agreed=True), (0, 0.5, 1), None, {"k": 1, "e": [1, 2]})
STUDY = Study("tiny", "vit", {"vit": "ab12"}, {"folder": "val", "limit": None}, (ROW,), SEEN)


def test_a_study_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "tiny_vit.json"
    path.write_text(json.dumps(data(STUDY)), encoding="utf-8")
    assert read(path, Seen) == kept("tiny", "vit", Seen, tmp_path) == STUDY
    assert kept("tiny", "another", Seen, tmp_path) is None
    with pytest.raises(CorruptWeights):
        read(path, NoneType)


@pytest.mark.parametrize("text", ["", "{}", '{"schema": "another/1"}', "[1]"])
def test_a_file_that_is_no_study_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "tiny_x.json").write_text(text, encoding="utf-8")
    with pytest.raises(CorruptWeights):
        kept("tiny", "x", Seen, tmp_path)


@pytest.mark.parametrize("cut", [0.3, 0.9, "low", "float_accuracy", "hits", "verdict", "agreed"])
def test_a_damaged_study_is_one_sentence(cut: float | str, tmp_path: Path) -> None:
    text = (STUDIES / "quant_vit_imagenette.json").read_text(encoding="utf-8")
    if isinstance(cut, str):
        text, count = re.subn(rf'"{cut}": ?[^,}}\]]+', f'"{cut}": "x"', text, count=1)
        assert count
    else:
        text = text[: int(len(text) * cut)]
    (tmp_path / "quant_x.json").write_text(text, encoding="utf-8")
    with pytest.raises(CorruptWeights):
        kept("quant", "x", Findings, tmp_path)
