"""What a mechanism decides are sites: with graph up to the pixels, and what rules make of them holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pytest
import torch
from torch import Tensor

from engine.attack.moment import Moment
from engine.core.streams import Streams
from engine.model.sites import Address, Rule, Site
from engine.model.sparse import Decisions, Halting, Significance, SparseViT, Trace, cost
from engine.model.victim import Forward, Tap, Victim
from tests.model.sparse.mechanisms import KINDS, LOSSES, sparse
from tests.tiny import pick, task

ASKED = task(3)
every = pytest.mark.parametrize("kind", KINDS)
OWN = {"ats": Site.SIGNIFICANCE, "avit": Site.HALTING, "adavit": Site.DECISION}


def traced(victim: Victim, pixels: Tensor, *rules: Rule) -> tuple[Tensor, Trace]:
    """The mechanism's own record of the pass, which no site has a part in."""
    x = (pixels - victim._mean) / victim._std
    return cast(SparseViT, victim.module).trace(x, tap=Tap(rules, (), ()))


def as_seen(trace: Trace) -> dict[tuple[Site, str], list[Tensor]]:
    """What the sites should hold, block by block, out of the trace."""
    sparse = list(trace.sparse)
    found = {(Site.KEEP, ""): trace.keep[sparse], (Site.KEEP, "soft"): trace.soft[sparse]}
    match trace.gates:
        case Significance(scores):
            found[Site.SIGNIFICANCE, ""] = scores
        case Halting(h):
            found[Site.HALTING, ""] = h
        case Decisions(hard, soft):
            for which, choices in (("hard", hard), ("soft", soft)):
                for each, values in vars(choices).items():
                    found[Site.DECISION, f"{each}.{which}"] = values
        case None:
            raise AssertionError
    return {place: list(values) for place, values in found.items()}


