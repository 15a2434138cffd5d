"""Defend in a real browser: what stands there first, a run, a refusal, a phone."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from visitor import Visit, visiting

NOTE = "#report .report-note"
FIGURE = "#report .def-figure"
READY = f"{FIGURE}[data-fooled=yes] >> nth=0"

CONTROL = "#knob-control label, #knob-control input"

defend = visiting("/defend", READY)


def steps(visit: Visit, count: str) -> None:
    box = visit.page.locator("#knob-steps input[type=number]")
    box.click()
    box.press("Control+a")
    box.type(count)
    box.press("Tab")


def model(visit: Visit, title: str) -> None:
    visit.page.click(f"#model label:has-text('{title}')")


@pytest.mark.parametrize("defend", [(1280, 720, "light")], indirect=True)
def test_one_budget_moves_the_charts_and_all_pictures(defend: Visit) -> None:
    page = defend.page
    _nothing_overflows_and_the_answer_is_seen_at_once(defend)
    defend.resize(390, 844)
    defend.dress("dark")
    _nothing_overflows_and_the_answer_is_seen_at_once(defend)
    defend.resize(1280, 720)
    assert page.locator(".nav-holder a.active").inner_text() == "Defend"
    assert "The control seems to stand" in page.inner_text("#report [data-part=findings]")
    budget = "#report .lab-choices button[aria-checked=true]"
    page.click("#report .lab-choices button[data-value='1']")
    page.wait_for_selector("#report h2:has-text('Changed by at most 1/255')")
    fooled = f"{FIGURE}[data-fooled=yes] b >> nth=0"
    assert page.inner_text(fooled) == "plain ViT"
    assert page.locator(f"{FIGURE}[data-fooled=yes]").count() == 1
    assert "but fooled by plain ViT’s picture" in page.inner_text(f"{FIGURE} >> nth=3")
    chart = page.locator("[data-part=here] .def-chart")
    box = chart.bounding_box()
    chart.click(position={"x": box["width"] - 14, "y": 100})
    page.wait_for_selector("#report h2:has-text('Changed by at most 32/255')")
    assert page.inner_text(budget) == "32/255"
    assert page.locator(f"{FIGURE}[data-fooled=yes]").count() == 4
    chart.focus()
    page.keyboard.press("Home")
    page.wait_for_selector("#report h2:text-is('Untouched')")
    assert page.evaluate("lab.then((p) => p.selection())") == {"eps": 0}
    assert page.locator(f"{FIGURE}[data-fooled=yes]").count() == 0
    assert chart.get_attribute("aria-valuetext").startswith("0/255: plain ViT 1/255")


def test_a_run_of_ones_own_what_it_leaves_a_refusal_and_stop(defend: Visit) -> None:
    page = defend.page
    model(defend, "AAS-AT")
    page.wait_for_selector(f"{NOTE}:has-text('PGD-AT')")
    page.click(CONTROL)
    steps(defend, "2")
    page.click("#run")
    defend.status("Finished")
    page.wait_for_function(f"document.querySelectorAll('{FIGURE}').length === 2")
    assert page.is_hidden(NOTE)
    said = page.inner_text("#report [data-part=findings]")
    assert "the plain ViT falls at" in said
    found: dict[str, Any] = {}
    for kind in ("json", "csv"):
        with page.expect_download() as waiting:
            page.click(f"#report [data-file={kind}]")
        assert waiting.value.suggested_filename == f"church-vit_imagenette-pgd-eps32-seed0.{kind}"
        found[kind] = Path(waiting.value.path()).read_text(encoding="utf-8")
    data = json.loads(found["json"])
    assert [each["title"] for each in data["models"]] == ["plain ViT", "PGD-AT"]
    assert f"PGD-AT at {data['models'][1]['falls_at_255']}/255" in said
    lines = list(csv.DictReader(io.StringIO(found["csv"])))
    assert len(lines) == sum(len(each["tries"]) for each in data["models"])
    page.click(CONTROL)
    steps(defend, "10")
    _a_refusal_leaves_what_stands_there_and_stop_keeps_what_came(defend)


def _a_refusal_leaves_what_stands_there_and_stop_keeps_what_came(defend: Visit) -> None:
    page = defend.page
    before = page.inner_text("#report [data-part=findings]")
    model(defend, "plain ViT")
    page.click("#run")
    defend.status("The control is made of a plain model.")
    assert page.inner_text("#report [data-part=findings]") == before
    model(defend, "plain ViT")
    page.click("#strip button[data-sample=tench]")
    defend.status("The picture is in")
    page.click("#run")
    defend.status("step ")
    defend.stop()
    defend.status("Stopped", "Finished")
    assert "“tench”" in page.inner_text("#report [data-part=pictures]")


def _nothing_overflows_and_the_answer_is_seen_at_once(defend: Visit) -> None:
    page = defend.page
    assert defend.overflow() <= 0
    box = page.locator("#run").bounding_box()
    wide = page.evaluate("innerWidth") > 1000
    assert box["y"] + box["height"] <= (720 if wide else 844)
    found = page.locator("#report [data-part=findings]").bounding_box()
    assert not wide or found["y"] + found["height"] <= 720
