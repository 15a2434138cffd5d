"""A job ends in one of four ways, and always with what there is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo.kit import status
from demo.kit.loading import Fetching, Loading, bring
from demo.lab import words
from demo.lab.running import Attempt, Began, drive
from engine.attack.catalog import recipe
from engine.core.errors import WeightsUnavailable
from engine.data.samples import load_sample
from engine.model import hub, zoo
from engine.model.hub import Download
from engine.studio import Request, Result, Stepped


@pytest.fixture
def request_() -> Request:
    model = zoo.cards()[0].name
    return Request(load_sample("golf_ball"), model, recipe("pgd", steps=4), views=False)


def result(attempt: Attempt, **settings: float) -> Result:
    for _ in drive(attempt, **settings):
        pass
    assert attempt.result is not None
    return attempt.result


def test_finished(request_: Request) -> None:
    attempt = Attempt(request_)
    events = list(drive(attempt))
    assert [type(each) for each in events] == [Loading, Began, *[Stepped] * 4]
    assert attempt.why == "finished"
    assert attempt.result is not None
    assert attempt.result.finished


def test_stopped_keeps_the_steps_taken_and_goes_on(request_: Request) -> None:
    attempt = Attempt(request_)
    for event in drive(attempt):
        if isinstance(event, Stepped) and event.step == 2:
            attempt.stop.set()
    assert attempt.result is not None
    assert (attempt.why, attempt.result.steps) == ("stopped", 2)
    assert "Stopped at step 2 of 4" in words.ended(attempt)
    attempt.stop.clear()
    assert result(attempt).steps == 4


def test_stopped_before_it_began_computes_nothing(request_: Request) -> None:
    attempt = Attempt(request_)
    attempt.stop.set()
    assert list(drive(attempt)) == []
    assert (attempt.why, attempt.run, attempt.result) == ("stopped", None, None)
    assert "before it began" in words.ended(attempt)


def test_a_step_at_a_time_is_the_same_run(request_: Request) -> None:
    once, slowly = Attempt(request_), Attempt(request_)
    whole = result(once)
    for done in (1, 2, 3):
        assert result(slowly, steps=1).steps == done
        assert slowly.why == "paused"
    last = result(slowly, steps=1)
    assert slowly.why == "finished"
    assert bool((last.adversarial.pixels == whole.adversarial.pixels).all())


def test_patience_ends_a_run_with_its_partial_result(request_: Request) -> None:
    attempt = Attempt(request_)
    assert result(attempt, patience=0.0).steps < 4
    assert attempt.why == "late"
    assert "may take a minute" in words.ended(attempt)


def test_weights_come_with_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(repo: str, title: str) -> Iterator[Download]:
        yield Download(50_000_000, 346_000_000)

    monkeypatch.setattr(hub, "fetch", fetched)
    events = list(bring([zoo.cards()[0].name, "vit_base_patch16_224"], None))
    assert events == [Fetching("ViT-Base", Download(50_000_000, 346_000_000))]
    assert "50 of 346 MB" in status.fetching(events[0])


def test_no_hub_is_one_sentence() -> None:
    with pytest.raises(WeightsUnavailable, match="cannot be reached"):
        list(bring(["vit_base_patch16_224"], None))


def test_what_is_typed_is_escaped() -> None:
    assert "<script>" not in status.line("<script>", hint="<script>", detail="<script>")
