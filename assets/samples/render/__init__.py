"""Photographs that were never taken: a small ray tracer and the scenes of the gallery.

`python -m assets.samples.render [--out assets/samples] [ID ...]` draws every picture again, bit for
bit on one machine. Nothing here is used while the page runs.
"""
