"""The charts' numbers are the readings', in the order of the catalog."""

from __future__ import annotations

import math

import pytest

from demo.lab import charts
from engine import studio
from engine.attack.catalog import recipe
from engine.data.samples import load_sample
from engine.probe import depth, gradients
from engine.probe.catalog import PROBES


@pytest.fixture(scope="module")
def result() -> studio.Result:
    run = studio.Run(studio.Request(load_sample("church"), "vit_imagenette", recipe("fgsm")))
    run.advance()
    return run.result()


def test_there_is_a_table_for_the_steps_and_for_every_probe(result: studio.Result) -> None:
    titles = ["Loss and probabilities, by step", *(probe.table.title for probe in PROBES)]
    found = charts.tables(result)
    assert list(found) == titles
    for table in found.values():
        assert all(len(row) == len(table.headers) for row in table.rows)
        assert len(charts.figure(table).data) == len(table.lines)  # pyright: ignore[reportArgumentType]


def test_lines_are_what_was_read(result: studio.Result) -> None:
    found = charts.tables(result)
    read = gradients.PROBE.of(result.adversarial.readings)
    assert read is not None
    table = found[gradients.PROBE.table.title]
    (line,) = (each for each in table.lines if each.name == "QKV, attacked")
    assert line.values == [v if math.isfinite(v) else None for v in read.variance[:, 1].tolist()]
    assert not any("noise" in each.name for each in table.lines)  # noise follows no gradient
    apart = found[depth.PROBE.table.title]
    assert [each.name for each in apart.lines] == ["attacked", "noise"]
