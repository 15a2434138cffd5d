"""QuantAttack as a paper of the catalog."""

from __future__ import annotations

from engine.papers.paper import OnPhotographs, Paper
from engine.papers.quant import claims
from engine.papers.quant.findings import Findings

QUANT = Paper(
    "quant",
    "QuantAttack: pictures that make a dynamically quantized model slow",
    "Baras et al., WACV 2025",
    OnPhotographs(claims.Settings, claims.claims, Findings),
)
