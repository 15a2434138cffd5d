"""Defend, room training: what adversarial training buys, what it costs, and how masking would show."""
