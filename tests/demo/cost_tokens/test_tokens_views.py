"""The scripts of the tokens room alone, on a run of three blocks and four patches counted by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from scripted import alone, settle, show, words

from demo.kit.packing import pack, png

# Kept tokens by block: the class token, then patches 0 to 3.
CLEAN = [[1, 1, 1, 1, 1], [1, 1, 0, 1, 0], [1, 0, 0, 1, 0]]
NOISE = [[1, 1, 1, 1, 1], [1, 1, 0, 1, 0], [1, 1, 0, 0, 0]]
HALF = [[1, 1, 1, 1, 1], [1, 1, 1, 1, 0], [1, 0, 0, 0, 0]]
AWAKE = [[1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 0, 1]]
BLOCK, DENSE = 100_000_000, 300_000_000
GREY = torch.full((3, 16, 16), 128, dtype=torch.uint8)
PARTS = ("price", "elsewhere", "batch", "defence")
MOUNT = """
async ({ message, parts }) => {
  const page = (window.page = await lab);
  for (const name of ["board", ...parts]) {
    const box = document.createElement("div");
    box.id = `tokens-${name}`;
    box.innerHTML = '<section class="lab-view" data-state="run"></section>';
    document.querySelector("#report").append(box);
    if (name === "board") {
      const props = { value: JSON.stringify([message]) };
      const watch = (_, heard) => (window.tell = (value) => heard((props.value = JSON.stringify([value]))));
      page.board(box, props, watch);
    }
    else page.mount(name, box);
  }
}
"""
PIXEL = """
([row, column]) => {
  const canvas = document.querySelectorAll(".tok-maps canvas")[2];
  const cell = canvas.width / 2;
  const at = (part) => Math.floor(cell * part);
  const middle = canvas.getContext("2d").getImageData(at(column + 0.5), at(row + 0.37), 1, 1);
  const edge = canvas.getContext("2d").getImageData(at(column + 0.01), at(row + 0.5), 1, 1);
  return [[...middle.data], [...edge.data]];
}
"""


def one(keep: list[list[int]], macs: int, **more: Any) -> dict[str, Any]:
    now, clean = torch.tensor(keep).bool(), torch.tensor(CLEAN).bool()
    woken, slept = now & ~clean, clean & ~now
    switches = torch.ones(3, 2, dtype=torch.uint8)
    switches[2, 0] = keep is not CLEAN
    return {
        "answer": "church",
        "p": 0.9,
        "kept": True,
        "macs": macs,
        "gap": (macs - 200_000_000) / 100_000_000,
        "utilisation": 0.5,
        "asleep": int((~now).sum()),
        "woke": int(woken.sum()),
        "put": int(slept.sum()),
        "keep": pack(now.to(torch.uint8)),
        "tokens": now.sum(1).tolist(),
        "woken": woken.sum(1).tolist(),
        "slept": slept.sum(1).tolist(),
        "depth": now.sum(0).tolist(),
        "halts": [0, 2, 3],
        "heads": pack(switches),
        "sublayers": pack(switches),
        "heads_on": int(switches.sum()),
        "sublayers_on": int(switches.sum()),
        **more,
    }


def report(**more: Any) -> dict[str, Any]:
    end = one(AWAKE, 290_000_000)
    return {
        "kind": "report",
        "run": "a",
        "choice": {"picture": "Church", "model": "M", "attack": "A", "eps": "8/255", "steps": "2"},
        "files": {"stem": "x", "json": "{}", "csv": "", "png": png(GREY)},
        "model": {"name": "m", "title": "M: of three blocks"},
        "mechanism": "AdaViT",
        "attack": {"name": "desparsify", "title": "DeSparsify: wakes"},
        "linf": 8,
        "steps": 2,
        "asked": 2,
        "blocks": 3,
        "sparse": [1, 2],
        "tokens": 5,
        "prefix": 1,
        "grid": [2, 2],
        "heads": 2,
        "slots": 10,
        "dense": DENSE,
        "formula": {"embed": 0, "block": BLOCK, "head": 0, "deciders": 1_000_000},
        "seen": {
            "clean": one(CLEAN, 200_000_000, picture=png(GREY)),
            "noise": one(NOISE, 195_000_000, picture=png(GREY)),
            "adversarial": end | {"picture": png(GREY)},
        },
        "frames": [
            {"step": 0, **one(CLEAN, 200_000_000)},
            {"step": 1, **one(HALF, 205_000_000)},
            {"step": 2, **end},
        ],
        "elsewhere": [
            {
                "model": "d",
                "title": "ViT, dense",
                "mechanism": "Dense",
                "clean": DENSE,
                "noise": DENSE,
                "attacked": DENSE,
                "dense": DENSE,
                "gap": None,
                "kept": False,
            }
        ],
        "batch": [{"size": size, "clean": 210_000_000, "attacked": 290_000_000} for size in (1, 2)],
        "defences": [
            {"name": "cap", "clean": 1.9e8, "attacked": 2e8, "answer": True, "kept": False}
        ],
        "memory": None,
        "energy": None,
        "metered": False,
        "meter": "",
    } | more


@pytest.fixture(scope="module")
def page(browser: Any) -> Iterator[Any]:
    found = browser.new_page(viewport={"width": 1100, "height": 900})
    alone(found, name="cost-tokens")
    yield found
    found.close()


@pytest.fixture
def drawn(page: Any) -> Iterator[Any]:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    told(page, report())
    yield page
    assert not errors


def told(page: Any, message: dict[str, Any]) -> None:
    show(page, MOUNT, {"message": message, "parts": PARTS})


def looked(page: Any) -> dict[str, Any]:
    return page.evaluate("page.selection()")


def test_the_sentence_says_what_was_counted_at_the_step_looked_at(drawn: Any) -> None:
    assert words(drawn, ".report-finding") == (
        "On the clean picture AdaViT lets 5 of 10 tokens sleep, counted block by block; the attack "
        "wakes all of them and puts 1 other to sleep. The answer is still “church”. The bill goes from "
        "0.200 to 0.290 GMAC of 0.300: 90 % of the saving is gone."
    )
    assert "Noise of the same size wakes 1 and takes nothing" in words(drawn, ".report-second")
    drawn.locator(".lab-track").press("ArrowLeft")
    assert "by step 1 the attack wakes 1 of them" in words(drawn, ".report-finding")
    assert "after step 1: 1 of 5" in words(drawn, ".tok-maps")


def test_every_view_says_the_numbers_of_its_part(drawn: Any) -> None:
    assert "0.195 GMAC · 65 %" in words(drawn, "#tokens-price")
    assert "AdaViT adds 1 MMAC" in words(drawn, "#tokens-price")
    assert "drops nothing, answer changed" in words(drawn, "#tokens-elsewhere")
    assert "clean answer kept, attacked changed" in words(drawn, "#tokens-defence")
    chart = drawn.locator("#tokens-batch [role=img]")
    assert "batch of 2: 0.210 clean, 0.290 with one attacked" in chart.get_attribute("aria-label")
    assert "5 of 6 heads" in words(drawn, ".tok-grids figure >> nth=0")
    assert "6 of 6 heads" in words(drawn, ".tok-grids figure >> nth=2")


def test_pointer_and_keys_choose_block_picture_patch_and_step(drawn: Any) -> None:
    assert looked(drawn) == {"step": 2, "block": 2, "patch": -1, "role": "adversarial"}
    drawn.click(".tok-strip span[data-block='1'][data-role=clean]")
    assert [looked(drawn)[each] for each in ("block", "role")] == [1, "clean"]
    strip = drawn.locator(".tok-strip")
    strip.press("ArrowDown")
    strip.press("ArrowLeft")
    assert [looked(drawn)[each] for each in ("block", "role")] == [0, "noise"]
    picture = drawn.locator(".tok-maps .lab-stack").first
    box = picture.bounding_box()
    drawn.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.25 * box["height"])
    fate = "Patch row 1, column 2 is computed in: clean: block 1; noise: block 1; attacked: all 3 blocks."
    assert words(drawn, ".tok-fate") == fate
    assert looked(drawn)["patch"] == -1, "pointing alone selects nothing"
    drawn.mouse.move(0, 0)
    assert words(drawn, ".tok-fate").startswith("Point at a patch")
    picture.press("ArrowDown")
    assert looked(drawn)["patch"] == 3
    picture.press("ArrowUp")
    assert words(drawn, ".tok-fate") == fate
    settle(drawn)
    rings = drawn.evaluate("[...document.querySelectorAll('.lab-pick')].map((each) => each.hidden)")
    assert rings == [False] * 5, "in every picture, and in the maps of depth"
    picture.press("Escape")
    assert looked(drawn)["patch"] == -1
    drawn.click("[data-go=first]")
    assert looked(drawn)["step"] == 0
    drawn.click("[data-go=play]")
    drawn.wait_for_function("page.selection().step === 2")
    drawn.locator(".lab-track").press("Home")
    assert looked(drawn)["step"] == 0


def test_the_marks_are_where_the_masks_say(drawn: Any) -> None:
    """In block 3 of the attacked picture: patches 0, 1, 3 woken, 2 put to sleep."""
    drawn.evaluate("page.select({ block: 2 })")
    drawn.wait_for_function("document.querySelectorAll('.tok-maps canvas')[2].width > 0")
    settle(drawn)
    for row, column, kept in ((0, 0, True), (0, 1, True), (1, 0, False), (1, 1, True)):
        middle, edge = drawn.evaluate(PIXEL, [row, column])
        assert (middle[0] > 100) == kept, (row, column, middle)
        assert (edge[0] > 180 and edge[2] < 120) == kept, "the yellow frame of what is woken"
    legend = words(drawn, ".tok-key")
    assert "woken by attack or noise" in legend
    assert "put to sleep by attack or noise" in legend


def test_what_a_model_has_not_is_not_drawn(page: Any) -> None:
    message = report()
    for each in (*message["seen"].values(), *message["frames"]):
        each.update(depth=None, halts=None, heads=None, sublayers=None)
    told(page, message)
    views = [page.locator(f"[data-part={name}] h2").first for name in ("switches", "halting")]
    assert not any(each.is_visible() for each in views)
    assert "Heads in use" not in words(page, "#tokens-price")
    page.evaluate("(message) => window.tell(message)", report(run="another"))
    settle(page)
    assert all(each.is_visible() for each in views), "the next run may be of a model that has them"
    assert "5 of 6 heads" in words(page, ".tok-grids figure >> nth=0")


def test_whoever_comes_back_finds_their_own_run_over_the_one_that_the_page_brings(
    page: Any,
) -> None:
    """After a reload its last report comes alone: nothing said that it had begun."""
    told(page, report(run="earlier", earlier=True, mechanism="ATS"))
    assert "ATS lets" in words(page, ".report-finding")
    page.evaluate("(message) => window.tell(message)", report(run="own"))
    assert "AdaViT lets" in words(page, ".report-finding")


def test_a_change_made_beforehand_has_no_steps_to_follow(page: Any) -> None:
    message = report(steps=1, asked=1)
    figures = {"GMACs": {"clean": 0.2, "attacked": 0.28, "noise": 0.201}}
    message["frames"] = message["frames"][::2]
    message["attack"] |= {
        "kind": "universal",
        "pictures": 50,
        "measured": {"pictures": 9} | figures,
    }
    told(page, message)
    assert "made beforehand from 50 other pictures" in words(page, ".report-second")
    said = words(page, "[data-part=path]")
    assert "On 9 pictures that it had never seen it raised the bill from 0.200 to 0.280" in said
    assert page.evaluate("document.querySelector('.lab-track').offsetHeight") == 0
