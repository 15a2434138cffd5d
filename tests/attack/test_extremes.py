"""Tokens read as extreme are those the rules erase; the control erases as many others."""

from __future__ import annotations

from dataclasses import replace

import pytest
import tiny
import torch
from torch import Tensor

from engine.attack.attack import Watch, craft
from engine.attack.extremes import Extremes, Shuffled
from engine.attack.recipes.tgr import TGR
from engine.attack.rule import Damp, Erasing, ExtremeHeads, ExtremePairs, ExtremeTokens, Only
from engine.core.streams import Streams
from engine.model.sites import Address, Rule, Site

AT = Address(Site.QKV, 0)
QKV, SCORES = frozenset({Site.QKV}), frozenset({Site.SCORES})
RULES: list[tuple[Erasing, tuple[int, ...]]] = [
    (ExtremeTokens(QKV, 0.5), (2, 9, 6)),
    (ExtremeTokens(QKV, 1.0, 3), (2, 9, 6)),
    (ExtremePairs(SCORES, 0.25), (2, 3, 9, 9)),
    (ExtremePairs(SCORES, 1.0, 2), (2, 3, 9, 9)),
    (ExtremePairs(SCORES, 0.5), (2, 3, 1, 9)),
    (ExtremeHeads(SCORES, 0.5), (2, 5, 1, 9)),
]


