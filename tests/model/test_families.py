"""Every family: tapping changes nothing, every place is reached, and shapes are as documented."""

from __future__ import annotations

import copy

import pytest
import torch
from timm.models.vision_transformer import ResPostBlock, VisionTransformer
from torch import Tensor, nn

from engine.core.errors import MissingSite, RaggedSite, UnsupportedModel
from engine.model.families import FAMILIES, adapt
from engine.model.sites import Address, Rule, Site
from engine.model.victim import BlockShape, Forward, Victim
from tests.tiny import MODULES, SIZE, task, victim, wrap

PIXELS = task(2).images
every_family = pytest.mark.parametrize("model", MODULES)
TRANSFORMERS = [name for name in MODULES if not name.startswith("resnet")]


def passed(source: Victim, *rules: Rule) -> tuple[Forward, Tensor]:
    """A pass with every place open, values and gradients, and the input gradient."""
    sites = source.spec.sites
    with source.session(rules=rules, observe=sites, gradients=sites) as forward:
        leaf = PIXELS.clone().requires_grad_()
        out = forward(leaf)
        (g,) = torch.autograd.grad(out.logits.square().sum(), leaf)
    return out, g


def test_every_adapter_has_a_victim_here():
    seen = {next(k for k in type(MODULES[n]()).__mro__ if k in FAMILIES) for n in MODULES}
    assert seen == set(FAMILIES)


