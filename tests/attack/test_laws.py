"""Laws every recipe obeys on every kind of victim: a new recipe or family is covered by being there."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from engine.attack.attack import Attack, Info, State, Watch, craft, run
from engine.attack.best import Best
from engine.attack.catalog import BY_NAME, RECIPES
from engine.attack.chain import Chain
from engine.attack.constraint import to_8bit
from engine.attack.criterion import GapClosed
from engine.attack.moment import Moment
from engine.attack.recipe import Recipe
from engine.attack.sequence import Sequence
from engine.core.knobs import knobs
from engine.core.streams import Streams
from engine.model.families import FAMILIES
from engine.model.sites import Site
from engine.model.task import Task
from engine.model.victim import Victim
from tests.model.sparse.mechanisms import KINDS, sparse
from tests.tiny import CLASSES, MODULES, pick, task, victim

EPS, STEPS = 8 / 255, 2
DRAWING = {"pgd", "feature", "apgd", "cw", "dlr", "gama_pgd", "gama_fw", "square", "vmi", "dim"}
"""Recipes whose noise has the batch's shape."""
GRADIENTLESS = {"square"}
"""Recipes that only ask for answers."""
NO_ANSWER = {"sponge", "slowformer"}
"""Recipes whose loss reads blocks and no answer, so that it does not go back through what the head reads."""
NEAREST = {"cw_l2", "fab"}
"""Recipes that look for the nearest picture, not for the edge of the ball."""
TURNS = {"autoattack", "autoattack_quick"}
"""Made of others in turn, and they leave alone what is wrong already: test_autoattack.py has their laws."""


def short(kind: type[Recipe], eps: float = EPS) -> Recipe:
    """The recipe at a small budget: few steps, few inner samples, all else as published."""
    declared = {each.name: each for each in knobs(kind)}
    steps = min(STEPS, int(declared["steps"].high or STEPS))
    small = {"eps": eps, "steps": steps, "samples": 2, "targets": 2, "queries": 3, "rounds": 2}
    return kind(**{name: value for name, value in small.items() if name in declared})


@functools.cache
def built(recipe: str, model: str) -> tuple[Attack, Victim]:
    source = sparse(model) if model in KINDS else victim(model)
    return short(BY_NAME[recipe]).build(source.spec), source


def chain_of(attack: Attack) -> Chain | None:
    """The chain of parts that the attack is, or is made of (the first, of several in turn)."""
    if isinstance(attack, Sequence):
        return chain_of(attack.attacks[0])
    if isinstance(attack, Best):
        return chain_of(attack.attack)
    return attack if isinstance(attack, Chain) else None


def needs(attack: Attack) -> frozenset[str]:
    chain = chain_of(attack)
    rules = (site for rule in (chain.rules if chain else ()) for site in rule.sites)
    return frozenset({*rules, *(chain.sites if chain else ())})


def one_per_family() -> list[str]:
    """The first victim of each family; how members of one family differ is no matter here."""
    first: dict[type, str] = {}
    for name, make in MODULES.items():
        first.setdefault(next(k for k in type(make()).__mro__ if k in FAMILIES), name)
    return list(first.values())


def suited() -> list[tuple[str, str]]:
    """Recipe and victim: those that look inside on every family that has what they need."""
    found: list[tuple[str, str]] = []
    for name in one_per_family():
        for kind in (each for each in RECIPES if each.name not in TURNS):
            attack, source = built(kind.name, name)
            inside = needs(attack)
            if inside <= source.spec.sites and (inside or name in ("vit", "resnet")):
                found.append((kind.name, name))
    asleep = [kind.name for kind in RECIPES if isinstance(kind().criterion, GapClosed)]
    return [*found, *((name, kind) for name in asleep for kind in KINDS)]


CASES = suited()
over_everything = pytest.mark.parametrize(("recipe", "model"), CASES)


def fingerprint(source: Victim) -> tuple[object, ...]:
    """All that an attack could leave behind in a module."""
    digest = hashlib.sha256()
    for name, value in source.module.state_dict().items():
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    marks = [
        (
            name,
            module.training,
            sorted(k for k in vars(module) if k == "forward"),
            [len(h) for k, h in sorted(vars(module).items()) if k.endswith("_hooks") and h],
            getattr(module, "fused_attn", None),
            getattr(module, "scale", None),
        )
        for name, module in source.module.named_modules()
    ]
    flags = [(n, p.requires_grad, p.grad is None) for n, p in source.module.named_parameters()]
    return digest.hexdigest(), repr(marks), repr(flags)


