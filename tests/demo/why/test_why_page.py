"""The Why page: its messages and stored studies, and the page itself in a real browser."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from visitor import Visit

from demo.why import first, studies
from demo.why.inquiry import VARIANTS, Ended, Inquiry, Question, drive
from demo.why.message import ended, live, opened
from engine.attack.recipes.tgr import TGR
from engine.data.samples import load_sample
from engine.evaluate.interval import Estimate
from engine.model import zoo
from engine.papers.tgr import ablation

RUN = "[data-view=why][data-state=run]"


def inquiry(source: str = "vit_imagenette", steps: int = 2) -> Inquiry:
    tgr = TGR(steps=steps)
    return Inquiry(
        Question(load_sample("golf_ball"), "golf_ball", source, ("deit_imagenette",), tgr)
    )


def sent(message: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(message, allow_nan=False))


@pytest.mark.parametrize("source", ["vit_imagenette", "pit_imagenette", "resnet_imagenette"])
def test_maps_arrive_as_they_were_read(source: str) -> None:
    asked = inquiry(source)
    last = next(event for event in drive(asked) if isinstance(event, Ended))
    assert asked.case is not None
    message = sent(opened(asked, asked.case) | ended(asked, last))
    lengths = message["extremes"]["lengths"]
    total = sum(map(sum, lengths))
    for i, name in enumerate(VARIANTS):
        packed = message["extremes"]["values"][name]
        found = np.frombuffer(base64.b64decode(packed["data"]), np.uint8).reshape(2, total)
        for row, round_ in zip(found, asked.rounds, strict=True):
            start = 0
            for block, told in zip(lengths, round_[i].extremes, strict=True):
                for length, part in zip(block, told, strict=True):
                    assert length == (0 if part is None else len(part))
                    if part is not None:
                        # half of 1/255, to which shares are rounded
                        own = row[start : start + length] / 255
                        assert np.abs(own - part.numpy()).max() <= 0.5 / 255 + 1e-6
                    start += length
    assert {each["name"]: each["source"] for each in message["models"]} == {
        "deit_imagenette": False,
        source: True,
    }
    assert all(len(each["answers"]) == 1 + len(VARIANTS) for each in message["models"])
    assert message["lacking"] == (["attention", "qkv"] if source.startswith("resnet") else [])


def test_while_it_runs_no_maps_are_sent_and_rounds_are_whole() -> None:
    asked = inquiry()
    seen = 0
    for event in drive(asked):
        if isinstance(event, Ended):
            continue
        seen += 1
        message = sent(live(asked))
        assert "extremes" not in message
        assert {len(each) for each in message["losses"].values()} == {message["done"]}
    assert seen > 10


def test_stopped_it_tells_of_the_rounds_that_were_done() -> None:
    asked = inquiry(steps=30)
    told: list[Ended] = []
    for event in drive(asked):
        if len(asked.rounds) == 2:
            asked.stop.set()
        if isinstance(event, Ended):
            told.append(event)
    assert [each.why for each in told] == ["stopped"]
    assert len(asked.rounds) == 2
    assert set(told[0].answers) == {"vit_imagenette", "deit_imagenette"}


def test_stopped_before_it_began_it_tells_nothing() -> None:
    asked = inquiry()
    asked.stop.set()
    last = [event for event in drive(asked) if isinstance(event, Ended)][-1]
    assert (last.answers, last.why) == ({}, "stopped")


def test_patience_ends_a_long_comparison() -> None:
    asked = inquiry(steps=30)
    last = [event for event in drive(asked, patience=0) if isinstance(event, Ended)][-1]
    assert last.why == "late"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A study as the command writes it: three settings at one budget."""
    gains = {0.0: ablation.MIFGSM(), -0.1: TGR(), 0.2: TGR(k=0, components="mlp")}
    entries = [
        ablation.Entry(
            recipe, Estimate(0.5, 0.4, 0.6), Estimate(gain, gain - 0.1, gain + 0.1), 0.5, 40, 44
        )
        for gain, recipe in gains.items()
    ]
    told = ablation.summary(entries, source="vit_imagenette", targets=["pit_imagenette"])
    (tmp_path / "tgr_ablation_vit_imagenette.json").write_text(json.dumps(told), encoding="utf-8")
    return tmp_path


def test_a_study_is_shown_by_gain(written: Path) -> None:
    found = studies.study("vit_imagenette", None, written)
    assert found is not None
    assert found["targets"] == [zoo.card("pit_imagenette").title]
    assert (found["pictures"], found["known"]) == (44, 40)
    (panel,) = found["panels"]
    assert panel["eps"] == 16
    told = [(row["role"], row["text"], row["gain"][0]) for row in panel["rows"]]
    assert told == [
        ("gamma", "MLP, k 0", 0.2),
        ("baseline", "MI-FGSM", 0.0),
        ("both", "all, k 1", -0.1),
    ]


