"""What models are called where there is little room."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping


def shorts(titles: Mapping[str, str]) -> dict[str, str]:
    """Model titles up to a comma, bracket or “with”, where that still tells them apart."""
    brief = {name: re.split(r",| with | \(", full)[0] for name, full in titles.items()}
    times = Counter(brief.values())
    return {name: short if times[short] == 1 else titles[name] for name, short in brief.items()}
