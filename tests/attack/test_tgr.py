"""TGR is the published method: its laws (spec 6.1) and equality with a loop written from the paper."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.attack.attack import Watch, craft
from engine.attack.moment import Moment
from engine.attack.recipes.fgsm import FGSM
from engine.attack.recipes.mifgsm import MIFGSM
from engine.attack.recipes.tgr import TGR
from engine.attack.rule import Damp
from engine.attack.update import chain, scale, sign
from engine.core.errors import MissingSite, RuleNeverFired
from engine.core.streams import Streams
from engine.model.sites import Address, Rule, Site
from engine.model.victim import Victim
from tests.tiny import MODULES, pick, task, victim

EPS, STEPS = 16 / 255, 3
EVERY = frozenset({Site.SCORES, Site.ATTN, Site.QKV, Site.MLP_OUT})


def slope(source: Victim, rules: tuple[Rule, ...], gradients: frozenset[Site] = frozenset()):
    """The pass and input gradient of cross-entropy under the rules."""
    attack = replace(MIFGSM(steps=STEPS).build(source.spec), rules=rules)
    asked = task()
    at = Moment(0, STEPS, asked)
    return attack.gradient(source, asked.images, at, Streams(0).at("x"), Watch(gradients=gradients))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_extremes_and_factors_it_is_mi_fgsm_bit_for_bit(dtype: torch.dtype):
    source = victim("vit")
    source = Victim(source.spec, source.module.to(dtype), source.family)
    asked = task()
    asked = replace(asked, images=asked.images.to(dtype))
    neutral = TGR(k=0, attention=1.0, qkv=1.0, mlp=1.0, eps=EPS, steps=STEPS).build(source.spec)
    base = MIFGSM(eps=EPS, steps=STEPS).build(source.spec)
    assert torch.equal(
        craft(neutral, source, asked, Streams(0)), craft(base, source, asked, Streams(0))
    )


@pytest.mark.parametrize("model", ["vit", "vit_gap"])
def test_cutting_the_map_equals_detaching_it(model: str):
    source = victim(model)

    class Detach(Rule):
        sites = frozenset({Site.ATTN})

        def edit(self, x: Tensor, at: Address) -> Tensor:
            return x.detach()

    cut = TGR(k=0, attention=0.0, qkv=1.0, mlp=1.0).build(source.spec).rules
    torch.testing.assert_close(
        slope(source, cut).g, slope(source, (Detach(),)).g, rtol=1e-10, atol=1e-14
    )


def test_factors_alone_are_sgm():
    source = victim("vit")
    factors = TGR(k=0, attention=1.0, qkv=0.5, mlp=0.5).build(source.spec).rules
    sgm = (Damp(frozenset({Site.QKV, Site.MLP_OUT}), 0.5),)
    assert torch.equal(slope(source, factors).g, slope(source, sgm).g)


def test_forward_pass_is_untouched_bit_for_bit():
    source = victim("vit")
    asked = task()
    rules = TGR(components="qkv+mlp").build(source.spec).rules
    assert torch.equal(slope(source, rules).out.logits.detach(), source.logits(asked.images))
    full = TGR().build(source.spec).rules
    neutral = (Damp(frozenset({Site.SCORES}), 1.0),)
    assert torch.equal(slope(source, full).out.logits, slope(source, neutral).out.logits)


@pytest.mark.parametrize("mode", ["official", "principled"])
@pytest.mark.parametrize("model", MODULES)
def test_every_rule_fires_and_edits_what_it_says(model: str, mode: str):
    source = victim(model)
    before = slope(source, (), source.spec.sites).out.grads
    rules = TGR(mode=mode).build(source.spec).rules
    assert rules
    for rule in rules:
        after = slope(source, (rule,), rule.sites).out.grads
        # gradients are recorded from the deepest block up: nothing was edited before the first
        first = next(at for at in after if not torch.equal(rule.grad(before[at], at), before[at]))
        torch.testing.assert_close(
            after[first], rule.grad(before[first], first), rtol=1e-10, atol=1e-14
        )


def test_last_block_of_a_class_token_model_keeps_values_only():
    """Only the class token carries gradient there, and it is every channel's extreme (spec 1.4)."""
    source = victim("vit")
    out = slope(source, TGR().build(source.spec).rules, EVERY).out
    last = source.spec.depth - 1
    assert not out.grads[Address(Site.MLP_OUT, last)].any()
    assert not out.grads[Address(Site.SCORES, last)].any()
    q, k, v = out.grads[Address(Site.QKV, last)].chunk(3, -1)
    assert not q.any()
    assert not k.any()
    assert v.abs().sum() > 0
    assert bool(((v == 0).sum(1) == 2).all())


