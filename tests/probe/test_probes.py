"""Probes: each reading equals its definition, computed here another way."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from engine.attack.attack import observe
from engine.data.decode import decode, fit
from engine.model import zoo
from engine.model.families import adapt
from engine.model.sites import Site
from engine.model.victim import Forward, Spec, Victim
from engine.probe import attention, depth, gradients, outliers, scores

SHARED = Path(__file__).parents[3] / "shared"


@pytest.fixture(scope="module")
def victim() -> Victim:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = VisionTransformer(
            img_size=48, patch_size=16, embed_dim=24, depth=3, num_heads=2, num_classes=5
        )
    family, blocks = adapt(module)
    spec = Spec("tiny", "vit", tuple("abcde"), 48, (0.5,) * 3, (0.5,) * 3, blocks, family.sites)
    return Victim(spec, module, family)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(3, 3, 48, 48, generator=torch.Generator().manual_seed(1))


def backward(victim: Victim, x: torch.Tensor) -> Forward:
    with victim.session(gradients=gradients.SITES) as forward:
        leaf = x.clone().requires_grad_()
        out = forward(leaf)
        torch.autograd.grad(out.logits[:, 0].sum(), leaf)
    return out


def test_attention_is_kept_within_a_step_of_8_bits(victim: Victim, images: torch.Tensor) -> None:
    out = observe(victim, images, attention.SITES)
    maps = attention.read(out, victim.spec.blocks, 1)
    for block, exact in enumerate(out.values(Site.ATTN)):
        kept = maps.full(block)
        # Half a step of a 255-step scale whose top is the row's largest entry.
        assert ((kept - exact[1]).abs() <= exact[1].amax(-1, keepdim=True) / 255 * 0.51).all()
        assert torch.equal(maps.row(block, 4), kept[:, 4])


def test_rollout_is_the_product_of_mixed_maps(victim: Victim, images: torch.Tensor) -> None:
    out = observe(victim, images, attention.SITES)
    maps = attention.read(out, victim.spec.blocks)
    product = torch.eye(10)
    for exact in out.values(Site.ATTN):
        product = (0.5 * torch.eye(10) + 0.5 * exact[0].mean(0)) @ product
    rollout = maps.rollout()
    assert rollout is not None
    # 8-bit rows: 0.2 % of the largest entry per block, three blocks.
    assert torch.allclose(rollout, product[0], atol=5e-3)
    assert rollout.sum() == pytest.approx(1)


def test_uniform_attention_has_the_largest_entropy() -> None:
    n = 16
    maps = attention.AttentionMaps(
        (torch.full((1, n, n), 255, dtype=torch.uint8),), (torch.full((1, n), 1 / n / 255),), ()
    )
    assert maps.entropy().item() == pytest.approx(4)


def test_gradient_statistics_are_their_definitions(victim: Victim, images: torch.Tensor) -> None:
    out = backward(victim, images)
    read = gradients.read(out, victim.spec.blocks, 2)
    for column, site in enumerate(gradients.COMPONENTS.values()):
        for block, g in enumerate(out.gradients(site)):
            flat = g[2].double().flatten()
            variance = flat.var(unbiased=False)
            got = read.variance[block, column].item()
            assert got == pytest.approx(variance.item(), rel=1e-4, abs=1e-30)
            if variance > 0:
                dispersion = variance / flat.abs().mean() ** 2
                kurtosis = ((flat - flat.mean()) ** 4).mean() / variance**2
                assert read.dispersion[block, column].item() == pytest.approx(
                    dispersion.item(), rel=1e-3
                )
                assert read.kurtosis[block, column].item() == pytest.approx(
                    kurtosis.item(), rel=1e-3
                )
    for shares in read.tokens:
        assert torch.allclose(shares.sum(1), torch.ones(3), atol=1e-5)


def test_dispersion_and_kurtosis_ignore_scale(victim: Victim, images: torch.Tensor) -> None:
    out = backward(victim, images)
    scaled = Forward(
        out.images, out.logits, out.seen, {at: 0.25 * g for at, g in out.grads.items()}
    )
    one, other = (gradients.read(each, victim.spec.blocks) for each in (out, scaled))
    assert torch.allclose(one.variance / 16, other.variance, rtol=1e-4)
    assert torch.allclose(one.dispersion, other.dispersion, rtol=1e-4, equal_nan=True)
    assert torch.allclose(one.kurtosis, other.kurtosis, rtol=1e-4, equal_nan=True)


def test_gaps_count_the_two_regimes_of_underflow() -> None:
    values = torch.zeros(1, 1, 4, 8)
    values[0, 0, :, 0] = torch.tensor((1.0, 17.0, 104.0, 200.0))
    from engine.model.sites import Address

    out = Forward(torch.zeros(1, 3, 1, 1), torch.zeros(1, 1), {Address(Site.SCORES, 0): values}, {})
    gaps = scores.read(out)
    assert gaps.cancels.tolist() == [0.75]
    assert gaps.underflows.tolist() == [0.5]
    assert gaps.quantiles[0, -1] == 200
    rows = values[0, 0].softmax(-1)
    assert ((rows[:, 1] == 0).float().mean() == gaps.underflows[0]).all()


def test_outliers_are_counted_from_peaks_at_any_threshold(
    victim: Victim, images: torch.Tensor
) -> None:
    out = observe(victim, images * 20, outliers.SITES)
    read = outliers.read(out, victim.spec.blocks, 1)
    assert len(read.layers) == 4 * victim.spec.depth
    for threshold in (0.5, 1.0, 2.0):
        direct = [
            int((out.seen[at][1].half().abs() >= threshold).any(0).sum())
            for at in sorted(out.seen, key=lambda at: (at.block, outliers.SLOTS.index(at.slot)))
        ]
        assert read.counts(threshold).tolist() == direct
        assert read.total(threshold) == sum(direct)
    columns = sum(len(peaks) for peaks in read.columns)
    assert read.total(read.reached_by(0.1)) / columns == pytest.approx(0.1, abs=0.02)


def test_equal_pictures_do_not_part(victim: Victim, images: torch.Tensor) -> None:
    out = observe(victim, images, depth.SITES)
    same, apart = (depth.read(out, victim, out, picture) for picture in (0, 1))
    assert same.cosine.abs().max() < 1e-6
    assert same.relative.abs().max() == 0
    assert (apart.relative > 0).all()


def test_the_lens_at_the_last_block_is_the_model(victim: Victim, images: torch.Tensor) -> None:
    out = observe(victim, images, depth.SITES)
    lens = depth.read(out, victim, out).lens
    assert lens is not None
    assert torch.allclose(lens[-1], out.logits[0].softmax(0), atol=1e-6)


@pytest.mark.skipif(
    not (SHARED / "models").is_dir(), reason="the real ViTs are not beside this checkout"
)
@pytest.mark.parametrize(
    ("name", "columns", "medians", "maxima"),
    [
        ("vit_tiny_patch16_224", 121, (1.45, 0.29, 0.013), (15.9, 4.2, 1.6)),
        ("deit_tiny_patch16_224", 154, (0.69, 1.11, 0.31), (9.1, 5.3, 2.5)),
    ],
)
def test_probes_reproduce_known_figures_of_real_models(
    name: str, columns: int, medians: tuple[float, ...], maxima: tuple[float, ...]
) -> None:
    """The figures published beside the weights: the list's first 32 pictures, all rows pooled."""
    folder = SHARED / "data" / "imagenet_val500"
    with (folder / "labels.csv").open(encoding="utf-8") as table:
        files = [row["file"] for row in csv.DictReader(table)][:32]
    victim = zoo.load(name, SHARED / "models")
    total, gaps = 0, {block: list[torch.Tensor]() for block in (0, 5, 11)}
    for start in range(0, 32, 8):
        batch = torch.stack([fit(decode(folder / f), 224) for f in files[start : start + 8]])
        out = observe(victim, batch.float() / 255, outliers.SITES | scores.SITES)
        total += sum(outliers.read(out, victim.spec.blocks, index).total(6.0) for index in range(8))
        for block, kept in gaps.items():
            top = out.values(Site.SCORES)[block].topk(2, -1).values
            kept.append((top[..., 0] - top[..., 1]).flatten())
    pooled = [torch.cat(kept) for kept in gaps.values()]
    # Published with two or three digits.
    assert total / 32 == pytest.approx(columns, abs=1)
    assert [g.median().item() for g in pooled] == pytest.approx(medians, rel=0.03)
    assert [g.max().item() for g in pooled] == pytest.approx(maxima, rel=0.03)
    assert max(g.max() for g in pooled) < scores.CANCELS
