"""Defend, room tokens: what Robustness Tokens keep of feature and answer, and against whom."""
