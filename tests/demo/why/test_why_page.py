"""The Why page in a real browser: what stands there, one selection, a run, files, the study."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from visitor import Visit, visiting

from demo.why import first
from engine.data.samples import load_sample
from engine.model import zoo
from engine.papers.tgr import gains
from engine.papers.tgr.compare import VARIANTS
from engine.papers.tgr.effects import SO

RUN = "[data-view=why][data-state=run]"


why = visiting("/why", f"{RUN} .why-answers table")


def steps(visit: Visit, count: int) -> None:
    visit.page.fill("#knob-steps input[type=number]", str(count))
    visit.page.press("#knob-steps input[type=number]", "Tab")


def chosen(visit: Visit) -> dict[str, Any]:
    return visit.page.evaluate("lab.then((page) => page.selection())")


def test_a_finished_comparison_stands_there_and_another_runs(why: Visit) -> None:
    page = why.page
    why.status("Computed earlier")
    steps(why, 2)
    page.click("#strip [data-sample=church]")
    why.status("The picture is in")
    page.click("#run")
    why.status("Finished: 2 steps")
    page.wait_for_selector(f"{RUN} .why-time :text('church')")
    assert page.locator(".why-answers tbody tr").count() == 6
    assert "anecdote" in page.inner_text(".why-answers")
    assert page.inner_text(".lab-of").startswith("Your run: “church”, attacked on ViT.")
    page.click("text=Show the first one")
    page.wait_for_selector(".lab-of:has-text('Computed earlier: “golf ball”')")
    page.wait_for_selector(".why-time :text('golf ball')")
    page.click("text=Show your run")
    page.wait_for_selector(".why-time :text('church')")
    page.reload()  # who comes back finds it, with its maps
    page.wait_for_selector(f"{RUN} .lab-of:has-text('Your run: “church”')")
    page.wait_for_selector(".why-map :text('share of heads')")
    assert page.get_attribute(".why-answers a", "href") == "transfer"
    for column in range(3):
        box = page.locator(f".why-column[data-component='{column}']")
        assert box.locator("svg").count() == 2
        assert box.locator("canvas").bounding_box()["height"] > 150
    _stop_keeps_what_was_done(why)
    _a_phone_is_taken_to_the_result(why)


def _stop_keeps_what_was_done(why: Visit) -> None:
    page = why.page
    steps(why, 40)
    page.click("#run")
    why.status("of 40")
    why.stop()
    said = why.status("Stopped at step")
    done = int(said.split("Stopped at step ")[1].split()[0])
    assert 1 <= done < 40
    page.wait_for_selector(f"{RUN} .why-answers table")
    assert f"all {done} steps" in page.get_attribute(".why-track", "aria-valuetext")


def _a_phone_is_taken_to_the_result(why: Visit) -> None:
    page = why.page
    why.resize(390, 844)
    steps(why, 1)
    page.click("#run")
    why.status("Finished: 1 step")
    top = "document.querySelector('.lab-of').getBoundingClientRect().top"
    page.wait_for_function(f"() => {{ const at = {top}; return at >= 0 && at < 300 }}")


@pytest.mark.slow
@pytest.mark.parametrize("why", [(1280, 720, "dark")], indirect=True)
def test_what_stands_there_is_in_sight_saved_and_moved_by_one_selection(why: Visit) -> None:
    _all_is_in_sight_at_every_width(why)
    why.resize(1280, 720)
    _what_is_shown_is_saved(why)
    _one_selection_moves_all(why)
    _what_was_measured_can_be_hovered_and_read_as_a_table(why)


def _all_is_in_sight_at_every_width(why: Visit) -> None:
    page = why.page
    box = page.locator("#run").bounding_box()
    assert box["y"] + box["height"] <= 720
    page.click("#more > button")
    edges = (
        "(() => { const box = document.querySelector('.why-scroll').getBoundingClientRect();"
        " return [...document.querySelectorAll('.why-scroll thead th')]"
        ".map(e => e.getBoundingClientRect().right - box.right); })()"
    )
    for width, height in ((1280, 720), (1024, 768), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_function("document.documentElement.scrollWidth <= window.innerWidth")
        page.wait_for_selector(".why-scroll:not([tabindex])")  # nothing to scroll, no stop
        assert page.locator(".why-column canvas").count() == 3
        seen = page.evaluate(edges)
        assert len(seen) == 6
        assert max(seen) <= 1
    page.set_viewport_size({"width": 300, "height": 700})  # too narrow: then by keyboard
    page.wait_for_selector(".why-scroll[tabindex='0'][role=region]")
    page.focus(".why-scroll")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('.why-scroll').scrollLeft > 0")


def _what_is_shown_is_saved(why: Visit) -> None:
    shown = first.stored()
    assert shown is not None
    name, text = saved(why, "json")
    assert name == "why_golf_ball_vit_imagenette_tgr_eps16_seed0.json"
    report = json.loads(text)
    image = load_sample("golf_ball")
    assert report["picture"] == {
        "name": "golf_ball",
        "width": image.width,
        "height": image.height,
        "sha256": hashlib.sha256(image.convert("RGB").tobytes()).hexdigest(),
    }
    assert report["source"]["sha256"] == zoo.card("vit_imagenette").sha256
    assert report == shown["report"]
    name, text = saved(why, "csv")
    assert name == "why_golf_ball_vit_imagenette_tgr_eps16_seed0.csv"
    rows = list(csv.DictReader(text.splitlines()))
    at = [
        float(row["value"])
        for row in rows
        if (row["attack"], row["measure"], row["steps_taken"]) == ("both", "kurtosis", "3")
        and (row["block"], row["component"]) == ("5", "mlp")
    ]
    assert at == [report["attacks"]["both"]["kurtosis"][3][4][2]]
    losses = [float(row["value"]) for row in rows if row["measure"] == "loss"]
    assert losses == [loss for each in VARIANTS for loss in report["attacks"][each]["loss"]]
    assert sum(row["measure"] == "saved_answer" for row in rows) == 6 * len(report["transfer"])


def _one_selection_moves_all(why: Visit) -> None:
    page = why.page
    before = page.inner_text("[data-view=why] > .lab-finding")
    page.click("[data-view=why] [data-value=gamma]")
    page.wait_for_function(
        "before => document.querySelector('[data-view=why] > .lab-finding').innerText !== before",
        arg=before,
    )
    said = page.inner_text("[data-view=why] > .lab-finding")
    assert said.startswith("Gamma only")
    assert any(f", {so} (geometric mean" in said for so in SO.values())
    assert "would be zeroed" in page.inner_text(".why-column[data-component='0'] .why-map")
    page.click(".why-column[data-component='1'] [data-row=variance] [data-block='3']")
    page.wait_for_selector(".why-block :text('block 4')")
    assert chosen(why) | {"variant": "gamma", "component": 1, "block": 3} == chosen(why)
    assert "block 4" in page.inner_text(".why-column[data-component='2'] .why-map")
    page.focus(".why-track")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.wait_for_selector("[data-view=why] > .lab-finding :text('after 2 steps')")
    page.keyboard.press("Escape")
    page.click(".why-block :text('All blocks')")
    page.wait_for_selector(".why-block :text('8 blocks')")
    assert chosen(why) | {"step": -1, "block": -1} == chosen(why)
    page.click(".why-answers tr[data-variant=random] th")
    page.wait_for_selector(".why-map :text('Random tokens zeroed')")


def _what_was_measured_can_be_hovered_and_read_as_a_table(why: Visit) -> None:
    page = why.page
    known = gains.study("vit_imagenette")
    assert known is not None
    assert gains.tokens(known.findings) in page.inner_text("#why-study-view")
    charts = page.locator("#why-gains .js-plotly-plot")
    page.wait_for_function(
        "document.querySelectorAll('#why-gains .js-plotly-plot .points').length > 1"
    )
    assert charts.count() == 2
    charts.first.scroll_into_view_if_needed()
    assert charts.first.locator(".point").count() == len(known.findings.at(8))
    assert "gain on MI-FGSM, points" in charts.first.inner_text()
    ink = "getComputedStyle(document.querySelector('#why-gains .xtick text')).fill"
    assert page.evaluate(ink) == "rgb(230, 232, 235)"  # legible in the dark
    charts.first.locator(".point").first.hover(force=True)
    page.wait_for_selector("#why-gains .hovertext :text('attack success rate')")
    page.focus("#why-gains-table summary")
    page.keyboard.press("Enter")
    rows = page.locator("#why-gains-table tbody tr")
    assert rows.count() == len(known.findings.entries)
    assert rows.first.is_visible()
    source(why, "PiT")  # of which there is no study
    page.wait_for_selector("#why-study-view h2", state="detached")
    assert charts.count() == 0


def saved(why: Visit, kind: str) -> tuple[str, str]:
    with why.page.expect_download() as caught:
        why.page.click(f".why-save-{kind}")
    return caught.value.suggested_filename, Path(caught.value.path()).read_text(encoding="utf-8")


def tokens(why: Visit) -> set[str]:
    return set(why.page.locator("#others .token").all_inner_texts())


def source(why: Visit, title: str) -> None:
    why.page.click("#model input")
    why.page.click(f"[role=option]:has-text('{title}')")


@pytest.mark.slow
def test_models_chosen_come_back_when_the_source_is_another_again_and_what_it_lacks_is_refused(
    why: Visit,
) -> None:
    page = why.page
    before = tokens(why)
    assert len(before) == 4
    page.click("#others .token:has-text('DeiT') .token-remove")
    page.wait_for_function("document.querySelectorAll('#others .token').length === 3")
    for title in ("PiT", "Visformer", "ResNet"):
        source(why, title)
        page.wait_for_function(
            "t => ![...document.querySelectorAll('#others .token')].some(e => e.innerText.includes(t))",
            arg=title,
        )
        assert len(tokens(why)) == 3  # the source is left out, DeiT stays away
    source(why, "ViT with a convolutional stem")
    page.wait_for_function(
        "![...document.querySelectorAll('#others .token')].some(e => e.innerText.startsWith('ViT'))"
    )
    assert tokens(why) == {each for each in before if not each.startswith("DeiT")}
    _a_network_without_attention_says_so_and_what_it_lacks_is_refused(why)


def _a_network_without_attention_says_so_and_what_it_lacks_is_refused(why: Visit) -> None:
    page = why.page
    steps(why, 1)
    source(why, "ResNet")
    page.click("#run")
    why.status("Finished: 1 step of")
    page.wait_for_selector(".why-lacks:has-text('convolutional network: it has no Attention')")
    assert page.locator(".why-column[data-component='2'] svg").count() == 2
    assert "Residual branch" in page.inner_text(".why-column[data-component='2'] h2")
    for part in ("Attention", "MLP"):
        page.click(f"#components label:has-text('{part}')")
    page.click("#run")
    why.status("has no QKV gradients to regularise. It has MLP.")
    page.click("#components label:has-text('QKV')")
    page.click("#run")
    why.status("No component is chosen.")
    page.wait_for_timeout(1000)
    assert "No component is chosen." in page.inner_text("#status")
    page.wait_for_selector(f"{RUN} .why-answers table")  # the last result stays
