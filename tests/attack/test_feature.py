"""Feature-space attacks: one cosine for all, and what is published of them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from engine.attack.feature_objective import Axis, cosine

GEN = torch.Generator().manual_seed(3)
A, B = (torch.randn(3, 5, 7, dtype=torch.float64, generator=GEN) for _ in "ab")


def test_the_published_axis_is_torchs_default():
    """C7 B, law 11."""
    assert torch.equal(cosine(A, B, "token"), F.cosine_similarity(A, B, dim=1).mean(1))
    assert torch.equal(cosine(A, B, "token"), torch.nn.CosineSimilarity()(A, B).mean(1))


def test_the_other_axes_are_what_they_say():
    tokens = [
        [a @ b / (a.norm() * b.norm()) for a, b in zip(x, y, strict=True)]
        for x, y in zip(A, B, strict=True)
    ]
    by_hand = torch.stack([torch.stack(each).mean() for each in tokens])
    torch.testing.assert_close(cosine(A, B, "channel"), by_hand)
    flat = (A * B).sum((1, 2)) / (A.square().sum((1, 2)) * B.square().sum((1, 2))).sqrt()
    torch.testing.assert_close(cosine(A, B, "flat"), flat)


@pytest.mark.parametrize("axis", ["channel", "token", "flat"])
def test_a_cosine_knows_no_scale_and_no_neighbour(axis: Axis):
    assert cosine(A, 3 * A, axis).tolist() == pytest.approx([1, 1, 1])
    assert cosine(A, -A, axis).tolist() == pytest.approx([-1, -1, -1])
    torch.testing.assert_close(cosine(A[1:2], B[1:2], axis), cosine(A, B, axis)[1:2])