def test_last_block_of_a_pooled_model_loses_one_token_per_channel():
    """All tokens carry the same gradient there, so largest and smallest are both the first."""
    source = victim("vit_gap")
    fresh = copy.deepcopy(source.module)
    fresh.fc_norm = nn.Identity()  # pooling last: exactly equal gradients over tokens
    fresh.norm = nn.Identity()
    source = Victim(source.spec, fresh, source.family)
    out = slope(source, TGR(components="mlp").build(source.spec).rules, EVERY).out
    g = out.grads[Address(Site.MLP_OUT, source.spec.depth - 1)]
    assert bool(((g == 0).sum(1) == 1).all())
    assert not g[:, 0].any()


def test_one_step_is_fgsm_on_the_edited_gradient():
    source = victim("vit")
    asked = task()
    tgr = TGR(eps=EPS, steps=1).build(source.spec)
    fgsm = replace(FGSM(eps=EPS).build(source.spec), rules=tgr.rules)
    torch.testing.assert_close(
        craft(tgr, source, asked, Streams(0)),
        craft(fgsm, source, asked, Streams(0)),
        rtol=0,
        atol=1e-12,
    )


def test_rule_acts_although_the_model_uses_fused_attention():
    source = victim("vit")
    assert all(block.attn.fused_attn for block in source.module.blocks)
    rules = TGR(components="attention").build(source.spec).rules
    assert float((slope(source, rules).g - slope(source, ()).g).abs().max()) > 1e-6
    assert all(block.attn.fused_attn for block in source.module.blocks)


def test_a_rule_that_is_never_reached_is_an_error():
    source = victim("vit")
    numb = replace(source.family, install=lambda module, tap, stack: None)
    with pytest.raises(RuleNeverFired, match="ExtremePairs"):
        slope(Victim(source.spec, source.module, numb), TGR().build(source.spec).rules)


def test_a_model_without_the_place_is_an_error():
    source = victim("vit")
    bare = replace(source.spec, sites=frozenset({Site.QKV}))
    with pytest.raises(MissingSite, match="scores"):
        slope(
            Victim(bare, source.module, source.family),
            TGR(components="attention").build(source.spec).rules,
        )


def test_map_site_differs_from_scores_site():
    source = victim("vit")
    maps, scores = (TGR(site=site).build(source.spec).rules for site in ("map", "scores"))
    assert maps[0].sites == {Site.ATTN}
    assert float((slope(source, maps).g - slope(source, scores).g).abs().max()) > 1e-6


# An independent implementation: one picture, numpy rules, timm's unfused attention, autograd-node
# hooks in the place where the published (legacy) module hooks act. Nothing of engine/ is used.

NodeRule = Callable[[np.ndarray], np.ndarray]


def extremes(values: np.ndarray) -> list[int]:
    """Places of the largest and the smallest value; the first of equals."""
    return [int(values.argmax()), int(values.argmin())]


def token_rule(gamma: float) -> NodeRule:
    """On (..., n, c): each channel of each window loses its largest and smallest token."""

    def rule(g: np.ndarray) -> np.ndarray:
        out = g * gamma
        for window in np.ndindex(g.shape[:-2]):
            for channel in range(g.shape[-1]):
                column = g[(*window, slice(None), channel)]
                out[(*window, extremes(column), channel)] = 0
        return out

    return rule


def spatial_rule(gamma: float) -> NodeRule:
    """On (1, c, y, x): each channel loses its largest and smallest position."""

    def rule(g: np.ndarray) -> np.ndarray:
        rows = g.reshape(*g.shape[:2], -1).swapaxes(1, 2)
        return token_rule(gamma)(rows).swapaxes(1, 2).reshape(g.shape)

    return rule


