from __future__ import annotations

from engine.papers.aas_at.findings import Judged, Outcome, Point
from engine.papers.aas_at.seeds import pooled, twin


def judged(model: str, long: str, scaled: str) -> Judged:
    outcomes = (Outcome("long", "PGD", 1, long), Outcome("scaled", "AAS", 1, scaled))
    return Judged(model, model, "robust", outcomes, (Point(1.0, scaled),))


def test_a_twin_is_named_before_its_seed():
    assert twin("tiny_imagenette_pgd_at") == "tiny_imagenette_pgd_at_aas"
    assert twin("tiny_imagenette_pgd_at_seed12") == "tiny_imagenette_pgd_at_aas_seed12"


def test_seeds_are_pooled_picture_by_picture():
    models = [
        judged("m", "1111", "0011"),
        judged("m_aas", "1111", "1111"),
        judged("m_seed1", "1111", "0111"),
        judged("m_aas_seed1", "1110", "1110"),
        judged("other", "1111", "0000"),
    ]
    (row,) = pooled(models)
    # AAS takes 2 of 4, then 1 of 4, from the plainly trained, none from the others.
    assert row.measured.value == 37.5
    assert row.pictures == 4
    assert "2 seeds (+50.0, +25.0)" in row.statement
    assert not list(pooled(models[:2]))
