"""Alterations are values: spelled and read back exactly, and every pair works or is refused in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.alter.alteration import Alteration, Stack
from engine.alter.ats import TokenSampling
from engine.alter.bfloat16 import BFloat16
from engine.alter.cap import Cap
from engine.alter.catalog import (
    ALTERATIONS,
    BY_NAME,
    parse,
    parse_stack,
    spell,
    spell_stack,
)
from engine.alter.ensemble import ensemble
from engine.alter.float64 import Float64
from engine.alter.quantize.int8 import Int8
from engine.alter.saturated import Saturated
from engine.alter.scaled import Scaled
from engine.alter.stack import altered, named
from engine.alter.tokens import RobustnessTokens
from engine.alter.topk import FixedRatio
from engine.core.errors import BadKnob, BadStack, EngineError, UnknownName, UnsupportedModel
from engine.core.knobs import NAME, Knob, knobs
from engine.model.shelf import MOST_VARIABLE, SHELF, weight
from engine.model.sites import Site
from engine.model.victim import Victim
from tests.model.sparse.mechanisms import sparse
from tests.tiny import task, victim

PIXELS = task(3).images.float()
ATS, INT8, BF16 = TokenSampling(), Int8(3.0), BFloat16()
TOPK, CAP = FixedRatio(0.5), Cap(0.4)
TOKENS = RobustnessTokens("random", 3)
LOUD, SOFT, F64 = Saturated(5.0), Scaled("uniform", 0.3), Float64()


def single(source: Victim) -> Victim:
    return Victim(source.spec, source.module.float(), source.family)


def values(knob: Knob) -> st.SearchStrategy[Any]:
    if knob.kind == "flag":
        return st.booleans()
    if knob.kind == "text":
        return st.from_regex(NAME, fullmatch=True, alphabet=st.characters(codec="ascii"))
    if knob.kind == "choice":
        return st.sampled_from(knob.choices)
    low, high = cast(float, knob.low), cast(float, knob.high)
    return st.integers(int(low), int(high)) if knob.kind == "integer" else st.floats(low, high)


def each(kind: type[Alteration]) -> st.SearchStrategy[Alteration]:
    return st.builds(kind, **{one.name: values(one) for one in knobs(kind)})


@given(st.lists(st.one_of(*map(each, ALTERATIONS)), max_size=3).map(tuple))
def test_what_is_spelled_is_read_back_exactly(stack: Stack) -> None:
    assert parse_stack(spell_stack(stack)) == stack
    for one in stack:
        text = spell(one)
        assert parse(text) == one
        assert not set("|+") & set(text)  # else a model's name with it would fall apart


def test_spelling_leaves_defaults_out_and_reads_what_a_person_types() -> None:
    assert [spell(kind()) for kind in ALTERATIONS] == list(BY_NAME)
    assert list(BY_NAME) == [
        "ats",
        "topk",
        "cap",
        "tokens",
        "int8",
        "scaled",
        "saturated",
        "bfloat16",
        "float64",
    ]
    assert spell(Int8(4.0, "compact")) == "int8:threshold=4,product=compact"
    assert parse(" int8:product=all columns, threshold=4.0") == Int8(4.0)
    assert parse_stack("") == ()
    assert parse_stack("ats|int8:threshold=4") == (ATS, Int8(4.0))
    assert parse("tokens:file=deit3_base_patch16_224.fb_in1k").file.endswith(".fb_in1k")
    assert parse("cap:bound=0.6,by=random") == Cap(0.6, by="random")


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        ("ast", UnknownName, "There is no alteration called “ast”."),
        ("int8:treshold=4", UnknownName, "There is no knob of int8 called “treshold”."),
        ("int8:threshold=-1", BadKnob, "Threshold cannot be -1."),
        ("int8:threshold", EngineError, "“threshold” is no setting of int8."),
        ("int8:threshold=4,threshold=5", EngineError, "“threshold=5” is no setting of int8."),
        ("tokens:file=../secret", BadKnob, "Which tokens cannot be ../secret."),
        ("bfloat16:x=1", UnknownName, "There is no knob of bfloat16 called “x”."),
    ],
)
def test_what_cannot_be_read_is_one_sentence(text: str, error: type[EngineError], sentence: str):
    with pytest.raises(error) as caught:
        parse(text)
    assert caught.value.sentence == sentence
    assert caught.value.hint


MODELS: dict[str, Callable[[], Victim]] = {
    "vit": lambda: victim("vit"),
    "deit_distilled": lambda: victim("deit_distilled"),
    "pit": lambda: victim("pit"),
    "visformer": lambda: victim("visformer"),
    "resnet": lambda: victim("resnet"),
    "swin": lambda: victim("swin"),
    "avit": lambda: sparse("avit"),
    "adavit": lambda: sparse("adavit"),
}


DROPPING = (TokenSampling, FixedRatio)


def refusal(model: str, stack: Stack) -> str:
    """What the first alteration that cannot be says; "" where the whole stack stands."""
    for place, one in enumerate(stack):
        below = stack[:place]
        if type(one) in map(type, below):
            return f"{model} has {one.title} already."
        for last in below:
            if last.outermost:
                return f"{one.title} cannot be put on a model that runs in {last.title}."
        drops = model in ("avit", "adavit") or any(isinstance(each, DROPPING) for each in below)
        if isinstance(one, DROPPING) and drops:
            return "drops tokens already"
        if isinstance(one, DROPPING) and model not in ("vit", "deit_distilled"):
            return "cannot drop tokens."
        if isinstance(one, Cap) and not drops:
            return "drops no tokens, so there is nothing to bound."
        if isinstance(one, Int8) and model == "resnet":
            return "has no linear layers inside blocks."
        if isinstance(one, Saturated | Scaled) and model == "resnet":
            return "has no attention whose scores could be scaled."
        if isinstance(one, RobustnessTokens) and model in ("pit", "visformer", "resnet", "swin"):
            return f"{model} cannot host Robustness Tokens"
        if isinstance(one, Float64) and any(isinstance(each, Int8) for each in below):
            return "computes in int8, which float64 would leave as it is."
    return ""


PAIRS = list(product((ATS, TOPK, CAP, INT8, BF16), repeat=2))
ON_SCORES = [
    *((LOUD, other) for other in (ATS, INT8, SOFT, LOUD, BF16, F64)),
    *((ATS, SOFT), (INT8, SOFT), (INT8, F64), (BF16, F64), (F64, SOFT), (ATS, CAP, SOFT, F64)),
]
WITH_TOKENS = [
    *((TOKENS,), (TOKENS, ATS), (ATS, TOKENS), (TOKENS, INT8), (INT8, TOKENS), (TOKENS, CAP)),
    *(
        (CAP, TOKENS),
        (LOUD, TOKENS),
        (TOKENS, SOFT),
        (BF16, TOKENS),
        (TOKENS, F64),
        (TOKENS, TOKENS),
    ),
    *((TOKENS, ATS, CAP, INT8, BF16), (ATS, CAP, TOKENS)),
]
THREE = [(ATS, INT8, BF16), (INT8, ATS, BF16), (ATS, CAP, INT8), (INT8, TOPK, CAP)]
STACKS = [*PAIRS, *ON_SCORES, *WITH_TOKENS, *THREE, (ATS, INT8, CAP, BF16)]


@pytest.mark.parametrize("model", MODELS)
def test_every_pair_stands_and_works_or_is_refused_in_one_sentence(model: str) -> None:
    """Standing: finite logits, another function than the bare model's, all sites, a gradient."""
    bare = single(MODELS[model]())
    with torch.no_grad():
        plain = bare.logits(PIXELS)
    for stack in STACKS:
        wanted = refusal(model, stack)
        if wanted:
            with pytest.raises((BadStack, UnsupportedModel)) as caught:
                altered(bare, stack)
            assert wanted in caught.value.sentence
            assert caught.value.hint
            continue
        made = altered(bare, stack)
        assert made.spec.alterations == stack
        assert (made.spec.name, made.spec.full) == (model, f"{model}|{spell_stack(stack)}")
        leaf = PIXELS.clone().requires_grad_()
        with made.session(observe=made.spec.sites, gradients=made.spec.sites) as forward:
            out = forward(leaf)
            (g,) = torch.autograd.grad(out.logits.logsumexp(1).sum(), leaf)
        assert out.logits.isfinite().all()
        assert not torch.equal(out.logits, plain), stack
        assert {at.site for at in out.seen} == set(made.spec.sites)
        assert g.isfinite().all()
        assert (g.abs().amax((1, 2, 3)) > 0).all()
        with torch.no_grad():
            assert torch.equal(bare.logits(PIXELS), plain)  # the bare model is not touched


