"""CW, DLR, GAMA and restarts equal loops written from their papers, on one picture at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from engine.attack.attack import craft, observe, run
from engine.attack.chain import Chain
from engine.attack.constraint import LinfBall
from engine.attack.margin_objective import Guided
from engine.attack.recipe import Recipe
from engine.attack.recipes.cw import CW
from engine.attack.recipes.cw_l2 import CWL2
from engine.attack.recipes.dlr import PGDOnDLR
from engine.attack.recipes.gama_fw import GamaFW
from engine.attack.recipes.gama_pgd import GamaPGD
from engine.attack.recipes.pgd import PGD
from engine.core.errors import UnsupportedModel
from engine.core.streams import Streams, uniform
from tests.tiny import pick, task, victim

EPS, STEPS = 3 / 255, 20
SOURCE, STREAMS = victim("vit"), Streams(5, (4, 8))
ANSWERS = observe(SOURCE, task(2).images, ()).logits.argmax(1)
ASKED = replace(task(2), labels=ANSWERS)
Loss = Callable[[Tensor, int], Tensor]


def others(z: Tensor, y: int) -> Tensor:
    return torch.cat((z[:y], z[y + 1 :])).max()


def margin(z: Tensor, y: int) -> Tensor:
    return others(z, y) - z[y]


def dlr(z: Tensor, y: int) -> Tensor:
    order = z.sort(descending=True).values
    return -(z[y] - others(z, y)) / (order[0] - order[2] + 1e-12)


def slope(x: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(loss(SOURCE.logits(leaf)[0]), leaf)[0]


def noise(x: Tensor, image: int) -> Tensor:
    return uniform(x.shape, Streams(5, (image,)).at("start")).double() - 0.5


def clip(x: Tensor, x0: Tensor) -> Tensor:
    return torch.min(torch.max(x, x0 - EPS), x0 + EPS).clamp(0, 1)


def pgd(x0: Tensor, y: int, image: int, *, loss: Loss) -> Tensor:
    x = clip(x0 + 2 * EPS * noise(x0, image), x0)
    for _ in range(STEPS):
        x = clip(x + 2.5 * EPS / STEPS * slope(x, lambda z: loss(z, y)).sign(), x0)
    return x


def gama(x0: Tensor, y: int, image: int, *, kind: str, reference: str) -> Tensor:
    """The published schedule, its 100 steps as 20: lin 5, drops at 12 and 17."""
    x = clip(x0 + EPS * noise(x0, image).sign(), x0)
    with torch.no_grad():
        r = SOURCE.logits(x if reference == "first" else x0)[0].softmax(0)
    w, a, gamma = 50.0, 2 * EPS, 0.5
    for t in range(STEPS):
        if t in (12, 17):
            a, gamma = a / 10, gamma / 5

        def loss(z: Tensor, w: float = w) -> Tensor:
            p = z.softmax(0)
            return margin(p, y) + w * (p - r).square().sum()

        g = slope(x, loss)
        if kind == "pgd":
            x = clip(x + a * g.sign(), x0)
        else:
            x = clip(x0 + (1 - gamma) * (x - x0) + gamma * EPS * g.sign(), x0)
        w = max(0.0, w - 50 / 5)
    return x


BUDGET = {"eps": EPS, "steps": STEPS}
LOOPS: dict[str, tuple[Recipe, Callable[[Tensor, int, int], Tensor]]] = {
    "cw": (CW(**BUDGET), partial(pgd, loss=margin)),
    "dlr": (PGDOnDLR(**BUDGET), partial(pgd, loss=dlr)),
    "gama_pgd": (GamaPGD(**BUDGET), partial(gama, kind="pgd", reference="first")),
    "gama_fw": (
        GamaFW(**BUDGET, reference="clean"),
        partial(gama, kind="fw", reference="clean"),
    ),
}


@pytest.mark.parametrize("name", LOOPS)
def test_equals_the_papers_loop(name: str):
    recipe, theirs = LOOPS[name]
    ours = craft(recipe.build(SOURCE.spec), SOURCE, ASKED, STREAMS)
    for row, image in enumerate(STREAMS.images):
        one = pick(ASKED, row)
        expected = theirs(one.images, int(one.labels), image)
        # 1e-9: rounding of float64 before each sign
        torch.testing.assert_close(ours[row : row + 1], expected, rtol=0, atol=1e-9)


def test_gama_without_guidance_is_a_margin_of_probabilities():
    """Spec 6.2.7; and with it, it is another attack."""
    plain = GamaPGD(**BUDGET, weight=0.0).build(SOURCE.spec)
    assert isinstance(plain, Chain)
    bare = craft(plain, SOURCE, ASKED, STREAMS)

    class Bare(Guided):
        def __call__(self, out, at):
            p = out.logits.softmax(1)
            y = at.task.labels[:, None]
            return p.scatter(1, y, -1).amax(1) - p.gather(1, y)[:, 0]

    assert torch.equal(craft(replace(plain, objective=Bare()), SOURCE, ASKED, STREAMS), bare)
    led = craft(GamaPGD(**BUDGET).build(SOURCE.spec), SOURCE, ASKED, STREAMS)
    assert float((led - bare).abs().max()) > EPS


def right(x: Tensor, asked=ASKED) -> Tensor:
    return observe(SOURCE, x, ()).logits.argmax(1) == asked.labels


def test_more_steps_and_more_restarts_never_help_the_defender():
    """Spec 6.2.7, 6.2.9: the best picture of a longer way; eps 0 leaves clean accuracy."""
    many = task(12, seed=2)
    many = replace(many, labels=observe(SOURCE, many.images, ()).logits.argmax(1))
    streams = Streams(0, tuple(range(12)))

    def stands(**knobs: float | int) -> Tensor:
        asked = {"eps": 2 / 255, "steps": 2, "step_size": 0.3 / 255, "keep": "best", **knobs}
        x = craft(PGD(**asked).build(SOURCE.spec), SOURCE, many, streams)
        assert bool((LinfBall(0).distance(x, many.images) <= asked["eps"] + 1e-12).all())
        return right(x, many)

    short, longer, again = stands(), stands(steps=12), stands(restarts=4)
    assert 0 < int(longer.sum()) < int(again.sum()) < int(short.sum())
    for better in (longer, again):
        assert not bool((better & ~short).any())
    assert bool(stands(eps=0.0).all())


def carlini(x0: Tensor, y: int, *, rounds: int, inner: int, kappa: float) -> Tensor:
    """The paper's loop for one picture: Adam on w, c by bisection; the nearest found, or the last."""
    c, low, high, best, found = 1.0, 0.0, 1e9, torch.inf, x0
    for _ in range(rounds):
        w = ((2 * x0 - 1) * 0.999999).atanh().requires_grad_()
        adam = torch.optim.Adam([w], lr=0.01)
        hit = False
        for _ in range(inner):
            x = (w.tanh() + 1) / 2
            z = SOURCE.logits(x)[0]
            far = (x - x0).square().sum()
            loss = far + c * (z[y] - others(z, y)).clamp_min(-kappa)
            lead = float(margin(z, y).detach())
            if lead > 0 and lead >= kappa:
                hit = True
                if float(far.detach()) < best:
                    best, found = float(far.detach()), x.detach()
            elif best == torch.inf:
                found = x.detach()
            adam.zero_grad()
            loss.backward()
            adam.step()
        if hit:
            high = min(high, c)
        else:
            low = max(low, c)
        c = (low + high) / 2 if high < 1e9 else 10 * c
    return found


