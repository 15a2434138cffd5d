"""Laws of Robustness Tokens (spec C7 B): the bare model stays bit for bit, order and place do not matter."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from engine.alter.cap import Cap
from engine.alter.ensemble import ensemble
from engine.alter.stack import altered
from engine.alter.tokens import RobustnessTokens
from engine.alter.topk import FixedRatio
from engine.core.errors import BadKnob, CorruptWeights, TokensUnavailable, UnsupportedModel
from engine.evaluate.store import fingerprint
from engine.model import tokenfile, zoo
from engine.model.shelf import weight
from engine.model.sites import Site
from engine.model.tokenfile import Tokens
from engine.model.tokens import hosted
from engine.model.victim import Victim
from tests.tiny import SMALL, shaken, task, victim, wrap

PIXELS = task(2).images
R = torch.randn(5, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
ROUNDING = {"rtol": 0.0, "atol": 1e-11}  # float64 through three blocks

HOSTS: dict[str, dict[str, object]] = {
    "pre-norm": {"pre_norm": True},
    "avg pool beside a class token": {"global_pool": "avg"},
    "attention pool": {"global_pool": "map", "class_token": False},
    "DeiT III": {"no_embed_class": True, "init_values": 0.5},
    "registers without positions": {
        "no_embed_class": True,
        "reg_tokens": 2,
        "dynamic_img_size": True,
    },
}
KNOWN = ("vit", "vit_gap", "vit_qk_norm_layer_scale", "deit_distilled")


def host(name: str) -> Victim:
    if name in KNOWN:
        return victim(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        module = VisionTransformer(**SMALL, **HOSTS[name])  # pyright: ignore[reportArgumentType]
    return wrap(shaken(module), name.replace(" ", "_"))


def logits_and_gradient(of: Victim) -> tuple[Tensor, Tensor]:
    leaf = PIXELS.clone().requires_grad_()
    out = of.logits(leaf)
    (g,) = torch.autograd.grad(out.logsumexp(1).sum(), leaf)
    return out.detach(), g


def at_the_end(module: nn.Module, x: Tensor, tokens: Tensor) -> Tensor:
    """As published: r behind the sequence, its outputs cut off after the final norm."""
    assert isinstance(module, VisionTransformer)
    x = module.norm_pre(module.patch_drop(module._pos_embed(module.patch_embed(x))))
    x = torch.cat((x, tokens.expand(len(x), -1, -1)), 1)
    return module.forward_head(module.norm(module.blocks(x))[:, : -len(tokens)])


@pytest.mark.parametrize("name", [*KNOWN, *HOSTS])
def test_off_is_the_same_bit_for_bit_and_on_neither_order_nor_place_matters(name: str) -> None:
    bare = host(name)
    before = logits_and_gradient(bare)
    made = hosted(bare, R)
    with torch.no_grad():
        seen = made.logits(PIXELS)
        assert not torch.allclose(seen, before[0])
        torch.testing.assert_close(hosted(bare, R.flip(0)).logits(PIXELS), seen, **ROUNDING)
        end = at_the_end(bare.module, bare.normalised(PIXELS), R)
        torch.testing.assert_close(end, seen, **ROUNDING)
        with bare.session(observe=bare.spec.sites) as forward:
            alone = forward(PIXELS)
        with made.session(observe=made.spec.sites) as forward:
            inside = forward(PIXELS)
    assert (made.spec.sites, made.spec.depth) == (bare.spec.sites, bare.spec.depth)
    (one,), (other,) = (each.values(Site.FEATURE) for each in (alone, inside))
    assert one.shape == other.shape
    assert inside.logits.shape == alone.logits.shape
    assert inside.stack(Site.ATTN).shape[-1] == alone.stack(Site.ATTN).shape[-1] + len(R)
    torch.testing.assert_close(inside.logits, seen, **ROUNDING)
    for was, now in zip(before, logits_and_gradient(bare), strict=True):
        assert torch.equal(was, now)
    assert weight([bare, made]) == weight([bare]) + R.nbytes


def test_only_the_tokens_have_a_gradient() -> None:
    bare, r = victim("vit"), R.clone().requires_grad_()
    hosted(bare, r).logits(PIXELS).square().sum().backward()
    assert r.grad is not None
    assert (r.grad.norm(dim=1) > 0).all()
    assert not any(each.requires_grad for each in bare.module.parameters())


def test_a_cap_spares_the_tokens_whichever_stands_first() -> None:
    """The bound is of the model's own tokens; r is kept beside them."""
    tokens, few = RobustnessTokens("random", 3), FixedRatio(0.9)
    bare = victim("vit")
    for stack, most in (((few, Cap(0.5)), 9), ((few, Cap(0.5), tokens), 9 + 3)):
        made = altered(bare, stack)
        with torch.no_grad(), made.session(observe={Site.KEEP}) as forward:
            kept = forward(PIXELS).values(Site.KEEP)
        assert max(int((each > 0.5).sum(1).max()) for each in kept) == most


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tokenfile, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setenv(tokenfile.FOLDER_VARIABLE, str(tmp_path))
    return tmp_path


