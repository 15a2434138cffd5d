"""The tokens room of Defend in a real browser: the way there, what stands there first, runs, a phone."""

from __future__ import annotations

import pytest
from visitor import Visit, visiting

NOTE = "#report .report-note"
THREAT = "#report .rob-threat"
READY = f"{THREAT} .rob-half"
CURVE = "#report [data-part=curve]"

room = visiting("/defend-tokens", READY)


def test_what_stands_there_first_is_seen_at_once_and_answers_a_mouse(room: Visit) -> None:
    page = room.page
    page.wait_for_selector(".nav-holder a.active:has-text('Defend')")
    assert page.inner_text(".lab-rooms [aria-current=page]") == "tokens"
    names = [each.split("\n")[0] for each in page.locator(f"{THREAT} figcaption").all_inner_texts()]
    assert names == ["Clean", "Transfer", "Surrogate", "Adaptive", "Adaptive, restarts"]
    assert page.is_hidden(CURVE)
    page.click(f"{THREAT} >> nth=3")
    page.wait_for_selector("[data-part=attention] p:has-text('Attacked: Adaptive,')")
    page.click("[role=radio]:has-text('the answer')")
    page.wait_for_selector("[data-part=answers] em:has-text('Adaptive, aimed at the answer')")
    chart = page.locator("[data-part=largest] [role=slider]")
    chart.focus()
    page.keyboard.press("Home")
    page.wait_for_selector("[data-part=largest] [role=slider][aria-valuenow='1']")
    assert page.evaluate("lab.then((p) => p.selection().block)") == 0
    for width, height, theme in ((1280, 720, "light"), (390, 844, "dark")):
        room.resize(width, height)
        room.dress(theme)
        assert room.overflow() <= 0
        run = page.locator("#run").bounding_box()
        assert run["y"] + run["height"] <= height
    page.click(".lab-rooms a:has-text('training')")
    page.wait_for_url("**/defend")


@pytest.mark.slow
def test_a_run_of_ones_own_then_a_training_that_is_stopped(room: Visit) -> None:
    page = room.page
    page.click("#strip button[data-sample=tench]")
    page.wait_for_selector(f"{NOTE}:has-text('Tench')")
    box = page.locator("#knob-steps input[type=number]")
    box.fill("1")
    box.press("Tab")
    page.wait_for_selector(f"{NOTE}:has-text('1 steps')")
    page.click("#run")
    room.status("Finished")
    assert page.is_hidden(NOTE)
    assert "“tench”" in page.inner_text("#report [data-part=threats]")
    with page.expect_download() as waiting:
        page.click("#report [data-file=csv]")
    assert waiting.value.suggested_filename == "tench-vit_imagenette-feature-eps2-seed0.csv"
    assert page.is_hidden("#knob-training")
    page.click("#knob-tokens label:has-text('New ones')")
    page.wait_for_selector("#knob-training")
    page.click("#run")
    page.wait_for_selector(f"{CURVE} svg")
    assert "trained here for 60 steps" in page.inner_text(CURVE)
    room.stop()
    assert "0 of" in room.status("Stopped after")
    assert page.is_hidden(THREAT)
    assert "trained first" in page.inner_text("#report [data-part=findings]")
