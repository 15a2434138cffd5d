"""A run is pinned, another stands beside it, both are moved by one hand; and the two go into a file that
lives without any server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from visitor import Visit

NOW, PINNED = (
    f"#lab-headline .lab-view{each} .lab-verdict" for each in (":not(.lab-pinned)", ".lab-pinned")
)
SMALL = pytest.mark.parametrize("visit", [(1280, 720, "light")], indirect=True)


@SMALL
def test_a_pinned_run_stands_beside_the_next_and_both_are_saved(
    visit: Visit, browser: Any, tmp_path: Path
) -> None:
    page = visit.page
    _run(visit, steps="2")
    assert page.locator(".lab-pinned").count() == 0
    page.click("text=Pin this run")
    page.wait_for_selector("#lab-compare :text('Pinned: MI-FGSM')")
    _run(visit, steps="3")
    page.wait_for_selector("#lab-compare :text('Now steps 3 instead of 2;')")
    page.wait_for_selector("#lab-headline :text('pinned: MI-FGSM, eps 8/255, steps 2')")
    left, right = (
        page.locator(f"#lab-pair .lab-view{each}").bounding_box()
        for each in (".lab-pinned", ":not(.lab-pinned)")
    )
    assert left["x"] + left["width"] <= right["x"]
    assert left["width"] == pytest.approx(right["width"], abs=1)
    assert visit.overflow() <= 0
    _one_hand_moves_both(page)
    page.reload()
    page.wait_for_selector("#lab-compare :text('Now steps 3 instead of 2;')")
    with page.expect_download() as caught:
        page.click("text=Report (HTML)")
    saved = tmp_path / caught.value.suggested_filename
    caught.value.save_as(saved)
    assert saved.stat().st_size < 2e6
    page.click("text=Unpin")
    page.wait_for_selector(PINNED, state="hidden")
    _it_lives_in_a_file(browser, saved)


def _run(visit: Visit, steps: str) -> None:
    page = visit.page
    page.fill("#knob-steps input[type=number]", steps)
    page.press("#knob-steps input[type=number]", "Tab")
    page.wait_for_selector(f"#sentence b:text-is('{steps}')")
    page.click("#run")
    visit.status(f"Finished: {steps} steps")


def _one_hand_moves_both(page: Any) -> None:
    """End goes with end, a step with the same one; a patch that is chosen on one is chosen on both."""
    for button, said in (
        ("First step", "before the attack"),
        ("One stored step on", "after step 1"),
    ):
        page.click(f"#lab-scrubber [aria-label='{button}']")
        for each in (NOW, PINNED):
            page.wait_for_selector(f"{each} :text('{said}')")
    page.click("#lab-scrubber [aria-label='Last step']")
    page.wait_for_selector("#lab-pair .lab-pinned :text('after step 2 of 2')")
    page.wait_for_selector("#lab-pair .lab-view:not(.lab-pinned) :text('after step 3 of 3')")
    page.click("#lab-pair .lab-pinned .lab-picture-clean .lab-stack", position={"x": 30, "y": 30})
    picks = page.locator("#lab-pair .lab-picture-clean .lab-pick")
    picks.first.wait_for(state="visible")
    assert len({each.get_attribute("style") for each in picks.all()}) == 1
    page.wait_for_function(
        "[...document.querySelectorAll('#lab-attention .lab-query b')]"
        ".filter((each) => each.innerText.startsWith('patch row')).length === 2"
    )


def _it_lives_in_a_file(browser: Any, file: Path) -> None:
    page, faults = browser.new_page(viewport={"width": 1280, "height": 720}), list[str]()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: said.type == "error" and faults.append(said.text))
    own = (file.parent.as_uri(), "data:", "blob:")
    page.on("request", lambda asked: asked.url.startswith(own) or faults.append(asked.url))
    page.goto(file.as_uri())
    page.wait_for_selector(f"{PINNED} :text('tench'), {PINNED} :text('golf ball')")
    page.click("#lab-scrubber [aria-label='First step']")
    for each in (NOW, PINNED):
        page.wait_for_selector(f"{each} :text('before the attack')")
    for name in ("attention", "gradients", "tokens", "outliers", "depth"):
        assert page.locator(f"#lab-{name} .lab-finding").count() >= 2, name
    page.click(
        "#lab-pair .lab-view:not(.lab-pinned) .lab-picture-clean .lab-stack",
        position={"x": 30, "y": 30},
    )
    page.wait_for_selector("#lab-attention .lab-query :text('not in this file')")
    page.fill("#name", "Ada <b>")
    with page.expect_download() as caught:
        page.click("#save")
    again = file.with_name("again.html")
    caught.value.save_as(again)
    page.goto(again.as_uri())
    page.wait_for_selector(f"{NOW} .lab-headline")
    assert page.inner_text("#name") == "Ada <b>"
    page.close()
    assert not faults
