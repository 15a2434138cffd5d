"""The claims about tokens on a tiny victim: every threat once, the control, and a run that goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.core.errors import BadTask
from engine.core.streams import Streams
from engine.evaluate import crafter, interval
from engine.evaluate.claim import Row
from engine.evaluate.interval import bootstrap
from engine.evaluate.judge import predict
from engine.evaluate.progress import Progress
from engine.evaluate.study import Study, data, read
from engine.model.tokens import hosted
from engine.papers.robustness_tokens import claims, evidence, results
from engine.papers.robustness_tokens.evidence import Ground, Settings
from engine.papers.robustness_tokens.findings import Findings, sentences
from engine.papers.robustness_tokens.threat import Models
from tests import tiny

SETTINGS = Settings(eps=2 / 255, steps=1, restarts=2, auto=2, sweep=2, few=8)
PIXELS = (tiny.task(12).images * 255).round().to(torch.uint8)


def tokens(seed: int) -> Tensor:
    return torch.randn(3, 24, generator=Streams(seed).at("tokens"))


def ground(keep: Path | None = None) -> Ground:
    """The control has the defender's own tokens: whatever is told of the two must be the same."""
    victim = tiny.victim()
    return Ground(
        Models.of(victim, tokens(0), tokens(1)),
        hosted(victim, tokens(0)),
        PIXELS[:8],
        predict(victim, PIXELS[:8]),
        PIXELS[8:],
        3,
        "made up",
        1.0,
        keep=keep,
    )


def measured(on: Ground, settings: Settings = SETTINGS) -> tuple[list[Row], Findings]:
    *rows, found = (e for e in claims.measure(on, settings) if not isinstance(e, Progress))
    assert isinstance(found, Findings)
    return rows, found


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (interval, claims):
        monkeypatch.setattr(place, "bootstrap", partial(bootstrap, draws=50))


def fail(*_: object, **__: object) -> None:
    raise AssertionError("computed again")


def test_every_claim_is_measured_once_and_goes_on_from_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "SWEEP", (1, 2))
    monkeypatch.setattr(evidence, "JUDGE", "pgd")  # AutoAttack has tests of its own
    rows, found = measured(ground(tmp_path))
    assert sorted({row.claim for row in rows}) == ["Ba", "Bb", "Bc", "Bd", "Be", "Bf"]
    assert len({row.statement for row in rows}) == len(rows)
    threats = ("transfer", "surrogate", "adaptive", "restarts", "auto")
    assert all(found.under("private", each) for each in threats)
    private, control = found.under("private", "transfer"), found.under("random", "transfer")
    assert private is not None
    assert control is not None
    assert replace(private, model="random") == control
    assert private.gain_kept is not None
    own = found.under("public", "transfer")
    assert own is not None
    assert own.kept is not None
    assert private.kept is not None
    assert private.gain_kept.value == pytest.approx(private.kept.value - own.kept.value)
    once, worst = (found.under("private", each) for each in ("adaptive", "restarts"))
    assert once is not None
    assert worst is not None
    assert once.kept is not None
    assert worst.kept is not None
    assert worst.kept.value <= once.kept.value
    worth = private.kept.value - once.kept.value
    assert found.secrecy.kept.value == pytest.approx(worth)
    assert found.untouched("public").kept.value == pytest.approx(1)
    assert found.curve("mass", "public", "clean") is None
    largest = found.curve("largest", "public", "clean")
    assert largest is not None
    assert largest.whole.value >= max(each.value for each in largest.blocks) - 1e-6
    assert [each.tokens for each in found.swept] == [1, 2]

    study = Study("robustness_tokens", "tiny", {}, {"folder": "val"}, tuple(rows), found)
    path = tmp_path / "study.json"
    path.write_text(json.dumps(data(study)), encoding="utf-8")
    assert read(path, Findings).findings == found
    told = results._section(study, "Tiny")
    assert all(words in told for words in results.WORDS.values())
    assert f"{private.kept.value:.2f}" in " ".join(sentences(found))

    for place, name in ((crafter, "crafted"), (evidence, "train")):
        monkeypatch.setattr(place, name, fail)
    assert measured(ground(tmp_path)) == (rows, found)


def test_an_attacker_without_tokens_and_a_sweep_without_pictures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on = ground()
    alone = replace(on, models=replace(on.models, surrogate=None))
    _, found = measured(alone, replace(SETTINGS, auto=0, sweep=0))
    assert found.under("private", "surrogate") is None
    assert found.swept == ()
    with pytest.raises(BadTask, match="not measured"):
        measured(replace(on, others=PIXELS[:0]))
    with pytest.raises(BadTask, match="at least"):
        measured(replace(on, pixels=PIXELS[:2], labels=on.labels[:2]))
