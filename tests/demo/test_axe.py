"""Every page judged by axe-core, light and dark, as it opens and after a run's worth of content."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest
from visitor import FIRST_RUN, Visit

AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
PAGES = {
    "/": FIRST_RUN,
    "/transfer": "#lab-transfer .transfer-cell",
    "/why": "[data-view=why][data-state=run] .why-answers table",
    "/cost": "[data-view=cost]:visible",
}
# axe keeps this rule back as experimental; speech control needs what it demands.
RULES = {"label-content-name-mismatch": {"enabled": True}}
GRAVE = ("serious", "critical")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_serious(
    browser: Any, served: str, path: str, theme: str, width: int
) -> None:
    visit = Visit(browser, served, width, 844, theme, path, PAGES[path])
    page = visit.page
    page.wait_for_selector("#run")
    page.evaluate(AXE)
    found = page.evaluate("rules => axe.run(document, {rules})", RULES)
    assert len(found["passes"]) > 10  # it did look
    grave = [
        f"{each['id']} ({len(each['nodes'])}): {each['nodes'][0]['html'][:160]}"
        for each in found["violations"]
        if each["impact"] in GRAVE
    ]
    visit.close()
    assert not grave, "\n".join(grave)


@pytest.mark.parametrize("path", PAGES)
def test_no_tab_is_lost_on_the_way_to_run(browser: Any, served: str, path: str) -> None:
    visit = Visit(browser, served, 1280, 720, "light", path, PAGES[path])
    page = visit.page
    at = "document.activeElement.id || document.activeElement.tagName"
    met = []
    for _ in range(80):
        page.keyboard.press("Tab")
        page.wait_for_timeout(60)  # a list that opens has opened
        met.append(page.evaluate(at))
        if met[-1] == "run":
            break
    visit.close()
    assert met[-1] == "run"
    assert "BODY" not in met, met


def test_axe_would_find_it(browser: Any, served: str) -> None:
    """The judge judges: a picture without words and a name that hides its label are found."""
    visit = Visit(browser, served, 1280, 844, "light", "/transfer", PAGES["/transfer"])
    visit.page.evaluate(
        "document.body.insertAdjacentHTML('beforeend',"
        ' \'<img src="data:,"><button aria-label="other">Read me</button>\')'
    )
    visit.page.evaluate(AXE)
    found = visit.page.evaluate("rules => axe.run(document, {rules})", RULES)
    visit.close()
    assert {"image-alt", "label-content-name-mismatch"} <= {e["id"] for e in found["violations"]}
