"""The comparison on one picture: each variant is the recipe it stands for, read as it runs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import tiny
import torch
from torch import Tensor

from engine.attack.attack import Watch, craft
from engine.attack.constraint import to_8bit
from engine.attack.recipes.mifgsm import MIFGSM
from engine.attack.recipes.tgr import TGR
from engine.core.errors import MissingSite
from engine.core.streams import Streams
from engine.data.samples import load_sample
from engine.model.sites import Address, Site
from engine.model.victim import Victim
from engine.papers.tgr import ablation
from engine.papers.tgr import compare as why
from engine.probe import gradients
from engine.studio import Subject

STEPS = 3
ORDER = ("baseline", "gamma", "zeroing", "both", "random")


def source(name: str = "vit") -> Victim:
    made = tiny.victim(name)
    return replace(made, module=made.module.float())


def case(name: str = "vit") -> Subject:
    gen = Streams(3).at("picture")
    pixels = torch.randint(0, 256, (3, tiny.SIZE, tiny.SIZE), generator=gen).to(torch.uint8)
    return Subject(source(name), pixels, 2)


def readings(of: Subject, tgr: TGR) -> dict[str, list[why.Reading]]:
    found: dict[str, list[why.Reading]] = {name: [] for name in ORDER}
    for each in why.compare(of, tgr):
        found[each.variant].append(each)
    return found


@pytest.fixture(scope="module")
def told() -> dict[str, list[why.Reading]]:
    return readings(case(), TGR(steps=STEPS))


def test_the_switch_is_the_recipe_with_those_knobs():
    tgr = TGR(eps=8 / 255, steps=4, k=2, attention=0.5, qkv=0.25, mlp=0.75, components="qkv+mlp")
    found = why.variants(tgr)
    assert tuple(found) == ORDER
    assert found["baseline"] == MIFGSM(eps=8 / 255, steps=4)
    assert found["gamma"] == replace(tgr, k=0)
    assert found["zeroing"] == replace(tgr, attention=1.0, qkv=1.0, mlp=1.0)
    assert found["both"] is tgr
    assert {"k": 2, "attention": 0.5, "components": "qkv+mlp"}.items() <= vars(
        found["random"]
    ).items()


@pytest.mark.parametrize("name", ["vit", "swin", "cait", "visformer"])
def test_each_variant_ends_where_its_recipe_alone_ends(name: str):
    of, tgr = case(name), TGR(steps=STEPS)
    found = readings(of, tgr)
    for variant, recipe in why.variants(tgr).items():
        alone = craft(recipe.build(of.victim.spec), of.victim, of.task, Streams(0))
        saved = to_8bit(alone, of.task.images, tgr.eps)[0]
        assert torch.equal(found[variant][-1].pixels, saved), variant


def test_variants_take_their_steps_in_turn():
    seen = [(each.step, each.variant) for each in why.compare(case(), TGR(steps=2))]
    assert seen == [(step, variant) for step in range(2) for variant in ORDER]


def test_all_start_from_the_same_picture(told: dict[str, list[why.Reading]]):
    first = [told[name][0] for name in ORDER]
    assert len({each.loss for each in first}) == 1
    assert len({each.probability for each in first}) == 1
    # what the gradients would lose first is looked for where nothing was edited before: last block
    (base, *others) = (each.extremes[-1][2] for each in first[:4])
    assert all(torch.equal(base, other) for other in others)


def test_statistics_are_those_of_the_gradients_the_attack_followed(
    told: dict[str, list[why.Reading]],
):
    of, tgr = case(), TGR(steps=1)
    for variant, recipe in why.variants(tgr).items():
        attack = recipe.build(of.victim.spec)

        state = attack.init(of.victim, of.task, Streams(0))
        _, info = attack.step(
            of.victim, of.task, state, Streams(0), Watch(gradients=gradients.SITES)
        )
        read = gradients.read(info.out, of.victim.spec.blocks)
        one = next(each for each in why.compare(of, tgr) if each.variant == variant)
        for ours, theirs in (
            (one.variance, read.variance),
            (one.dispersion, read.dispersion),
            (one.kurtosis, read.kurtosis),
        ):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=0, equal_nan=True)
    assert told["both"][0].variance.shape == (3, 3)


def zeroed_by_hand(g: Tensor) -> list[float]:
    """TGR's token rule at k = 1, entry by entry: how often each token is largest or smallest."""
    tokens, channels = g.shape
    hits = [0] * tokens
    for c in range(channels):
        column = [float(v) for v in g[:, c]]
        for n in {column.index(max(column)), column.index(min(column))}:
            hits[n] += column[n] != 0
    return [hit / channels for hit in hits]


