"""Every probe is one value: what a model lacks is what its run cannot show, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import studio
from engine.attack.catalog import recipe
from engine.data.samples import load_sample
from engine.probe.catalog import BY_NAME, PROBES

ROOT = Path(__file__).parents[2]
BESIDE = {"__init__", "catalog", "compare", "probe"}


def test_every_probe_file_is_in_the_catalog() -> None:
    files = {path.stem for path in (ROOT / "engine/probe").glob("*.py")} - BESIDE
    assert len(files) == len(PROBES) == len(BY_NAME)
    assert len({probe.table.title for probe in PROBES}) == len(PROBES)


@pytest.mark.parametrize(
    "model",
    ["vit_imagenette", "pit_imagenette", "resnet_imagenette", "visformer_imagenette"],
)
def test_a_model_lacks_what_its_run_does_not_show(model: str) -> None:
    run = studio.Run(studio.Request(load_sample("church"), model, recipe("fgsm")))
    run.advance()
    result = run.result()
    for probe in PROBES:
        lacks = probe.lacks(result.spec)
        for frame in result.frames:
            assert (lacks is None) == (probe.of(frame.readings) is not None), probe.name
        if lacks is None:
            read = probe.of(result.adversarial.readings)
            assert (
                probe.summary(read).items()
                <= studio.summary(result)["probes"]["adversarial"].items()
            )
            lines = probe.table.lines(read)
            places = probe.table.places(read) if probe.table.places else None
            assert all(len(line) == len(places or line) for line in lines.values())
