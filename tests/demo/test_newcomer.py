"""What a newcomer does in the first minutes, by hand in a real browser, each from a fresh load."""

from __future__ import annotations

import json
import re
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from visitor import Visit

from engine.alter.bfloat16 import is_fast
from engine.core.placement import device
from engine.evaluate import timing

LINE = "#status .status-line"
SMALL = pytest.mark.parametrize("visit", [(1280, 720, "light")], indirect=True)


# As on a busy machine: what is told of an event comes before the answer to who asked for it.
LATE = """
const ask = window.fetch;
window.fetch = async (what, how) => {
  const answer = await ask(what, how);
  if (String(what).includes("/queue/join")) await new Promise((done) => setTimeout(done, 700));
  return answer;
};
"""


def choose(page: Any, attack: str) -> None:
    """Pick an attack with the mouse, as a visitor does."""
    page.click("#attack input")
    page.get_by_role("option", name=re.compile(rf"^{attack}(:|$)")).click()
    page.wait_for_selector(f"#sentence b:text-is('{attack}')")


def knob(page: Any, name: str) -> str:
    return page.input_value(f"#knob-{name} input[type=number]")


def type_into(page: Any, name: str, value: str) -> None:
    page.fill(f"#knob-{name} input[type=number]", value)
    page.press(f"#knob-{name} input[type=number]", "Tab")


def headline(page: Any) -> str:
    return page.locator("#lab-headline .lab-verdict").inner_text()


@SMALL
def test_the_first_look(visit: Visit) -> None:
    """Picture, button and verdict in sight at once; the scrubber leads the verdict; and what a
    newcomer does wrong does not pass for the answer."""
    page = visit.page
    for width, height in ((1366, 768), (1280, 800), (1024, 768), (1280, 720)):
        visit.resize(width, height)
        page.wait_for_timeout(300)
        for what in (
            "#run",
            "#lab-headline .lab-headline",
            "#lab-pair canvas",
            "#alter",
            "#attack",
            "#knob-eps",
        ):
            box = page.locator(what).first.bounding_box()
            assert box is not None, what
            assert box["y"] + box["height"] <= height, (what, width, height)
        assert page.evaluate("scrollY") == 0
    page.click("#lab-scrubber [aria-label='First step']")
    page.wait_for_selector("#lab-headline :text('before the attack')")
    page.click("#lab-scrubber [aria-label='One stored step on']")
    page.wait_for_selector("#lab-headline :text('after step 1')")
    page.click("#lab-scrubber [aria-label='Last step']")
    page.wait_for_selector("#lab-headline .lab-pill-yes")
    _an_attack_comes_with_its_own_knobs_and_leaves_run_in_sight(visit)
    visit.upload("mine.png", "image/png", painted())
    page.wait_for_selector("#knows :text('This model knows 10 classes and nothing else')")
    assert "cassette player" in page.inner_text("#knows")
    page.fill("#model input", "no_such_model")
    page.press("#model input", "Enter")
    page.click("#run")
    visit.status("There is no model called")
    page.wait_for_selector("#stale :text('Still shown')")


def painted() -> bytes:
    """A picture that nobody has named."""
    y, x = np.mgrid[0:96, 0:96] / 95
    planes = np.stack((x, y, 1 - x), -1)
    data = BytesIO()
    Image.fromarray((planes * 255).astype(np.uint8)).save(data, "PNG")
    return data.getvalue()


