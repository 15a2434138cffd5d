"""TGR as a paper of the catalog."""

from __future__ import annotations

from engine.papers.paper import OnPhotographs, Paper
from engine.papers.tgr import claims

TGR = Paper(
    "tgr",
    "Token gradient regularization: attacks on ViTs that travel",
    "Zhang et al., CVPR 2023",
    OnPhotographs(claims.Settings, claims.claims, targets=True, resumes=True),
)
