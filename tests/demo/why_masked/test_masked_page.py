"""The masked room in a real browser: the way there, the slider under a mouse, a run, a refusal, a phone."""

from __future__ import annotations

import pytest
from visitor import Visit, visiting

VERDICT = "#report .report-finding"
NOTE = "#report .report-note"
READY = "#report .mask-tiles dd"

why = visiting("/why", "#why-view section")


@pytest.mark.slow
def test_one_way_leads_from_room_to_room_where_the_answer_is_seen_at_once(why: Visit) -> None:
    page = why.page
    here = ".lab-rooms [aria-current=page]"
    assert page.inner_text(here) == "regularised gradients"
    page.click(".lab-rooms a:has-text('masked gradients')")
    page.wait_for_url("**/why-masked")
    page.wait_for_selector(READY)
    assert page.inner_text(here) == "masked gradients"
    page.wait_for_selector(".nav-holder a.active:has-text('Why')")
    why.resize(1280, 720)
    why.dress("dark")
    _nothing_overflows_and_the_slider_is_seen_at_once(why)
    why.resize(390, 844)
    why.dress("light")
    _nothing_overflows_and_the_slider_is_seen_at_once(why)
    why.resize(1440, 900)
    _the_slider_masks_what_stands_there_first_and_a_run_takes_its_place(why)


def _the_slider_masks_what_stands_there_first_and_a_run_takes_its_place(room: Visit) -> None:
    page = room.page
    slider = page.locator("#mask-c")
    assert page.inner_text(VERDICT).startswith("Not masked")
    assert "0 %" in page.inner_text(READY)
    box = slider.bounding_box()
    at = box["x"] + 10, box["y"] + box["height"] / 2
    page.mouse.move(*at)
    page.mouse.down()
    page.mouse.move(at[0] + 0.8 * box["width"], at[1], steps=5)
    page.mouse.up()
    page.wait_for_function("document.querySelector('#mask-c').value === '4'")
    page.wait_for_selector("#report .mask-dial label b:text-is('100')")
    assert page.inner_text(READY).split()[0] != "0"
    assert "float32" in page.inner_text("#report .mask-heat")
    before = page.inner_text(VERDICT)
    room.upload("x.png", "image/png", b"no picture")
    room.status("not a picture")
    assert page.inner_text(VERDICT) == before
    page.click("[data-sample=church]")
    page.wait_for_selector(f"{NOTE}:has-text('Church')")
    page.click("#run")
    page.wait_for_selector(f"{NOTE}:has-text('At work')")
    page.wait_for_selector(NOTE, state="hidden")
    room.stop()
    assert "attacks" in room.status("Stopped after")
    assert page.inner_text("#report [data-part=outcomes]").count("church")
    assert room.overflow() <= 0


def _nothing_overflows_and_the_slider_is_seen_at_once(room: Visit) -> None:
    assert room.overflow() <= 0
    box = room.page.locator("#run").bounding_box()
    assert box["y"] + box["height"] <= 844
    wide = room.page.evaluate("innerWidth") > 1000
    found = room.page.locator(VERDICT).bounding_box()
    assert not wide or found["y"] + found["height"] <= 720