def _an_attack_comes_with_its_own_knobs_and_leaves_run_in_sight(visit: Visit) -> None:
    page = visit.page
    page.click("#attack input")
    page.wait_for_timeout(400)
    assert page.evaluate(  # the menu opens where the choice stands
        "(() => { const list = document.querySelector('ul[role=listbox]').getBoundingClientRect(),"
        " chosen = document.querySelector('li[aria-selected=true]').getBoundingClientRect();"
        " return chosen.top >= list.top - 1 && chosen.bottom <= list.bottom + 1; })()"
    )
    page.press("#attack input", "Tab")
    for attack, knobs in (
        ("Sponge", {"class_weight": "0"}),
        ("QuantAttack", {"steps": "300", "class_weight": "50"}),
    ):
        choose(page, attack)
        page.wait_for_timeout(500)  # a second, late event must change nothing either
        assert {name: knob(page, name) for name in knobs} == knobs
    box = page.locator("#run").bounding_box()
    assert box["y"] + box["height"] <= 720
    over = page.evaluate(
        "([x, y]) => document.elementFromPoint(x, y).closest('#run') !== null",
        [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2],
    )
    assert over
    choose(page, "FGSM")
    assert "in 1 step of FGSM" in page.inner_text("#sentence")
    assert not page.is_visible("#knob-steps")
    page.click("#run")
    visit.status("Finished: 1 step ")


@pytest.mark.slow
def test_small_budgets_are_told_of_before_and_after(visit: Visit) -> None:
    page = visit.page
    page.click("#step")
    visit.status("At step 1 of 10")
    page.wait_for_selector("#lab-verdict :text-is('1/255')")
    type_into(page, "eps", "4")
    page.wait_for_selector("#hint :text('A step moves a pixel by 0.4/255')")
    page.click("#step")
    page.wait_for_selector("#lab-headline :text('has moved pixels by 0.4/255')")
    assert headline(page).startswith("no change")
    type_into(page, "eps", "0")
    assert knob(page, "eps") == "0"
    page.click("#run")
    visit.status("Finished: 10 steps")
    page.wait_for_selector("#lab-headline :text('no change')")
    _models_to_show_the_result_to_come_back(page)


@pytest.mark.slow
def test_another_picture_makes_the_result_stale_and_may_be_none_the_model_knows(
    visit: Visit,
) -> None:
    page = visit.page
    page.click("[data-sample=church]")
    stale = page.locator("#stale .stale")
    stale.wait_for()
    assert re.search(
        r"Still shown: .*golf ball.*Run does: .*church", stale.inner_text(), re.I | re.S
    )
    assert not page.is_visible("#lab-headline")
    page.wait_for_function(
        "getComputedStyle(document.querySelector('#lab-pair .lab-view > *')).opacity < 0.6"
    )
    page.click("#run")
    page.wait_for_selector("#lab-headline :text('church')")
    visit.status("Finished: 10 steps")
    page.wait_for_function("!document.querySelector('#stale .stale')")
    page.click("[data-sample=cat]")
    page.wait_for_selector("#knows :text('No class of this model fits “Cat”')")
    page.click("#knows summary")
    assert "french horn" in page.inner_text("#knows")
    page.click("#run")
    page.wait_for_selector("#lab-headline :text('has no class for the picture')")
    visit.status("Finished: 10 steps")
    assert "fooled" not in headline(page)
    assert "nothing to compare" in page.inner_text("#lab-verdict")
    assert "same" not in page.locator(".lab-transfers em").all_inner_texts()
    _a_phone_is_taken_to_the_result(visit)


def _a_phone_is_taken_to_the_result(visit: Visit) -> None:
    page = visit.page
    visit.resize(390, 844)
    type_into(page, "steps", "3")
    page.click("#run")
    visit.status("Finished: 3 steps")
    page.wait_for_selector("#lab-headline .lab-verdict")
    page.wait_for_function(  # what was in sight already stays where it is
        "(b => b.top >= 0 && b.top < 0.6 * innerHeight)("
        "document.querySelector('#lab-headline').getBoundingClientRect())"
    )


def _models_to_show_the_result_to_come_back(page: Any) -> None:
    page.click("#more > button")
    chosen = "#others [aria-label^='Remove'], #others .token"

    def shown() -> int:
        return page.locator(chosen).count()

    page.wait_for_selector(chosen)
    before = shown()
    assert before >= 3
    for model in ("PiT, a pooling ViT", "DeiT with a distillation token", "ResNet-18-D, narrow"):
        page.click("#model input")
        page.get_by_role("option", name=re.compile(re.escape(model))).click()
        page.wait_for_function(
            "([what, count]) => document.querySelectorAll(what).length === count",
            arg=[chosen, before],
        )


