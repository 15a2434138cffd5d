"""The papers, in display order. A newcomer adds one folder beside this file and one line here."""

from __future__ import annotations

from engine.papers.aas.paper import AAS
from engine.papers.aas_at.paper import AAS_AT
from engine.papers.desparsify.paper import DESPARSIFY
from engine.papers.paper import Paper
from engine.papers.quant.paper import QUANT
from engine.papers.robustness_tokens.paper import ROBUSTNESS_TOKENS
from engine.papers.tgr.paper import TGR

PAPERS: tuple[Paper, ...] = (TGR, QUANT, DESPARSIFY, AAS, AAS_AT, ROBUSTNESS_TOKENS)
