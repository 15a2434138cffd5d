"""The scripts of the masked room alone, on a run of two blocks and two heads counted by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from scripted import alone, settle, show, words

from demo.kit.packing import pack

THRESHOLDS = {
    "float32 rounds": 16.75,
    "float32 underflows": 104.0,
    "float16 rounds": 8.5,
    "float16 underflows": 17.5,
    "bfloat16 rounds": 6.25,
    "bfloat16 underflows": 92.75,
}
EDGES = [0.0, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0]
MOUNT = """
async (message) => {
  const page = (window.page = await lab);
  const box = document.createElement("div");
  box.id = "masked-board";
  box.innerHTML = '<section class="lab-view"></section>';
  document.querySelector("#report").append(box);
  const props = { value: JSON.stringify([message]) };
  page.board(box, props, (_, heard) => (window.tell = (value) => heard((props.value = JSON.stringify([value])))));
}
"""


def leads(past: float, largest: float) -> dict[str, Any]:
    """All rows of a head in one bin: those of block 1 low, a share `past` of block 2's high."""
    shares = torch.zeros(3, 3, len(EDGES) - 1)
    shares[0, :, 2] = 1
    shares[1, :, 3], shares[1, :, 5] = 1 - past, past
    shares[2] = shares[:2].mean(0)
    share = [[0.0] * 3, [past] * 3, [past / 2] * 3]
    return {
        "shares": pack(shares.half()),
        "past": dict.fromkeys(THRESHOLDS, share),
        "largest": [[0.5] * 3, [largest] * 3, [largest] * 3],
    }


def outcome(name: str, title: str, fooled: bool, factor: float | None = None) -> dict[str, Any]:
    return {
        "name": name,
        "title": title,
        "factor": factor,
        "answer": "tench" if fooled else "church",
        "p": 0.1 if fooled else 0.82,
        "fooled": fooled,
        "fooled_scaled": True,
        "gradients": 3 if fooled else 20,
        "linf": 1,
    }


def rung(c: float, past: float, aligned: float, attacks: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "c": c,
        "verdict": "Masked." if c > 1 else "Not masked.",
        "sentence": f"What is so at {c:g}.",
        "answer": "church",
        "p": 0.9,
        "right": True,
        "gaps": {each: leads(past, 2 * c) for each in ("clean", "base", "aas")},
        "factors": [0.5, 0.25],
        "path": [0.0, 0.5, 1.5],
        "norms": {
            "as it is": [1e-3 * c, 0.0, 0.12 * c],
            "scaled": [1e-3, 1e-2, 0.3],
            "float64": [1e-3 * c, 1e-9, 0.12 * c],
            "without c": [1e-3, 2e-3, 0.12],
        },
        "cosine": [1.0, None, 0.99],
        "aligned": [aligned, aligned, aligned],
        "outcomes": attacks,
        "whole": True,
    }


def report(**more: Any) -> dict[str, Any]:
    own = ("base", "its own gradient")
    return {
        "kind": "report",
        "run": "a",
        "choice": {"picture": "Church", "model": "M", "eps": "1/255", "steps": "20", "per": "b"},
        "files": {"stem": "x", "json": "{}", "csv": "", "png": ""},
        "model": {"name": "m", "title": "M: of two blocks"},
        "eps": 1,
        "steps": 20,
        "label": "church",
        "blocks": 2,
        "heads": [2, 2],
        "edges": EDGES,
        "thresholds": THRESHOLDS,
        "cs": [1, 30, 300],
        "rungs": [
            rung(1, 0, 1, [outcome(*own, True)]),
            rung(
                30,
                0.5,
                0.02,
                [
                    outcome(*own, False),
                    outcome("undone", "factor 1/c", True),
                    outcome("uniform", "one factor", False, 0.1),
                ],
            ),
        ],
    } | more


@pytest.fixture(scope="module")
def page(browser: Any) -> Iterator[Any]:
    found = browser.new_page(viewport={"width": 1100, "height": 900})
    alone(found, name="why-masked")
    yield found
    found.close()


@pytest.fixture
def drawn(page: Any) -> Iterator[Any]:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    show(page, MOUNT, report())
    yield page
    assert not errors


def tiles(page: Any) -> list[str]:
    settle(page)
    return [" ".join(each.split()) for each in page.locator(".mask-tiles > div").all_inner_texts()]


