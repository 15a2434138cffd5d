"""The Transfer page in a real browser: it fills live, is stopped, switched, read out and exported."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from visitor import Visit, visiting

from demo.kit import labelled

COUNT = len(labelled.samples().pictures)
CHURCH = Path("assets/samples/church.png").read_bytes()
TENCH = Path("assets/samples/gas_pump.png").read_bytes()  # no tench: every model errs on it
READY = "#lab-transfer .transfer-cell"
RATE = "attack_success_rate"


visit = visiting("/transfer", READY)


def choose(visit: Visit, control: str, *names: str) -> None:
    """Let a control of several values hold these alone."""
    visit.page.click(f"{control} .remove-all")
    for name in names:
        visit.page.click(f"{control} input")
        visit.page.get_by_role("option", name=name, exact=True).click()
    visit.page.keyboard.press("Escape")


def upload(visit: Visit, **files: bytes) -> None:
    visit.page.set_input_files(
        "#files input[type=file]",
        [
            {"name": f"{name}.png", "mimeType": "image/png", "buffer": content}
            for name, content in files.items()
        ],
    )


def cells(visit: Visit) -> list[str]:
    """What a screen reader says of each cell."""
    return visit.page.eval_on_selector_all(READY, "all => all.map(e => e.ariaLabel)")


def test_fills_live_and_is_read_out_switched_and_exported(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    earlier = cells(visit)
    assert len(earlier) == 10 * (5 + 1)  # every bundled classifier against every other, two attacks
    assert all("95 % interval" in each for each in earlier)
    assert "60 photographs of Imagenette’s val" in page.inner_text(".lab-of")
    page.fill("#knob-steps input[type=number]", "2")
    page.press("#knob-steps input[type=number]", "Tab")
    page.click("#run")
    # The first batch is on the map while the second is under way.
    page.wait_for_selector(f"#lab-transfer svg text:text-is('4 of {COUNT}')", state="attached")
    page.wait_for_selector("#status :text('left')")
    assert f"Finished: {COUNT} bundled samples" in visit.status("Finished")
    assert page.locator(f"#lab-transfer svg text:text-is('4 of {COUNT}')").count() == 0
    said = cells(visit)
    assert len(said) == 2 * (5 + 1)
    assert all("95 % interval" in each or "mean over 4" in each for each in said)
    assert sum("mean over 4 other models" in each for each in said) == 2
    assert sum("(white box)" in each for each in said) == 2
    assert "From ViT to 4 other models" in page.inner_text(".transfer-findings")
    of = page.inner_text(".lab-of")
    assert all(
        word in of for word in (f"Your run: {COUNT} bundled", "eps 16/255", "2 steps", "seed 0")
    )
    assert "8-bit" in page.inner_text(".transfer-note")

    page.hover(f"{READY}[data-row='1'][data-column='2']")
    page.wait_for_selector(".transfer-detail :text('robust accuracy')")
    assert f"of {COUNT}" in page.inner_text(".transfer-detail")
    page.click(f"{READY}[data-row='0'][data-column='0']")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    at = page.evaluate("(({row, column}) => [row, column])(document.activeElement.dataset)")
    assert at == ["1", "1"]
    page.wait_for_selector(".transfer-detail b:text-is('TGR')")

    with page.expect_download() as caught:
        page.click("#save-csv")
    named = f"transfer_{COUNT}-pictures_vit_imagenette_mifgsm-tgr_eps16_seed0"
    assert caught.value.suggested_filename == f"{named}.csv"
    rows = list(csv.DictReader(Path(caught.value.path()).read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 10
    assert {each["target"] for each in rows} >= {"vit_imagenette", "resnet_imagenette"}
    assert all(float(r[f"{RATE}_low"]) <= float(r[RATE]) for r in rows if r[RATE])
    with page.expect_download() as caught:
        page.click("#save-json")
    assert json.loads(Path(caught.value.path()).read_text(encoding="utf-8"))["images"] == COUNT
    with page.expect_download() as caught:
        page.click("#save-png")
    assert caught.value.suggested_filename == f"{named}.png"
    caught.value.save_as(tmp_path / "map.png")
    drawn = Image.open(tmp_path / "map.png").convert("RGB")
    assert drawn.width == 2000
    assert drawn.getcolors(1 << 20) is not None
    assert len(drawn.getcolors(1 << 20)) > 100  # the ramp alone has 190 colours
    _stop_keeps_what_was_found(visit)
    _clean_errors_count_only_when_the_switch_says_so(visit)


def _stop_keeps_what_was_found(visit: Visit) -> None:
    page = visit.page
    choose(visit, "#attacks", "FGSM", "PGD")
    page.fill("#knob-steps input[type=number]", "200")
    page.press("#knob-steps input[type=number]", "Tab")
    page.click("#run")
    page.wait_for_selector(f"#lab-transfer svg text:text-is('4 of {COUNT}')", state="attached")
    visit.stop()
    assert f"of {COUNT} pictures through. What was found stays." in visit.status("Stopped")
    said = [each for each in cells(visit) if "shown to" in each]
    measured = sum("95 % interval" in each for each in said)
    assert 5 <= measured < 10
    assert sum("not measured yet" in each for each in said) == 10 - measured
    page.wait_for_selector("#save-csv:not([disabled])")


def _clean_errors_count_only_when_the_switch_says_so(visit: Visit) -> None:
    page = visit.page
    upload(visit, church_1=CHURCH, tench_1=TENCH)
    assert "2 pictures of 2 classes" in visit.status("pictures of")
    choose(visit, "#attacks", "FGSM")
    page.click("#run")
    visit.status("Finished: 2 pictures")
    own = f"{READY}[data-row='0'][data-column='0']"
    page.hover(own)
    assert "of 1" in page.inner_text(".transfer-detail")
    assert "clean errors count as" not in page.inner_text(".transfer-note")
    before = cells(visit)
    page.check(".transfer-switch input")
    page.wait_for_selector(".transfer-note:has-text('clean errors count as success')")
    after = cells(visit)
    assert before != after
    assert all("95 % interval" in each for each in after if "mean" not in each)
    # Half of the pictures are errors when clean, so no model is at less than half of success.
    shares = [int(each.split(" %")[0]) for each in after if "shown to" in each]
    assert min(shares) >= 50
    page.uncheck(".transfer-switch input")
    page.wait_for_selector(".transfer-note:not(:has-text('clean errors count as success'))")
    assert cells(visit) == before


@pytest.mark.slow
@pytest.mark.parametrize("visit", [(1280, 720, "light")], indirect=True)
def test_the_map_says_where_tgr_gains_and_from_which_pictures(visit: Visit) -> None:
    """The means on the map and the sentences above it are the same numbers."""
    page = visit.page
    run = page.locator("#run").bounding_box()
    assert run["y"] + run["height"] <= 720  # in sight at once
    said = page.inner_text(".transfer-findings")
    means = [each for each in cells(visit) if "gain on MI-FGSM" in each]
    assert len(means) == 5
    gains = [each.split(" ")[3] for each in means]  # "21 % 14–27 +4 [0, +8]: ..."
    first = said.split("\n")[0]
    assert "60 pictures" in first
    assert all(f"({gain})" in first for gain in gains)
    page.focus(f"{READY}[data-row='1'][data-column='5']")
    page.wait_for_selector(".transfer-detail:has-text('gain on MI-FGSM')")
    assert "60" in page.inner_text(".transfer-detail")
    assert page.evaluate("lab.then((page) => page.selection())") == {
        "row": 1,
        "column": 5,
        "papers": False,
    }
    page.evaluate("lab.then((page) => page.select({ row: 0, column: 0 }))")
    page.wait_for_selector(f"{READY}.transfer-at[data-row='0'][data-column='0']")
    assert "robust accuracy" in page.inner_text(".transfer-detail")
    _the_measured_map_is_called_back_at_any_time(visit)
    _a_result_is_shown_to_altered_models(visit)
    _errors_are_one_sentence_and_the_last_result_stays(visit)


def _the_measured_map_is_called_back_at_any_time(visit: Visit) -> None:
    page = visit.page
    back = page.locator(".transfer-back")
    earlier, of = cells(visit), page.inner_text(".lab-of")
    assert of.startswith("Measured earlier: 60 photographs")
    assert not back.is_visible()
    assert not page.is_visible("#save-csv")  # these would be of a run
    with page.expect_download() as caught:
        page.click("#save-png")
    assert caught.value.suggested_filename.startswith("transfer_60-pictures_5-models")
    upload(visit, church_1=CHURCH)
    visit.status("1 picture of 1 class")
    choose(visit, "#attacks", "FGSM")
    page.click("#run")
    visit.status("Finished: 1 picture")
    own = cells(visit)
    assert own != earlier
    assert page.inner_text(".lab-of").startswith("Your run: 1 picture of 1 class")
    assert page.is_visible("#save-csv")
    assert back.inner_text() == "Show the measured map"
    back.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".lab-of:has-text('Measured earlier')")
    assert (cells(visit), page.inner_text(".lab-of")) == (earlier, of)
    assert not page.is_visible("#save-csv")
    assert back.inner_text() == "Show your map"
    page.click("#run")  # who runs again wants to see that run
    page.wait_for_selector(".lab-of:has-text('Your run')")
    page.wait_for_function(  # the line still holds the end of the run before
        "([ready, own]) => [...document.querySelectorAll(ready)]"
        ".every((each, i) => each.ariaLabel === own[i])",
        arg=[READY, own],
    )
    visit.status("Finished: 1 picture")
    assert cells(visit) == own


def _a_result_is_shown_to_altered_models(visit: Visit) -> None:
    page = visit.page
    page.click("#more > button")
    page.fill("#altered textarea, #altered input", "vit_imagenette|ats vit_imagenette|nothing")
    page.click("#run")
    visit.status("There is no alteration called")
    page.fill("#altered textarea, #altered input", "vit_imagenette|ats")
    page.click("#run")
    visit.status("Finished: 1 picture")
    (own,) = (each for each in cells(visit) if "| ats" in each)
    assert "with 95 % interval" in own
    assert "(white box)" not in own


def _errors_are_one_sentence_and_the_last_result_stays(visit: Visit) -> None:
    page = visit.page
    good = cells(visit)
    page.click("#files [aria-label='Clear']")
    visit.status(f"{COUNT} bundled samples")
    upload(visit, holiday=CHURCH)
    assert "does not say which class" in visit.status("holiday.png")
    page.click("#run")
    visit.status("does not say which class")
    page.click("#files [aria-label='Clear']")
    visit.status(f"{COUNT} bundled samples")
    upload(visit, church_2=b"no picture")
    visit.status("is not a picture")
    page.click("#run")
    visit.status("is not a picture")
    assert cells(visit) == good
    page.click("#sources .remove-all")
    page.click("#run")
    visit.status("There is no source model.")
    assert cells(visit) == good


@pytest.mark.parametrize("visit", [(390, 844, "dark")], indirect=True)
def test_a_phone_is_taken_to_the_whole_map_once(visit: Visit) -> None:
    page = visit.page
    top = "document.querySelector('.lab-of').getBoundingClientRect().top"
    assert page.evaluate(top) > 844
    assert visit.overflow() <= 0
    upload(visit, church_1=CHURCH)
    visit.status("1 picture of 1 class")
    choose(visit, "#attacks", "FGSM")
    page.click("#run")
    visit.status("Finished: 1 picture")
    page.wait_for_function(f"() => {{ const at = {top}; return at >= 0 && at < 300 }}")
    assert visit.overflow() <= 0
    holder, drawn = (
        page.eval_on_selector(f".transfer-map{each}", "e => e.getBoundingClientRect().width")
        for each in ("", " svg")
    )
    assert drawn <= holder
    page.click(f"{READY}[data-column='1']")
    page.wait_for_selector(".transfer-detail :text('clean accuracy')")
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(800)  # nothing more comes, and nothing calls away again
    assert page.evaluate("scrollY") < 100
    _a_slider_shows_its_whole_thumb(page)


def _a_slider_shows_its_whole_thumb(page: Any) -> None:
    """It looks the same where nothing can be cut off."""
    track = page.locator("#knob-eps input[type=range]")
    track.scroll_into_view_if_needed()
    box = track.bounding_box()
    around = {"x": box["x"], "y": box["y"] - 8, "width": box["width"], "height": box["height"] + 14}
    seen = page.screenshot(clip=around)
    page.add_style_tag(content="#recipe .block { overflow: visible !important; }")
    assert page.screenshot(clip=around) == seen
    page.add_style_tag(content="#recipe .slider_input_container { min-height: 0 !important; }")
    page.add_style_tag(content="#recipe .block { overflow: hidden !important; }")
    assert page.screenshot(clip=around) != seen  # as it was before
