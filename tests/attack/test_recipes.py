"""Every recipe equals a loop written from its paper: one picture, unfused timm, hooks of its own."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.attack.attack import craft
from engine.attack.catalog import BY_NAME
from engine.attack.moment import Moment
from engine.attack.recipe import Recipe
from engine.attack.recipes.att import ATT
from engine.attack.recipes.dim import DIM
from engine.attack.recipes.fgsm import FGSM
from engine.attack.recipes.fpr import FPR
from engine.attack.recipes.mifgsm import MIFGSM
from engine.attack.recipes.nifgsm import NIFGSM
from engine.attack.recipes.patchout import PNAPatchOut
from engine.attack.recipes.pgd import PGD
from engine.attack.recipes.pna import PNA
from engine.attack.recipes.sgm import SGM
from engine.attack.recipes.sim import SIM
from engine.attack.recipes.tgr import TGR
from engine.attack.recipes.tgr_factors import TGRFactors
from engine.attack.recipes.tgr_patchout import TGRPatchOut
from engine.attack.recipes.tim import TIM
from engine.attack.recipes.vmi import VMI
from engine.attack.view import PatchOut, ResizeAndPad, SelfPacedPatchOut, identity
from engine.core.streams import Streams, uniform
from engine.model.sites import Site
from engine.model.victim import Victim
from tests.tiny import SIZE, pick, task, victim

EPS, STEPS, SEED = 16 / 255, 3, 11
ALPHA = EPS / STEPS
BUDGET = {"eps": EPS, "steps": STEPS}


class Plain:
    """A copy of a victim's module, unfused and without this engine, on one picture."""

    def __init__(self, source: Victim, label: int) -> None:
        self.module = copy.deepcopy(source.module)
        for part in self.module.modules():
            if hasattr(part, "fused_attn"):
                part.fused_attn = False
        self.mean = torch.tensor(source.spec.mean, dtype=torch.float64).view(1, 3, 1, 1)
        self.std = torch.tensor(source.spec.std, dtype=torch.float64).view(1, 3, 1, 1)
        self.label = label

    def loss(self, x: Tensor) -> Tensor:
        return -self.module((x - self.mean) / self.std).log_softmax(1)[0, self.label]

    def slope(self, x: Tensor, seen: Callable[[Tensor], Tensor] = lambda x: x) -> Tensor:
        leaf = x.detach().clone().requires_grad_()
        return torch.autograd.grad(self.loss(seen(leaf)), leaf)[0]


Slope = Callable[[Plain, Tensor, Tensor, int, Tensor], Tensor]
"""How a method takes a gradient: model, x, x0, step, momentum -> g."""


def mi_fgsm(model: Plain, x0: Tensor, slope: Slope) -> Tensor:
    x, m = x0, torch.zeros_like(x0)
    for t in range(STEPS):
        g = slope(model, x, x0, t, m)
        m = m + g / g.abs().mean()
        x = torch.min(torch.max(x + ALPHA * m.sign(), x0 - EPS), x0 + EPS).clamp(0, 1)
    return x


def at_x(model: Plain, x: Tensor, x0: Tensor, t: int, m: Tensor) -> Tensor:
    return model.slope(x)


def ahead(model: Plain, x: Tensor, x0: Tensor, t: int, m: Tensor) -> Tensor:
    return model.slope(x + ALPHA * m)


def scales(model: Plain, x: Tensor, x0: Tensor, t: int, m: Tensor) -> Tensor:
    return sum(model.slope(x, lambda x, i=i: x / 2**i) for i in range(5)) / 5


def smoothed(model: Plain, x: Tensor, x0: Tensor, t: int, m: Tensor) -> Tensor:
    taps = np.exp(-(np.linspace(-3, 3, 15) ** 2) / 2)
    kernel = torch.from_numpy(np.outer(taps, taps) / np.outer(taps, taps).sum())
    return F.conv2d(model.slope(x), kernel.expand(3, 1, 15, 15), padding=7, groups=3)


def no_hooks(module: nn.Module) -> None:
    pass


def damped(module: nn.Module) -> None:
    def hook(_module: nn.Module, _inputs: object, out: Tensor) -> None:
        out.register_hook(lambda g: 0.5 * g)

    for block in module.blocks:
        block.mlp.register_forward_hook(hook)


