"""A study that ships: what the claims found comes back as it was written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from engine.core.errors import CorruptWeights
from engine.evaluate.interval import Estimate
from engine.papers.quant.claims import Row, Settings, measure
from engine.papers.quant.reading import Doing, countermeasures
from engine.papers.quant.study import STUDIES, Rate, Study, data, read, shipped
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


@pytest.mark.parametrize(
    ("count", "most"),
    [(10, 25.89), (16, 17.07), (32, 8.94), (300, 0.99)],
)
def test_pictures_that_all_agree_bound_the_rest_exactly(count: int, most: float):
    """Clopper-Pearson: were `most` % of all pictures otherwise, 5 % of samples would all agree."""
    kept = Rate.of(Estimate(100, 100, 100), count)
    assert (kept.value, kept.high, kept.agreed) == (100, 100, True)
    assert 100 - kept.low == pytest.approx(most, abs=0.005)
    assert (kept.low / 100) ** count == pytest.approx(0.05)
    price = Rate.change(Estimate(0, 0, 0), count)
    assert (price.low, price.high) == (pytest.approx(-most, abs=0.005), -price.low)
    wide = Rate.change(Estimate(-10, -30, 0), count)
    assert (wide.low, wide.high, wide.agreed) == (-30, 0, False)


@pytest.mark.parametrize("path", sorted(STUDIES.glob("quant_*.json")), ids=lambda path: path.stem)
def test_no_shipped_rate_claims_to_be_certain(path: Path):
    found = read(path)
    rates = [rate for each in found.defended for rate in (each.price, each.attacked)]
    rates += [each.kept for each in found.measured]
    rates += [found.detected.caught, found.detected.flagged]
    assert all(each.low < each.high for each in rates)
    assert all(each.pictures == found.about.pictures for each in rates)


@pytest.mark.parametrize("cut", [0.3, 0.9, "low", "float_accuracy", "hits"])
def test_a_damaged_study_is_one_sentence(cut: float | str, tmp_path: Path):
    text = (STUDIES / "quant_vit_imagenette.json").read_text(encoding="utf-8")
    if isinstance(cut, str):
        text = (
            re.sub(rf'"{cut}": ?[^,}}]+', f'"{cut}": ["x"', text, count=1)
            if cut == "hits"
            else (re.sub(rf'"{cut}": ?[^,}}]+', f'"{cut}": "x"', text, count=1))
        )
    else:
        text = text[: int(len(text) * cut)]
    (tmp_path / "quant_x.json").write_text(text, encoding="utf-8")
    with pytest.raises(CorruptWeights):
        shipped("x", tmp_path)


@pytest.mark.parametrize("path", sorted(STUDIES.glob("quant_*.json")), ids=lambda path: path.stem)
def test_the_readme_says_what_so_few_pictures_can_tell(path: Path):
    found = read(path)
    readme = (STUDIES.parents[1] / "README.md").read_text(encoding="utf-8")
    n = found.about.pictures
    prices = {each.name: each.price for each in found.defended}
    clipped = prices.pop("clipping under the threshold")
    assert all(price.agreed for price in prices.values())
    most = f"{prices['SmoothQuant'].high:.0f}"
    (row,) = re.findall(r"^\| f \| accuracy lost to each other .*$", readme, re.M)
    assert f"0 of {n}, at most {most} points" in row
    (row,) = re.findall(r"^\| f \| accuracy lost to clipping .*$", readme, re.M)
    lost = round(-clipped.value * n / 100)
    words = f"at most {most} points" if clipped.agreed else f"[0, {-clipped.low:.0f} points]"
    assert re.search(rf"{lost} of {n},? {re.escape(words)}", row)
    (row,) = re.findall(r"^\| b \| labels kept .*$", readme, re.M)
    kept = next(each.kept for each in found.measured if each.name == "quantattack")
    verdict = "holds" if kept.low > 90 else "open"
    assert f"{kept.value:.0f} % [{kept.low:.0f}, {kept.high:.0f}] {verdict}" in row
