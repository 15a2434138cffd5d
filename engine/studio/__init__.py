"""The façade: a request in, a run that advances step by step, a frozen result out at any time.

Page, CLI, tests and scripts all go through here.
"""

from engine.studio.facts import Difference, Facts, NoFacts, difference
from engine.studio.report import SCHEMA, arrays, inscription, save, stem, summary, verdict
from engine.studio.request import Request
from engine.studio.result import Frame, Result, Transfer
from engine.studio.run import MOST_FRAMES, Run, Stepped
from engine.studio.subject import Subject

__all__ = [
    "MOST_FRAMES",
    "SCHEMA",
    "Difference",
    "Facts",
    "Frame",
    "NoFacts",
    "Request",
    "Result",
    "Run",
    "Stepped",
    "Subject",
    "Transfer",
    "arrays",
    "difference",
    "inscription",
    "save",
    "stem",
    "summary",
    "verdict",
]