def alter(page: Any, *names: str) -> None:
    """Choose alterations with the mouse, in this order."""
    page.click("#alter input")
    for name in names:
        page.get_by_role("option", name=name, exact=True).click()
        page.wait_for_selector(f"#alter :text-is('{name}')")
    page.keyboard.press("Escape")


@pytest.mark.slow
def test_a_stack_is_attacked_and_an_impossible_one_is_a_sentence(visit: Visit) -> None:
    page = visit.page
    alter(page, "ATS")
    page.wait_for_selector("#sentence b:text-is('ATS')")
    page.wait_for_selector("#stale :text('ATS')")
    page.wait_for_selector("#model-card :text('As it is: ')")
    type_into(page, "steps", "3")
    page.click("#run")
    assert "fooled" in visit.status("Finished: 3 steps")
    page.click("#alter [aria-label^='Remove'], #alter .token-remove")
    alter(page, "LLM.int8")
    page.fill("#alter-int8-threshold input[type=number]", "3")
    page.press("#alter-int8-threshold input[type=number]", "Tab")
    choose(page, "QuantAttack")
    for name, value in (("eps", "16"), ("steps", "10"), ("threshold", "3")):
        type_into(page, name, value)
    page.wait_for_selector("#stale :text('LLM.int8 (threshold 3)')")
    page.click("#run")
    assert "costlier, answer kept" in visit.status("Finished: 10 steps")
    page.wait_for_selector("#lab-headline :text('outlier columns at 3')")
    said = headline(page)
    assert said.startswith("costlier, answer kept")
    page.click("#reproduce > button")
    page.wait_for_selector("#reproduce-command :text('int8:threshold=3')")
    page.reload()
    visit.status("Finished: 10 steps")
    page.wait_for_selector("#alter :text-is('LLM.int8')")
    assert page.input_value("#alter-int8-threshold input[type=number]") == "3"
    page.click("#alter [aria-label^='Remove'], #alter .token-remove")
    alter(page, "bfloat16", "LLM.int8")
    page.click("#run")
    visit.status("LLM.int8 cannot be put on a model that runs in bfloat16.")
    assert page.locator("#lab-headline .lab-verdict").text_content().split() == said.split()


@pytest.mark.slow
def test_a_run_goes_on_while_the_visitor_looks_elsewhere_and_is_joined_after_a_reload(
    visit: Visit, tmp_path: Any
) -> None:
    page = visit.page
    page.wait_for_function("document.title.includes('Lab')")
    page.click("[data-sample=church]")
    choose(page, "PGD")
    type_into(page, "steps", "150")
    page.click("#run")
    visit.status("of 150")
    page.get_by_role("link", name="Why").click()
    page.wait_for_selector("#why")
    assert page.title().startswith("Why")
    page.go_back()
    visit.status("of 150", "Finished: 150 steps")
    assert knob(page, "steps") == "150"
    assert page.get_attribute("[data-sample=church]", "aria-pressed") == "true"
    visit.status("Finished: 150 steps")
    page.wait_for_selector("#lab-headline :text('church')")
    page.reload()
    visit.status("Finished: 150 steps")
    page.wait_for_selector("#lab-headline :text('church')")
    _files_say_what_they_are_and_how_to_make_them_again(page, tmp_path)
    _a_reload_joins_the_run_and_stop_ends_it(visit)


def _a_reload_joins_the_run_and_stop_ends_it(visit: Visit) -> None:
    page = visit.page
    type_into(page, "steps", "200")
    page.click("#run")
    visit.status("of 200")
    page.add_init_script(LATE)
    page.reload()
    visit.status("of 200")
    page.wait_for_selector("#lab-headline .lab-pill:text('running')")
    visit.stop()
    visit.status("Stopped at step")