@dataclass(frozen=True)
class Crafted:
    """One attack from start to end, with what it left behind after its first step and at the end."""

    states: list[State]
    infos: list[Info]
    marks: list[tuple[object, ...]]
    global_random_state: list[Tensor]


@functools.cache
def crafted(recipe: str, model: str) -> Crafted:
    attack, source = built(recipe, model)
    marks, states, infos, draws = [fingerprint(source)], [], [], [torch.get_rng_state()]
    for state, info in run(attack, source, task(2), Streams(0)):
        states.append(state)
        infos.append(info)
        marks.append(fingerprint(source))
    draws.append(torch.get_rng_state())
    return Crafted(states, infos, marks, draws)


def result(recipe: str, model: str) -> Tensor:
    return crafted(recipe, model).states[-1].x


def test_every_recipe_and_every_family_is_here():
    assert {recipe for recipe, _ in CASES} == set(BY_NAME) - TURNS
    assert {model for _, model in CASES} == {*one_per_family(), *KINDS}
    assert {("tgr", name) for name in one_per_family()} <= set(CASES)


@pytest.mark.parametrize("recipe", BY_NAME)
def test_a_recipe_says_before_a_run_how_many_steps_it_has(recipe: str):
    source = victim("vit")
    for kind in (short(BY_NAME[recipe]), BY_NAME[recipe]()):
        if kind.criterion.lacks(source.spec) is None:
            assert kind.build(source.spec).steps == kind.in_all(CLASSES)


@over_everything
def test_stays_in_the_ball_and_the_box_even_when_saved(recipe: str, model: str):
    x0 = task(2).images
    for state in crafted(recipe, model).states:
        assert float((state.x - x0).abs().max()) <= EPS + 1e-7
        assert 0 <= float(state.x.min())
        assert float(state.x.max()) <= 1
    x = result(recipe, model)
    saved = to_8bit(x, x0, EPS).int()
    assert int((saved - (x0 * 255).round().int()).abs().max()) <= 8
    if recipe not in NEAREST:
        moved = (x - x0).abs().amax((1, 2, 3))
        assert float(moved.min()) > EPS / 4, "some picture was not attacked"


@over_everything
def test_the_same_seed_gives_the_same_bits_and_uses_no_global_generator(recipe: str, model: str):
    attack, source = built(recipe, model)
    before, after = crafted(recipe, model).global_random_state
    assert torch.equal(before, after)
    torch.rand(3)  # the global generator must play no part
    assert torch.equal(craft(attack, source, task(2), Streams(0)), result(recipe, model))


@over_everything
def test_a_picture_does_not_feel_its_neighbours(recipe: str, model: str):
    attack, source = built(recipe, model)
    asked, others = task(2), task(2, seed=1)
    mixed = replace(
        asked,
        images=torch.cat((asked.images[:1], others.images[1:])),
        labels=torch.cat((asked.labels[:1], others.labels[1:])),
    )
    # float64: what differs is the rounding of matrix products, ~1e-16 before each sign
    torch.testing.assert_close(
        craft(attack, source, mixed, Streams(0))[0], result(recipe, model)[0], rtol=0, atol=1e-9
    )


@pytest.mark.parametrize(("recipe", "model"), [c for c in CASES if c[0] not in DRAWING])
def test_a_batch_is_its_pictures_one_by_one_in_any_order(recipe: str, model: str):
    attack, source = built(recipe, model)
    alone = [craft(attack, source, pick(task(2), i), Streams(0))[0] for i in range(2)]
    torch.testing.assert_close(torch.stack(alone), result(recipe, model), rtol=0, atol=1e-9)
    turned = craft(attack, source, pick(task(2), 1, 0), Streams(0))
    torch.testing.assert_close(turned.flip(0), result(recipe, model), rtol=0, atol=1e-9)


