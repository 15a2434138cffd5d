"""Run a claim again: a paper's claims, measured on the visitor's model and pictures."""
