"""What the views are sent: exact pictures, readings within 8 bits, plain JSON, small; and drawn."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from scripted import HOME, alone, settle
from torch import Tensor

from demo.kit import scripts
from demo.kit.packing import pack, pack_rows, png, png_change
from demo.lab import views
from engine import studio
from engine.alter.tokens import RobustnessTokens
from engine.attack.catalog import recipe
from engine.core.figures import number
from engine.core.streams import Streams
from engine.data.samples import load_sample
from engine.model import zoo
from engine.model.victim import Victim
from engine.papers.quant import threshold as quant_threshold
from engine.probe import attention, depth, gradients, outliers, tokens
from engine.probe.probe import Probe, Reading

BITS = {"u1": np.uint8, "u2": np.dtype("<u2"), "f2": np.dtype("<f2"), "f4": np.dtype("<f4")}


def unpack(packed: dict[str, Any]) -> Tensor:
    raw = np.frombuffer(base64.b64decode(packed["data"]), BITS[packed["type"]])
    return torch.from_numpy(raw.reshape(packed["shape"]).copy())


def opened_png(text: str) -> Tensor:
    image = Image.open(io.BytesIO(base64.b64decode(text)))
    assert (image.format, image.mode) == ("PNG", "RGB")
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)


def plain(message: dict[str, Any]) -> str:
    return json.dumps(message, allow_nan=False)


def finish(request: studio.Request) -> studio.Result:
    run = studio.Run(request)
    while not run.done:
        run.advance()
    return run.result()


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return load_sample("golf_ball")


@pytest.fixture(scope="module")
def result(picture: Image.Image) -> studio.Result:
    """Three stored steps of the bundled model, with the control."""
    return finish(studio.Request(picture, "vit_imagenette", recipe("mifgsm", steps=3)))


@pytest.fixture(scope="module")
def sent(result: studio.Result) -> dict[str, Any]:
    return json.loads(plain(views.payload(result, "id")))


@pytest.fixture
def any_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models by the name of a tiny random one."""

    def load(name: str, weights: Path | None = None) -> Victim:
        made = tiny.victim(name)
        return replace(made, module=made.module.float())

    def card(name: str, weights: Path | None = None) -> zoo.Card:
        return zoo.Card(name, name, name, "classify", tiny.CLASSES, tiny.SIZE, "local")

    monkeypatch.setattr(zoo, "load", load)
    monkeypatch.setattr(zoo, "card", card)


def test_every_stored_picture_arrives_exactly(result: studio.Result, sent: dict[str, Any]) -> None:
    clean = opened_png(sent["clean"])
    assert torch.equal(clean, result.clean.pixels)
    frames = [*result.frames, result.noise]
    assert len(sent["changes"]) == len(frames)
    for frame, change in zip(frames, sent["changes"], strict=True):
        # uint8 arithmetic wraps, as the browser's `& 255` does
        assert torch.equal(opened_png(change) + clean - 128, frame.pixels)


def test_any_pixels_survive_the_change_even_where_it_wraps() -> None:
    gen = Streams(1).at("pixels")
    clean, other = torch.randint(0, 256, (2, 3, 9, 7), generator=gen, dtype=torch.uint8)
    assert torch.equal(opened_png(png(other)), other)
    assert torch.equal(opened_png(png_change(other, clean)) + clean - 128, other)


@pytest.mark.parametrize("kind", [torch.uint8, torch.float16, torch.float32])
def test_a_packed_array_is_the_array(kind: torch.dtype) -> None:
    values = torch.arange(24).reshape(2, 3, 4).to(kind)
    assert torch.equal(unpack(pack(values)), values)


def test_packed_rows_keep_every_value_within_half_of_an_8_bit_step() -> None:
    rows = torch.rand(5, 40, generator=Streams(2).at("rows")) * torch.tensor(
        [[1e-9], [1e-3], [1.0], [1e6], [0.0]]
    )
    packed = pack_rows(rows)
    back = unpack(packed["values"]).float() * unpack(packed["scales"]).unsqueeze(-1)
    step = rows.amax(-1, keepdim=True) / 255
    # 1e-6: the float32 rounding of the scale itself
    assert bool(((back - rows).abs() <= step * (0.5 + 1e-4) + 1e-6 * rows).all())


