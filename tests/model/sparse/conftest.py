"""Small random hosts in float64, where two ways to compute one thing agree to rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

Host = Callable[..., VisionTransformer]


@pytest.fixture
def host() -> Host:
    """Build a host whose weights are large enough for its attention to have opinions."""

    def build(kind: type[VisionTransformer] = VisionTransformer, **sizes: Any) -> VisionTransformer:
        sizes = {
            "img_size": 32,
            "patch_size": 4,
            "embed_dim": 24,
            "depth": 4,
            "num_heads": 3,
            "num_classes": 5,
        } | sizes
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = kind(**sizes).double().eval()
            for name, parameter in model.named_parameters():
                if "norm" not in name:
                    torch.nn.init.normal_(parameter, std=0.2)
        return model

    return build


@pytest.fixture
def images() -> Tensor:
    """Five images of very different contrast, so that they keep different numbers of tokens."""
    draw = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(1)).double()
    return draw * torch.tensor([2.0, 1.0, 0.3, 0.05, 0.0]).double().view(5, 1, 1, 1)