def _files_say_what_they_are_and_how_to_make_them_again(page: Any, tmp_path: Any) -> None:
    page.wait_for_selector("#save-json:not([disabled])")
    names = {}
    for kind in ("png", "json"):
        with page.expect_download() as caught:
            page.click(f"#save-{kind}")
        names[kind] = caught.value.suggested_filename
        caught.value.save_as(tmp_path / kind)
    crafted = "-on-bfloat16" * is_fast(device())  # where it is faster, that is the default
    assert names["png"] == f"church-vit_imagenette{crafted}-pgd-eps8-seed0.png"
    with Image.open(tmp_path / "png") as saved:
        assert saved.info
    report = json.loads((tmp_path / "json").read_text(encoding="utf-8"))
    assert len(json.dumps(report)) > 100
    page.click("#reproduce > button")
    page.wait_for_selector("#reproduce-command :text('python')")
    assert "sample:church" in page.inner_text("#reproduce-command").replace("\u200b", "")


@pytest.mark.slow
def test_other_pages_are_found_again_as_they_were_left(
    browser: Any, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transfer and Cost, in one tab, each with a title of its own."""
    monkeypatch.setattr(timing, "SECONDS", 0.5)  # a pass is timed for as long as that
    visit = Visit(browser, served, 1280, 720, "light", "/transfer", LINE)
    page = visit.page
    page.click("#attacks .remove-all")
    page.click("#attacks input")
    page.get_by_role("option", name="FGSM", exact=True).click()
    page.keyboard.press("Escape")
    _run_is_pressed(visit, "transfer")
    page.get_by_role("link", name="Cost", exact=True).click()
    page.wait_for_url("**/cost", wait_until="commit")
    page.wait_for_selector(LINE)
    page.wait_for_timeout(1000)  # what a page does when it is opened is done
    page.click("[data-sample=church]")
    page.wait_for_selector("[data-sample=church][aria-pressed=true]")
    _run_is_pressed(visit, "cost")
    page.go_back()
    visit.status("Finished")
    assert knob(page, "steps") == "4"
    page.reload()
    visit.status("Finished")
    page.go_forward()
    visit.status("Finished")
    assert knob(page, "steps") == "4"
    assert page.get_attribute("[data-sample=church]", "aria-pressed") == "true"
    page.reload()
    visit.status("Finished")
    visit.close()


def _run_is_pressed(visit: Visit, title: str) -> None:
    page = visit.page
    page.wait_for_function("title => document.title.toLowerCase().startsWith(title)", arg=title)
    type_into(page, "steps", "4")
    page.click("#run")
    page.wait_for_selector("#status [data-kind=busy]")


@pytest.mark.slow
def test_a_model_that_knows_more_is_one_click_away(browser: Any, tmp_path: Any) -> None:
    """A weights folder holds a thousand-class model; whoever picks a cat is offered it."""
    import timm
    import torch
    from safetensors.torch import save_model

    from demo.kit.chrome import launch_settings
    from demo.page import build

    torch.manual_seed(0)
    model = timm.create_model("test_vit", pretrained=False)
    save_model(model, str(tmp_path / "test_vit.safetensors"))
    demo = build(tmp_path)
    _, url, _ = demo.launch(
        prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **launch_settings()
    )
    visit = Visit(browser, url.rstrip("/"), 1280, 720, "light")
    try:
        page = visit.page
        assert not page.is_visible("#imagenet")
        page.click("[data-sample=cat]")
        page.wait_for_selector("#knows :text('No class of this model fits')")
        page.click("#imagenet")
        page.wait_for_selector("#knows :text('1,000 classes')")
        page.wait_for_function("!document.querySelector('#imagenet')?.offsetWidth")
        page.click("#run")
        visit.status("Finished: 10 steps")
        assert "has no class" not in headline(page)
    finally:
        visit.close()
        demo.close()
