"""Laws of factors on scores (tgr_aas spec 6.2): exact where they undo one another, a picture's own, an ascent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.alter.alteration import Stack
from engine.alter.catalog import spell_stack
from engine.alter.ensemble import ensemble
from engine.alter.float64 import Float64
from engine.alter.saturated import Saturated
from engine.alter.scaled import SMALLEST, Scaled, ascend, climb, product, unit
from engine.alter.stack import altered, fitted, outlined
from engine.attack.attack import craft
from engine.attack.catalog import RECIPES, recipe
from engine.attack.sequence import Sequence
from engine.core.errors import BadStack, BadTask, UnsupportedModel
from engine.core.streams import Streams
from engine.data.samples import load_sample
from engine.evaluate.craft import crafted
from engine.model.gain import multiplied
from engine.model.sites import Site
from engine.model.task import Task
from engine.model.victim import Victim
from engine.probe.gradients import alike
from engine.probe.scores import UNDERFLOWS, leads
from engine.studio.request import Request
from engine.studio.run import Run
from tests.attack.test_laws import fingerprint, needs, short
from tests.model.sparse.mechanisms import KINDS, sparse
from tests.tiny import MODULES, task, victim

ASKED = task(3)
PLACES = Streams(0, (0, 1, 2))
ATTENTIVE = [*(name for name in MODULES if not name.startswith("resnet")), *KINDS]
SHORT = Scaled(steps=3)


def load(name: str) -> Victim:
    return sparse(name) if name in KINDS else victim(name)


def one(factor: float) -> Scaled:
    return Scaled(factors="uniform", factor=factor)


def single(source: Victim) -> Victim:
    return Victim(source.spec, source.module.float(), source.family)


def answers(source: Victim, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the gradient of a smooth function of them."""
    leaf = images.clone().requires_grad_()
    logits = source.logits(leaf)
    (g,) = torch.autograd.grad(logits.logsumexp(1).sum(), leaf)
    return logits.detach(), g


@pytest.mark.parametrize("name", ATTENTIVE)
def test_factors_act_on_products_and_undo_one_another(name: str) -> None:
    """Scores are c (q k^T) and whatever is added to that; 1 / c on c is the model, gradient and all."""
    bare, before = load(name), fingerprint(load(name))
    loud, c = bare | Saturated(7.0), 7.0
    wanted = answers(bare, ASKED.images)
    for same in (bare | one(1.0), loud | one(1 / c)):
        for ours, theirs in zip(answers(same, ASKED.images), wanted, strict=True):
            # double, through all blocks: 7 (1 / 7) and two orders of sums
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)
    assert not torch.allclose(answers(loud, ASKED.images)[0], wanted[0], atol=1e-3)
    if name in ("vit", "vit_qk_norm_layer_scale", "swin", "beit", "visformer", "cait"):
        # scores are linear in the factor, and at 0 they are what is added: bias, mask, mixed heads' bias
        first = [_scores(source, ASKED.images) for source in (bare, loud, bare | one(SMALLEST))]
        plain, times, added = first
        torch.testing.assert_close(times - added, c * (plain - added), rtol=1e-5, atol=1e-5)
    assert fingerprint(bare) == before


def _scores(source: Victim, images: Tensor) -> Tensor:
    """Those of the first block, -inf (a window's mask) as 0."""
    with torch.no_grad(), source.session(observe={Site.SCORES}) as forward:
        scores = forward(images).values(Site.SCORES)[0]
    return scores.masked_fill(scores < -50, 0)


HEADS = ("vit_qk_norm_layer_scale", "pit", "cait", "swin", "beit", "visformer")


