"""A job ends in one of four ways, and always with what there is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from demo.kit import status
from demo.kit.store import Job
from demo.lab.running import Began, Ended, Fetching, Loading, drive, fetch
from engine.attack.catalog import recipe
from engine.core.errors import WeightsUnavailable
from engine.data.samples import load_sample
from engine.model import hub, zoo
from engine.model.hub import Download
from engine.studio import Request, Stepped


@pytest.fixture
def request_() -> Request:
    model = zoo.cards()[0].name
    return Request(load_sample("golf_ball"), model, recipe("pgd", steps=4), views=False)


def ended(job: Job, **settings: float) -> Ended:
    last = list(drive(job, **settings))[-1]
    assert isinstance(last, Ended)
    return last


def test_finished(request_: Request) -> None:
    job = Job(request_)
    events = list(drive(job))
    assert [type(each) for each in events] == [Loading, Began, *[Stepped] * 4, Ended]
    assert events[-1] == Ended(job.result, "finished")
    assert job.result is not None
    assert job.result.finished


def test_stopped_keeps_the_steps_taken_and_goes_on(request_: Request) -> None:
    job = Job(request_)
    for event in drive(job):
        if isinstance(event, Stepped) and event.step == 2:
            job.stop.set()
    assert job.result is not None
    assert job.result.steps == 2
    assert "Stopped at step 2 of 4" in status.ended(Ended(job.result, "stopped"), request_)
    job.stop.clear()
    assert ended(job).result.steps == 4


def test_stopped_before_it_began_computes_nothing(request_: Request) -> None:
    job = Job(request_)
    job.stop.set()
    assert list(drive(job)) == [Ended(None, "stopped")]
    assert job.run is None
    assert "before it began" in status.ended(Ended(None, "stopped"), request_)


def test_a_step_at_a_time_is_the_same_run(request_: Request) -> None:
    once, slowly = Job(request_), Job(request_)
    whole = ended(once).result
    for done in (1, 2, 3):
        found = ended(slowly, steps=1)
        assert (found.why, found.result.steps) == ("paused", done)
    found = ended(slowly, steps=1)
    assert found.why == "finished"
    assert bool((found.result.adversarial.pixels == whole.adversarial.pixels).all())


def test_patience_ends_a_run_with_its_partial_result(request_: Request) -> None:
    found = ended(Job(request_), patience=0.0)
    assert found.why == "late"
    assert found.result.steps < 4
    assert "may take a minute" in status.ended(found, request_)


def test_weights_come_with_progress(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    def bring(repo: str, title: str) -> Iterator[Download]:
        yield Download(50_000_000, 346_000_000)

    monkeypatch.setattr(hub, "fetch", bring)
    asked = replace(request_, others=("vit_base_patch16_224",))
    events = list(fetch(asked))
    assert events == [Fetching("ViT-Base", Download(50_000_000, 346_000_000))]
    assert "50 of 346 MB" in status.fetching(events[0])


def test_no_hub_is_one_sentence(request_: Request) -> None:
    with pytest.raises(WeightsUnavailable, match="cannot be reached"):
        list(fetch(replace(request_, model="vit_base_patch16_224")))


def test_what_is_typed_is_escaped() -> None:
    assert "<script>" not in status.line("<script>", hint="<script>", detail="<script>")
