"""A study that ships: what the claims found comes back as it was written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from engine.core.errors import CorruptWeights
from engine.evaluate.quant_claims import Row, Settings, measure
from engine.evaluate.quant_file import Study, data, read, shipped
from engine.evaluate.quant_study import Doing, countermeasures
from tests.tiny import CLASSES, SIZE, victim

SOURCE = victim()
GEN = torch.Generator().manual_seed(0)
PIXELS = torch.randint(0, 256, (14, 3, SIZE, SIZE), generator=GEN, dtype=torch.uint8)
LABELS = torch.randint(0, CLASSES, (14,), generator=GEN)
SETTINGS = Settings(share=0.05, steps=2, calibration=4, universal_epochs=1, rounds=1, batch=12)


def test_a_study_holds_every_set_countermeasure_and_the_curve_and_survives_its_file(
    tmp_path: Path,
):
    events = list(measure(SOURCE, PIXELS, LABELS, SETTINGS))
    found = Study.of(each for each in events if not isinstance(each, Row | Doing))
    about = found.about
    assert (about.model, about.pictures, about.calibration, about.share) == ("vit", 10, 4, 0.05)
    assert about.threshold != 6.0  # the share has set it
    names = {each.name for each in found.measured}
    assert {"clean", "noise", "pgd", "sponge", "quantattack", "universal"} <= names
    clean = next(each for each in found.measured if each.name == "clean")
    assert clean.kept.value == 100
    made = countermeasures(PIXELS[:1] / 255, 1.0)
    assert [each.name for each in found.defended] == [each.name for each in made]
    alarms, hits = found.detected.false_alarms, found.detected.hits
    assert (alarms[0], hits[0], alarms[-1], hits[-1]) == (0, 0, 1, 1)
    assert list(alarms) == sorted(alarms)
    path = tmp_path / "quant_vit.json"
    path.write_text(json.dumps(data(found)), encoding="utf-8")
    assert read(path) == found
    assert shipped("vit", tmp_path) == found
    assert shipped("another", tmp_path) is None


@pytest.mark.parametrize("text", ["", "{}", '{"schema": "another/1"}', "[1]"])
def test_a_file_that_is_no_study_is_refused(text: str, tmp_path: Path):
    (tmp_path / "quant_x.json").write_text(text, encoding="utf-8")
    with pytest.raises(CorruptWeights):
        shipped("x", tmp_path)