@pytest.mark.parametrize("pair", [(ATS, INT8), (TOKENS, ATS), (TOKENS, INT8), (TOKENS, LOUD)])
def test_what_acts_apart_is_one_victim_in_either_order(pair: Stack) -> None:
    bare = single(victim("vit"))
    one, other = (altered(bare, stack) for stack in (pair, pair[::-1]))
    with torch.no_grad():
        assert torch.equal(one.logits(PIXELS), other.logits(PIXELS))


@pytest.mark.parametrize("threshold", [0.5, 2.0])
def test_under_int8_ats_is_the_same_alone_looked_into_and_not(threshold: float) -> None:
    """Slots of tokens that are gone hold nothing of their own, so no column leaves int8 for them."""
    made = single(victim("vit")) | ATS | Int8(threshold)
    for picture in PIXELS.split(1):
        with torch.no_grad(), made.session(observe={Site.LINEAR_IN}) as forward:
            seen = forward(picture).logits
        with torch.no_grad():
            alone = made.logits(picture)
        # float32 through three blocks; one more column in 16 bits would move it by a percent
        torch.testing.assert_close(seen, alone, rtol=1e-4, atol=1e-5)


def test_altered_victims_are_made_once_and_kept_while_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    SHELF.clear()
    bare = single(victim("vit"))
    assert altered(bare, ()) is bare
    made = altered(bare, (INT8, BF16))
    assert altered(bare, (Int8(3.0), BFloat16())) is made
    assert altered(bare, (Int8(3.5), BF16)) is not made
    below = altered(bare, (INT8,))
    assert weight([made, below]) == weight([below])  # bfloat16 shares what int8 copied
    monkeypatch.setenv(MOST_VARIABLE, "1")
    altered(bare, (ATS,))
    assert altered(bare, (INT8,)) is not below
    SHELF.clear()