def detached(module: nn.Module) -> None:
    for block in module.blocks:
        block.attn.attn_drop.register_forward_hook(lambda _m, _i, out: out.detach())


def published_mask(t: int, side: int, kept: int, patch: int = 16) -> Tensor:
    """PatchOut's mask as the paper's code draws it."""
    squares = list(range((side // patch) ** 2))
    random.seed(t)
    random.shuffle(squares)
    mask = torch.zeros(side, side)
    for square in squares[:kept]:
        row, column = divmod(square, side // patch)
        mask[row * patch : (row + 1) * patch, column * patch : (column + 1) * patch] = 1
    return mask


def patchout(norm: float) -> Slope:
    def slope(model: Plain, x: Tensor, x0: Tensor, t: int, m: Tensor) -> Tensor:
        mask = published_mask(t, SIZE, round(130 / 196 * 4)).double()
        g = model.slope(x, lambda x: x0 + mask * (x - x0))
        delta = x - x0
        return g + norm * delta / delta.norm() if t else g

    return slope


CASES: dict[str, tuple[Recipe, Slope, Callable[[nn.Module], None]]] = {
    "mifgsm": (MIFGSM(**BUDGET), at_x, no_hooks),
    "nifgsm": (NIFGSM(**BUDGET), ahead, no_hooks),
    "sim": (SIM(**BUDGET), scales, no_hooks),
    "tim": (TIM(**BUDGET), smoothed, no_hooks),
    "sgm": (SGM(**BUDGET), at_x, damped),
    "pna": (PNA(**BUDGET), at_x, detached),
    "patchout": (PNAPatchOut(**BUDGET), patchout(0.1), detached),
    "patchout alone": (PNAPatchOut(**BUDGET, norm=0.0, pna=False), patchout(0.0), no_hooks),
}


def close(recipe: Recipe, source: Victim, theirs: Callable[[Plain, Tensor], Tensor]) -> None:
    """Two pictures in one batch give what the loop gives for each."""
    asked = task(2)
    ours = craft(recipe.build(source.spec), source, asked, Streams(SEED))
    for row in range(2):
        one = pick(asked, row)
        expected = theirs(Plain(source, int(one.labels)), one.images)
        torch.testing.assert_close(ours[row : row + 1], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_equals_the_papers_loop(name: str):
    recipe, slope, hook = CASES[name]

    def theirs(model: Plain, x0: Tensor) -> Tensor:
        hook(model.module)
        return mi_fgsm(model, x0, slope)

    close(recipe, victim("vit"), theirs)


def test_methods_differ_from_their_base():
    """Equality with a loop would say little if the method changed nothing."""
    source, asked = victim("vit"), task(2)
    base = craft(MIFGSM(**BUDGET).build(source.spec), source, asked, Streams(SEED))
    for name, kind in BY_NAME.items():
        runs = (
            kind().criterion.lacks(source.spec) is None
        )  # else it needs a model that drops tokens
        if runs and name not in ("mifgsm", "fgsm"):
            x = craft(kind(**BUDGET).build(source.spec), source, asked, Streams(SEED))
            assert float((x - base).abs().max()) > 1e-3, name


def test_fgsm_and_pgd_equal_their_equations():
    source = victim("vit")

    def fgsm(model: Plain, x0: Tensor) -> Tensor:
        return (x0 + EPS * model.slope(x0).sign()).clamp(0, 1)

    close(FGSM(eps=EPS), source, fgsm)
    asked = task(1)
    noise = 2 * uniform(asked.images.shape, Streams(SEED).at("start")).double() - 1
    x = (asked.images + EPS * noise).clamp(0, 1)
    model = Plain(source, int(asked.labels))
    for _ in range(STEPS):
        x = x + 2.5 * ALPHA * model.slope(x).sign()
        x = torch.min(torch.max(x, asked.images - EPS), asked.images + EPS).clamp(0, 1)
    ours = craft(PGD(**BUDGET).build(source.spec), source, asked, Streams(SEED))
    torch.testing.assert_close(ours, x, rtol=0, atol=1e-9)


def test_vmi_equals_neighbour_by_neighbour():
    source, asked, n, beta = victim("vit"), task(1), 5, 1.5
    model = Plain(source, int(asked.labels))
    state: dict[str, Tensor] = {"v": torch.zeros_like(asked.images)}

    def slope(model: Plain, x: Tensor, x0: Tensor, t: int, m: Tensor) -> Tensor:
        draws = uniform((n, *x.shape[1:]), Streams(SEED).at("step", t, "estimate")).double()
        here = model.slope(x)
        around = [model.slope(x + beta * EPS * (2 * draw - 1)) for draw in draws]
        direction = here + state["v"]
        state["v"] = sum(around) / n - here
        return direction

    ours = craft(
        VMI(**BUDGET, samples=n, beta=beta).build(source.spec), source, asked, Streams(SEED)
    )
    torch.testing.assert_close(ours, mi_fgsm(model, asked.images, slope), rtol=0, atol=1e-9)


def test_points_that_share_a_pass_do_not_feel_each_other(monkeypatch: pytest.MonkeyPatch):
    """The number of pictures per pass is a matter of memory only."""
    source, asked = victim("vit"), task(2)
    attack = VMI(**BUDGET, samples=5).build(source.spec)
    whole = craft(attack, source, asked, Streams(SEED, images=(3, 4)))
    monkeypatch.setattr("engine.attack.chain.MOST_IMAGES", 2)
    torch.testing.assert_close(
        craft(attack, source, asked, Streams(SEED, images=(3, 4))), whole, rtol=0, atol=1e-9
    )


def test_patchout_mask_is_the_published_one():
    x = torch.zeros(1, 3, 224, 224)
    view = PatchOut()
    for t in range(4):
        mask = view.mask(x, t)
        assert torch.equal(mask[0, 0], published_mask(t, 224, 130))
        assert int(mask.sum()) == 130 * 16 * 16
    assert not torch.equal(view.mask(x, 0), view.mask(x, 1))
    odd = view.mask(torch.zeros(1, 3, 40, 24), 0)
    assert odd.shape == (1, 1, 40, 24)


def test_patchout_hides_a_patch_from_gradient_and_model():
    asked = task(1)
    x = (asked.images + 0.1).clamp(0, 1).requires_grad_()
    view = PatchOut(0.5)
    at = Moment(2, 5, asked)
    seen = view(x, at, Streams(0).at("view"))
    mask = view.mask(x, 2).bool().expand_as(x)
    assert torch.equal(seen[~mask], asked.images[~mask])
    torch.testing.assert_close(seen[mask], x[mask])
    (g,) = torch.autograd.grad(seen.sum(), x)
    assert torch.equal(g.bool(), mask)


def test_diverse_input_is_a_resized_padded_copy_per_picture():
    x = torch.rand(6, 3, 20, 20, generator=Streams(0).at("x"))
    at = Moment(0, 1, task(1))
    assert torch.equal(ResizeAndPad(0.0, 1.5)(x, at, Streams(0).at("view")), x)
    seen = ResizeAndPad(1.0, 1.5)(x, at, Streams(3).at("view"))
    assert seen.shape == x.shape
    draws = uniform((6, 4), Streams(3).at("view"))
    for one, done, (_, size, top, left) in zip(x, seen, draws.tolist(), strict=True):
        inner = 20 + int(size * 10)
        y, z = (int(p * (30 - inner + 1)) for p in (top, left))
        canvas = torch.zeros(1, 3, 30, 30)
        canvas[..., y : y + inner, z : z + inner] = F.interpolate(
            one[None], (inner, inner), mode="bilinear"
        )
        expected = F.interpolate(canvas, (20, 20), mode="bilinear")[0]
        torch.testing.assert_close(done, expected)
    some = DIM().build(victim("vit").spec).view(x, at, Streams(0).at("view"))
    changed = (some != x).flatten(1).any(1)
    assert changed.any()
    assert not changed.all()


def test_factors_only_is_tgr_that_zeroes_nothing():
    spec = victim("vit").spec
    ours, tgr = TGRFactors(**BUDGET).build(spec), TGR(**BUDGET, k=0).build(spec)
    assert ours.rules == tgr.rules
    assert len(ours.rules) == 3
    assert ours.rules != TGR(**BUDGET).build(spec).rules


def test_tgr_patchout_is_tgr_behind_patchout():
    spec = victim("vit").spec
    both, tgr = TGRPatchOut(**BUDGET).build(spec), TGR(**BUDGET).build(spec)
    assert both.rules == tgr.rules
    assert both.view == PatchOut(130 / 196)
    assert replace(both, view=identity).rules == replace(tgr).rules


def extremes(values: np.ndarray) -> tuple[int, int]:
    return int(values.argmax()), int(values.argmin())


class AdaptiveHooks:
    """ATT's legacy hooks, one picture: numpy, autograd nodes, variances carried from deep to shallow."""

    weaken = {"attn": 0.45, "qkv": 0.7, "mlp": 0.65}

    def __init__(self, module: nn.Module, kept: int) -> None:
        self.before: dict[str, float] = {}
        depth = len(module.blocks)
        for index, block in enumerate(module.blocks):
            cut = 1.0 if index < kept else 0.0
            block.attn.attn_drop.register_forward_hook(self.node("attn", cut))
            block.attn.qkv.register_forward_hook(self.output("qkv"))
            block.mlp.register_forward_hook(self.output("mlp"))
        assert kept < depth

    def node(self, part: str, cut: float) -> Callable[..., None]:
        def hook(_m: nn.Module, _i: object, out: Tensor) -> None:
            out.grad_fn.register_hook(
                lambda into, _o: (torch.from_numpy(self.edit(part, into[0].numpy() * cut)),)
            )

        return hook

    def output(self, part: str) -> Callable[..., None]:
        def hook(_m: nn.Module, _i: object, out: Tensor) -> None:
            out.register_hook(lambda g: torch.from_numpy(self.edit(part, g.numpy())))

        return hook

    def edit(self, part: str, g: np.ndarray) -> np.ndarray:
        g = g * self.weaken[part]
        factor = 0.5
        if self.before.get(part, 0) != 0:
            factor += 0.01 * (1 - np.sqrt(g.var(ddof=1) / self.before[part]))
            factor = min(max(factor, 0), 1)
        if part == "attn":
            for head in range(g.shape[1]):
                cells = [divmod(c, g.shape[3]) for c in extremes(g[0, head].ravel())]
                for row, column in cells:
                    g[0, head, row, :] *= factor
                    g[0, head, :, column] *= factor
        else:
            for channel in range(g.shape[2]):
                for token in extremes(g[0, :, channel]):
                    g[0, token, channel] *= factor
        self.before[part] = g.var(ddof=1)
        return g


def test_att_equals_the_papers_loop():
    source = victim("vit")

    def importance(model: Plain, x0: Tensor) -> Tensor:
        kept: list[Tensor] = []
        block = model.module.blocks[1]
        handle = block.register_forward_hook(lambda _m, _i, out: kept.append(out))
        leaf = x0.clone().requires_grad_()
        total = model.module((leaf - model.mean) / model.std).sum()
        handle.remove()
        (g,) = torch.autograd.grad(total, kept[0])
        tokens = (kept[0] * g).sum(-1)[0, 1:].detach().view(1, 1, 4, 4)
        pixels = F.interpolate(tokens, (SIZE, SIZE), mode="bilinear")
        squares = F.avg_pool2d(pixels, 16)[0, 0]
        return 0.4 * (squares - squares.min()) / (squares.max() - squares.min()) + 0.4

    def theirs(model: Plain, x0: Tensor) -> Tensor:
        share = importance(model, x0)
        hooks = AdaptiveHooks(model.module, kept=2)  # round(10 / 12 of 3)

        def slope(model: Plain, x: Tensor, _x0: Tensor, t: int, m: Tensor) -> Tensor:
            hooks.before.clear()
            torch_draw = torch.rand(2, 2, generator=torch.Generator().manual_seed(t))
            limit = 0.99 - (0.99 - share) / STEPS * (t + 1)
            mask = (torch_draw <= limit).double()
            mask = mask.repeat_interleave(16, 0).repeat_interleave(16, 1)
            return model.slope(x, lambda x: x0 + mask * (x - x0))

        return mi_fgsm(model, x0, slope)

    close(ATT(**BUDGET), source, theirs)


def test_att_has_the_published_constants():
    def factors(model: str) -> tuple[float, ...]:
        return tuple(rule.weaken for rule in ATT().build(victim(model).spec).rules)

    assert factors("vit") == (0.45, 0.7, 0.65)
    assert factors("pit") == (0.25, 0.6, 0.65)
    assert factors("cait") == (0.3, 1.0, 0.6)
    assert factors("visformer") == (0.4, 0.8, 0.3)
    view = ATT().build(victim("pit").spec).view
    assert view == SelfPacedPatchOut(0.3, 0.45)


@pytest.mark.parametrize(
    ("family", "depth", "kept"), [("vit", 12, 10), ("pit", 13, 9), ("visformer", 8, 8)]
)
def test_att_cuts_the_deepest_attention_as_published(family: str, depth: int, kept: int):
    spec = victim("vit").spec
    spec = replace(spec, family=family, blocks=spec.blocks[:1] * depth)
    attention, *others = ATT().build(spec).rules
    assert attention.cut == frozenset(range(kept, depth))
    assert all(not rule.cut for rule in others)


def test_att_cuts_cait_as_published():
    """4 of 25: 24 patch blocks and the second class-attention block."""
    spec = victim("cait").spec
    spec = replace(spec, blocks=(*spec.blocks[:1] * 24, *spec.blocks[-2:]))
    attention = ATT().build(spec).rules[0]
    assert attention.cut == frozenset({*range(4, 24), 25})


def test_self_paced_patchout_keeps_more_of_what_matters():
    source, asked = victim("vit"), task(2)
    view = SelfPacedPatchOut(0.4, 0.4)
    share = view.prepare(source, asked)
    assert share.shape == (2, 1, 2, 2)
    assert float(share.min()) == pytest.approx(0.4)
    assert float(share.max()) == pytest.approx(0.8)
    assert bool((share.amax((2, 3)) > share.amin((2, 3))).all())
    one = view.prepare(source, pick(asked, 1))
    torch.testing.assert_close(one, share[1:], rtol=0, atol=1e-9)


def test_fpr_equals_the_papers_loop():
    def theirs(model: Plain, x0: Tensor) -> Tensor:
        past: dict[nn.Module, Tensor] = {}
        gens: list[torch.Generator] = []

        def diversify(_module: nn.Module, _inputs: object, out: Tensor) -> Tensor:
            draw = torch.rand(out.shape[1:], generator=gens[-1]).double()
            return torch.softmax(out * (1 - 25 + 50 * draw), -1)

        def remember(module: nn.Module, _inputs: object, out: Tensor) -> Tensor:
            now = 0.8 * out + (0.3 * past[module] if module in past else 0)
            past[module] = now.detach()
            return now

        for block in model.module.blocks:  # 0, 1, 4, 9, 11 of 12 are all of 3
            block.attn.attn_drop.register_forward_hook(diversify)
            block.attn.register_forward_hook(remember)
            block.mlp.register_forward_hook(remember)

        def slope(model: Plain, x: Tensor, x0: Tensor, t: int, m: Tensor) -> Tensor:
            gens.append(Streams(SEED).at("step", t, "rules"))
            return model.slope(x)

        return mi_fgsm(model, x0, slope)

    close(FPR(**BUDGET), victim("vit"), theirs)


def test_fpr_takes_the_published_blocks_of_twelve():
    spec = victim("vit").spec
    maps = FPR().build(replace(spec, blocks=spec.blocks[:1] * 12)).rules[0]
    assert maps.blocks == {0, 1, 4, 9, 11}


def test_parts_of_different_recipes_combine():
    """What the catalogue separates, `replace` puts together: the point of the design."""
    source, asked = victim("vit"), task(2)
    spec = source.spec
    mixed = replace(
        TGR(**BUDGET).build(spec),
        estimate=VMI(samples=2).build(spec).estimate,
        view=DIM(chance=1.0).build(spec).view,
        update=NIFGSM(**BUDGET).build(spec).update,
        rules=TGR(components="qkv").build(spec).rules + FPR().build(spec).rules,
        objective=PNAPatchOut().build(spec).objective,
    )
    assert not mixed.plain
    x = craft(mixed, source, asked, Streams(SEED))
    assert float((x - asked.images).abs().max()) <= EPS + 1e-7
    assert torch.equal(x, craft(mixed, source, asked, Streams(SEED)))


def test_published_defaults():
    for kind in BY_NAME.values():
        if issubclass(kind, MIFGSM.__bases__[0]):
            recipe = kind()
            assert (recipe.eps, recipe.steps, recipe.mu) == (16 / 255, 10, 1.0)
            assert recipe.alpha == pytest.approx(1.6 / 255)
    tgr = TGR()
    assert (tgr.k, tgr.attention, tgr.qkv, tgr.mlp) == (1, 0.25, 0.75, 0.5)
    assert (VMI().samples, VMI().beta) == (20, 1.5)
    assert TGR().build(victim("vit").spec).rules[0].sites == {Site.SCORES}
