"""The bundled architectures: timm's own classes in small configurations, freshly initialised.

Every network reads normalised 160 x 160 pictures (the tiny ones 32 x 32) and answers with ten logits.
Each stays under 4.9 million parameters, so that its weights fit in 10 MB as float16.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from timm.layers.hybrid_embed import HybridEmbed
from timm.models.deit import VisionTransformerDistilled
from timm.models.pit import PoolingVisionTransformer
from timm.models.resnet import BasicBlock, ResNet
from timm.models.visformer import Visformer
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_hybrid import ConvStem
from torch import nn

from engine.core.errors import UnknownName

INPUT_SIZE = 160
CLASSES = 10


def base_vit(drop_path: float) -> nn.Module:
    """A ViT whose 10 x 10 patches come from four stride-2 convolutions (Xiao et al., 2021).

    3.8 M parameters, 101 tokens, width 192, 8 blocks of 6 heads.
    """
    stem = ConvStem(depth=4, channels=(24, 48, 96, 192), stride=(2, 2, 2, 2))
    return VisionTransformer(
        img_size=INPUT_SIZE,
        patch_size=1,
        num_classes=CLASSES,
        embed_dim=192,
        depth=8,
        num_heads=6,
        drop_path_rate=drop_path,
        embed_layer=partial(HybridEmbed, backbone=stem, proj=False),
    )


def distilled_deit(drop_path: float) -> nn.Module:
    """DeiT with a distillation token (Touvron et al., 2021): linear patches, deep, thin, 3 heads.

    3.8 M parameters, 102 tokens (two of them prefix), width 192, 10 blocks.
    """
    return VisionTransformerDistilled(
        img_size=INPUT_SIZE,
        patch_size=16,
        num_classes=CLASSES,
        embed_dim=192,
        depth=10,
        num_heads=3,
        mlp_ratio=3.0,
        drop_path_rate=drop_path,
    )


def pooling_vit(drop_path: float) -> nn.Module:
    """PiT (Heo et al., 2021): overlapping patches, three stages of 19 x 19, 10 x 10, 5 x 5 tokens.

    3.4 M parameters, widths 64, 128, 256.
    """
    return PoolingVisionTransformer(
        img_size=INPUT_SIZE,
        patch_size=16,
        stride=8,
        base_dims=(32, 32, 32),
        depth=(2, 4, 3),
        heads=(2, 4, 8),
        mlp_ratio=4.0,
        num_classes=CLASSES,
        drop_path_rate=drop_path,
    )


def visformer(drop_path: float) -> nn.Module:
    """Visformer (Chen et al., 2021): one convolutional stage, then attention over 10 x 10 and 5 x 5.

    3.4 M parameters, widths 64, 128, 256, batch normalisation throughout, average-pooled head.
    """
    return Visformer(
        img_size=INPUT_SIZE,
        num_classes=CLASSES,
        init_channels=16,
        embed_dim=128,
        depth=(4, 3, 3),
        num_heads=4,
        mlp_ratio=4.0,
        norm_layer=nn.BatchNorm2d,
        attn_stage="011",
        spatial_conv="100",
        conv_init=True,
        embed_norm=nn.BatchNorm2d,
        drop_path_rate=drop_path,
    )


def small_resnet(drop_path: float) -> nn.Module:
    """A ResNet-18-D (He et al., 2016, 2019) at 5/8 of its usual width: the CNN to transfer to.

    4.4 M parameters.
    """
    return ResNet(
        block=BasicBlock,  # pyright: ignore[reportArgumentType]  # timm annotates the instance
        layers=(2, 2, 2, 2),
        channels=(40, 80, 160, 320),
        num_classes=CLASSES,
        stem_width=20,
        stem_type="deep",
        avg_down=True,
        drop_path_rate=drop_path,
    )


def tiny_vit(drop_path: float) -> nn.Module:
    """A ViT for 32 x 32 pictures, patches of 4 as on CIFAR (Mo et al., 2022), for runs of minutes.

    0.3 M parameters, 65 tokens, width 64, 6 blocks of 4 heads.
    """
    return VisionTransformer(
        img_size=32,
        patch_size=4,
        num_classes=CLASSES,
        embed_dim=64,
        depth=6,
        num_heads=4,
        drop_path_rate=drop_path,
    )


ARCHITECTURES: dict[str, Callable[[float], nn.Module]] = {
    "vit_imagenette": base_vit,
    "deit_imagenette": distilled_deit,
    "pit_imagenette": pooling_vit,
    "visformer_imagenette": visformer,
    "resnet_imagenette": small_resnet,
    "tiny_imagenette": tiny_vit,
}
"""The networks by name. A model that is called NAME_something is a variant with the network of NAME."""


def build(name: str, *, drop_path: float = 0.0) -> nn.Module:
    """Build the network of the model `name`, an architecture or a variant of one, with fresh weights.

    `drop_path` is the stochastic-depth rate of the last block; it acts in training only.
    Raises UnknownName for any other name.
    """
    for architecture, made in ARCHITECTURES.items():
        if name == architecture or name.startswith(f"{architecture}_"):
            return made(drop_path)
    raise UnknownName("bundled architecture", name, tuple(ARCHITECTURES))
