"""What a run says of itself, in words: enough to hold it beside another, and to make it again."""

from __future__ import annotations

import platform
from datetime import date
from importlib.metadata import version
from typing import Any

from engine import VERSION
from engine.evaluate.machine import processor
from engine.reproduce import code, command
from engine.studio import Facts, Result, stem


def about(result: Result) -> dict[str, Any]:
    """Facts, the lines that make the run again, the papers it rests on, and what it was made with."""
    request, taken = result.request, None if result.finished else result.steps
    return {
        **Facts.of(result).plain,
        "command": command(request, taken),
        "code": code(request, taken),
        "papers": [each.paper for each in (request.recipe, *request.alter)],
        "stem": stem(result),
        "made": {
            "day": date.today().isoformat(),
            "lab": VERSION,
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "timm")},
            "device": result.device,
            "processor": processor(),
        },
    }
