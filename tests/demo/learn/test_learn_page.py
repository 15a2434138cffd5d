"""The page Learn and a class, by hand in a real browser: a teacher, a student, and the student's second tab."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from test_axe import ASKED, AXE, GRAVE
from visitor import Visit

from demo.learn.catalog import LESSONS

READY = ".learn-list .learn-lesson"
CODE = re.compile(r"^[A-Z0-9]{3} [A-Z0-9]{3}$")


@pytest.fixture
def teacher(browser: Any, served: str) -> Iterator[Visit]:
    found = Visit(browser, served, 1280, 720, "light", "/learn", READY)
    yield found
    found.close()


@pytest.fixture
def student(browser: Any, served: str) -> Iterator[Any]:
    """Another browser, a phone: nothing of the teacher's storage is in it."""
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{served}/learn")
    page.wait_for_selector(READY)
    yield page
    context.close()


@pytest.mark.slow
def test_a_class_from_its_code_to_the_histogram_and_the_result(
    teacher: Visit, student: Any
) -> None:
    _the_page_is_whole(teacher)
    code = _opens_a_class(teacher.page)
    _comes_in(student, code)
    _counts_once(teacher.page, student)
    _sees_nothing_too_soon(teacher.page, student)
    _is_led(teacher.page, student)
    _ends(teacher, student)


def _the_page_is_whole(visit: Visit) -> None:
    page = visit.page
    assert page.locator(".learn-lesson h2").all_inner_texts() == [each.title for each in LESSONS]
    assert page.locator(".nav-holder a.active").inner_text() == "Learn"
    page.evaluate(AXE)
    for width, theme in ((1280, "light"), (390, "dark")):
        visit.resize(width, 844)
        visit.dress(theme)
        assert visit.overflow() <= 0, width
        found = page.evaluate("asked => axe.run(document, asked)", ASKED)
        grave = [each["id"] for each in found["violations"] if each["impact"] in GRAVE]
        assert not grave, (theme, grave)
    visit.resize(1280, 720)
    visit.dress("light")


def _opens_a_class(page: Any) -> str:
    page.click(".learn-teach")
    page.wait_for_selector(".learn-class[open] .learn-qr svg")
    code = page.inner_text(".learn-class .learn-big")
    assert CODE.match(code)
    assert page.inner_text(".learn-typed").endswith("/learn")
    page.check(".learn-class input[value=more]")
    page.wait_for_function(
        "document.querySelector('.learn-class .learn-start').href.includes('k=')"
    )
    page.click(".learn-class .learn-start")
    page.wait_for_selector(".class-line:text('0 are here')")
    return code


def _comes_in(student: Any, code: str) -> None:
    student.fill("#learn-code", "AAAAAA")
    student.press("#learn-code", "Enter")
    student.wait_for_selector(".learn-said:text('never was one')")
    student.fill("#learn-code", code.lower())
    student.press("#learn-code", "Enter")
    student.wait_for_selector(".class-line:text('0 of 1')")
    assert "hide=more" in student.url
    assert not student.is_visible("#more")


def _counts_once(page: Any, student: Any) -> None:
    second = student.context.new_page()
    second.goto(student.url)
    second.wait_for_selector(".class-line:text('0 of 1')")
    second.close()
    page.wait_for_selector(".class-line:text('1 is here')")


def _sees_nothing_too_soon(page: Any, student: Any) -> None:
    student.locator(".dock-ask input[type=radio]").first.check()
    student.click(".dock-run")
    student.wait_for_selector("[data-lesson=waiting] .class-chart [data-own=true]")
    page.wait_for_selector(".class-line:text('1 of 1')")
    assert not page.locator(".class-chart").count()  # the wall shows nothing by itself
    page.click(".class-tools button:text('Show the predictions')")
    page.wait_for_selector(".class-chart figure")
    counts = page.locator(".class-chart li > b").all_inner_texts()
    assert counts[0] == "1"
    assert set(counts[1:]) == {"0"}
    assert not page.locator(".class-chart [data-own=true]").count()
    assert student.get_attribute("html", "data-lesson") == "waiting"


def _is_led(page: Any, student: Any) -> None:
    page.click(".class-tools button:text('Let everybody see the result')")
    student.wait_for_selector("[data-lesson=running], [data-lesson=seen]")
    assert student.is_disabled(".dock-next")
    page.click(".dock-next")
    student.wait_for_function("new URLSearchParams(location.search).get('s') === '1'")
    page.click(".class-tools [role=radio]:text('At their own pace')")
    student.wait_for_selector(".dock-next:enabled")


def _ends(teacher: Visit, student: Any) -> None:
    page = teacher.page
    page.goto(f"{teacher.url}/learn")
    page.click(".learn-teach:text('Your class')")
    page.click(".learn-class [data-do=end]")
    student.wait_for_selector(".class-line:text('You go on alone')")
    assert student.is_enabled(".dock-next")
    page.wait_for_selector(".learn-teach:text('Teach it')")
    page.evaluate("localStorage['labLesson:fooled'] = '{\"step\": 3, \"of\": 8}'")
    page.reload()
    page.wait_for_selector(".learn-done span:text('3 of 8 steps done')")
    assert "s=3" in page.get_attribute("[data-lesson=fooled] .learn-start", "href")
    page.add_init_script("window.print = () => { window.printed = true; };")
    page.goto(f"{teacher.url}/learn?print=handout-fooled")
    page.wait_for_function("window.printed")
    assert page.locator("body > *").count() == 1
    assert page.inner_text("h4").startswith("Handout")
