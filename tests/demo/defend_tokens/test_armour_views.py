"""The scripts of Defend's tokens room alone, on a run of two blocks and two heads counted by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from scripted import alone, settle, show, words

from demo.kit.packing import png, png_change

MOUNT = """
async (message) => {
  const page = (window.page = await lab);
  const box = document.createElement("div");
  box.id = "tokens-board";
  box.innerHTML = '<section class="lab-view"></section>';
  document.querySelector("#report").append(box);
  const props = { value: JSON.stringify([message]) };
  page.board(box, props, (_, heard) => (window.tell = (value) => heard((props.value = JSON.stringify([value])))));
}
"""
CLEAN = torch.full((3, 8, 8), 120, dtype=torch.uint8)
KNOWS = {
    "transfer": "the model without tokens",
    "surrogate": "tokens of its own",
    "adaptive": "the tokens",
    "restarts": "the tokens, tries three times",
}


def said(cosine: float, answer: str, p: float) -> dict[str, Any]:
    return {
        "kept": cosine,
        "own": cosine + 0.02,
        "answer": answer,
        "p": p,
        "fooled": answer != "church",
    }


def inside(by: float) -> dict[str, Any]:
    """Attention of two blocks of two heads; everything else grows with `by`."""
    return {
        "mass": [[0.1 * by, 0.3 * by], [0.2 * by, 0.2 * by]],
        "own": [5, 7],
        "largest": {"public": [4 * by, 8 * by], "private": [3 * by, 6 * by]},
        "outliers": {"public": [2, 5], "private": [1, round(3 * by)]},
        "spared": [1, 2],
        "kept": {"public": [90, 60], "private": [88, 50]},
    }


def shot(public: dict[str, Any], private: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "picture": png_change(CLEAN + 2, CLEAN),
        "public": public,
        "private": private,
        "top": [
            {"name": "church", "public": 0.2, "private": 0.7},
            {"name": "tench", "public": 0.8, "private": None},
        ],
    } | more


def threat(name: str, left: float) -> dict[str, Any]:
    feature = shot(said(0.21, "tench", 0.8), said(left, "church", 0.7))
    answer = shot(said(0.5, "tench", 0.9), said(0.6, "tench", 0.51))
    own = {"feature": feature, "answer": answer, "inside": inside(1.5), "gradients": 20}
    return {"name": name, "title": name.title(), "knows": KNOWS[name], **own}


def report(**more: Any) -> dict[str, Any]:
    return {
        "kind": "report",
        "run": "a",
        "choice": {"picture": "Church", "model": "M", "tokens": "t", "eps": "2/255", "steps": "20"},
        "files": {"stem": "x", "json": "{}", "csv": "", "png": ""},
        "model": {"name": "m", "title": "M"},
        "eps": 2,
        "steps": 20,
        "count": 10,
        "even": 0.1,
        "patches": 90,
        "columns": [768, 960],
        "threshold": 6,
        "blocks": 2,
        "label": "church",
        "verdict": "Tokens keep the answer.",
        "sentence": "They do not against whom has them.",
        "notes": ["One is left out."],
        "whole": True,
        "curve": None,
        "clean": shot(
            said(1, "church", 0.9), said(0.98, "church", 0.88), picture=png(CLEAN), inside=inside(1)
        ),
        "threats": [threat(*each) for each in zip(KNOWS, (0.62, 0.4, 0.22, -0.05), strict=True)],
    } | more


@pytest.fixture(scope="module")
def page(browser: Any) -> Iterator[Any]:
    found = browser.new_page(viewport={"width": 1100, "height": 900})
    alone(found, name="defend-tokens")
    yield found
    found.close()


@pytest.fixture
def drawn(page: Any) -> Iterator[Any]:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    show(page, MOUNT, report())
    yield page
    assert not errors


def figures(page: Any) -> list[str]:
    settle(page)
    return [" ".join(each.split()) for each in page.locator(".rob-threat").all_inner_texts()]


def test_every_attacker_is_told_beside_the_clean_picture(drawn: Any) -> None:
    clean, transfer, _, _, restarts = figures(drawn)
    assert clean.startswith("Clean nobody attacks")
    assert "cosine 1.00 “church” 90 %" in clean
    assert "without tokens: cosine 0.21 “tench” 80 %" in transfer
    assert "with tokens: cosine 0.62 “church” 70 %" in transfer
    assert "cosine −0.05" in restarts
    bars = drawn.locator(".rob-threat:last-child .rob-bar > i")
    assert [each.evaluate("(e) => e.style.width") for each in bars.all()] == ["21%", "0%"]
    halves = drawn.locator(".rob-threat >> nth=1").locator(".rob-half")
    assert [each.get_attribute("data-fooled") for each in halves.all()] == ["yes", "no"]
    assert "tench 80 % below its five" in words(drawn, "[data-part=answers]")
    assert "0.23 without tokens, 0.64 with them" in words(drawn, "[data-part=answers]")


def test_one_threat_one_aim_and_one_block_move_every_view(drawn: Any) -> None:
    drawn.click("[role=radio]:has-text('the answer')")
    assert "cosine 0.60 “tench” 51 %" in figures(drawn)[1]
    drawn.click(".rob-threat >> nth=3")
    assert "Adaptive, aimed at the answer" in words(drawn, "[data-part=answers]")
    assert "Adaptive, aimed at the feature" in words(drawn, "[data-part=attention]")
    chosen = "[aria-label='Threat that is looked into below'] [aria-checked=true]"
    assert words(drawn, chosen) == "Adaptive"
    drawn.press(chosen, "ArrowRight")
    assert words(drawn, chosen) == "Restarts"
    chart = drawn.locator("[data-part=outliers] [role=slider]")
    assert chart.get_attribute("aria-valuetext") == (
        "block 2: clean, without 5, clean, with 3, attacked, without 5, attacked, with 4"
    )
    assert "Of 960 inputs" in words(drawn, "[data-part=outliers]")
    chart.press("ArrowLeft")
    assert "Of 768 inputs" in words(drawn, "[data-part=outliers]")
    assert "4 → 3" in drawn.locator("[data-part=largest] svg").last.text_content()
    drawn.click(".rob-threat >> nth=0")
    assert words(drawn, chosen) == "Restarts", "nobody attacks the clean picture"


def test_what_is_not_known_yet_is_not_drawn(drawn: Any) -> None:
    unseen = {"clean": None, "threats": [], "columns": [], "blocks": 0, "even": None}
    points = [[1, 0.9, 0.4], [2, 0.95, 0.5]]
    training = {"asked": 4, "points": points, "source": "trained here"}
    tell = "(message) => window.tell(message)"
    drawn.evaluate(tell, report(run="b", whole=False, curve=training, **unseen))
    drawn.wait_for_selector("[data-part=curve] svg")
    said = words(drawn, "[data-part=curve]")
    assert "After step 2 of 4: clean from 0.900 to 0.950, attacked from 0.400 to 0.500." in said
    assert drawn.locator(".report-board h2:visible").count() == 1
    first, *others = report()["threats"]
    later = [each | {"feature": None, "answer": None, "inside": None} for each in others]
    told = report(run="b", whole=False, threats=[first, *later])
    told["clean"]["inside"]["kept"] = first["inside"]["kept"] = None
    drawn.evaluate(tell, told)
    drawn.wait_for_selector(".rob-threat >> nth=4")
    assert figures(drawn)[2].endswith("It follows.")
    assert "More follows." in words(drawn, "[data-part=threats]")
    assert drawn.locator("[data-part=kept] :visible").count() == 0
    drawn.click(".rob-threat >> nth=4")
    assert "It follows." in words(drawn, "[data-part=answers]")
    drawn.evaluate(tell, told | {"whole": True})
    drawn.wait_for_function("!document.body.innerText.includes('follows.')")
    assert figures(drawn)[2].endswith("Not measured."), "it was stopped"
    lines = drawn.locator("[data-part=attention] .lab-chart .lab-line")
    assert lines.count() == 1, "of an attack that follows nothing is drawn"