@pytest.mark.parametrize(
    ("value", "told"), [(0.123456, 0.1235), (float("nan"), None), (float("inf"), None), (-0.0, 0.0)]
)
def test_numbers_are_told_to_four_figures_or_not_at_all(value: float, told: float | None) -> None:
    assert number(value) == told


def of(probe: Probe[Reading], frame: studio.Frame) -> Reading:
    found = probe.of(frame.readings)
    assert found is not None
    return found


def rows_of(
    result: studio.Result, message: dict[str, Any], query: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs (received, measured) of every frame, block and head of one query."""
    for frame, packed in zip((*result.frames, result.noise), message["frames"], strict=True):
        maps = of(attention.PROBE, frame)
        values, scales = unpack(packed["values"]), unpack(packed["scales"])
        row = start = 0
        for block, shape in enumerate(result.spec.blocks):
            length = shape.prefix + shape.grid[0] * shape.grid[1]
            measured = maps.row(block, query)
            for head in range(shape.heads):
                yield values[start : start + length].float() * scales[row], measured[head]
                start, row = start + length, row + 1
        assert (start, row) == (len(values), len(scales))


@pytest.mark.parametrize("query", [0, 37])
def test_attention_rows_are_those_measured(result: studio.Result, query: int) -> None:
    message = json.loads(plain(views.slab(result, query)))
    assert message["query"] == query
    pairs = list(rows_of(result, message, query))
    assert all(torch.equal(received, measured) for received, measured in pairs)
    # rounded to 8 bits, each of n entries may be off by half of 1/255 of the row's largest
    assert all(
        abs(float(row.sum()) - 1) <= len(row) * float(row.max()) * 0.51 / 255 for row, _ in pairs
    )


def test_the_payload_holds_the_class_token_and_its_rollout(
    result: studio.Result, sent: dict[str, Any]
) -> None:
    assert sent["attention"]["query"] == 0
    assert views.slab(result, 0)["frames"] == sent["attention"]["frames"]
    for frame, packed in zip(result.frames, sent["attention"]["frames"], strict=False):
        assert torch.equal(unpack(packed["rollout"]), of(attention.PROBE, frame).rollout())


def test_a_query_outside_the_picture_is_brought_into_it(result: studio.Result) -> None:
    assert views.slab(result, 10**9)["query"] == 10**9
    assert views.slab(result, 10**9)["frames"] == views.slab(result, 100)["frames"]
    assert views.slab(result, -5)["frames"] == views.slab(result, 0)["frames"]


def test_outlier_columns_are_counted_at_thresholds_on_offer(
    result: studio.Result, sent: dict[str, Any]
) -> None:
    data = sent["outliers"]
    for frame, packed in zip((*result.frames, result.noise), data["frames"], strict=True):
        read = of(outliers.PROBE, frame)
        for at, threshold in list(enumerate(data["thresholds"]))[::9]:
            counted = unpack(packed["layers"])[at].tolist()
            assert counted == read.counts(threshold).tolist()
            assert packed["columns"][at] == read.total(threshold)


def test_the_outlier_threshold_is_the_one_that_the_model_has_everywhere(
    result: studio.Result, sent: dict[str, Any]
) -> None:
    usual = quant_threshold.usual(result.card.name)
    assert usual is not None
    assert sent["outliers"]["thresholds"][sent["outliers"]["default"]] == usual.value
    assert f"{usual.pictures} clean sample pictures" in sent["outliers"]["origin"]


def test_masks_gradients_and_divergence_are_those_measured(
    result: studio.Result, sent: dict[str, Any]
) -> None:
    for index, frame in enumerate(result.frames):
        keep = unpack(sent["tokens"]["frames"][index]["keep"])
        assert torch.equal(keep.bool(), of(tokens.PROBE, frame).keep)
        for name, measured in (
            ("gradients", of(gradients.PROBE, frame).tokens),
            ("depth", [each.clamp_min(0) for each in of(depth.PROBE, frame).tokens]),
        ):
            packed = sent[name]["frames"][index]["tokens"]
            for block, value in zip(packed, measured, strict=True):
                back = unpack(block["values"]).float() * unpack(block["scales"]).unsqueeze(-1)
                assert torch.allclose(back, value, atol=float(value.max()) * 0.51 / 255, rtol=0)


def test_eleven_frames_of_the_bundled_model_stay_below_a_megabyte_and_a_half(
    result: studio.Result,
) -> None:
    once = result.frames[-1]
    eleven = replace(result, frames=(*result.frames, *(7 * [once])))
    assert len(eleven.frames) == 11
    assert len(plain(views.payload(eleven, "id"))) < 1.5e6


def test_bars_name_the_label_the_target_and_the_likeliest(
    picture: Image.Image, result: studio.Result, sent: dict[str, Any]
) -> None:
    listed = [each["index"] for each in sent["classes"]]
    assert {result.label, result.clean.top, result.adversarial.top, result.noise.top} <= set(listed)
    assert len(listed) == len(set(listed)) <= 8
    assert all(len(row) == len(listed) for row in sent["probabilities"])
    assert "_" not in "".join(each["name"] for each in sent["classes"])
    goal = (result.label + 3) % 10
    aimed = finish(
        studio.Request(picture, "vit_imagenette", recipe("fgsm"), target=goal, views=False)
    )
    assert goal in [each["index"] for each in views.payload(aimed, "id")["classes"]]


def test_a_run_tells_its_progress_in_small_plain_messages(picture: Image.Image) -> None:
    run = studio.Run(
        studio.Request(picture, "vit_imagenette", recipe("mifgsm", steps=3), views=False)
    )
    first = views.opened(run, "id")
    assert torch.equal(opened_png(first["picture"]), run.clean)
    messages = [views.live(run.advance(), run, "id") for _ in range(2)]
    assert [each["step"] for each in messages] == [1, 2]
    for each in (first, *messages, views.RESTORE):
        assert len(plain(each)) < 1.5e5
    stopped = views.payload(run.result(), "id")
    assert (stopped["done"], stopped["asked"]) == (2, 3)


# At 32 px the last stage of Visformer has one token: no second score to lead by.
@pytest.mark.parametrize("name", sorted({*tiny.MODULES} - {"visformer"}))
@pytest.mark.usefixtures("any_model")
def test_every_family_gives_a_payload_or_says_why_not(name: str, picture: Image.Image) -> None:
    made = finish(studio.Request(picture, name, recipe("mifgsm", steps=1)))
    message = json.loads(plain(views.payload(made, "id")))
    first = made.spec.blocks[0]
    for section in ("attention", "gradients", "gaps", "outliers", "depth", "tokens"):
        why = message[section].get("missing")
        assert why is None or (why.endswith(".") and name in why)
    if "missing" not in message["attention"]:
        last = first.prefix + first.grid[0] * first.grid[1] - 1
        slab = json.loads(plain(views.slab(made, last)))
        assert len(slab["frames"]) == len(message["changes"])
    else:
        assert views.slab(made, 0) == {}


def test_a_run_without_views_still_has_its_pictures(picture: Image.Image) -> None:
    made = finish(studio.Request(picture, "vit_imagenette", recipe("fgsm"), views=False))
    message = views.payload(made, "id")
    assert opened_png(message["clean"]).shape == (3, 160, 160)
    assert "without recording" in message["attention"]["missing"]


INSIDE = ("attention", "gradients", "tokens", "outliers", "depth")
VIEWS = "[...document.querySelectorAll('.lab-view')]"
NAMES = ("pair", "scrubber", "bars", "headline", "verdict", *INSIDE)
DOUBLE = """
async ({message, names, store: at}) => {
  const page = await lab;
  for (const name of names) {
    const box = document.createElement('div');
    box.innerHTML = `<section class="lab-view" data-view="${name}"></section>`;
    document.body.append(box);
    page.mount(name, box, {rows: async () => ({error: 'no server here'})});
  }
  const told = [];
  for (const event of ['select', 'begin', 'step', 'result', 'fail'])
    page.on(event, () => told.push(event));
  const { store, receive } = await import(at);
  Object.assign(window, { page, store, receive, told });
  receive(message);
  await Promise.all(store.run.pictures.map((each) => each.ready));
}
"""


PIXELS = """
(index) => {
  let text = '';
  for (const byte of store.run.pictures[index].data) text += String.fromCharCode(byte);
  return btoa(text);
}
"""


@pytest.fixture(scope="module")
def page(browser: Any) -> Iterator[Any]:
    found = browser.new_page(viewport={"width": 900, "height": 900})
    alone(found)
    yield found
    found.close()


@pytest.fixture
def drawn(page: Any, sent: dict[str, Any]) -> Iterator[Any]:
    """All views of the script alone, without gradio, showing the bundled model's run."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    show(page, sent)
    yield page
    assert not errors


def show(page: Any, message: dict[str, Any]) -> None:
    page.goto(HOME)
    at = f"/{scripts.folder()}/lab/js/store.js"
    page.evaluate(DOUBLE, {"message": message, "names": NAMES, "store": at})
    settle(page)


def test_the_browser_sees_the_exact_pixels(drawn: Any, result: studio.Result) -> None:
    for index, frame in enumerate((*result.frames, result.noise)):
        text = drawn.evaluate(PIXELS, index)
        raw = np.frombuffer(base64.b64decode(text), np.uint8).reshape(160, 160, 4)
        seen = torch.from_numpy(raw[..., :3].copy())
        assert torch.equal(seen.permute(2, 0, 1), frame.pixels)


def test_the_browser_reads_the_attention_measured(drawn: Any, result: studio.Result) -> None:
    shapes = result.spec.blocks
    frame = of(attention.PROBE, result.adversarial)
    for block, head in ((0, 0), (len(shapes) - 1, shapes[-1].heads - 1)):
        seen = drawn.evaluate(
            f"Array.from(store.run.rows.home.head(store.run.last, {block}, {head}))"
        )
        assert torch.allclose(torch.tensor(seen), frame.row(block, 0)[head])


def found(result: studio.Result) -> dict[str, list[str]]:
    """What each view inside the model has to say, worked out from the readings in another way."""
    frames = (result.clean, result.adversarial, result.noise)
    blocks = range(len(result.spec.blocks))
    looks = [
        torch.stack([of(attention.PROBE, each).row(block, 0) for block in blocks])
        for each in frames
    ]
    turned, noise = (((its - looks[0]).abs().sum(-1) / 2) for its in looks[1:])
    block, head = divmod(int(turned.argmax()), turned.shape[1])
    bits = [
        float(-(p * p.clamp_min(1e-12).log2()).sum()) for p in (its[block, head] for its in looks)
    ]
    before, after = (of(gradients.PROBE, each) for each in frames[:2])
    variance, dispersion = (
        float((getattr(after, its) / getattr(before, its))[:, 0].log().mean().exp())
        for its in ("variance", "dispersion")
    )
    used = [f"{100 * of(tokens.PROBE, each).utilisation:.0f} %" for each in frames]
    usual = quant_threshold.usual("vit_imagenette")
    assert usual is not None
    count = [of(outliers.PROBE, each).total(usual.value) for each in frames]
    deep = [float(of(depth.PROBE, each).cosine[-1]) for each in frames[1:]]
    return {
        "attention": [
            f"block {block + 1}, head {head + 1}: {100 * float(turned[block, head]):.0f} %",
            f"equal size: {100 * float(noise[block, head]):.0f} %",
            f"from {bits[0]:.1f} to {bits[1]:.1f} bits",
        ],
        "gradients": [f"is {variance:.0f} times", f"is {dispersion:.1f} times"],
        "tokens": [f"{used[0]} of the tokens on the clean", f"{used[1]} after", f"{used[2]} under"],
        "outliers": [f"{count[0]} clean, {count[1]} after", f"{count[2]} under random noise"],
        "depth": [f"{deep[0]:.2g} away, noise {deep[1]:.2g}"],
    }


def test_every_view_is_drawn_and_states_what_it_found(drawn: Any, result: studio.Result) -> None:
    states = drawn.evaluate(f"{VIEWS}.map((each) => each.dataset.state)")
    assert states == ["run"] * len(NAMES)
    expected = found(result)
    assert set(expected) == set(INSIDE)
    for name, words in expected.items():
        finding = drawn.locator(f"[data-view={name}] .lab-finding").first.inner_text()
        for each in words:
            assert each in finding, (name, finding)
    assert "L∞" in drawn.locator("[data-view=verdict]").inner_text()


def test_one_selection_moves_every_view(drawn: Any) -> None:
    def told() -> list[str]:
        return drawn.evaluate(f"{VIEWS}.map((each) => each.innerHTML)")

    before = told()
    drawn.evaluate("page.select({step: 1, block: 2, patch: 44})")
    settle(drawn)
    changed = [a != b for a, b in zip(before, told(), strict=True)]
    quiet = [name for name, moved in zip(NAMES, changed, strict=True) if not moved]
    assert quiet == ["verdict"]  # the verdict is about the saved picture, not the step looked at
    drawn.wait_for_function("document.querySelector('.lab-query').innerText.includes('no server')")


def test_a_change_of_the_theme_redraws_what_is_painted(drawn: Any) -> None:
    """Gradio says by a class of the body what the system, or the visitor, has chosen."""
    painted = "document.querySelector('.lab-matrix canvas').toDataURL()"
    drawn.add_style_tag(content=".dark { --body-text-color: #e6e8eb }")
    light = drawn.evaluate(painted)
    for dark in (True, False):
        drawn.evaluate("(dark) => document.body.classList.toggle('dark', dark)", dark)
        settle(drawn)
        settle(drawn)
        assert (drawn.evaluate(painted) != light) == dark


def test_every_part_of_the_selection_moves_a_view(drawn: Any) -> None:
    first = drawn.evaluate("page.selection()")
    other = {
        "step": 0,
        "block": (first["block"] + 1) % 8,
        "head": "mean",
        "patch": 5,
        "layer": 0,
        "component": 2,
        "measure": "kurtosis",
        "threshold": 1e9,
        "compare": "side",
        "overview": "difference",
    }
    told = "[...document.querySelectorAll('.lab-view')].map((each) => each.outerHTML).join()"
    for part, value in other.items():
        before = drawn.evaluate(told)
        drawn.evaluate("(change) => page.select(change)", {part: value})
        settle(drawn)
        assert drawn.evaluate(told) != before, part
    assert drawn.evaluate("page.selection().threshold") == pytest.approx(
        max(drawn.evaluate("store.run.outliers.thresholds"))
    )


def test_keys_move_step_patch_block_and_divider(drawn: Any) -> None:
    def at(what: str) -> Any:
        return drawn.evaluate(what)

    drawn.locator(".lab-track").press("Home")
    assert at("store.sel.step") == 0
    drawn.locator(".lab-track").press("ArrowRight")
    assert at("store.sel.step") == 1
    picture = drawn.locator(".lab-picture-clean .lab-stack")
    picture.press("ArrowDown")
    start = at("store.sel.patch")
    picture.press("ArrowDown")
    assert at("store.sel.patch") == start + 10
    picture.press("Escape")
    assert at("store.sel.patch") == -1
    chart = drawn.locator("[data-view=depth] .lab-chart").first
    chart.press("Home")
    assert at("store.sel.block") == 0
    chart.press("ArrowRight")
    assert at("store.sel.block") == 1
    divider = drawn.locator(".lab-divider")
    before = float(divider.get_attribute("aria-valuenow"))
    divider.press("ArrowRight")
    assert float(divider.get_attribute("aria-valuenow")) == before + 5


def test_the_threshold_counts_as_the_engine_does(drawn: Any, result: studio.Result) -> None:
    slider = drawn.locator("[data-view=outliers] input[type=range]")
    for notch in ("0", "60"):
        slider.fill(notch)
        settle(drawn)
        threshold = drawn.evaluate("page.selection().threshold")
        clean = of(outliers.PROBE, result.clean)
        drawn.evaluate("page.select({step: 1e9})")
        settle(drawn)
        text = drawn.locator("[data-view=outliers] .lab-finding").inner_text()
        assert f"Outlier columns in the float model: {clean.total(threshold)} clean" in text
        counts = clean.counts(threshold).tolist()
        triple = sum(
            n * (3 if slot == "qkv" else 1)
            for n, (_, slot) in zip(counts, clean.layers, strict=True)
        )
        assert f": {triple}," in text


def test_live_messages_and_failures_leave_the_last_good_run(
    drawn: Any, picture: Image.Image
) -> None:
    run = studio.Run(
        studio.Request(picture, "vit_imagenette", recipe("mifgsm", steps=2), views=False)
    )
    opened = views.opened(run, "new")
    drawn.evaluate("(m) => receive(m)", opened)
    for message in (views.live(run.advance(), run, "new"), opened):  # which comes with each
        drawn.evaluate("(m) => receive(m)", message)
    settle(drawn)
    assert "step 1 of 2" in drawn.locator("[data-view=headline]").inner_text()
    drawn.evaluate("(m) => receive(m)", views.RESTORE)
    settle(drawn)
    assert drawn.evaluate("told") == ["result", "begin", "step", "fail"]
    assert drawn.evaluate("[store.live, store.run.run]") == [None, "id"]
    assert "L∞" in drawn.locator("[data-view=verdict]").inner_text()


def test_names_that_are_markup_stay_text(page: Any, sent: dict[str, Any]) -> None:
    message = json.loads(json.dumps(sent))
    evil = "<img src=x onerror=alert(1)>"
    for each in (*message["classes"], *message["tops"], *message["depth"]["lens_classes"]):
        each["name"] = evil
    message["goal"]["label_name"] = message["attack"]["title"] = evil
    message["control"] = message["shown"] = evil
    message["caveats"] = [evil]
    for each in message["told"]:
        each["word"] = each["text"] = evil
    show(page, message)
    assert page.locator("img").count() == 0
    for name in ("verdict", "headline"):
        assert evil in page.locator(f"[data-view={name}]").inner_text()


@pytest.mark.usefixtures("any_model")
def test_tokens_of_a_defence_are_called_so_beside_the_map(page: Any, picture: Image.Image) -> None:
    """Two prefix tokens are a DeiT's distillation token only where the model has two of its own."""
    own = {"vit": (1, "class"), "deit_distilled": (2, "class distillation"), "vit_gap": (1, "")}
    for name, (count, beside) in own.items():
        stack = (RobustnessTokens("random", count),)
        made = finish(studio.Request(picture, name, recipe("mifgsm", steps=1), alter=stack))
        show(page, json.loads(plain(views.payload(made, "id"))))
        said = page.locator("[data-view=attention] .lab-prefix").first.text_content()
        names = [each for each in re.split(r"[\d.]+ %|token|\s", said) if each]
        assert names == [*beside.split(), *("r1", "r2")[:count]]
        query = page.locator("[data-view=attention] .lab-query b").text_content()
        assert (query == "class token") == ("class" in beside)


def test_no_step_is_stored_twice(sent: dict[str, Any]) -> None:
    assert all(a < b for a, b in pairwise(sent["steps"]))
