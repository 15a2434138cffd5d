"""Words that lessons explain in place, each in one or two plain sentences."""

from __future__ import annotations

GLOSSARY: dict[str, str] = {}
