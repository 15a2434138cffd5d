"""The page in a real browser: what a visitor does, what the views draw, what goes wrong kindly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import troublesome as files
from PIL import Image
from visitor import Visit

CHURCH = Path("assets/samples/church.png").read_bytes()
TABS = ("Attention", "Gradients", "Tokens", "Outliers", "Depth")


def test_upload_run_tgr_all_tabs_downloads_and_no_overflow(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    visit.upload("church.png", "image/png", CHURCH)
    visit.status("The picture is in")
    page.click("#attack input")
    page.click("[role=option]:has-text('TGR: token')")
    page.wait_for_selector("#sentence :text('TGR')")
    page.click("#run")
    visit.status("Finished: 10 steps")
    page.wait_for_selector("#lab-verdict :text('church')")
    for tab in TABS:
        page.get_by_role("tab", name=tab, exact=True).click()
        view = page.locator(f"#lab-{tab.lower()}")
        view.locator("canvas, svg").first.wait_for(state="visible")
        assert view.bounding_box()["height"] > 150
    page.get_by_role("tab", name="Data", exact=True).click()
    chart = page.locator("#data-plot .js-plotly-plot .main-svg").first
    chart.wait_for(state="visible")
    assert chart.bounding_box()["height"] > 150
    page.wait_for_selector("#data-table :text('probability of church')")
    for name, label in (("adversarial.png", "png"), ("perturbation.npz", "npz")):
        with page.expect_download() as caught:
            page.click(f"#save-{label}")
        caught.value.save_as(tmp_path / name)
    attacked = np.asarray(Image.open(tmp_path / "adversarial.png"))
    arrays = np.load(tmp_path / "perturbation.npz")
    assert np.array_equal(arrays["adversarial"], attacked.transpose(2, 0, 1))
    assert abs(arrays["delta"]).max() <= 8
    _nothing_overflows(visit)


def _nothing_overflows(visit: Visit) -> None:
    page = visit.page
    page.click("#more > button")
    for width, height, theme in ((1440, 900, "dark"), (390, 844, "light"), (390, 844, "dark")):
        visit.resize(width, height)
        visit.dress(theme)
        for tab in (*TABS, "Data"):
            page.get_by_role("tab", name=tab, exact=True).click()
            assert visit.overflow() <= 0, (tab, width, theme)


def test_first_paint_is_a_finished_run_which_bad_pictures_and_settings_leave(
    visit: Visit,
) -> None:
    page = visit.page
    assert "Computed earlier" in visit.status("Computed earlier")
    assert "MI-FGSM" in page.inner_text("#sentence")
    shown = page.get_attribute("#picture img", "src")
    for name, (kind, content, words) in files.refused().items():
        visit.upload(name, kind, content)
        page.wait_for_selector(f":text('{words}')")
        page.wait_for_selector("#picture img")
        assert page.get_attribute("#picture img", "src") == shown, name
    assert "golf ball" in page.inner_text("#lab-verdict")
    _bad_settings_are_refused_and_the_result_stays(visit)
    _odd_pictures_are_taken_as_the_engine_decodes_them(visit)


def _bad_settings_are_refused_and_the_result_stays(visit: Visit) -> None:
    page = visit.page
    for typed, kept in (("999", "32"), ("-3", "0"), ("", "0")):
        page.fill("#knob-eps input[type=number]", typed)
        page.press("#knob-eps input[type=number]", "Tab")
        page.wait_for_function(
            "v => document.querySelector('#knob-eps input[type=number]').value === v", arg=kept
        )
    page.click("#goal label:has-text('a class I choose')")
    page.click("#run")
    visit.status("There is no target class.")
    page.wait_for_timeout(1000)  # the run that did not start must not clear the sentence
    visit.status("There is no target class.")
    page.click("#target input")
    page.click("[role=option]:has-text('golf ball')")
    page.click("#run")
    visit.status("The target is the class the picture already has.")
    page.click("#goal label:has-text('anything else')")
    page.fill("#model input", "no_such_model")
    page.press("#model input", "Enter")
    page.wait_for_selector("#model-card :text('There is no model called')")
    page.click("#run")
    visit.status("There is no model called")
    page.fill("#model input", "vit_base_patch16_224")
    page.press("#model input", "Enter")
    page.wait_for_selector("#model-card :text('Fetched from the model hub')")
    page.click("#run")
    visit.status("the model hub cannot be reached")
    assert "golf ball" in page.inner_text("#lab-verdict")


def _odd_pictures_are_taken_as_the_engine_decodes_them(visit: Visit) -> None:
    page = visit.page
    for name, (kind, content) in files.accepted().items():
        before = page.get_attribute("#picture img", "src")
        visit.upload(name, kind, content)
        page.wait_for_function(
            "before => { const i = document.querySelector('#picture img');"
            " return i && i.src.endsWith('/image.png') && i.src !== before && i.naturalWidth }",
            arg=before,
        )
        size = page.evaluate(
            "(i => [i.naturalWidth, i.naturalHeight])(document.querySelector('#picture img'))"
        )
        assert size == ([64, 96] if name == "turned.jpg" else [96, 96]), name


@pytest.mark.slow
def test_webcam_picture_is_taken_and_run_by_keyboard_alone_and_stopped(visit: Visit) -> None:
    page = visit.page
    page.click("#picture [aria-label='Remove Image'], #picture [aria-label='Clear']")
    page.click("#picture [aria-label='Capture from camera']")
    page.click("#picture .access-wrap, #picture [title='grant webcam access']")
    page.wait_for_function(
        "(v => v && v.readyState >= 2)(document.querySelector('#picture video'))"
    )
    page.click("#picture [aria-label='capture photo']")
    visit.status("The picture is in")
    _keyboard_alone_runs(visit)


def _keyboard_alone_runs(visit: Visit) -> None:
    page = visit.page
    page.focus("#attack input")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "run":
            break
    assert page.evaluate("document.activeElement.id") == "run"
    page.keyboard.press("Enter")
    visit.status("Finished: 10 steps")
    _stop_keeps_what_is_there_and_step_goes_on(visit)


def _stop_keeps_what_is_there_and_step_goes_on(visit: Visit) -> None:
    page = visit.page
    page.fill("#knob-steps input[type=number]", "200")
    page.press("#knob-steps input[type=number]", "Tab")
    page.click("#run")
    visit.status("of 200")
    visit.stop()
    said = visit.status("Stopped at step")
    at = int(said.split("Stopped at step ")[1].split()[0])
    assert 1 <= at < 200
    assert f"stopped at {at}" in page.inner_text("#lab-scrubber")
    page.click("#step")
    visit.status(f"At step {at + 1} of 200")
