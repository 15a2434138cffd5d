"""The Cost page in a real browser: a run, Stop, the threshold, an upload, a refusal, a phone."""

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
SHOWN = f"Number(document.querySelector('{FINDING} .lab-clean').innerText)"
SMALL = pytest.mark.parametrize("cost", [(1280, 720, "light")], indirect=True)


cost = visiting("/cost", f"{FINDING} .lab-adversarial")


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes are timed for half a second here, not ten: the least number of rounds is enough."""
    monkeypatch.setattr(timing, "SECONDS", 0.5)


def steps(cost: Visit, count: int) -> None:
    box = cost.page.locator("#knob-steps input[type=number]")
    box.fill(str(count))
    box.press("Tab")


def choose(cost: Visit, control: str, words: str) -> None:
    cost.page.click(f"#{control} input")
    cost.page.click(f"[role=option]:has-text('{words}')")


def run_until(cost: Visit, words: str) -> None:
    """Press Run, wait until the board says these words of it, and stop: what follows is not asked for."""
    cost.page.click("#run")
    cost.page.wait_for_selector(f"#report [data-part=findings]:has-text('{words}')")
    cost.stop()
    cost.status("Stopped after", "Finished")


def columns(cost: Visit) -> tuple[int, int, int]:
    """Clean, attacked and noise, from the first sentence."""
    words = cost.page.inner_text(FINDING)
    clean, attacked = (
        cost.page.inner_text(f"{FINDING} .lab-{r}") for r in ("clean", "adversarial")
    )
    return int(clean), int(attacked), int(words.split("same size ")[1].split(".")[0])


def number(cost: Visit, knob: str, value: str) -> str:
    """Type a number beside a slider, as a visitor does; what the box holds afterwards."""
    box = cost.page.locator(f"#{knob} input[type=number]")
    box.click()
    box.press("Control+a")
    box.type(value)
    box.press("Tab")
    cost.page.wait_for_timeout(200)  # gradio has taken it back, or leaves it
    return box.input_value()


def test_a_run_draws_every_view_and_the_threshold_moves_them(cost: Visit) -> None:
    page = cost.page
    steps(cost, 5)
    page.click("#run")
    cost.status("Finished")
    clean, attacked, noise = columns(cost)
    assert attacked > max(clean, noise)
    assert "Calibrated: 0.50 %" in page.inner_text(".cost-threshold")
    page.wait_for_selector("#report :text('What a pass takes on this machine')")
    for chart in (
        "[data-part=layers] svg >> nth=-1",
        "[data-part=batch] svg >> nth=-1",
        *(f"#cost-{name} .main-svg >> nth=0" for name in ("times", "growth", "roc")),
    ):
        assert page.locator(f"#report {chart}").bounding_box()["height"] > 100, chart
    drawn = page.evaluate(
        "[...document.querySelectorAll('#report canvas')].map(c =>"
        " new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size)"
    )
    assert len(drawn) == 6
    assert min(drawn) > 8
    assert "modelled" in page.inner_text("#report [data-part=price]")
    timed = page.inner_text("#report [data-part=time]")
    assert "What a pass takes on this machine" in timed
    assert re.search(r"on CPU, \d+ threads? of .+ with \d+ cores?", timed)
    assert page.locator("#report [data-part=defence] tbody tr").count() == 7
    page.click("#report [data-slot=fc1] [data-block='2']")
    page.wait_for_selector("#report :text('block 3, MLP first')")
    page.click("#report [data-all]")
    slider = page.locator("#report input[type=range]")
    slider.focus()
    page.keyboard.press("End")
    page.wait_for_function("document.querySelector('.cost-threshold').innerText.includes('Moved')")
    assert columns(cost)[1] < attacked
    page.keyboard.press("Home")
    page.wait_for_function(f"{SHOWN} > {clean}")
    page.click(".cost-threshold button")
    page.wait_for_function(f"{SHOWN} === {clean}")
    assert columns(cost) == (clean, attacked, noise)
    looked = page.evaluate(
        "lab.then((p) => { p.select({ threshold: 6, layer: 1 }); return p.selection(); })"
    )
    assert looked["threshold"] == pytest.approx(6, rel=0.05), "the nearest that is offered"
    page.wait_for_selector("#report :text('block 1, attention output')")
    assert columns(cost)[1] < attacked
    assert cost.overflow() <= 0
    cost.resize(390, 844)
    _nothing_is_cut_off_on_a_phone_which_is_taken_to_the_result_once(cost)


@pytest.mark.slow
def test_stop_keeps_what_the_attack_has_reached_and_a_budget_of_zero_is_the_control(
    cost: Visit,
) -> None:
    page = cost.page
    steps(cost, 300)
    page.click("#run")
    cost.status("of 300")
    cost.stop()
    said = cost.status("Stopped after")
    at = int(said.split("Stopped after ")[1].split()[0])
    assert 1 <= at < 300
    page.wait_for_selector(f"#report :text('stopped at step {at} of 300')")
    assert "follow when the run has come to its end" in page.inner_text("#report [data-part=time]")
    assert number(cost, "knob-eps", "0") == "0"
    run_until(cost, "the control")
    cost.status("nothing may change at eps 0")
    clean, attacked, noise = columns(cost)
    assert clean == attacked == noise > 0
    _an_upload_runs_and_what_cannot_be_asked_is_one_sentence(cost)


def _an_upload_runs_and_what_cannot_be_asked_is_one_sentence(cost: Visit) -> None:
    page = cost.page
    _a_number_that_is_taken_back_is_said(cost)
    cost.upload("church.png", "image/png", CHURCH)
    cost.status("The picture is in")
    page.click("#calibrate label:has-text('as a number')")
    page.fill("#knob-threshold input", "3")
    page.press("#knob-threshold input", "Tab")
    steps(cost, 2)
    run_until(cost, "church")
    before = page.inner_text(FINDING)
    assert "Chosen as a number" in page.inner_text(".cost-threshold")
    page.fill("#knob-threshold input", "0")
    page.press("#knob-threshold input", "Tab")
    page.click("#run")
    cost.status("The threshold cannot be 0.")
    cost.upload("x.png", "image/png", b"no picture")
    cost.status("not a picture")
    choose(cost, "model", "ResNet")
    page.wait_for_selector("#model-card [title*='cnn']")
    page.click("#run")
    cost.status("has no linear layers inside blocks")
    assert page.inner_text(FINDING) == before
    page.wait_for_selector(f"{NOTE}:has-text('The last Run failed')")
    assert page.get_attribute("#report", "data-old") == "yes"


def _a_number_that_is_taken_back_is_said(cost: Visit) -> None:
    for knob, typed, kept in (("knob-steps", "500", "300"), ("knob-eps", "64", "32")):
        assert number(cost, knob, typed) == kept
        said = cost.page.inner_text(f"#{knob} .report-refused")
        assert typed in said
        assert f"so it is {kept} now" in said
        number(cost, knob, "5")
        assert cost.page.locator(f"#{knob} .report-refused").count() == 0


@pytest.mark.slow
@SMALL
def test_what_stands_there_first_is_seen_at_once_and_honest_and_can_be_taken_away(
    cost: Visit,
) -> None:
    page = cost.page
    for place in ("#run", "#stop", FINDING):
        box = page.locator(place).bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 720, place
    assert page.evaluate("scrollY") == 0
    _times_are_of_another_day(page)
    _no_countermeasure_costs_exactly_nothing(page)
    _files_are_of_what_is_shown(cost)
    cost.resize(1440, 900)
    cost.dress("dark")
    _nothing_overflows(cost)
    _what_stands_there_says_so_when_it_is_not_what_run_would_do(cost)


def _times_are_of_another_day(page: Any) -> None:
    said = page.inner_text("#report [data-part=time]")
    assert "on this machine" not in said
    assert "where this report was made" in said
    assert "Press Run to measure" in said


def _no_countermeasure_costs_exactly_nothing(page: Any) -> None:
    said = page.inner_text("#report [data-part=defence]")
    assert "at most 9 points" in said
    assert "0 of 32" in said
    assert "0.00" not in said


def _nothing_overflows(cost: Visit) -> None:
    assert cost.overflow() <= 0
    cost.page.click("#report [role=radio]:has-text('clean picture’s order')")
    assert cost.overflow() <= 0


def _files_are_of_what_is_shown(cost: Visit) -> None:
    page = cost.page
    files: dict[str, bytes] = {}
    for kind in ("png", "csv", "json"):
        with page.expect_download() as waiting:
            page.click(f"#report [data-file={kind}]")
        name = waiting.value.suggested_filename
        assert re.fullmatch(rf"\w+-vit_imagenette-count-eps8-seed0\.{kind}", name)
        files[kind] = Path(waiting.value.path()).read_bytes()
    data = json.loads(files["json"])
    clean, attacked, noise = columns(cost)
    counts = {k: v["outlier_columns_int8_model"] for k, v in data["pictures"].items()}
    assert counts == {"clean": clean, "attacked": attacked, "noise": noise}
    lines = list(csv.DictReader(io.StringIO(files["csv"].decode())))
    assert sum(int(line["outlier_columns_attacked"]) for line in lines) == attacked
    assert files["png"].startswith(b"\x89PNG")


def _nothing_is_cut_off_on_a_phone_which_is_taken_to_the_result_once(cost: Visit) -> None:
    page = cost.page
    _nothing_overflows(cost)
    _no_slider_is_cut_off(cost)
    page.evaluate("scrollTo(0, 0)")
    page.emulate_media(reduced_motion="reduce")
    page.evaluate(
        "() => { const own = Element.prototype.scrollIntoView; window.ways = [];"
        " Element.prototype.scrollIntoView = function (how) {"
        " if (this.matches('[data-part=board]')) ways.push(how.behavior); own.call(this, how); }; }"
    )
    steps(cost, 1)
    page.click("#run")
    page.wait_for_function(
        "() => { const r = document.querySelector('.report-finding').getBoundingClientRect();"
        " return r.top >= 0 && r.bottom <= innerHeight; }"
    )
    cost.status("Finished")
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(1000)
    assert page.evaluate("scrollY") == 0  # the later reports of the run leave the visitor alone
    assert page.evaluate("ways") == ["auto"]


def _no_slider_is_cut_off(cost: Visit) -> None:
    """A thumb is 16 px; what clips is any ancestor that does not let its content stand out."""
    cut = cost.page.evaluate(
        """() => [...document.querySelectorAll('#recipe input[type=range]')]
          .filter(e => e.offsetWidth).filter(e => {
            const own = e.getBoundingClientRect();
            const middle = own.top + own.height / 2;
            for (let at = e.parentElement; at.id !== 'recipe'; at = at.parentElement) {
              const box = at.getBoundingClientRect();
              const clips = getComputedStyle(at).overflowY !== 'visible';
              if (clips && (middle - 8 < box.top || middle + 8 > box.bottom)) return true;
            }
          }).map(e => e.ariaLabel)"""
    )
    assert cut == []


def _what_stands_there_says_so_when_it_is_not_what_run_would_do(cost: Visit) -> None:
    page = cost.page
    assert page.is_hidden(NOTE)
    name = page.inner_text(f"{FINDING} >> xpath=..").split("still answers “")[1].split("”")[0]
    page.click("#strip [data-sample=church]")
    page.wait_for_selector(f"{NOTE}:has-text('Run will do Church')")
    assert page.get_attribute("#report", "data-old") == "yes"
    opacity = page.evaluate(
        "getComputedStyle(document.querySelector('[data-part=findings]')).opacity"
    )
    assert float(opacity) < 0.6
    assert name in page.inner_text(FINDING)
    number(cost, "knob-eps", "4")
    page.wait_for_selector(f"{NOTE}:has-text('4/255')")
    first_sample = page.locator("#strip [data-sample]").first
    first_sample.click()
    page.wait_for_function(f"!document.querySelector('{NOTE}').innerText.includes('Church')")
    number(cost, "knob-eps", "8")
    page.wait_for_selector(NOTE, state="hidden")
    assert page.get_attribute("#report", "data-old") == ""
    choose(cost, "attack", "Sponge")
    steps(cost, 1)
    page.wait_for_selector(f"{NOTE}:has-text('Sponge')")
    run_until(cost, "Sponge")
    assert page.is_hidden(NOTE)
    choose(cost, "model", "Visformer")
    page.wait_for_selector("#model-card [title*='visformer']")
    page.wait_for_selector(f"{NOTE}:has-text('Visformer')")
    run_until(cost, "1×1 convolutions")
    assert "8 064 input columns" in page.inner_text(FINDING).replace("\u202f", " ")
