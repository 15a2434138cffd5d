"""Where a visitor brings a picture: samples, upload, camera and clipboard."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cache
from html import escape
from typing import Any

import gradio as gr
from PIL import Image, ImageOps

from demo.kit import picture, status
from demo.kit.events import PRIVATE, QUICK, hidden
from demo.kit.picture import SAMPLE, Picture
from engine.core.errors import EngineError
from engine.data.samples import Sample, load_sample

THUMBNAIL = 144
PREVIEW = 640
# Constant template, driven by Python's value alone: gradio undoes what JS does to a template.
PICK = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-sample]');
  if (!button) return;
  window.labPicked = 'sample:' + button.dataset.sample;
  trigger('pick', {id: button.dataset.sample});
});
"""


@dataclass(frozen=True)
class Brought:
    """The picture that is chosen: its source, the samples, and the picture as the engine decodes it."""

    source: gr.Textbox
    strip: gr.HTML
    image: gr.Image

    @property
    def shown(self) -> list[Any]:
        return [self.strip, self.image]


def make(source: str = "") -> Brought:
    """Samples, and a place for a picture of one's own, in the current layout; the first is chosen
    unless a `source` is named."""
    source = source or picture.first()
    return Brought(
        hidden("source", source),
        gr.HTML(
            buttons(source),
            html_template='<div class="strip" role="group" aria-label="Samples">${value}</div>',
            js_on_load=PICK,
            elem_id="strip",
        ),
        gr.Image(
            Picture.of(source).image if source else None,
            format="png",
            type="filepath",
            show_label=False,
            sources=["upload", "clipboard", "webcam"],
            buttons=[],
            height=76,
            alt_text="The picture under attack",
            placeholder="Drop a picture here, or click to upload",
            elem_id="picture",
        ),
    )


def wire(brought: Brought, said: gr.HTML) -> None:
    """What was taken is shown as the engine decodes it; what was refused leaves the last picture."""
    shown = [brought.source, *brought.shown, said]

    def pick(event: gr.EventData) -> Any:
        source = SAMPLE + str(getattr(event, "id", ""))
        try:
            image = Picture.of(source).image
        except EngineError as problem:
            return gr.skip(), gr.skip(), gr.skip(), status.error(problem)
        return source, buttons(source), image, status.line(status.TAKEN)

    def take(data: Any, before: str) -> Any:
        try:
            source = picture.uploaded(data)
            image = Picture.of(source).image
        except EngineError as problem:
            return gr.skip(), gr.skip(), look(before)[1], status.error(problem)
        return source, buttons(source), preview(image), status.line(status.TAKEN)

    def clear() -> Any:
        return "", buttons(""), gr.skip(), status.line(status.EMPTY)

    events: Any = brought.strip
    events.pick(pick, None, shown, **QUICK)
    brought.source.change(None, js="() => { window.labPicked = null; }", **PRIVATE)
    asked = [brought.image, brought.source]
    brought.image.upload(take, asked, shown, preprocess=False, concurrency_limit=4, **PRIVATE)
    brought.image.clear(clear, None, shown, **QUICK)


def look(source: str) -> list[Any]:
    """The samples and the picture, as they look with that picture chosen."""
    try:
        shown = preview(Picture.of(source).image) if source else None
    except EngineError:
        shown = None
    return [buttons(source), shown]


def preview(image: Image.Image) -> Image.Image:
    """The decoded picture, small enough to be shown in the recipe column."""
    small = image.copy()
    small.thumbnail((PREVIEW, PREVIEW))
    return small


def buttons(source: str) -> str:
    """The samples as a row of buttons, the chosen one pressed."""
    found = picture.sample(source)
    return _row("" if found is None else found.id)


@cache
def _row(chosen: str) -> str:
    return "".join(_button(each, each.id == chosen) for each in picture.listed())


def _button(sample: Sample, pressed: bool) -> str:
    title = escape(sample.title)
    credit = escape(f"{sample.title}. {sample.credit}. {sample.licence}.")
    return (
        f'<button type="button" data-sample="{escape(sample.id)}" title="{credit}" '
        f'aria-label="{title}" aria-pressed="{str(pressed).lower()}">'
        f'<img alt="" src="data:image/png;base64,{_thumbnail(sample.id)}"></button>'
    )


@cache
def _thumbnail(id: str) -> str:
    small = ImageOps.fit(load_sample(id), (THUMBNAIL, THUMBNAIL))
    data = io.BytesIO()
    small.quantize(128).save(data, "PNG", optimize=True)
    return base64.b64encode(data.getvalue()).decode()