def map_rule(gamma: float) -> NodeRule:
    """On (w, h, n, m): each head loses rows and columns of its largest and smallest cell."""

    def rule(g: np.ndarray) -> np.ndarray:
        out = g * gamma
        for window, head in np.ndindex(g.shape[:2]):
            for cell in extremes(g[window, head].ravel()):
                i, j = divmod(int(cell), g.shape[3])
                if g.shape[2] > 1:
                    out[window, head, i, :] = 0
                out[window, head, :, j] = 0
        return out

    return rule


def heads_last(rule: NodeRule) -> NodeRule:
    return lambda g: rule(g.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)


def scaled(gamma: float) -> NodeRule:
    return lambda g: g * gamma


def edit_node_of(module: nn.Module, rule: NodeRule) -> None:
    """Edit the gradient that leaves the node which made the module's output (scores: softmax)."""

    def forward_hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        def node_hook(inputs: tuple[Tensor, ...], _outputs: object) -> tuple[Tensor, ...]:
            return (torch.from_numpy(rule(inputs[0].numpy())), *inputs[1:])

        output.grad_fn.register_hook(node_hook)

    module.register_forward_hook(forward_hook)


def edit_output_of(module: nn.Module, rule: NodeRule) -> None:
    """Edit the gradient that arrives at the module's output."""

    def forward_hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        output.register_hook(lambda g: torch.from_numpy(rule(g.numpy())))

    module.register_forward_hook(forward_hook)


def loop(source: Victim, x0: Tensor, label: int, hook: Callable[[nn.Module], None]) -> Tensor:
    """MI-FGSM on one picture, from the paper's equations."""
    module = copy.deepcopy(source.module)
    for part in module.modules():
        if hasattr(part, "fused_attn"):
            part.fused_attn = False
    hook(module)
    mean = torch.tensor(source.spec.mean, dtype=x0.dtype).view(1, 3, 1, 1)
    std = torch.tensor(source.spec.std, dtype=x0.dtype).view(1, 3, 1, 1)
    delta, m = torch.zeros_like(x0), 0.0
    for _ in range(STEPS):
        delta.requires_grad_()
        p = module((x0 + delta - mean) / std).log_softmax(1)
        (g,) = torch.autograd.grad(-p[0, label], delta)
        m = 1.0 * m + g / g.abs().mean()
        delta = (delta.detach() + EPS / STEPS * m.sign()).clamp(-EPS, EPS)
        delta = (x0 + delta).clamp(0, 1) - x0
    return x0 + delta


def usual_block(block: nn.Module) -> None:
    """Where ViT's legacy hooks act: softmax input, projection output, branch output."""
    edit_node_of(block.attn.attn_drop, map_rule(0.25))
    edit_output_of(block.attn.qkv, token_rule(0.75))
    edit_output_of(block.mlp, token_rule(0.5))


def plain(module: nn.Module) -> None:
    for block in module.blocks:
        usual_block(block)


def staged(module: nn.Module) -> None:
    for stage in getattr(module, "transformers", None) or module.layers:
        for block in stage.blocks:
            usual_block(block)


def separate_bias(module: nn.Module) -> None:
    for block in module.blocks:
        block.attn.qkv_bias_separate = True  # else timm never calls the projection's module
    plain(module)


def cait_official(module: nn.Module) -> None:
    for block in module.blocks:
        edit_node_of(block.attn.attn_drop, heads_last(map_rule(0.25)))
        edit_output_of(block.attn.qkv, token_rule(0.75))
        edit_output_of(block.mlp, token_rule(0.5))
    last = module.blocks_token_only[1]
    per_token = token_rule(0.25)  # on (1, 1, h, n): for each token the extreme heads
    edit_node_of(last.attn.attn_drop, lambda g: per_token(g.swapaxes(1, 2)).swapaxes(1, 2))
    edit_output_of(last.attn.k, token_rule(0.75))
    edit_output_of(last.attn.v, token_rule(0.75))
    edit_output_of(last.mlp, scaled(0.0))  # one token is largest and smallest at once


def cait_principled(module: nn.Module) -> None:
    for block in module.blocks:
        edit_softmax_before(block.attn.proj_w, map_rule(0.25))
        edit_output_of(block.attn.qkv, token_rule(0.75))
        edit_output_of(block.mlp, token_rule(0.5))
    for block in module.blocks_token_only:
        edit_node_of(block.attn.attn_drop, map_rule(0.25))
        edit_output_of(block.attn.q, scaled(0.75))
        edit_output_of(block.attn.k, token_rule(0.75))
        edit_output_of(block.attn.v, token_rule(0.75))
        edit_output_of(block.mlp, scaled(0.5))


