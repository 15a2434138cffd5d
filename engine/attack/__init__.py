"""Attacks as compositions: objective, view, rules, estimate, update, constraint."""
