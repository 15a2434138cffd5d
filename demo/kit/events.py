"""How events are declared to gradio, and the values that live in the page."""

from __future__ import annotations

from typing import Any

import gradio as gr

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
QUICK: dict[str, Any] = {"queue": False, **PRIVATE}
# Who watches waits for others and holds nothing, so all may at once.
WATCHING: dict[str, Any] = {"concurrency_limit": None, "trigger_mode": "multiple", **PRIVATE}
MAKING: dict[str, Any] = {
    "preprocess": False,
    "concurrency_limit": 8,
    "trigger_mode": "multiple",
    **PRIVATE,
}
# One visit is one tab: its storage outlives a reload and a walk to another page, and ends with it.
VISIT = """() => {
  try {
    return sessionStorage.labVisit ||= crypto.randomUUID?.() ?? String(Math.random()).slice(2);
  } catch { return ""; }
}"""
# Who comes says where they come from: what the address asks for.
VISITED = f"() => [({VISIT})(), location.search]"
# A script of the page wishes controls to be set, as a link would set them.
SETTING = f"() => [({VISIT})(), window.labWish]"
# The controls that were set are there to be read.
SETTLED = "() => { labAddress.then((page) => page.settled()); }"
# A new visit: nothing of this one is found again.
RESET = "() => { try { delete sessionStorage.labVisit; } catch {} location.reload(); }"


def hidden(name: str, value: str = "") -> gr.Textbox:
    """A value that lives in the page, so that nothing of it need be kept here."""
    return gr.Textbox(value, visible="hidden", elem_id=f"lab-{name}", container=False)