@pytest.mark.parametrize(
    ("recipe", "role", "text"),
    [
        (TGR(attention=1.0, qkv=1.0, mlp=1.0), "zeroing", "all, k 1, no factors"),
        (TGR(site="map", components="attention+qkv"), "both", "attention + QKV, k 1, on the map"),
        (ablation.RandomTokens(), "random", "all, k 1, random tokens"),
        (ablation.Spared(spare="prefix"), "both", "all, k 1, prefix spared"),
        (TGR(mlp=0.25), "both", "all, k 1, factors 0.25/0.75/0.25"),
    ],
)
def test_settings_in_few_words(recipe: TGR, role: str, text: str) -> None:
    told = ablation.settings_of(recipe)
    assert (studies.role(told), studies.text(told)) == (role, text)


def test_of_no_study_nothing_is_said(written: Path) -> None:
    assert studies.study("pit_imagenette", None, written) is None
    assert studies.study("../vit_imagenette", None, written) is None
    path = written / "tgr_ablation_vit_imagenette.json"
    path.write_text(
        json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"schema": "another/2"}),
        encoding="utf-8",
    )
    assert studies.study("vit_imagenette", None, written) is None


@pytest.mark.parametrize(
    ("own", "random", "words"),
    [
        ((0.06, 0.01, 0.11), (0.06, 0.02, 0.1), "the same, whichever tokens are zeroed"),
        ((0.06, 0.01, 0.11), (0.02, -0.01, 0.05), "the intervals overlap"),
        ((0.06, 0.05, 0.07), (0.02, 0.01, 0.03), "the extreme tokens help"),
        ((-0.06, -0.07, -0.05), (0.02, 0.01, 0.03), "the extreme tokens hurt"),
    ],
)
def test_whether_the_extreme_tokens_matter_is_read_off_the_study(
    own: tuple[float, ...], random: tuple[float, ...], words: str
) -> None:
    recipes = {TGR(eps=16 / 255): own, ablation.RandomTokens(eps=16 / 255): random}
    entries = [
        ablation.Entry(recipe, Estimate(0.5, 0.4, 0.6), Estimate(*gain), 0.5, 40, 44)
        for recipe, gain in recipes.items()
    ]
    said = studies.tokens(ablation.summary(entries)["entries"])
    assert said.startswith(f"At 16/255 TGR gains {100 * own[0]:+.1f} [".replace("-", "−"))
    assert words in said


def test_what_each_study_found_is_a_sentence_of_its_own_numbers(written: Path) -> None:
    (said,) = studies.findings(None, written)
    assert (
        said
        == "Gain on MI-FGSM made on ViT, mean success on PiT (points, 44 photographs): TGR −10 [−20, 0] at 16/255."
    )


def test_what_stands_there_first_was_made_by_this_code_and_these_models() -> None:
    """If not: `python -m demo.why.first`."""
    found = first.stored()
    assert found is not None
    assert found["done"] == found["asked"] == TGR().steps


