"""Every page judged by axe-core, light and dark, as it opens and after a run's worth of content."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from visitor import FIRST_RUN, Visit

AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
PAGES = {
    "/": FIRST_RUN,
    "/transfer": "#lab-transfer .transfer-cell",
    "/why": "[data-view=why][data-state=run] .why-answers table",
    "/cost": "#report .report-finding .lab-adversarial",
    "/cost-tokens": "#report .report-finding .lab-adversarial",
    "/why-masked": "#report .mask-tiles dd",
    "/defend": "#report .def-figure[data-fooled=yes]",
    "/defend-tokens": "#report .rob-threat .rob-half",
}
# axe keeps this rule back as experimental; speech control needs what it demands.
RULES = {"label-content-name-mismatch": {"enabled": True}}
# Of what passes, it is enough to know that there is something.
ASKED = {"rules": RULES, "resultTypes": ["violations"], "selectors": False}
GRAVE = ("serious", "critical")


LOOKS = ((1280, "light"), (390, "dark"))


# One in every run, the others with the slow ones.
@pytest.fixture(
    params=[each if each == "/" else pytest.param(each, marks=pytest.mark.slow) for each in PAGES]
)
def opened(browser: Any, served: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
    path = request.param
    found = Visit(browser, served, 1280, 844, "light", path, PAGES[path])
    found.page.wait_for_selector("#run")
    # gradio's stand-in for a chart that is on its way
    found.page.wait_for_function("!document.querySelector('[aria-label=\"Empty value\"]')")
    yield found
    found.close()


def test_axe_finds_nothing_serious_and_no_tab_is_lost_on_the_way_to_run(opened: Visit) -> None:
    page = opened.page
    page.evaluate(AXE)
    grave: list[str] = []
    for width, theme in LOOKS:
        opened.resize(width, 844)
        opened.dress(theme)
        grave += [f"{theme} at {width}: {each}" for each in _grave(page)]
    assert not grave, "\n".join(grave)
    opened.resize(1280, 720)
    _tabs_to_run(page)


def _grave(page: Any) -> list[str]:
    found = page.evaluate("asked => axe.run(document, asked)", ASKED)
    assert len(found["passes"]) > 10  # it did look
    return [
        f"{each['id']} ({len(each['nodes'])}): {each['nodes'][0]['html'][:160]}"
        for each in found["violations"]
        if each["impact"] in GRAVE
    ]


def _tabs_to_run(page: Any) -> None:
    at = "document.activeElement.id || document.activeElement.tagName"
    met: list[str] = []
    while len(met) < 80 and met[-1:] != ["run"]:
        page.keyboard.press("Tab")
        page.wait_for_timeout(30)  # a list that opens has opened
        met.append(page.evaluate(at))
    assert met[-1] == "run"
    assert "BODY" not in met, met


def test_axe_would_find_it(browser: Any) -> None:
    """The judge judges: a picture without words and a name that hides its label are found."""
    page = browser.new_page()
    page.set_content('<img src="data:,"><button aria-label="other">Read me</button>')
    page.evaluate(AXE)
    found = page.evaluate("asked => axe.run(document, asked)", ASKED)
    page.close()
    assert {"image-alt", "label-content-name-mismatch"} <= {e["id"] for e in found["violations"]}
