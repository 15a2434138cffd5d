"""The tokens room in a real browser: the way there, a run step by step, Stop, the control, a refusal,
a phone."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from visitor import Visit, visiting

from engine.evaluate import timing

CHURCH = Path("assets/samples/church.png").read_bytes()
FINDING = "#report .report-finding"
NOTE = "#report .report-note"
READY = f"{FINDING} .lab-adversarial"

room = visiting("/cost-tokens", READY)
cost = visiting("/cost", READY)


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes are timed for half a second here, not ten: the least number of rounds is enough."""
    monkeypatch.setattr(timing, "SECONDS", 0.5)


def number(visit: Visit, knob: str, value: str) -> None:
    """Type a number beside a slider, as a visitor does."""
    box = visit.page.locator(f"#{knob} input[type=number]")
    box.click()
    box.press("Control+a")
    box.type(value)
    box.press("Tab")


def pick(visit: Visit, control: str, words: str) -> None:
    visit.page.click(f"#{control} input")
    visit.page.click(f"[role=option]:has-text('{words}')")


def files(page: Any) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for kind in ("png", "csv", "json"):
        with page.expect_download() as waiting:
            page.click(f"#report [data-file={kind}]")
        name = waiting.value.suggested_filename
        assert re.fullmatch(rf"golf_ball-vit_imagenette_\w+-desparsify-eps8-seed0\.{kind}", name)
        found[kind] = Path(waiting.value.path()).read_bytes()
    return found


@pytest.mark.slow
def test_one_way_leads_from_room_to_room(cost: Visit) -> None:
    page = cost.page
    here = ".lab-rooms [aria-current=page]"
    assert page.inner_text(here) == "int8 outliers"
    page.click(".lab-rooms a:has-text('tokens')")
    page.wait_for_url("**/cost-tokens")
    page.wait_for_selector(f"{READY} >> text=/all|\\d+/")
    assert page.inner_text(here) == "tokens"
    page.wait_for_selector(".nav-holder a.active:has-text('Cost')")
    page.focus(".lab-rooms a >> nth=0")
    page.keyboard.press("Enter")
    page.wait_for_url("**/cost")
    page.wait_for_selector("#cost-board")
    page.goto(f"{cost.url}/cost?room=tokens&__theme=dark")
    page.wait_for_url("**/cost-tokens?__theme=dark")
    page.wait_for_selector("#tokens-board")
    assert page.evaluate("document.body.classList.contains('dark')")
    page.wait_for_selector(READY)
    _nothing_overflows_and_run_is_seen_at_once(cost)


def _nothing_overflows_and_run_is_seen_at_once(visit: Visit) -> None:
    """In the dark mode, on a small screen and on a phone."""
    for width, height in ((1280, 720), (390, 844)):
        visit.resize(width, height)
        assert visit.overflow() <= 0
        places = ("#run", FINDING) if width > 1000 else ("#run",)
        for place in places:
            box = visit.page.locator(place).bounding_box()
            assert box["y"] + box["height"] <= height, place


def test_a_run_is_followed_step_by_step_and_taken_away(room: Visit) -> None:
    page = room.page
    assert "where this report was made" in page.inner_text("#tokens-time")
    pick(room, "model", "A-ViT")
    page.wait_for_selector(f"{NOTE}:has-text('A-ViT')")
    pick(room, "model", "AdaViT")
    number(room, "knob-steps", "6")
    page.click("#run")
    page.wait_for_selector(f"{FINDING}:has-text('AdaViT lets')")
    room.status("Finished")
    page.wait_for_selector("#report :text('What a pass takes on this machine')")
    assert page.is_hidden(NOTE)
    assert page.inner_text("#tokens-curve h2").startswith(("How small", "Over many pictures"))
    for chart in ("[data-part=path] svg", "[data-part=counts] svg", "#tokens-times .main-svg"):
        assert page.locator(f"#report {chart} >> nth=-1").bounding_box()["height"] > 100, chart
    track = page.locator("[aria-label='Step of the attack']")
    assert track.get_attribute("aria-valuenow") == "6"
    woken = page.inner_text(READY)
    track.focus()
    page.keyboard.press("Home")
    page.wait_for_function("document.querySelector('#report').innerText.includes('by step 0')")
    assert page.inner_text(READY).startswith("0 ")
    page.keyboard.press("End")
    page.wait_for_function(f"document.querySelector('{READY}').innerText === {json.dumps(woken)}")
    cell = page.locator(".tok-strip span[data-block='2'][data-role=noise]")
    cell.click()
    page.wait_for_selector("#report h2:has-text('block 3')")
    assert page.evaluate("lab.then((p) => p.selection())")["block"] == 2
    assert room.overflow() <= 0
    taken = files(page)
    data = json.loads(taken["json"])
    assert data["steps"] == {"done": 6, "asked": 6}
    lines = list(csv.DictReader(io.StringIO(taken["csv"].decode())))
    assert [int(each["block"]) for each in lines] == list(range(1, 9))
    assert taken["png"].startswith(b"\x89PNG")
    said = float(page.inner_text(f"{FINDING} .lab-clean >> nth=-1"))
    assert said == pytest.approx(data["pictures"]["clean"]["macs"] / 1e9, abs=0.001)


@pytest.mark.slow
def test_stop_keeps_what_the_attack_has_reached_then_the_control_and_refusals(room: Visit) -> None:
    page = room.page
    number(room, "knob-steps", "300")
    page.click("#run")
    room.status("of 300")
    room.stop()
    at = int(room.status("Stopped after").split("Stopped after ")[1].split()[0])
    assert 1 <= at < 300
    page.wait_for_selector(f"#report :text('stopped at step {at} of 300')")
    assert "follow when the run has come to its end" in page.inner_text("#tokens-time")
    _the_control_an_upload_and_a_refusal(room)


def _the_control_an_upload_and_a_refusal(room: Visit) -> None:
    page = room.page
    number(room, "knob-eps", "0")
    room.upload("church.png", "image/png", CHURCH)
    room.status("The picture is in")
    page.click("#run")
    page.wait_for_selector(f"{FINDING}:has-text('the control')")
    room.stop()
    room.status("nothing may change at eps 0")
    before = page.inner_text(FINDING)
    room.upload("x.png", "image/png", b"no picture")
    room.status("not a picture")
    assert page.inner_text(FINDING) == before
