"""Measuring: distances, accuracy under attack, transfer, cost."""