def edit_softmax_before(mix: nn.Module, rule: NodeRule) -> None:
    """Edit the gradient that leaves the softmax whose permuted output the module reads."""

    def hook(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        softmax = inputs[0].grad_fn.next_functions[0][0]
        assert "Softmax" in softmax.name()
        softmax.register_hook(lambda into, _out: (torch.from_numpy(rule(into[0].numpy())),))

    mix.register_forward_pre_hook(hook)


def visformer_official(module: nn.Module) -> None:
    for block in (*module.stage2, *module.stage3):
        edit_node_of(block.attn.attn_drop, map_rule(0.25))
        edit_node_of(block.attn.qkv, spatial_rule(0.75))  # a convolution's node: its input
        edit_node_of(block.mlp, spatial_rule(0.5))


def visformer_principled(module: nn.Module) -> None:
    for block in (*module.stage2, *module.stage3):
        edit_node_of(block.attn.attn_drop, map_rule(0.25))
        edit_output_of(block.attn.qkv, spatial_rule(0.75))
        edit_output_of(block.mlp, spatial_rule(0.5))


def residual(norm: str) -> Callable[[nn.Module], None]:
    def hook(module: nn.Module) -> None:
        for stage in (module.layer1, module.layer2, module.layer3, module.layer4):
            for block in stage:
                edit_output_of(getattr(block, norm), spatial_rule(0.5))

    return hook


LOOPS: dict[tuple[str, str], Callable[[nn.Module], None]] = {
    ("vit", "official"): plain,
    ("vit_gap", "official"): plain,
    ("vit_qk_norm_layer_scale", "official"): plain,
    ("deit_distilled", "official"): plain,
    ("pit", "official"): staged,
    ("pit_distilled", "official"): staged,
    ("swin", "official"): staged,
    ("beit", "official"): separate_bias,
    ("beit_shared_bias", "official"): separate_bias,
    ("cait", "official"): cait_official,
    ("cait", "principled"): cait_principled,
    ("visformer", "official"): visformer_official,
    ("visformer", "principled"): visformer_principled,
    ("resnet", "official"): residual("bn2"),
    ("resnet_bottleneck", "official"): residual("se"),
}


def test_every_kind_of_victim_has_an_independent_loop():
    assert {model for model, _ in LOOPS} == set(MODULES)


@pytest.mark.parametrize(("model", "mode"), LOOPS)
def test_equals_an_independent_single_picture_loop(model: str, mode: str):
    source = victim(model)
    asked = task(2)
    tgr = TGR(eps=EPS, steps=STEPS, mode=mode).build(source.spec)
    ours = craft(tgr, source, asked, Streams(0))
    for row in range(2):
        one = pick(asked, row)
        theirs = loop(source, one.images, int(one.labels), LOOPS[model, mode])
        torch.testing.assert_close(ours[row : row + 1], theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("model", ["cait", "visformer"])
def test_the_two_modes_differ_where_they_should(model: str):
    source = victim(model)
    one, other = (
        slope(source, TGR(mode=mode).build(source.spec).rules).g
        for mode in ("official", "principled")
    )
    assert float((one - other).abs().max()) > 1e-9


def test_signs_do_not_normalise_away_the_rules():
    """The loop above would not tell a missing rule apart if it changed no sign: it does."""
    source = victim("vit")
    asked = task(2)
    tgr = TGR(eps=EPS, steps=STEPS).build(source.spec)
    results = [
        craft(replace(tgr, rules=rules), source, asked, Streams(0))
        for rules in (tgr.rules, *(tgr.rules[:i] + tgr.rules[i + 1 :] for i in range(3)))
    ]
    for without in results[1:]:
        assert float((results[0] - without).abs().max()) > 1e-3


def test_update_uses_mean_abs_and_momentum():
    """g / mean|g| before the sum: with mu = 0 the sign alone would hide it."""
    source = victim("vit")
    asked = task()
    base = MIFGSM(eps=EPS, steps=STEPS).build(source.spec)
    plain = replace(base, update=chain(sign(), scale(EPS / STEPS)))
    assert not torch.equal(
        craft(base, source, asked, Streams(0)), craft(plain, source, asked, Streams(0))
    )
