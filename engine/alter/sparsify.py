"""Until its last user is gone: `TokenSampling` by its old name."""

from __future__ import annotations

from engine.alter.ats import TokenSampling

sparsify = TokenSampling()
