"""Tiny random victims, one row per kind of model: what the laws are checked on."""

from __future__ import annotations

from collections.abc import Callable

import torch
from timm.models.beit import Beit
from timm.models.cait import Cait
from timm.models.deit import VisionTransformerDistilled
from timm.models.pit import PoolingVisionTransformer
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from timm.models.swin_transformer import SwinTransformer
from timm.models.visformer import Visformer
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from engine.core.streams import Streams
from engine.model.families import adapt
from engine.model.task import Task
from engine.model.victim import Spec, Victim

SIZE, CLASSES = 32, 7


SHAPE = {"img_size": SIZE, "num_classes": CLASSES}
SMALL = dict(**SHAPE, patch_size=8, embed_dim=24, depth=3, num_heads=3, mlp_ratio=2.0)


def pit(**options: object) -> nn.Module:
    stages = {"base_dims": (8, 8, 8), "depth": (1, 2, 1), "heads": (1, 2, 4), "mlp_ratio": 2.0}
    return PoolingVisionTransformer(**SHAPE, patch_size=8, stride=4, **stages, **options)


def cait() -> nn.Module:
    return Cait(**SMALL, depth_token_only=2, mlp_ratio_token_only=2.0, init_values=0.5)


def visformer() -> nn.Module:
    stages = {
        "init_channels": 8,
        "embed_dim": 16,
        "depth": (1, 2, 1),
        "num_heads": 2,
        "mlp_ratio": 2.0,
    }
    return Visformer(**SHAPE, **stages, attn_stage="011", spatial_conv="100", group=2)


def swin() -> nn.Module:
    stages = {"embed_dim": 8, "depths": (2, 2), "num_heads": (1, 2), "mlp_ratio": 2.0}
    return SwinTransformer(**SHAPE, patch_size=4, window_size=4, **stages)


def beit(**options: object) -> nn.Module:
    return Beit(**SMALL, head_init_scale=0.0, use_abs_pos_emb=False, **options)


def resnet(block: type[nn.Module], **options: object) -> nn.Module:
    channels = {"layers": (1, 2, 1, 1), "channels": (8, 8, 16, 16), "stem_width": 8}
    return ResNet(block=block, num_classes=CLASSES, **channels, **options)


MODULES: dict[str, Callable[[], nn.Module]] = {
    "vit": lambda: VisionTransformer(**SMALL),
    "vit_gap": lambda: VisionTransformer(**SMALL, class_token=False, global_pool="avg"),
    "vit_qk_norm_layer_scale": lambda: VisionTransformer(
        **SMALL, qk_norm=True, init_values=0.5, reg_tokens=2
    ),
    "deit_distilled": lambda: VisionTransformerDistilled(**SMALL),
    "pit": pit,
    "pit_distilled": lambda: pit(distilled=True),
    "cait": cait,
    "visformer": visformer,
    "swin": swin,
    "beit": lambda: beit(use_rel_pos_bias=True, init_values=0.5),
    "beit_shared_bias": lambda: beit(use_shared_rel_pos_bias=True, global_pool="token"),
    "resnet": lambda: resnet(BasicBlock),
    "resnet_bottleneck": lambda: resnet(Bottleneck, block_args={"attn_layer": "se"}),
}
"""Every family, and every part in which members of one family differ."""


def shaken(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module with random weights large enough that attention is uneven and branches count."""
    gen = Streams(seed).at("weights")
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=gen)
            parameter.add_(0.15 * noise.to(parameter))
    return module.eval()


def wrap(module: nn.Module, name: str = "tiny") -> Victim:
    """A float64 victim: laws hold to rounding, and no gradient's sign hangs on it."""
    family, blocks = adapt(module, SIZE)
    classes = tuple(f"class {i}" for i in range(CLASSES))
    mean, std = (0.5, 0.45, 0.4), (0.25, 0.3, 0.2)
    spec = Spec(name, family.name, classes, SIZE, mean, std, blocks, family.sites)
    return Victim(spec, module.double(), family)


def victim(name: str = "vit", seed: int = 0) -> Victim:
    """The same weights in every process, whatever was drawn before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)  # 0 draws a ResNet of which TGR leaves no gradient
        module = MODULES[name]()
    return wrap(shaken(module, seed), name)


def task(b: int = 2, seed: int = 0, *, targeted: bool = False) -> Task:
    """b pictures of 8-bit pixels with labels, and other classes as targets."""
    gen = Streams(seed).at("pictures")
    pixels = torch.randint(0, 256, (b, 3, SIZE, SIZE), generator=gen)
    labels = torch.randint(0, CLASSES, (b,), generator=gen)
    return Task(pixels.double() / 255, labels, (labels + 1) % CLASSES if targeted else None)


def pick(asked: Task, *rows: int) -> Task:
    """The task of some of the pictures."""
    index = torch.tensor(rows)
    target = None if asked.target is None else asked.target[index]
    return Task(asked.images[index], asked.labels[index], target)