@pytest.mark.parametrize("recipe", sorted(DRAWING & set(BY_NAME)))
def test_named_pictures_take_their_noise_with_them(recipe: str):
    attack, source = built(recipe, "vit")
    both = craft(attack, source, task(2), Streams(0, images=(7, 9)))
    second = craft(attack, source, pick(task(2), 1), Streams(0, images=(9,)))
    torch.testing.assert_close(second, both[1:], rtol=0, atol=1e-9)


@over_everything
def test_leaves_model_and_pictures_as_they_were(recipe: str, model: str):
    """Also between two steps: nothing is open across a yield."""
    first, *later = crafted(recipe, model).marks
    assert later
    assert all(mark == first for mark in later)
    attack, source = built(recipe, model)
    asked = task(2)
    abandoned = run(attack, source, asked, Streams(0))
    next(abandoned)
    abandoned.close()
    assert fingerprint(source) == first
    assert torch.equal(asked.images, task(2).images)
    assert not asked.images.requires_grad


@over_everything
def test_gradient_is_finite_and_not_all_zero(recipe: str, model: str):
    first = crafted(recipe, model).infos[0]
    if recipe in GRADIENTLESS:
        assert first.g is None
        return
    assert first.g is not None
    assert bool(torch.isfinite(first.g).all())
    assert bool(first.g.abs().amax((1, 2, 3)).gt(0).all())


@over_everything
def test_zero_steps_and_zero_budget_change_nothing(recipe: str, model: str):
    attack, source = built(recipe, model)
    asked = task(1)
    if isinstance(attack, Chain):
        assert torch.equal(craft(replace(attack, steps=0), source, asked, Streams(0)), asked.images)
    still = short(BY_NAME[recipe], eps=0.0).build(source.spec)
    assert torch.equal(craft(still, source, asked, Streams(0)), asked.images)


@over_everything
def test_recording_does_not_change_the_attack(recipe: str, model: str):
    attack, source = built(recipe, model)
    asked, streams = task(2), Streams(0)
    watch = Watch(source.spec.sites, source.spec.sites)
    state = attack.init(source, asked, streams)
    while state.step < attack.steps:
        state, info = attack.step(source, asked, state, streams, watch)
        if isinstance(attack, Chain):
            assert (info.out is not None) is attack.plain
        if info.out is not None and recipe not in GRADIENTLESS:
            # ATS's scores and what it keeps move no logit, a count has no slope: what goes back
            # through them is a loss's that reads them
            still = {Site.KEEP, Site.COST, Site.SIGNIFICANCE}
            if recipe in NO_ANSWER:
                still |= {Site.FEATURE}
            assert {at.site for at in info.out.grads} - still == set(source.spec.sites) - still
    # recording scores runs explicit attention: rounding of float64
    torch.testing.assert_close(state.x, result(recipe, model), rtol=0, atol=1e-9)


@pytest.mark.parametrize("recipe", ["fgsm", "tgr"])
def test_aiming_at_a_class_is_the_opposite_of_fleeing_it(recipe: str):
    source, attack = built(recipe, "vit")[1], chain_of(built(recipe, "vit")[0])
    assert attack is not None
    asked = task(targeted=True)
    assert asked.target is not None
    flee = Task(asked.images, asked.target)

    def slope(goal: Task) -> Tensor:
        at = Moment(0, 1, goal)
        return attack.gradient(source, goal.images, at, Streams(0).at("x"), Watch()).g

    torch.testing.assert_close(slope(asked), -slope(flee), rtol=0, atol=1e-15)


@pytest.mark.parametrize("recipe", ["pgd", "mifgsm", "tgr"])
def test_attacks_raise_the_loss_of_their_source(recipe: str):
    losses = [info.loss for info in crafted(recipe, "vit").infos]
    source, attack = built(recipe, "vit")[1], chain_of(built(recipe, "vit")[0])
    assert attack is not None
    with torch.no_grad(), source.session() as forward:
        out = forward(result(recipe, "vit"))
    last = attack.objective(out, Moment(STEPS, STEPS, task(2)))
    assert bool((last > losses[0]).all())


def test_steps_are_values_that_can_be_taken_again():
    attack, source = built("fpr", "vit")
    asked, streams = task(2), Streams(0)
    state, _ = attack.step(source, asked, attack.init(source, asked, streams), streams)
    once, _ = attack.step(source, asked, state, streams)
    again, _ = attack.step(source, asked, state, streams)
    assert torch.equal(once.x, again.x)