@every
def test_sites_hold_what_the_trace_says_and_a_loss_on_them_reaches_the_pixels(kind: str) -> None:
    victim = sparse(kind)
    sites = {Site.KEEP, OWN[kind]}
    weigh = Streams(0).at("weights")
    there, here = (ASKED.images.clone().requires_grad_() for _ in range(2))
    wanted = as_seen(traced(victim, there)[1])
    with victim.session(observe=sites, gradients=sites) as forward:
        out = forward(here)
        one = two = torch.zeros((), dtype=torch.float64)
        for (site, slot), values in wanted.items():
            found = out.values(site, slot)
            for mine, own in zip(found, values, strict=True):
                assert torch.equal(mine, own.to(mine)), (site, slot)
                # the trace's 0/1 KEEP has no gradient; the site's is that of its soft counterpart
                if site is Site.KEEP and not slot:
                    continue
                w = torch.rand(own.shape, generator=weigh).to(own)
                one, two = one + (w * mine).sum(), two + (w * own).sum()
        (g,) = torch.autograd.grad(one, here, retain_graph=True)
        hard, soft = (torch.stack(out.values(Site.KEEP, slot)).sum() for slot in ("", "soft"))
        through = [torch.autograd.grad(each, here, retain_graph=True)[0] for each in (hard, soft)]
    (expected,) = torch.autograd.grad(two, there)
    assert float(expected.abs().max()) > 0
    # float64, the same operations: rounding only
    torch.testing.assert_close(g, expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(through[0], through[1], rtol=1e-9, atol=1e-12)
    assert 0 < float(torch.stack(wanted[Site.KEEP, ""]).double().mean()) < 1


@every
def test_a_loss_has_the_slope_that_differences_have_and_couples_no_pictures(kind: str) -> None:
    victim, objective = sparse(kind), LOSSES[kind]

    def gradient(x: Tensor) -> tuple[Tensor, Tensor]:
        leaf, sites = x.clone().requires_grad_(), objective.sites
        with victim.session(observe=sites, gradients=sites) as forward:
            loss = objective(forward(leaf), Moment(0, 1, ASKED))
            (g,) = torch.autograd.grad(loss.sum(), leaf)
        return g, loss.detach()

    g, loss = gradient(ASKED.images)
    alone = [gradient(ASKED.images[row : row + 1])[0] for row in range(3)]
    torch.testing.assert_close(torch.cat(alone), g, rtol=1e-9, atol=1e-12)
    if kind == "adavit":  # 0/1 decisions: flat between jumps, so differences have nothing to say
        return
    way = torch.randn(g.shape, generator=Streams(0).at("way")).to(g)
    up, down = (gradient(ASKED.images + step * way)[1] for step in (1e-6, -1e-6))
    slope = (g * way).sum((1, 2, 3))
    assert float(loss.abs().min()) > 0
    torch.testing.assert_close((up - down) / 2e-6, slope, rtol=1e-4, atol=1e-7)


@dataclass(frozen=True)
class Set(Rule):
    """A value at one site, in one slot."""

    site: Site
    slot: str
    value: float

    @property
    def sites(self) -> frozenset[Site]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return frozenset({self.site})

    def edit(self, x: Tensor, at: Address) -> Tensor:
        return torch.full_like(x, self.value) if at.slot == self.slot else x


@dataclass(frozen=True)
class AtMost(Rule):
    """DeSparsify's countermeasure (spec 5.1): no block keeps more than `most` patches."""

    most: int
    sites: frozenset[Site] = frozenset({Site.KEEP})

    def edit(self, x: Tensor, at: Address) -> Tensor:
        if at.slot:
            return x
        patches = x[:, 1:]
        return torch.cat((x[:, :1], patches * (patches.cumsum(1) <= self.most)), 1)


ON = {
    "ats": [Set(Site.SIGNIFICANCE, "", 1 / 16), Set(Site.KEEP, "", 1.0)],
    "avit": [Set(Site.HALTING, "", 0.0)],
    "adavit": [
        [Set(Site.DECISION, f"{each}.{which}", 1.0) for each in ("tokens", "heads", "sublayers")]
        for which in ("soft", "hard")
    ],
}


@pytest.mark.parametrize(("kind", "rule"), [(kind, rule) for kind in KINDS for rule in ON[kind]])
def test_what_rules_turn_on_is_on(kind: str, rule: Rule | list[Rule]) -> None:
    """Uniform scores, no halting, every decision on: the dense host, at its full cost."""
    victim = sparse(kind)
    rules = rule if isinstance(rule, list) else [rule]
    logits, trace = traced(victim, ASKED.images, *rules)
    host = victim.module.get_submodule("backbone")
    dense = host((ASKED.images - victim._mean) / victim._std)
    torch.testing.assert_close(logits, dense, rtol=1e-9, atol=1e-9)
    assert (cost.utilisation(trace) == 1).all()
    with torch.no_grad(), victim.session(rules=rules) as forward:
        torch.testing.assert_close(forward(ASKED.images).logits, dense, rtol=1e-9, atol=1e-9)


@every
def test_a_cap_on_kept_tokens_bounds_the_cost_of_every_picture(kind: str) -> None:
    victim = sparse(kind)
    free, capped = (traced(victim, ASKED.images, *rules)[1] for rules in ((), (AtMost(5),)))
    deciding = list(free.sparse)
    assert int(free.keep[deciding, :, 1:].sum(2).max()) > 5
    assert int(capped.keep[deciding, :, 1:].sum(2).max()) <= 5
    assert (cost.macs(capped) <= cost.macs(free)).all()
    if isinstance(capped.gates, Halting):  # what is stopped puts its remainder on its last block
        total = capped.gates.weights.sum(0)
        torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-12)
        assert not (capped.keep[1:] & ~capped.keep[:-1]).any()


@every
def test_each_picture_decides_alone_whoever_looks(kind: str) -> None:
    victim = sparse(kind)
    sites = victim.spec.sites

    def seen(pictures: Tensor) -> Forward:
        with torch.no_grad(), victim.session(observe=sites) as forward:
            return forward(pictures)

    together = seen(ASKED.images)
    for row in range(3):
        alone = seen(pick(ASKED, row).images)
        for at, value in alone.seen.items():
            if at.site in {Site.KEEP, OWN[kind]}:
                torch.testing.assert_close(value[0], together.seen[at][row], rtol=0, atol=1e-12)