def test_the_slider_moves_every_view(drawn: Any) -> None:
    assert words(drawn, ".report-second") == "What is so at 1."
    rows, points, own, undone, _ = tiles(drawn)
    assert rows == "Rows too sure for float32 0 % lead by 16.75 or more"
    assert "1.00" in points
    assert "fooled after 3 gradients" in own
    assert "nothing to undo" in undone
    drawn.locator("#mask-c").press("ArrowRight")
    rows, points, own, undone, aas = tiles(drawn)
    assert "25 %" in rows
    assert "0.02 cosine" in points
    assert "not fooled “church” keeps 0.82" in own
    assert "fooled after 3 gradients" in undone
    assert "was not tried" in aas
    assert words(drawn, ".report-second") == "What is so at 30."
    assert "one factor × 0.1 no church 0.82 yes 20" in words(drawn, "[data-part=outcomes]")
    assert "1/c = 0.033" in drawn.locator("[data-part=factors] svg").text_content()
    assert "3.6" in words(drawn, "[data-part=norms]")


def test_what_has_not_been_measured_cannot_be_looked_at(drawn: Any) -> None:
    slider = drawn.locator("#mask-c")
    slider.press("End")
    assert drawn.evaluate("page.selection().rung") == 1
    settle(drawn)
    assert slider.input_value() == "1"
    assert drawn.locator(".mask-stops button").nth(2).is_disabled()
    three = report()
    three["rungs"].append(rung(300, 1, -0.4, []))
    drawn.evaluate("(message) => window.tell(message)", three)
    drawn.wait_for_selector(".mask-stops button:not(:disabled) >> nth=2")
    drawn.click(".mask-stops button >> nth=2")
    assert words(drawn, ".report-second") == "What is so at 300."
    assert "No attack has been tried yet." in words(drawn, "[data-part=outcomes]")


def test_block_and_head_are_chosen_together(drawn: Any) -> None:
    drawn.click(".mask-stops button >> nth=1")
    drawn.click("[aria-label=Block] [data-value='1']")
    drawn.click("[aria-label=Head] [data-value='0']")
    assert words(drawn, "[data-part=gaps]").count("block 2, head 1")
    label = drawn.locator("[data-part=gaps] [role=img]").get_attribute("aria-label")
    assert "50 % beyond where float32 rounds" in label
    assert drawn.locator("[data-part=largest] [role=slider]").get_attribute("aria-valuenow") == "2"
    drawn.locator("[data-part=largest] .lab-hit >> nth=1").click()
    assert drawn.evaluate("page.selection().block") == -1, "chosen again, it is let go"
    cells = drawn.locator(".mask-heat tbody tr >> nth=0").locator("td").all_inner_texts()
    assert cells == ["0", "50", "25"]


def test_the_histogram_stands_where_the_leads_are(drawn: Any) -> None:
    """Where bars are from 10² to 10³, past both limits of float32, half of block 2 stands at c = 30."""
    drawn.click(".mask-stops button >> nth=1")
    drawn.click("[aria-label=Block] [data-value='1']")
    settle(drawn)
    lines, zero = drawn.evaluate(
        """() => {
          const chart = document.querySelector("[data-part=gaps] .lab-chart svg");
          const d = chart.querySelector(".lab-line.lab-stroke-clean").getAttribute("d");
          const points = d.slice(1).split("L").map((each) => each.split(" ").map(Number));
          return [points, Number(chart.querySelector(".mask-zero").getAttribute("x"))];
        }"""
    )
    base = max(y for _, y in lines)
    high = [x for x, y in lines if y < base and x > zero]
    assert high, "some rows stand beyond"
    drawn.click(".mask-stops button >> nth=0")
    drawn.wait_for_function("document.querySelector('.report-second').innerText.includes('at 1.')")
    assert words(drawn, ".mask-heat tbody tr >> nth=0").endswith("0 0 0")


def test_a_clean_picture_that_is_wrong_already_is_not_called_fooled(page: Any) -> None:
    message = report()
    message["rungs"] = [rung(1, 0, 1, []) | {"right": False, "answer": "tench"}]
    show(page, MOUNT, message)
    assert tiles(page)[2].endswith("wrong already says “tench” to the clean one")