def test_names_of_ensembles_and_of_altered_models() -> None:
    made = {name: single(victim(name)) for name in ("vit", "resnet")}
    load = made.__getitem__
    assert named("vit", load) is made["vit"]
    assert named("vit|ats|int8:threshold=4", load).spec.full == "vit|ats|int8:threshold=4"
    assert named("vit|ats", load) is named("vit|ats", load)
    both = named("resnet+vit|ats", load)  # "|" binds tighter
    assert both.spec.name == "resnet + vit|ats"
    halves = (made["resnet"], made["vit"] | ATS)
    with torch.no_grad():
        assert torch.equal(both.logits(PIXELS), sum(m.logits(PIXELS) for m in halves) / 2)
    with pytest.raises(UnknownName):
        named("vit|", load)


def test_an_ensembles_alteration_is_that_of_each_member() -> None:
    members = single(victim("vit")), single(victim("pit", 1))
    made = ensemble(members) | INT8 | BF16
    with torch.no_grad():
        parts = [(member | INT8 | BF16).logits(PIXELS) for member in members]
        torch.testing.assert_close(made.logits(PIXELS), (parts[0] + parts[1]) / 2)


def test_a_first_block_that_does_not_exist_is_refused() -> None:
    source = single(victim("vit"))
    with pytest.raises(BadKnob, match=r"First block cannot be 4.*from 0 to 3"):
        source | TokenSampling(first=4)
    with torch.no_grad(), (source | TokenSampling(first=3)).session(observe={Site.KEEP}) as run:
        assert {at.block for at in run(PIXELS).seen} == {2}