def test_extremes_are_the_tokens_the_rule_zeroes_found_by_hand():
    of = case()
    first = next(each for each in why.compare(of, TGR(steps=1)) if each.variant == "baseline")
    attack = MIFGSM(steps=1).build(of.victim.spec)

    state = attack.init(of.victim, of.task, Streams(0))
    _, info = attack.step(of.victim, of.task, state, Streams(0), Watch(gradients=gradients.SITES))
    for block in range(of.victim.spec.depth):
        for column, site in ((1, Site.QKV), (2, Site.MLP_OUT)):
            g = info.out.grads[Address(site, block)][0]
            expected = zeroed_by_hand(g)
            assert first.extremes[block][column].tolist() == pytest.approx(expected, abs=1e-6)


def test_without_extremes_to_look_for_zeroing_alone_is_mi_fgsm():
    found = readings(case(), TGR(steps=STEPS, k=0))
    assert torch.equal(found["zeroing"][-1].pixels, found["baseline"][-1].pixels)
    assert torch.equal(found["random"][-1].pixels, found["both"][-1].pixels)
    assert not any(part.any() for block in found["both"][-1].extremes for part in block)


def test_components_not_chosen_are_read_and_left_alone():
    found = readings(case(), TGR(steps=1, components="qkv"))
    base, both = found["baseline"][0], found["both"][0]
    # gradients reach the deepest block's MLP and scores before any QKV output
    assert both.variance[-1, [0, 2]].tolist() == base.variance[-1, [0, 2]].tolist()
    assert float(both.variance[-1, 1]) < float(base.variance[-1, 1])
    assert bool(both.extremes[-1][0].any())


@pytest.mark.parametrize("name", tiny.MODULES)
def test_every_family_is_read_block_by_block(name: str):
    of, tgr = case(name), TGR(steps=1)
    spec = of.victim.spec
    had = why.parts(spec, tgr)
    for each in why.compare(of, tgr):
        assert each.variance.shape == (spec.depth, 3)
        for shape, row in zip(spec.blocks, each.extremes, strict=True):
            for part, found in zip(("attention", "qkv", "mlp"), row, strict=True):
                windowed = shape.window not in (None, shape.grid) and part != "mlp"
                assert (found is None) == (part not in had or windowed)
                if found is not None:
                    assert found.shape == (shape.prefix + shape.grid[0] * shape.grid[1],)
                    assert 0 <= float(found.min()) <= float(found.max()) <= 1


def test_a_component_the_model_lacks_is_refused_kindly():
    with pytest.raises(MissingSite, match="no attention and QKV gradients") as caught:
        next(why.compare(case("resnet"), TGR(components="attention+qkv")))
    assert caught.value.hint == "It has MLP."


def test_the_true_class_is_the_sources_own_answer_or_the_one_given():

    made = source()
    image = load_sample("church")
    own = Subject.of(made, image)
    assert own.label == int(made.logits(own.task.images).argmax())
    given = Subject.of(made, image, (own.label + 1) % tiny.CLASSES)
    assert given.label != own.label
    assert given.called == made.spec.classes[given.label]


def test_answers_are_judged_by_name():
    of = case()
    other = replace(of.victim, spec=replace(of.victim.spec, classes=of.victim.spec.classes[::-1]))
    here, there = (why.answers(model, [of.pixels], "class 2")[0] for model in (of.victim, other))
    p = of.victim.logits(of.task.images)[0].softmax(0)
    # 1e-6: one picture alone or in a batch, in float32
    assert here.probability == pytest.approx(float(p[2]), abs=1e-6)
    assert there.probability == pytest.approx(float(p[tiny.CLASSES - 3]), abs=1e-6)
    assert here.fooled == (int(p.argmax()) != 2)
    unknown = why.answers(other, [of.pixels, of.pixels], "a class of its own")
    assert [(each.probability, each.fooled) for each in unknown] == [(None, None)] * 2


def test_the_ablation_has_the_control_at_every_budget():
    found = [each for each in ablation.settings() if isinstance(each, ablation.RandomTokens)]
    assert sorted({each.eps * 255 for each in found}) == pytest.approx([8, 16])
    assert len(set(ablation.settings())) == len(ablation.settings())