def test_a_stack_has_the_tokens_of_its_file_and_new_ones_when_that_is_new(folder: Path) -> None:
    bare = victim("vit")
    with pytest.raises(TokensUnavailable, match="no Robustness Tokens for vit here"):
        altered(bare, (RobustnessTokens(),))
    tokenfile.write(Tokens(R, "vit"), folder, "vit")
    first = altered(bare, (RobustnessTokens(),))
    assert altered(bare, (RobustnessTokens("vit"),)) is not first  # another name, as it is spelled
    assert altered(bare, (RobustnessTokens(),)) is first
    with torch.no_grad():
        torch.testing.assert_close(
            first.logits(PIXELS), hosted(bare, R.float()).logits(PIXELS), **ROUNDING
        )
    tokenfile.write(Tokens(2 * R, "vit"), folder, "vit")
    again = altered(bare, (RobustnessTokens(),))
    assert len({fingerprint(each) for each in (bare, first, again)}) == 3


def test_each_member_of_an_ensemble_has_its_own(folder: Path) -> None:
    one, other = victim("vit"), victim("deit_distilled")
    for each, r in ((one, R), (other, R[:2])):
        tokenfile.write(Tokens(r), folder, each.spec.name)
    both = altered(ensemble([one, other]), (RobustnessTokens(),))
    with torch.no_grad():
        parts = [hosted(each, r.float()).logits(PIXELS) for each, r in ((one, R), (other, R[:2]))]
        torch.testing.assert_close(both.logits(PIXELS), (parts[0] + parts[1]) / 2, **ROUNDING)


def test_what_cannot_be_is_said_in_one_sentence(folder: Path) -> None:
    bare, own = victim("vit"), RobustnessTokens()
    with pytest.raises(UnsupportedModel, match="resnet cannot host Robustness Tokens"):
        altered(victim("resnet"), (own,))
    tokenfile.write(Tokens(R[:, :12], "other"), folder, "vit")
    with pytest.raises(
        UnsupportedModel, match="they are of 12 numbers each, and its own tokens of 24"
    ):
        altered(bare, (own,))
    (folder / "vit.safetensors").write_bytes(b"tokens")
    with pytest.raises(CorruptWeights, match="cut off or no safetensors"):
        altered(bare, (own,))
    with pytest.raises(BadKnob, match="Tokens cannot be 0"):
        hosted(bare, R[:0])
    for name in ("../vit", "a|b", "a,b", ""):
        with pytest.raises(BadKnob, match="Which tokens"):
            RobustnessTokens(name)
    sized = {**SMALL, "dynamic_img_size": True}
    for options in (sized, {**SMALL, "global_pool": "avg", "pool_include_prefix": True}):
        refused = wrap(shaken(VisionTransformer(**options)))  # pyright: ignore[reportArgumentType]
        with pytest.raises(UnsupportedModel, match="tiny cannot host Robustness Tokens: it "):
            hosted(refused, R)


def test_what_ships_can_be_read_and_stands_on_its_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(tokenfile.FOLDER_VARIABLE, str(tmp_path))
    shipped = tokenfile.listed()
    assert {each.name for each in shipped} >= {"vit_imagenette", "vit_imagenette_surrogate"}
    assert not tokenfile.problems()
    for each in shipped:
        assert RobustnessTokens(each.name).tokens(zoo.load(each.model)).shape == (
            each.count,
            each.width,
        )
        assert each.details["training"]["eps"] == 2 / 255


def test_random_tokens_are_the_same_every_time_and_as_training_starts() -> None:
    bare = victim("vit")
    drawn = RobustnessTokens("random", 200).tokens(bare)
    assert torch.equal(drawn, RobustnessTokens("random", 200).tokens(bare))
    assert drawn.shape == (200, 24)
    assert abs(drawn.std().item() - 1e-2) < 5e-4  # 4800 numbers: 0.01 +- 5 standard errors
