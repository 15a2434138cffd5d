"""The run shown first tells the story that the page promises."""

from __future__ import annotations

from demo.lab import first


def test_it_fools_with_a_change_hardly_seen_by_eye() -> None:
    """At most 8/255, and random noise of the same size does not fool."""
    shown = first.stored()
    assert shown is not None
    assert shown["verdict"]["success"]
    assert shown["verdict"]["linf"] == 8
    assert shown["tops"][0]["name"] == shown["tops"][-1]["name"] == "golf ball"
