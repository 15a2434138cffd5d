"""One visitor cannot keep the others waiting: posts that nobody reads, and more than one's share."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from visitor import Visit, alone

from demo.kit import desk
from demo.kit import door as kit
from tests.load import load

SAMPLE = Path("assets/samples/church.png")
# By the clock of a busy machine; undisturbed the longest takes a third of it.
SECONDS = 90


@pytest.fixture(scope="module")
def door(served: str) -> Any:
    with httpx.Client(base_url=f"{served}/gradio_api", timeout=SECONDS) as client:
        yield client


@pytest.fixture(scope="module")
def image(door: httpx.Client) -> dict[str, Any]:
    answer = door.post("/upload", files={"files": ("church.png", SAMPLE.read_bytes())})
    return {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}}


REST = {
    "predict": ["vit_imagenette", 5],
    "attack": ["vit_imagenette", "tgr", {}, "", "", [], 0, None, None],
    "evaluate": [None, None, None, None, 0],
}


def post(door: httpx.Client, endpoint: str, image: Any, *data: Any) -> str:
    """Ask, and get the event's id; the answer is not read."""
    asked = [image, *data, *REST[endpoint][len(data) :]]
    answer = door.post(f"/call/{endpoint}", json={"data": asked})
    assert answer.status_code == 200, answer.text
    return answer.json()["event_id"]


def read(door: httpx.Client, endpoint: str, event: str) -> tuple[str, Any]:
    """The last thing that is said of an event: its kind and what it holds."""
    kind = ""
    with door.stream("GET", f"/call/{endpoint}/{event}") as answer:
        for line in answer.iter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: ") and kind in ("complete", "error"):
                return kind, json.loads(line.removeprefix("data: "))
    raise AssertionError("the stream ended without a word")


@pytest.mark.slow
def test_attacks_that_nobody_reads_keep_nobody_out(
    door: httpx.Client, image: dict[str, Any], browser: Any, served: str
) -> None:
    for _ in range(25):
        post(door, "attack", image, "vit_imagenette", "pgd", {"steps": 200})
    began = time.monotonic()
    assert httpx.get(served, timeout=SECONDS).status_code == 200
    assert time.monotonic() - began < 10
    visit = Visit(browser, served, 1440, 900, "light")
    visit.page.click("#run")
    visit.status("Finished: 10 steps")
    assert time.monotonic() - began < SECONDS
    visit.close()


def test_evaluations_that_nobody_reads_are_dropped(
    door: httpx.Client, image: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit, "SECONDS_UNREAD", 1.0)
    for _ in range(3):
        post(door, "evaluate", [image] * 8, ["church"] * 8)
    time.sleep(3)  # more than a reader may pause
    began = time.monotonic()
    last = post(door, "evaluate", [image], ["church"], None, [{"name": "fgsm"}])
    kind, found = read(door, "evaluate", last)
    assert kind == "complete", found
    assert time.monotonic() - began < SECONDS


def test_more_than_ones_share_is_refused_in_one_sentence(
    door: httpx.Client, image: dict[str, Any]
) -> None:
    events = [post(door, "predict", image) for _ in range(12)]
    said = [read(door, "predict", event) for event in events]
    assert said[0][0] == "complete"
    refused = [str(found) for kind, found in said if kind == "error"]
    assert all("of your runs are under way already" in each for each in refused)


WRONG = {
    "no model": (("attack", None), "model must be a name"),
    "a number for a model": (("attack", 5), "model must be a name"),
    "a word for a seed": (
        ("attack", "vit_imagenette", "tgr", {}, "", "", [], "abc"),
        "seed must be",
    ),
    "a huge seed": (("attack", "vit_imagenette", "tgr", {}, "", "", [], 10**30), "seed must be"),
    "NaN for a seed": (("attack", "vit_imagenette", "tgr", {}, "", "", [], "NaN"), "seed must be"),
    "a list of knobs": (("attack", "vit_imagenette", "tgr", [1]), "This is not an attack"),
    "a knob called name": (("attack", "vit_imagenette", "tgr", {"name": 1}), "no knob of tgr"),
    "a number of others": (
        ("attack", "vit_imagenette", "tgr", {}, "", "", 5),
        "others must be a list",
    ),
    "3,000 others": (
        ("attack", "vit_imagenette", "tgr", {}, "", "", ["resnet_imagenette"] * 3000),
        "others must be a list",
    ),
    "a long name": (("predict", "v" * 40_000), "model must be a name"),
    "an unknown model": (("predict", "nonsense"), "There is no model called"),
    "an unknown tag": (("predict", "vit_tiny_patch16_224.nonsense"), "nonsense"),
    "a number of attacks": (("evaluate", None, None, 5), "attacks must be a list"),
    "a number for a source": (("evaluate", None, [5]), "Each of sources must be a name"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_kinds_are_answered_in_one_sentence(
    door: httpx.Client, image: dict[str, Any], case: str
) -> None:
    (endpoint, *data), words = WRONG[case]
    first = [image] if endpoint == "evaluate" else image
    kind, found = read(door, endpoint, post(door, endpoint, first, *data))
    assert kind == "error"
    assert words in str(found), found


@pytest.mark.parametrize(
    "path", [None, 5, "", "/etc/passwd", "a\0b", ["x"], {"path": "x"}], ids=repr
)
def test_a_picture_that_was_not_uploaded_is_refused(door: httpx.Client, path: Any) -> None:
    asked = {"path": path, "meta": {"_type": "gradio.FileData"}}
    answer = door.post("/call/predict", json={"data": [asked, "vit_imagenette"]})
    if answer.status_code == 200:
        kind, found = read(door, "predict", answer.json()["event_id"])
        assert kind == "error"
        assert found is None or "Traceback" not in str(found)
    else:
        assert answer.status_code in (400, 403, 422)


def test_deep_nesting_is_refused(door: httpx.Client, image: dict[str, Any]) -> None:
    deep = json.dumps({"data": [image]})[:-2] + ',"vit_imagenette","tgr",{"k":' + "[" * 5000
    text = deep + "]" * 5000 + "}]}"
    answer = door.post("/call/attack", content=text, headers={"Content-Type": "application/json"})
    if answer.status_code == 200:
        assert read(door, "attack", answer.json()["event_id"])[0] == "error"
    assert door.get("/info").status_code == 200


def test_a_class_arrives_and_each_has_its_own_result(served: str) -> None:
    """What `python -m tests.load` measures, in small: each with a picture, then all with one."""
    for different, computed in ((True, 5), (False, 1)):
        crowd, _ = alone(load(served, 5, different, steps=2, within=0.2))
        assert [each.errors for each in crowd] == [[]] * 5
        assert [[*each.wrong()] for each in crowd] == [[]] * 5
        assert len({each.run for each in crowd}) == computed


def test_who_is_refused_tries_again_by_a_button(
    browser: Any, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = Visit(browser, served, 1280, 720, "light")
    for name, value in (("eps", "11"), ("steps", "3")):  # of no other test: equal runs are shared
        visit.page.fill(f"#knob-{name} input[type=number]", value)
        visit.page.keyboard.press("Tab")
    with monkeypatch.context() as patch:
        patch.setattr(desk, "MOST_WAITING", 0)
        visit.page.click("#run")
        assert "Try again in a minute." in visit.status("Too many runs are waiting.")
    visit.page.get_by_role("button", name="Try again").click()
    visit.status("Finished: 3 steps")
    visit.close()
