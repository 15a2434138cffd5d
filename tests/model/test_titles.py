"""What models are called where there is little room."""

from __future__ import annotations

from engine.model.titles import shorts


def test_titles_are_short_where_they_still_tell_models_apart() -> None:
    assert shorts({"a": "PiT, a pooling ViT", "b": "ViT with a stem"}) == {"a": "PiT", "b": "ViT"}
    both = {"a": "ViT with a stem", "b": "ViT, trained against PGD"}
    assert shorts(both) == both
    assert shorts({"a": "DeiT-Tiny (weights folder, 1000 classes)"}) == {"a": "DeiT-Tiny"}