@pytest.mark.parametrize(
    ("name", "per"), [(name, "head" if name in HEADS else "block") for name in ATTENTIVE]
)
def test_learned_factors_are_a_pictures_own_and_there_are_copies_and_parts(
    name: str, per: str
) -> None:
    bare, scaling = load(name), Scaled(steps=2, per=per)
    before = fingerprint(bare)
    on = fitted(bare, (scaling,), ASKED, PLACES)
    known = factors(on)
    heads = (max(b.heads for b in bare.spec.blocks),) if per == "head" else ()
    assert known.shape == (3, bare.spec.depth, *heads)
    assert ((known >= SMALLEST) & (known <= 1)).all()
    logits, g = answers(on, ASKED.images)
    alone = fitted(bare, (scaling,), ASKED.of(torch.tensor([2])), Streams(0, (2,)))
    rows = torch.tensor([2, 0])
    for part in (on.of(rows), on.of(torch.tensor([True, False, True])).of(torch.tensor([1, 0]))):
        ours, slope = answers(part, ASKED.images[rows])
        torch.testing.assert_close(ours, logits[rows], rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(slope, g[rows], rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(factors(alone)[0], known[2], rtol=1e-6, atol=1e-9)
    twice = answers(on, torch.cat((ASKED.images, ASKED.images.flip(3))))[0]
    torch.testing.assert_close(twice[:3], logits, rtol=1e-9, atol=1e-11)
    if not bare.spec.blocks[0].window:
        with pytest.raises(BadTask, match="4 rows are no copies of the 3 pictures"):
            on.logits(torch.cat((ASKED.images, ASKED.images[:1])))
    assert not torch.allclose(logits, answers(bare, ASKED.images)[0], atol=1e-6)
    assert fingerprint(bare) == before


def factors(on: Victim) -> Tensor:
    (alteration,) = on.spec.alterations
    assert isinstance(alteration, Scaled)
    assert alteration.known is not None
    return alteration.known


def test_the_ascent_equals_a_loop_written_from_the_paper() -> None:
    """With the factors folded into the rows of q, picture by picture."""
    bare = victim("vit")
    module: Any = bare.module
    found = ascend(bare, ASKED.images, PLACES, steps=3, rate=0.2, spread=0.3)
    for row, stream in enumerate(PLACES.at("factors").each):  # pyright: ignore
        s = torch.ones(3, dtype=torch.float64)
        delta = 0.3 * torch.randn(3, generator=stream).double()
        stream.manual_seed(stream.initial_seed())
        x = bare.normalised(ASKED.images[row : row + 1])
        reference, moved = _features(module, x, s), s
        for step in range(4):
            moved = (s + delta).clamp(1e-7, 1).requires_grad_()
            pairs = zip(_features(module, x, moved), reference, strict=True)
            distance = sum(
                ((a / a.norm() - b / b.norm()).norm() for a, b in pairs), torch.zeros(())
            )
            torch.testing.assert_close(
                found.distances[step, row], distance, rtol=0, atol=1e-12, check_dtype=False
            )
            (g,) = torch.autograd.grad(distance, moved)
            if step < 3:
                delta = delta + 0.2 * g / g.abs().max()
        torch.testing.assert_close(found.factors[row], moved.detach(), rtol=1e-9, atol=0)


def _features(module: Any, x: Tensor, s: Tensor) -> list[Tensor]:
    tokens = module._pos_embed(module.patch_embed(x))
    seen: list[Tensor] = []
    for block, factor in zip(module.blocks, s, strict=True):
        attn: Any = block.attn
        d = attn.qkv.out_features // 3
        times = torch.cat((factor.expand(d), torch.ones(2 * d, dtype=x.dtype)))
        weights = attn.qkv.weight * times[:, None], attn.qkv.bias * times
        q, k, v = (
            each.unflatten(2, (attn.num_heads, -1)).transpose(1, 2)
            for each in F.linear(block.norm1(tokens), *weights).chunk(3, 2)
        )
        a = (q @ k.transpose(-2, -1) * attn.scale).softmax(-1)
        tokens = tokens + attn.proj((a @ v).transpose(1, 2).flatten(2))
        tokens = tokens + block.mlp(block.norm2(tokens))
        seen.append(tokens)
    return seen


def test_the_distance_is_nothing_at_home_and_scales_as_it_says() -> None:
    gen = torch.Generator().manual_seed(0)
    new, old = torch.randn(2, 4, 5, 6, generator=gen, dtype=torch.float64).unbind(0)
    for apart in (unit, product):
        here = old.clone().requires_grad_()
        nothing = apart(here, old)
        (g,) = torch.autograd.grad(nothing.sum(), here)
        assert torch.equal(nothing.detach(), torch.zeros(4, dtype=torch.float64))
        assert g.isfinite().all()
        assert (apart(new, old) > 0).all()
        scale = {unit: 1.0, product: 1 / 50}[apart]
        torch.testing.assert_close(
            apart(50 * new, 50 * old), scale * apart(new, old), rtol=1e-12, atol=0
        )


@pytest.mark.parametrize("raw", [False, True])
def test_an_ascent_climbs_and_stays_where_factors_may_be(raw: bool) -> None:
    """Clamped factors come back: what began beyond 1 is drawn to 0.4."""
    seen: list[Tensor] = []

    def near(s: Tensor) -> Tensor:
        seen.append(s.detach())
        return -(s - 0.4).square().sum(1)

    start = torch.tensor([[0.3, -0.2], [-3.0, 0.0]])
    found = climb(near, start, steps=200, rate=0.05, raw=raw)
    assert all(((s >= SMALLEST) & (s <= 1)).all() for s in (*seen, found.factors))
    assert found.distances.shape == (201, 2)
    torch.testing.assert_close(found.distances, torch.stack([near(s) for s in seen[:201]]))
    if raw:
        torch.testing.assert_close(found.factors[0], torch.full((2,), 0.4), rtol=0, atol=1e-3)
    still = climb(lambda s: 0 * s.sum(1), start, steps=2, rate=1.0, raw=raw)
    assert torch.equal(still.factors, (1 + start).clamp(SMALLEST, 1))


def test_distances_grow_on_nine_batches_of_ten() -> None:
    source = victim("vit")
    grows = [
        bool(
            (
                ascend(source, task(1, seed).images, Streams(seed)).distances.mean(1).diff() >= 0
            ).all()
        )
        for seed in range(10)
    ]
    assert sum(grows) >= 9


def test_controls_are_of_the_same_size() -> None:
    bare = victim("pit")
    made = {
        kind: factors(fitted(bare, (Scaled(factors=kind, per="head", steps=2),), ASKED, PLACES))
        for kind in ("learned", "shuffled", "random")
    }
    heads = torch.arange(4) < torch.tensor([block.heads for block in bare.spec.blocks])[:, None]
    for kind in ("learned", "shuffled"):
        assert (made[kind][:, ~heads] == 1).all()
    assert torch.equal(*(made[kind].flatten(1).sort(1).values for kind in ("learned", "shuffled")))
    assert not torch.equal(made["learned"], made["shuffled"])
    start = ascend(bare, ASKED.images, PLACES, per="head", steps=1, rate=0.0).factors
    assert torch.equal(start, made["random"])
    literal = ascend(bare, ASKED.images, PLACES, rate=1.0, spread=1.0, norm="product", raw=True)
    asked = Scaled(mode="literal", rate=0.3, norm="unit")
    assert torch.equal(factors(fitted(bare, (asked,), ASKED, PLACES)), literal.factors)
    shared = ascend(bare, ASKED.images, PLACES, shared=True, steps=1)
    assert (shared.factors.shape, shared.distances.shape) == ((1, 4), (2, 3))


def test_what_is_not_fitted_is_no_model_and_a_resnet_has_nothing_to_scale() -> None:
    bare = victim("vit")
    for kind in ("learned", "shuffled", "random"):
        with pytest.raises(BadStack, match=f"{kind.capitalize()} factors belong to the pictures"):
            altered(bare, (Scaled(factors=kind),))
    assert outlined(bare, (SHORT,)).spec.sites == bare.spec.sites
    assert fitted(bare, (Saturated(),), ASKED, PLACES) is altered(bare, (Saturated(),))
    for none in (SHORT, Saturated(), one(0.5)):
        with pytest.raises(UnsupportedModel, match="resnet has no attention whose scores"):
            fitted(victim("resnet"), (none,), ASKED, PLACES)


@pytest.mark.parametrize("kind", RECIPES, ids=lambda kind: kind.name)
def test_every_attack_can_be_made_on_learned_factors(kind: Any) -> None:
    """Each picture's result is its own, whatever its batch; and another than on the model as it is."""
    bare = victim("vit")
    attack = short(kind).build(bare.spec)
    if not needs(attack) <= bare.spec.sites:
        pytest.skip("attacks what a plain ViT does not have")
    on = fitted(bare, (SHORT,), ASKED, PLACES)
    made = craft(attack, on, ASKED, PLACES)
    assert ((made >= 0) & (made <= 1)).all()
    plain = craft(attack, bare, ASKED, PLACES)
    assert torch.equal(
        craft(attack, fitted(bare, (one(1.0),), ASKED, PLACES), ASKED, PLACES), plain
    )


STACKS: tuple[Stack, ...] = (
    (Saturated(30.0), SHORT),
    (SHORT, Float64()),
    (SHORT, Saturated(3.0), Float64()),
)


@pytest.mark.parametrize("stack", STACKS, ids=spell_stack)
def test_restarts_on_what_survives_are_as_on_all(stack: Stack) -> None:
    """`Sequence` shrinks the batch, and each picture keeps the factors that are its own."""
    bare = victim("vit")
    attack = Sequence((short(RECIPES[1]).build(bare.spec),) * 3)
    on = fitted(bare, stack, ASKED, PLACES)
    together = craft(attack, on, ASKED, PLACES)
    for row in range(3):
        own = ASKED.of(torch.tensor([row]))
        alone = craft(attack, fitted(bare, stack, own, Streams(0, (row,))), own, Streams(0, (row,)))
        torch.testing.assert_close(together[row], alone[0], rtol=0, atol=1e-9)


def test_in_an_ensemble_each_member_is_fitted_to_what_it_is_shown() -> None:
    members = victim("vit"), victim("pit", 1)
    on = fitted(ensemble(members), (SHORT,), ASKED, PLACES)
    own = [fitted(member, (SHORT,), ASKED, PLACES) for member in members]
    rows = torch.tensor([2, 1])
    with torch.no_grad():
        apart = [each.logits(ASKED.images) for each in own]
        torch.testing.assert_close(on.logits(ASKED.images), (apart[0] + apart[1]) / 2)
        torch.testing.assert_close(
            on.of(rows).logits(ASKED.images[rows]), (apart[0] + apart[1])[rows] / 2
        )


def test_float64_is_double_to_the_last_and_what_is_crafted_on_it_too() -> None:
    double = victim("vit")
    rough = single(victim("vit"))
    exact = rough | Float64()
    pixels = (ASKED.images * 255).round().byte()
    shown = Task(ASKED.images.float(), ASKED.labels)
    widened = shown.on(exact)
    assert widened.images.dtype == torch.float64
    assert shown.on(rough).images.dtype == torch.float32
    logits, g = answers(exact, widened.images)
    assert (logits.dtype, g.dtype) == (torch.float64, torch.float64)
    reference = Victim(double.spec, _like(double.module, rough.module), double.family)
    for ours, theirs in zip((logits, g), answers(reference, widened.images), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-15)
    assert rough.logits(shown.images).dtype == torch.float32  # it is not touched
    attack = short(RECIPES[1]).build(rough.spec)
    *_, last = crafted(attack, rough, pixels, ASKED.labels, eps=8 / 255, stack=(Float64(),))
    assert (last.x.dtype, last.saved.dtype) == (torch.float64, torch.uint8)


def _like(module: nn.Module, other: nn.Module) -> nn.Module:
    module.load_state_dict(other.state_dict())
    return module.double()


def test_a_second_probability_is_nothing_where_the_lead_says_so_and_less_often_when_scaled() -> (
    None
):
    """float32, six loud factors: rows with a lead of 104 and more are those whose second is exactly 0."""
    bare, shares = single(victim("vit")), list[Tensor]()
    for c in (1.0, 30.0, 100.0, 300.0):
        with (
            torch.no_grad(),
            (bare | Saturated(c)).session(observe={Site.SCORES, Site.ATTN}) as run,
        ):
            out = run(ASKED.images.float())
        scores, maps = alike(out.values(Site.SCORES)), alike(out.values(Site.ATTN))
        lead = torch.stack([leads(each) for each in scores])
        second = torch.stack([each.topk(2, -1).values[..., 1] for each in maps])
        certain = (lead - UNDERFLOWS).abs() > 0.05  # the last subnormal ends at 103.98
        assert torch.equal((lead >= UNDERFLOWS)[certain], (second == 0)[certain])
        shares.append(
            (lead[0] >= UNDERFLOWS).double().mean()
        )  # of the first block, whose input is one
    assert shares[0] == 0 < shares[-1]
    assert (torch.stack(shares).diff() >= 0).all()


def test_a_run_fits_what_it_crafts_on_and_judges_the_model_as_it_is() -> None:
    asked = Request(load_sample("golf_ball"), "vit_imagenette", recipe("fgsm"), views=False)
    runs = {
        each: Run(replace(asked, craft_on=each))
        for each in ((), (one(1.0),), (SHORT,), (Saturated(), Float64()))
    }
    for run in runs.values():
        run.advance()
        assert run.victim.spec.alterations == ()
    plain, same, scaled, double = (run.result() for run in runs.values())
    assert torch.equal(plain.adversarial.pixels, same.adversarial.pixels)
    for other in (scaled, double):
        assert not torch.equal(plain.adversarial.pixels, other.adversarial.pixels)
        assert torch.equal(plain.clean.probabilities, other.clean.probabilities)
    assert (plain.told, double.told) == ((), ())
    (told,) = scaled.told
    *_, factors = told.rstrip(".").partition("multiplied by ")
    assert len(factors.split(", ")) == 8


def test_live_factors_are_those_that_were_set_last() -> None:
    bare = victim("swin")
    on, gains = multiplied(bare, torch.ones(1, bare.spec.depth, dtype=torch.float64))
    for factor in (0.5, 3.0):
        gains.set(torch.full((1, bare.spec.depth), factor, dtype=torch.float64))
        with torch.no_grad():
            torch.testing.assert_close(
                on.logits(ASKED.images), (bare | one(factor)).logits(ASKED.images)
            )
