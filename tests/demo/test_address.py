"""The address of a page leads back to it: for its visitor, and for whoever is given the link."""

from __future__ import annotations

from typing import Any

import pytest
from visitor import Visit

from demo.kit import link

ASKED = {"source": "/mine.png", "knob-eps": 4, "seed": "many"}
TOOK = "#status :text('Finished: 2 steps')"


def chosen(page: Any) -> str:
    return page.get_attribute("#strip button[aria-pressed=true]", "data-sample")


def steps(page: Any) -> str:
    return page.input_value("#knob-steps input[type=number]")


@pytest.mark.parametrize("visit", [(1280, 720, "light")], indirect=True)
def test_a_link_a_way_back_and_what_no_link_holds(visit: Visit, browser: Any) -> None:
    page = visit.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    assert "c=" not in page.url
    page.click("#strip [data-sample=church]")
    page.fill("#knob-steps input[type=number]", "2")
    page.press("#knob-steps input[type=number]", "Tab")
    page.wait_for_function("new URLSearchParams(location.search).get('c')")
    page.click("#run")
    page.wait_for_selector(TOOK)
    page.wait_for_function("new URLSearchParams(location.search).get('r')")
    page.evaluate("lab.then((page) => page.select({block: 3, head: 1}))")
    page.wait_for_function("new URLSearchParams(location.search).get('v')")
    page.click("#copy-link")
    page.wait_for_selector("#copy-link:text('Link copied')")
    given = page.evaluate("navigator.clipboard.readText()")
    assert "__theme" not in given
    church = page.inner_text("#lab-headline")

    # Another picture is another place; Back finds the first again, and what came of it.
    page.click("#strip [data-sample=tench]")
    page.wait_for_function("!new URLSearchParams(location.search).get('r')")
    page.click("#run")
    page.wait_for_function("new URLSearchParams(location.search).get('r')")
    page.wait_for_selector("#lab-headline :text('tench')")
    page.go_back()
    page.wait_for_selector("#lab-headline :text('church')")
    assert page.inner_text("#lab-headline") == church
    assert (chosen(page), steps(page)) == ("church", "2")
    page.go_forward()
    page.wait_for_selector("#lab-headline :text('tench')")
    page.wait_for_selector("#strip [data-sample=tench][aria-pressed=true]")

    # Whoever is given the link sees the same, and is asked for nothing.
    guest = Visit(
        browser, visit.url, 390, 844, "light", given.removeprefix(visit.url) + "&n=", TOOK
    )
    guest.page.wait_for_selector("#lab-headline :text('church')")
    assert guest.page.inner_text("#lab-headline").split() == church.split()
    guest.page.wait_for_function("lab.then((p) => p.selection().block === 3)")
    assert (chosen(guest.page), steps(guest.page)) == ("church", "2")
    assert guest.overflow() <= 0
    guest.close()


def test_links_that_are_damaged_or_ask_too_much_say_so(browser: Any, served: str) -> None:
    def opened(query: str) -> Visit:
        return Visit(browser, served, 1280, 720, "light", f"/?{query}&n=", "#lab-notice")

    visit = opened("c=garbage&r=1")
    assert "This link is damaged" in visit.page.inner_text("#lab-notice")
    visit.close()
    visit = opened(f"c={link.spell(ASKED, {})}&r=1&hide=attack,model")
    page = visit.page
    page.wait_for_selector("#lab-notice:has-text('does not have (seed)')")
    assert "bring yours" in page.inner_text("#lab-notice")
    page.wait_for_function("document.querySelector('#knob-eps input[type=number]').value === '4'")
    assert "Running" not in page.inner_text("#status")
    page.click("#lab-notice button")
    page.wait_for_selector("#lab-notice", state="detached")
    for name in ("attack", "model"):
        assert page.locator(f"#{name}").is_hidden()
    visit.close()