@every_family
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_tapped_equals_untapped(model: str, dtype: torch.dtype):
    source = victim(model)
    source = Victim(source.spec, source.module.to(dtype), source.family)
    pixels = PIXELS.to(dtype)
    leaf = pixels.clone().requires_grad_()
    logits = source.logits(leaf)
    (g,) = torch.autograd.grad(logits.square().sum(), leaf)
    sites = source.spec.sites
    with source.session(observe=sites, gradients=sites) as forward:
        tapped_leaf = pixels.clone().requires_grad_()
        out = forward(tapped_leaf)
        (tapped,) = torch.autograd.grad(out.logits.square().sum(), tapped_leaf)
    # other kernels in another order: rounding only
    near = {"rtol": 1e-5, "atol": 1e-5 * float(g.abs().max()) if dtype == torch.float32 else 1e-10}
    torch.testing.assert_close(out.logits, logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(tapped, g, **near)


@every_family
def test_tapped_equals_unfused(model: str):
    """Against timm's own explicit attention, which is a third implementation of the same model."""
    source = victim(model)
    plain = copy.deepcopy(source.module)
    for part in plain.modules():
        if hasattr(part, "fused_attn"):
            part.fused_attn = False
    theirs = Victim(source.spec, plain, source.family).logits(PIXELS)
    torch.testing.assert_close(passed(source)[0].logits, theirs, rtol=1e-10, atol=1e-10)


@every_family
def test_every_site_is_reached_in_every_block_with_value_and_gradient(model: str):
    source = victim(model)
    out, _ = passed(source)
    for site in source.spec.sites:
        everywhere = set(range(source.spec.depth))
        places = {source.spec.depth - 1} if site is Site.FEATURE else everywhere
        for kept in (out.seen, out.grads):
            assert {at.block for at in kept if at.site is site} == places
    assert set(out.seen) == set(out.grads)
    for at, g in out.grads.items():
        assert g.shape == out.seen[at].shape, at
        assert bool(torch.isfinite(g).all()), at


def tokens(shape: BlockShape) -> int:
    return shape.prefix + shape.grid[0] * shape.grid[1]


def pooled(model: str, shape: BlockShape) -> int:
    """Tokens of the feature: a PiT's patches are not read, nor the two registers of one ViT here."""
    if model.startswith("pit"):
        return shape.prefix
    return tokens(shape) - 2 * (model == "vit_qk_norm_layer_scale")


@every_family
def test_shapes_are_as_documented(model: str):
    source = victim(model)
    out, _ = passed(source)
    for at, x in out.seen.items():
        block = source.spec.blocks[at.block]
        b, n, q = 2, tokens(block), block.queries or tokens(block)
        inside = n
        if block.window:
            inside = block.window[0] * block.window[1]
            b = 2 * n // inside
        expected = {
            Site.QKV: (b, inside, 3 * block.width),
            Site.SCORES: (b, block.heads, block.queries or inside, inside),
            Site.ATTN: (b, block.heads, block.queries or inside, inside),
            Site.ATTN_OUT: (2, q, block.width),
            Site.MLP_OUT: (2, q, block.width),
            Site.BLOCK_OUT: (2, q, block.width),
            Site.FEATURE: (2, pooled(model, block), block.width),
        }
        if at.site is Site.LINEAR_IN:
            assert x.ndim == 3
            assert x.shape[0] in (2, b)
        elif at.slot:  # class attention projects q, k and v one by one
            assert at.site is Site.QKV
            assert x.shape == (2, q if at.slot == "q" else n, block.width)
        else:
            assert tuple(x.shape) == expected[at.site], at


@pytest.mark.parametrize("model", TRANSFORMERS)
def test_maps_are_softmax_of_scores_except_where_heads_talk(model: str):
    source = victim(model)
    out, _ = passed(source)
    for at, scores in ((at, x) for at, x in out.seen.items() if at.site is Site.SCORES):
        a = out.seen[Address(Site.ATTN, at.block)]
        talking = model == "cait" and source.spec.blocks[at.block].queries is None
        assert torch.allclose(a.sum(-1), torch.ones_like(a.sum(-1))) is not talking
        if not talking:
            torch.testing.assert_close(a, scores.softmax(-1))


@every_family
def test_the_feature_is_what_the_head_reads(model: str):
    source = victim(model)
    out, _ = passed(source)
    (feature,) = out.values(Site.FEATURE)
    if source.spec.family in ("visformer", "resnet"):
        feature = feature.transpose(1, 2).unflatten(2, source.spec.blocks[-1].grid)
    elif source.spec.family == "swin":
        feature = feature.unflatten(1, source.spec.blocks[-1].grid)
    torch.testing.assert_close(source.module.forward_head(feature), out.logits)


class Nudge(Rule):
    """Adds a little to every value of a site."""

    def __init__(self, site: Site) -> None:
        self.sites = frozenset({site})

    def edit(self, x: Tensor, at: Address) -> Tensor:
        return x + 0.1 * torch.linspace(0, 1, x.numel()).to(x).view(x.shape)


class Cut(Rule):
    """Lets no gradient through a site."""

    def __init__(self, site: Site) -> None:
        self.sites = frozenset({site})

    def grad(self, g: Tensor, at: Address) -> Tensor:
        return torch.zeros_like(g)


class Halve(Rule):
    """Lets half of the gradient through a site."""

    def __init__(self, site: Site) -> None:
        self.sites = frozenset({site})

    def grad(self, g: Tensor, at: Address) -> Tensor:
        return g / 2


@every_family
def test_editing_gradients_alone_equals_editing_them_while_looking(model: str):
    """Attention has a pass of its own for rules without observers: both are the same pass."""
    source = victim(model)
    rules = [Halve(site) for site in source.spec.sites]
    slopes: list[Tensor] = []
    for seen in ((), source.spec.sites):
        leaf = PIXELS.clone().requires_grad_()
        with source.session(rules=rules, observe=seen) as forward:
            out = forward(leaf)
            slopes.append(torch.autograd.grad(out.logits.square().sum(), leaf)[0])
    torch.testing.assert_close(*slopes, rtol=1e-10, atol=1e-10)


@every_family
def test_editing_a_value_or_a_gradient_acts(model: str):
    """Fused attention, in-place sums and bypassed modules would swallow either."""
    source = victim(model)
    out, g = passed(source)
    for site in source.spec.sites:
        with source.session(rules=[Nudge(site)]) as forward:
            assert float((forward(PIXELS).logits - out.logits).abs().max()) > 1e-6, site
        assert float((passed(source, Cut(site))[1] - g).abs().max()) > 1e-9, site


@every_family
def test_cutting_the_stream_leaves_no_gradient(model: str):
    source = victim(model)
    assert not passed(source, Cut(Site.BLOCK_OUT))[1].any()


@every_family
def test_a_gradient_rule_changes_no_logit(model: str):
    source = victim(model)
    cuts = [Cut(site) for site in source.spec.sites]
    assert torch.equal(passed(source, *cuts)[0].logits, passed(source)[0].logits)


@every_family
def test_a_session_that_asks_for_nothing_runs_the_model_itself(model: str):
    source = victim(model)
    with source.session() as forward:
        assert torch.equal(forward(PIXELS).logits, source.logits(PIXELS))


@pytest.mark.parametrize("model", TRANSFORMERS)
@pytest.mark.parametrize("gradients_only", [True, False])
def test_rules_act_the_same_in_bfloat16(model: str, gradients_only: bool):
    """Under autocast the same pass in 8-bit mantissas: the same gradient but for rounding."""
    source = victim(model)
    source = Victim(source.spec, source.module.float(), source.family)
    sites = source.spec.sites
    slopes: list[Tensor] = []
    for low in (False, True):
        leaf = PIXELS.float().requires_grad_()
        rules = [Halve(site) for site in sites]
        seen = () if gradients_only else sites
        with (
            torch.autocast("cpu", torch.bfloat16, enabled=low),
            source.session(rules=rules, observe=seen, gradients=sites) as forward,
        ):
            (g,) = torch.autograd.grad(forward(leaf).logits.float().square().sum(), leaf)
        slopes.append(g.flatten())
    assert float(torch.cosine_similarity(*slopes, dim=0)) > 0.98


@pytest.mark.parametrize("model", ["pit", "swin"])
def test_ragged_sites_can_be_read_but_not_stacked(model: str):
    out, _ = passed(victim(model))
    assert len(out.values(Site.SCORES)) == victim(model).spec.depth
    with pytest.raises(RaggedSite, match="block by block"):
        out.stack(Site.SCORES)


def test_even_sites_can_be_stacked():
    out, _ = passed(victim("vit"))
    assert out.stack(Site.ATTN).shape == (3, 2, 3, 17, 17)


@pytest.mark.parametrize("model", ["vit", "vit_gap", "deit_distilled", "cait", "beit"])
def test_lens_reads_the_last_stream_as_the_models_own_answer(model: str):
    source = victim(model)
    out, _ = passed(source)
    read = source.lens(out.values(Site.BLOCK_OUT)[-1])
    torch.testing.assert_close(read, out.logits, rtol=1e-10, atol=1e-10)
    first = source.lens(out.values(Site.BLOCK_OUT)[0])
    assert first is not None
    assert first.shape == out.logits.shape


@pytest.mark.parametrize("model", ["pit", "swin", "visformer", "resnet"])
def test_families_whose_streams_change_width_have_no_lens(model: str):
    source = victim(model)
    assert source.lens(torch.zeros(1, 2, 3)) is None


def test_an_unknown_block_makes_a_target_without_sites():
    odd = VisionTransformer(
        img_size=SIZE, patch_size=8, embed_dim=24, depth=1, num_heads=3, block_fn=ResPostBlock
    )
    family, blocks = adapt(odd, SIZE)
    assert (family.sites, blocks) == (frozenset(), ())
    source = wrap(odd)
    assert source.logits(PIXELS).shape == (2, 1000)
    with pytest.raises(MissingSite, match="none"), source.session(observe=[Site.ATTN]):
        pass


def test_what_is_no_classifier_is_refused():
    with pytest.raises(UnsupportedModel, match="Linear"):
        adapt(nn.Linear(2, 2), SIZE)
