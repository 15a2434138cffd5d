"""The Cost page in a real browser: a run, Stop, the threshold, an upload, a refusal, a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from visitor import Visit

from demo.cost import first

CHURCH = Path("assets/samples/church.png").read_bytes()
FINDING = "#lab-cost .cost-finding"


@pytest.fixture
def cost(browser: Any, served: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A fresh visitor of the Cost page; parametrise indirectly with (width, height, theme)."""
    width, height, theme = getattr(request, "param", (1440, 900, "light"))
    found = Visit(browser, served, width, height, theme, "/cost", f"{FINDING} .lab-adversarial")
    yield found
    found.close()


def test_what_stands_there_first_was_made_by_this_code_and_this_model() -> None:
    """If not: `python -m demo.cost.first`."""
    assert first.stored() is not None


def steps(cost: Visit, count: int) -> None:
    box = cost.page.locator("#knob-steps input[type=number]")
    box.fill(str(count))
    box.press("Tab")


def columns(cost: Visit) -> tuple[int, int, int]:
    """Clean, attacked and noise, from the first sentence."""
    words = cost.page.inner_text(FINDING)
    clean, attacked = (
        cost.page.inner_text(f"{FINDING} .lab-{r}") for r in ("clean", "adversarial")
    )
    return int(clean), int(attacked), int(words.split("same size ")[1].split(".")[0])


def test_a_run_draws_every_view_and_the_threshold_moves_them(cost: Visit) -> None:
    page = cost.page
    steps(cost, 5)
    page.click("#run")
    cost.status("Finished")
    clean, attacked, noise = columns(cost)
    assert attacked > max(clean, noise)
    assert "Calibrated: 0.50 %" in page.inner_text(".cost-threshold")
    for part in ("layers", "time", "batch", "path"):
        chart = page.locator(f"#lab-cost [data-part={part}] svg").last
        assert chart.bounding_box()["height"] > 100, part
    drawn = page.evaluate(
        "[...document.querySelectorAll('#lab-cost canvas')].map(c =>"
        " new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size)"
    )
    assert len(drawn) == 6
    assert min(drawn) > 8
    assert "modelled" in page.inner_text("#lab-cost [data-part=price]")
    assert "CPU" in page.inner_text("#lab-cost [data-part=time]")
    assert page.locator("#lab-cost [data-part=defence] tbody tr").count() == 7
    page.click("#lab-cost [data-slot=fc1] [data-block='2']")
    page.wait_for_selector("#lab-cost :text('block 3, MLP first')")
    page.click("#lab-cost [data-all]")
    slider = page.locator("#lab-cost input[type=range]")
    slider.focus()
    page.keyboard.press("End")
    page.wait_for_function("document.querySelector('.cost-threshold').innerText.includes('Moved')")
    assert columns(cost)[1] < attacked
    page.keyboard.press("Home")
    assert columns(cost)[0] > clean
    page.click(".cost-threshold button")
    assert columns(cost) == (clean, attacked, noise)
    assert cost.overflow() <= 0


def test_stop_keeps_what_the_attack_has_reached(cost: Visit) -> None:
    page = cost.page
    steps(cost, 300)
    page.click("#run")
    cost.status("of 300")
    cost.stop()
    said = cost.status("Stopped after")
    at = int(said.split("Stopped after ")[1].split()[0])
    assert 1 <= at < 300
    page.wait_for_selector(f"#lab-cost :text('stopped at step {at} of 300')")
    assert "follow when the run has come to its end" in page.inner_text(
        "#lab-cost [data-part=time]"
    )


def test_an_upload_runs_and_what_cannot_be_asked_is_one_sentence(cost: Visit) -> None:
    page = cost.page
    cost.upload("church.png", "image/png", CHURCH)
    cost.status("The picture is in")
    page.click("#calibrate label:has-text('as a number')")
    page.fill("#knob-threshold input", "3")
    page.press("#knob-threshold input", "Tab")
    steps(cost, 2)
    page.click("#run")
    cost.status("Finished")
    before = page.inner_text(FINDING)
    assert "church" in before
    assert "Chosen as a number" in page.inner_text(".cost-threshold")
    page.fill("#knob-threshold input", "0")
    page.press("#knob-threshold input", "Tab")
    page.click("#run")
    cost.status("The threshold cannot be 0.")
    cost.upload("x.png", "image/png", b"no picture")
    cost.status("not a picture")
    page.click("#model input")
    page.click("[role=option]:has-text('ResNet')")
    page.wait_for_selector("#model-card :text('cnn')")
    page.click("#run")
    cost.status("has no linear layers inside blocks")
    assert page.inner_text(FINDING) == before
    assert page.get_attribute(".cost-board", "data-old") == ""


@pytest.mark.parametrize(
    "cost", [(390, 844, "light"), (1440, 900, "dark")], indirect=True, ids=["phone", "dark"]
)
def test_nothing_overflows(cost: Visit) -> None:
    steps(cost, 1)
    cost.page.click("#run")
    cost.status("Finished")
    assert cost.overflow() <= 0
    cost.page.click("#lab-cost [role=radio]:has-text('clean picture’s order')")
    assert cost.overflow() <= 0