def noise(*shape: int) -> Tensor:
    """Without zeros, so that a zero after an edit was put there."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def armed(rule: Shuffled | Extremes, seed: int = 0) -> Shuffled | Extremes:
    return rule.arm(2, {}, Streams(seed).at("rules"))


def counted(edited: Tensor, picture: int) -> list[float]:
    """Per token, in how many channels (heads) its row or column is all zero: one by one."""
    found: list[float] = []
    one = edited[picture]
    if one.ndim == 2:
        tokens, channels = one.shape
        for n in range(tokens):
            found.append(sum(float(one[n, c]) == 0 for c in range(channels)) / channels)
        return found
    heads, rows, columns = one.shape
    for n in range(columns):
        hits = 0
        for head in range(heads):
            column = all(float(one[head, i, n]) == 0 for i in range(rows))
            row = rows == columns and all(float(one[head, n, j]) == 0 for j in range(columns))
            hits += column or row
        found.append(hits / heads)
    return found


@pytest.mark.parametrize(("rule", "shape"), RULES)
def test_the_tokens_read_are_those_the_rule_sets_to_zero(rule: Erasing, shape: tuple[int, ...]):
    g = noise(*shape)
    reader = armed(Extremes(rule))
    assert torch.equal(reader.grad(g, AT), g)
    edited = rule.grad(g, AT)
    for picture in range(2):
        # 1e-6: shares are read in float32
        assert reader.kept[AT][picture].tolist() == pytest.approx(
            counted(edited, picture), abs=1e-6
        )


def test_a_gradient_that_is_zero_anyway_is_not_counted_as_lost():
    """The last block of a class-token model: one token has a gradient, and it is always extreme."""
    g = torch.zeros(2, 5, 4)
    g[:, 0] = noise(2, 4)
    reader = armed(Extremes(ExtremeTokens(QKV, 0.5)))
    reader.grad(g, AT)
    assert reader.kept[AT].tolist() == [[1, 0, 0, 0, 0]] * 2


def test_where_a_rule_erases_nothing_nothing_is_kept():
    other = Address(Site.QKV, 1)
    confined = Only(ExtremeTokens(QKV, 0.5), blocks=frozenset({1}))
    for rule in (confined, Damp(QKV, 0.5), ExtremeTokens(QKV, 0.5, 0)):
        reader = armed(Extremes(rule))
        reader.grad(noise(2, 5, 4), AT)
        assert not reader.kept
    reader = armed(Extremes(confined))
    reader.grad(noise(2, 5, 4), other)
    assert set(reader.kept) == {other}


def gone(edited: Tensor) -> list[int]:
    """How many entries are zero: per channel of tokens, or per head of pairs."""
    axes = 1 if edited.ndim == 3 else (2, 3)
    return (edited == 0).sum(axes).flatten().tolist()


@pytest.mark.parametrize(("rule", "shape"), RULES)
def test_the_control_zeroes_as_many_and_scales_the_rest_alike(
    rule: Erasing, shape: tuple[int, ...]
):
    g = noise(*shape)
    control = armed(Shuffled(rule))
    edited, ruled = control.grad(g, AT), rule.grad(g, AT)
    if isinstance(rule, ExtremeHeads):
        assert torch.equal((edited == 0).sum(1), (ruled == 0).sum(1))
    else:
        assert gone(edited) == gone(ruled)
    assert bool(((edited == 0) | (edited == rule.gamma * g)).all())
    assert not torch.equal(edited, ruled)
    for picture in range(2):
        expected = counted(edited, picture)
        assert control.kept[AT][picture].tolist() == pytest.approx(expected, abs=1e-6)


def test_the_control_draws_every_token_alike():
    g = noise(1, 10, 4000)
    control = Shuffled(ExtremeTokens(QKV, 0.5)).arm(1, {}, Streams(0).at("rules"))
    control.grad(g, AT)
    # shares of 4000 draws at p = 0.2 scatter by sqrt(p (1 - p) / 4000) = 0.0063; five of those
    assert control.kept[AT][0].tolist() == pytest.approx([0.2] * 10, abs=0.032)


def test_the_control_shares_out_ties_too():
    """Where one token alone has a gradient the rule always takes it, the control as rarely as any."""
    g = torch.zeros(1, 20, 4000)
    g[:, 0] = noise(1, 4000)
    control = Shuffled(ExtremeTokens(QKV, 0.5)).arm(1, {}, Streams(0).at("rules"))
    edited = control.grad(g, AT)
    # it is one of 2 of 20: p = 0.1, five times sqrt(p (1 - p) / 4000)
    assert float((edited[0, 0] == 0).float().mean()) == pytest.approx(0.1, abs=0.024)
    assert control.kept[AT][0, 1:].tolist() == [0] * 19


def test_the_control_draws_by_seed_step_and_picture():
    g = noise(2, 9, 6)
    rule = Shuffled(ExtremeTokens(QKV, 0.5))

    def edited(streams: Streams, step: int, rows: slice) -> Tensor:
        part = g[rows]
        return rule.arm(len(part), {}, streams.at("step", step)).grad(part, AT)

    both = edited(Streams(0, (0, 1)), 0, slice(0, 2))
    assert torch.equal(both, edited(Streams(0, (0, 1)), 0, slice(0, 2)))
    assert torch.equal(both[1:], edited(Streams(0, (1,)), 0, slice(1, 2)))
    assert not torch.equal(both, edited(Streams(0, (0, 1)), 1, slice(0, 2)))
    assert not torch.equal(both, edited(Streams(1, (0, 1)), 0, slice(0, 2)))


def test_a_control_that_was_not_armed_is_an_error():
    with pytest.raises(RuntimeError, match="armed"):
        Shuffled(ExtremeTokens(QKV, 0.5)).grad(noise(2, 9, 6), AT)


@pytest.mark.parametrize("model", tiny.MODULES)
def test_reading_changes_no_bit_of_the_attack_and_reads_what_it_zeroes(model: str):
    victim, asked = tiny.victim(model), tiny.task(1)
    attack = TGR(steps=2).build(victim.spec)
    readers: tuple[Rule, ...] = tuple(Extremes(rule) for rule in attack.rules)
    watched = replace(attack, rules=(*readers, *attack.rules))
    plain = craft(attack, victim, asked, Streams(0))
    assert torch.equal(craft(watched, victim, asked, Streams(0)), plain)
    sites = frozenset(site for rule in attack.rules for site in rule.sites)
    state = watched.init(victim, asked, Streams(0))
    state, info = watched.step(victim, asked, state, Streams(0), Watch(gradients=sites))
    assert info.out is not None
    kept = {at: share for memory in state.rules for at, share in memory.items()}
    assert {at.site for at in kept} == sites
    for at, share in kept.items():
        edited = info.out.grads[at]
        assert share.shape[0] == edited.shape[0]
        zeroed = torch.tensor([counted(edited, i) for i in range(len(edited))])
        # what was zero anyway is zero after the edit, too, but was not lost
        assert bool((share <= zeroed + 1e-6).all())
