"""Every step of every lesson in a real browser: asked, answered by hand, run, pointed at, gone on from."""

from __future__ import annotations

from typing import Any

import pytest
from visitor import Visit

from demo.learn.catalog import LESSONS

# One by keyboard, and every other one on a phone.
LOOKS = {each.name: (1280, 720) if at % 2 else (390, 844) for at, each in enumerate(LESSONS)}
BY_KEYBOARD = LESSONS[0].name
ASKED = "!['', 'opening', 'waiting', 'running', undefined].includes(document.documentElement.dataset.lesson)"
IN_SIGHT = """selector => {
  const place = document.querySelector(selector).getBoundingClientRect();
  const dock = document.querySelector('.dock').getBoundingClientRect();
  return place.height > 0 && place.bottom > 0 && place.top < dock.top;
}"""


def press(page: Any, selector: str, by_keyboard: bool) -> None:
    if by_keyboard:
        page.locator(selector).first.focus()
        page.keyboard.press("Space" if "label" in selector else "Enter")
    else:
        page.locator(selector).first.click()


def predict(page: Any, by_keyboard: bool) -> None:
    """Some answer: the first option, the end of the scale, or as many cells as are asked for."""
    if page.locator(".dock-options label").count():
        press(
            page, ".dock-options label input" if by_keyboard else ".dock-options label", by_keyboard
        )
    elif page.locator(".dock-estimate").count():
        most = page.get_attribute(".dock-estimate input[type=range]", "max")
        page.fill(".dock-estimate input[type=number]", most)
        page.press(".dock-estimate input[type=number]", "Tab")
    else:
        cells = page.locator(".dock-marks button")
        for at in range(0, cells.count(), 7):
            if page.is_enabled(".dock-run"):
                return
            cells.nth(at).click()


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_every_step_of_a_lesson_is_taken_by_hand(browser: Any, served: str, lesson: Any) -> None:
    width, height = LOOKS[lesson.name]
    by_keyboard = lesson.name == BY_KEYBOARD
    visit = Visit(browser, served, width, height, "light", "/", "#run")
    page = visit.page
    page.goto(f"{served}/?l={lesson.name}&s=0")
    for step in lesson.steps:
        page.wait_for_selector(f'.dock h2:text-is("{step.title}")')
        page.wait_for_function(ASKED)
        if step.see is not None:
            assert page.is_disabled(".dock-run")
            predict(page, by_keyboard)
            press(page, ".dock-run", by_keyboard)
            page.wait_for_selector("html[data-lesson=seen]")
            assert "What came out" in page.inner_text(".dock")
            assert page.locator(".dock-measured").count()
            if step.point:
                page.wait_for_function(IN_SIGHT, arg=step.point)
            assert visit.overflow() <= 0
        press(page, ".dock-next", by_keyboard)
    page.wait_for_selector("html[data-lesson=task]")
    assert "Check my run" in page.inner_text(".dock")
    visit.close()
