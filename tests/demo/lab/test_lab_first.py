"""The run shown first is the engine's own answer, not a drawing of one."""

from __future__ import annotations

from typing import Any

import pytest

from demo.kit.store import Job
from demo.lab import first as first_run
from demo.lab import views
from demo.lab.running import Ended, drive


@pytest.fixture(scope="module")
def fresh() -> dict[str, Any]:
    asked = first_run.request()
    assert asked is not None
    job = Job(asked, id=first_run.ID)
    ended = [event for event in drive(job) if isinstance(event, Ended)][-1]
    assert ended.result is not None
    return views.payload(ended.result, first_run.ID)


def test_it_is_of_this_model_and_this_code() -> None:
    assert first_run.stored() is not None, "run python -m demo.lab.first"


def test_it_agrees_with_a_run_of_today(fresh: dict[str, Any]) -> None:
    stored = first_run.stored()
    assert stored is not None
    assert _form(stored) == _form(fresh)
    assert [top["name"] for top in stored["tops"]] == [top["name"] for top in fresh["tops"]]
    # Float32 sums differ between machines; an attack of ten signed steps lets that grow a little.
    for kept, made in zip(stored["probabilities"], fresh["probabilities"], strict=True):
        assert kept == pytest.approx(made, abs=0.05)
    assert stored["verdict"]["linf"] == fresh["verdict"]["linf"] == 8


def test_it_shows_what_the_page_promises(fresh: dict[str, Any]) -> None:
    """Fooled, hardly seen by eye (8/255), and random noise of the same size does not fool."""
    assert fresh["verdict"]["success"]
    assert fresh["tops"][0]["name"] == fresh["tops"][-1]["name"] == "golf ball"


def _form(value: Any) -> Any:
    """Keys and kinds, without the values."""
    if isinstance(value, dict):
        return {key: _form(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_form(each) for each in value[:1]]
    return None if value is None else "number" if isinstance(value, int | float) else "text"