@pytest.fixture
def why(browser: Any, served: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A fresh visitor of the page; parametrise indirectly with (width, height, theme)."""
    width, height, theme = getattr(request, "param", (1440, 900, "light"))
    found = Visit(browser, served, width, height, theme, "/why", f"{RUN} .why-answers table")
    yield found
    found.close()


def steps(visit: Visit, count: int) -> None:
    visit.page.fill("#knob-steps input[type=number]", str(count))
    visit.page.press("#knob-steps input[type=number]", "Tab")


def chosen(visit: Visit) -> dict[str, Any]:
    return visit.page.evaluate("({...lab.why.sel})")


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
    assert page.get_attribute(".why-answers a", "href") == "transfer"
    for column in range(3):
        box = page.locator(f".why-column[data-component='{column}']")
        assert box.locator("svg").count() == 2
        assert box.locator("canvas").bounding_box()["height"] > 150


def test_one_selection_moves_all(why: Visit) -> None:
    page = why.page
    before = page.inner_text("[data-view=why] > .lab-finding")
    page.click("[data-view=why] [data-value=gamma]")
    page.wait_for_function(
        "before => document.querySelector('[data-view=why] > .lab-finding').innerText !== before",
        arg=before,
    )
    assert page.inner_text("[data-view=why] > .lab-finding").startswith("Gamma only")
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


def test_stop_keeps_what_was_done(why: Visit) -> None:
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


def test_errors_are_one_sentence_that_stays_and_so_does_the_result(why: Visit) -> None:
    page = why.page
    for part in ("Attention", "QKV", "MLP"):
        page.click(f"#components label:has-text('{part}')")
    page.click("#run")
    why.status("No component is chosen.")
    page.wait_for_timeout(1000)
    assert "No component is chosen." in page.inner_text("#status")
    page.click("#components label:has-text('QKV')")
    page.click("#model input")
    page.click("[role=option]:has-text('ResNet')")
    page.click("#run")
    why.status("has no QKV gradients to regularise. It has MLP.")
    page.wait_for_selector(f"{RUN} .why-answers table")


def test_a_network_without_attention_says_so(why: Visit) -> None:
    page = why.page
    steps(why, 1)
    page.click("#model input")
    page.click("[role=option]:has-text('ResNet')")
    page.click("#run")
    why.status("Finished: 1 step of")
    page.wait_for_selector(".why-lacks:has-text('convolutional network: it has no Attention')")
    assert page.locator(".why-column[data-component='2'] svg").count() == 2
    assert "Residual branch" in page.inner_text(".why-column[data-component='2'] h2")


@pytest.mark.parametrize(
    "why",
    [(390, 844, "light"), (390, 844, "dark"), (1440, 900, "dark")],
    indirect=True,
    ids=lambda value: "-".join(map(str, value)),
)
def test_no_horizontal_overflow(why: Visit) -> None:
    why.page.click("#more > button")
    assert why.overflow() <= 0
    assert why.page.locator(".why-column canvas").count() == 3


def saved(why: Visit, kind: str) -> tuple[str, str]:
    with why.page.expect_download() as caught:
        why.page.click(f".why-save-{kind}")
    return caught.value.suggested_filename, Path(caught.value.path()).read_text(encoding="utf-8")


def test_what_is_shown_is_saved(why: Visit) -> None:
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
    settings = report["settings"]
    assert (settings["eps_255"], settings["steps"], settings["k"], settings["seed"]) == (
        16,
        10,
        1,
        0,
    )
    for each in VARIANTS:
        assert report["attacks"][each]["dispersion"] == shown["dispersion"][each]
    assert [each["model"] for each in report["transfer"]] == [m["name"] for m in shown["models"]]
    answers = report["transfer"][0]["answers"]
    assert list(answers) == ["clean", *VARIANTS]
    assert [each["probability"] for each in answers.values()] == [
        each["p"] for each in shown["models"][0]["answers"]
    ]
    name, text = saved(why, "csv")
    assert name == "why_golf_ball_vit_imagenette_tgr_eps16_seed0.csv"
    rows = list(csv.DictReader(text.splitlines()))
    at = [
        float(row["value"])
        for row in rows
        if (row["attack"], row["measure"], row["steps_taken"]) == ("both", "kurtosis", "3")
        and (row["block"], row["component"]) == ("5", "mlp")
    ]
    assert at == [shown["kurtosis"]["both"][3][4][2]]
    losses = [float(row["value"]) for row in rows if row["measure"] == "loss"]
    assert losses == [loss for each in VARIANTS for loss in shown["losses"][each]]
    assert sum(row["measure"] == "saved_answer" for row in rows) == 6 * len(shown["models"])


def tokens(why: Visit) -> set[str]:
    return set(why.page.locator("#others .token").all_inner_texts())


def source(why: Visit, title: str) -> None:
    why.page.click("#model input")
    why.page.click(f"[role=option]:has-text('{title}')")


def test_models_chosen_come_back_when_the_source_is_another_again(why: Visit) -> None:
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


@pytest.mark.parametrize(
    "why",
    [(1280, 720, "light"), (1024, 768, "light"), (390, 844, "light")],
    indirect=True,
    ids=lambda value: "-".join(map(str, value)),
)
def test_every_column_of_the_answers_is_in_sight(why: Visit) -> None:
    page = why.page
    seen = page.evaluate(
        "(() => { const box = document.querySelector('.why-scroll').getBoundingClientRect();"
        " return [...document.querySelectorAll('.why-scroll thead th')]"
        ".map(e => e.getBoundingClientRect().right - box.right); })()"
    )
    assert len(seen) == 6
    assert max(seen) <= 1
    assert page.get_attribute(".why-scroll", "tabindex") is None  # nothing to scroll, no stop


@pytest.mark.parametrize("why", [(300, 700, "light")], indirect=True)
def test_a_table_that_is_too_wide_is_scrolled_by_keyboard(why: Visit) -> None:
    page = why.page
    page.wait_for_selector(".why-scroll[tabindex='0'][role=region]")
    page.focus(".why-scroll")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('.why-scroll').scrollLeft > 0")


@pytest.mark.parametrize("why", [(1280, 720, "light")], indirect=True)
def test_run_is_in_sight_at_once(why: Visit) -> None:
    box = why.page.locator("#run").bounding_box()
    assert box["y"] + box["height"] <= 720


@pytest.mark.parametrize("why", [(390, 844, "light")], indirect=True)
def test_a_phone_is_taken_to_the_result(why: Visit) -> None:
    page = why.page
    steps(why, 1)
    page.click("#run")
    why.status("Finished: 1 step")
    top = "document.querySelector('.lab-of').getBoundingClientRect().top"
    page.wait_for_function(f"() => {{ const at = {top}; return at >= 0 && at < 300 }}")


def test_the_study_says_whether_the_extreme_tokens_matter(why: Visit) -> None:
    known = studies.study("vit_imagenette", None)
    assert known is not None
    assert known["tokens"].count("random tokens") == 2
    assert known["tokens"] in why.page.inner_text("[data-view=why-study]")