def test_cw_l2_equals_the_papers_search():
    kappa = 0.5
    recipe = CWL2(steps=12, rounds=4, kappa=kappa, rounded=False)
    ours = craft(recipe.build(SOURCE.spec), SOURCE, ASKED, STREAMS)
    for row in range(2):
        one = pick(ASKED, row)
        expected = carlini(one.images, int(one.labels), rounds=4, inner=12, kappa=kappa)
        # 1e-9: the chain rule by hand and by autograd, rounding of float64
        torch.testing.assert_close(ours[row : row + 1], expected, rtol=0, atol=1e-9)
    assert not bool(right(ours).any())


def test_cw_l2_finds_nearer_pictures_than_a_ball_does_and_they_survive_a_file():
    attack = CWL2(steps=25, rounds=5).build(SOURCE.spec)
    assert attack.steps == 125
    states = [state for state, _ in run(attack, SOURCE, ASKED, STREAMS)]
    x = states[-1].x
    assert torch.equal(x, (x * 255).round() / 255)
    assert not bool(right(x).any())
    far = (x - ASKED.images).flatten(1).norm(dim=1)
    ball = craft(PGD(eps=EPS, steps=15).build(SOURCE.spec), SOURCE, ASKED, STREAMS)
    assert not bool(right(ball).any())
    assert bool((far < (ball - ASKED.images).flatten(1).norm(dim=1)).all())
    fooled = [state for state in states[::5] if not bool(right(state.x).any())]
    ways = [(state.x - ASKED.images).flatten(1).norm(dim=1) for state in fooled]
    assert bool((torch.stack(ways).diff(dim=0) <= 1e-12).all()), "a farther one replaced a nearer"
    cut = craft(CWL2(eps=EPS, steps=5, rounds=2).build(SOURCE.spec), SOURCE, ASKED, STREAMS)
    assert float((cut - ASKED.images).abs().max()) <= EPS + 1e-12


def test_dlr_needs_three_classes():
    two = replace(SOURCE.spec, classes=("a", "b"))
    with pytest.raises(UnsupportedModel, match="has 2 classes, and this loss needs 3"):
        PGDOnDLR().build(two)
