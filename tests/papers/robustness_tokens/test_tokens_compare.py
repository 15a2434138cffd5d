"""One picture under every threat, on a tiny victim: what is shown is what is saved, and who knows what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch import Tensor

from engine.alter.quantize.peaks import Peaks
from engine.attack.attack import observe
from engine.core.streams import Streams
from engine.evaluate.feature import featured
from engine.evaluate.judge import shown
from engine.evaluate.progress import Progress
from engine.model import zoo
from engine.model.sites import Site
from engine.model.tokens import hosted
from engine.papers.desparsify.passes import look as kept_by
from engine.papers.export import Made, Source
from engine.papers.robustness_tokens import export, sentence
from engine.papers.robustness_tokens.compare import Asked, Report, Working, report
from engine.papers.robustness_tokens.inside import Scope
from engine.papers.robustness_tokens.threat import ADAPTIVE, RESTARTS, SURROGATE, THREATS, TRANSFER
from engine.train.tokens import TokenTraining, attacked, train
from tests import tiny

VICTIM = tiny.victim()
PIXELS = (tiny.task(6).images * 255).round().to(torch.uint8)
LIMIT = 1.0
EPS = 4 / 255


def tokens(count: int = 3, seed: int = 0, spread: float = 1.0) -> Tensor:
    return spread * torch.randn(count, 24, generator=Streams(seed).at("tokens"))


def asked(**changed: object) -> Asked:
    run = Asked(
        picture=PIXELS[0],
        label=None,
        tokens=tokens(),
        training=TokenTraining(count=2, steps=3, attack_steps=1, batch=2),
        others=PIXELS[1:4],
        source="made up",
        surrogate=tokens(seed=1),
        eps=EPS,
        steps=2,
        restarts=3,
        threshold=LIMIT,
    )
    return replace(run, **changed)


def last(events: Iterator[Progress | Working | Report]) -> Report:
    *_, found = (event for event in events if isinstance(event, Report))
    return found


@pytest.fixture(scope="module")
def events() -> list[Progress | Working | Report]:
    return list(report(VICTIM, asked()))


def until_clean(run: Asked) -> list[Report]:
    """The reports of a run up to the clean picture."""
    found = list[Report]()
    events = report(VICTIM, run, lambda: bool(found) and found[-1].clean is not None)
    for event in events:
        found += [event] if isinstance(event, Report) else []
    return found


def test_every_threat_is_shown_on_what_is_saved(events: list[Progress | Working | Report]) -> None:
    reports = [each for each in events if isinstance(each, Report)]
    steps = [each.step for each in events if isinstance(each, Working)]
    found, private = reports[-1], hosted(VICTIM, tokens())
    assert [len(each.outcomes) for each in reports] == [0, 1, 2, 3, 4]
    assert [each.whole for each in reports] == [False] * 4 + [True]
    assert tuple(each.threat for each in found.outcomes) == found.threats == THREATS
    assert steps == list(range(1, found.asked + 1))  # 2 aims x 2 steps x (1 + 1 + 1 + 2) tries
    assert found.steps == found.asked == 20
    assert found.clean is not None
    assert found.clean.public.kept == pytest.approx(1)
    wanted = featured(VICTIM, PIXELS[:1])
    for each in found.outcomes:
        for aim in (each.feature, each.answer):
            assert 0 < aim.linf <= 4
            now = featured(private, aim.pixels[None])
            assert aim.private.kept == pytest.approx(float(now.near(wanted)))
            assert aim.private.top[0][0] == int(now.answers)
            assert aim.private.fooled == (int(now.answers) != found.label)
    by = {each.threat: each for each in found.outcomes}
    assert by[RESTARTS].feature.private.kept <= by[ADAPTIVE].feature.private.kept
    assert by[RESTARTS].gradients == 3 * by[ADAPTIVE].gradients == 6


def test_who_lacks_the_tokens_makes_the_same_pictures_whatever_these_are() -> None:
    """Law 8 of C7: in transfer mode the picture is independent of r; the adaptive one's is not."""
    one, other = (
        last(report(VICTIM, asked(tokens=tokens(seed=s), surrogate=None, restarts=2, steps=1)))
        for s in (0, 5)
    )
    assert SURROGATE not in one.threats
    assert "no surrogate" in " ".join(one.notes)
    pairs = [dict(zip((TRANSFER, ADAPTIVE), each.outcomes, strict=False)) for each in (one, other)]
    same = {t: torch.equal(*(each[t].feature.pixels for each in pairs)) for t in pairs[0]}
    assert same == {TRANSFER: True, ADAPTIVE: False}


def test_tokens_trained_here_are_those_of_the_training_and_its_curve_is_told() -> None:
    run = asked(tokens=None, steps=1, restarts=2)
    reports = until_clean(run)
    assert [len(each.curve) for each in reports] == [0, 1, 2, 3]
    assert (reports[0].asked, reports[0].threats, reports[0].curve_asked) == (
        8,
        THREATS,
        3,
    )  # 2 aims x 4 tries
    pictures, streams = PIXELS[:4], Streams(0)
    made = [e for e in attacked(VICTIM, pictures, run.training, streams) if isinstance(e, Tensor)]
    *_, learned = train(VICTIM, pictures, torch.cat(made), run.training, streams)
    clean = until_clean(replace(run, tokens=learned.tokens))[-1].clean
    assert (reports[-1].clean, reports[-1].tokens) != (None, 3)
    assert clean is not None
    assert reports[-1].clean is not None
    assert clean.private == reports[-1].clean.private
    assert reports[-1].curve[-1].inv == learned.inv


def test_a_stopped_run_keeps_what_is_finished() -> None:
    seen = list[object]()
    for event in report(
        VICTIM, asked(), lambda: any(isinstance(e, Report) and e.outcomes for e in seen)
    ):
        seen.append(event)
    found = [each for each in seen if isinstance(each, Report)][-1]
    assert (len(found.outcomes), found.whole) == (1, False)
    none = list(report(VICTIM, asked(tokens=None), lambda: True))
    assert all(each.clean is None for each in none if isinstance(each, Report))


def test_inside_counts_the_tokens_only_where_it_says_so() -> None:
    r = tokens(spread=30.0)
    private = hosted(VICTIM, r)
    bare, armed = Scope.on(VICTIM, 0, LIMIT).look(PIXELS), Scope.on(private, 3, LIMIT).look(PIXELS)
    assert (bare.own, bare.mass) == (None, None)
    peaks = Peaks.of(VICTIM, shown(PIXELS, VICTIM).double())
    assert torch.equal(bare.outliers.sum(1), peaks.total(LIMIT))
    assert torch.equal(bare.outliers, bare.spared)
    assert sum(bare.inputs) == sum(each.k for each in peaks.shapes.values())
    every = Peaks.of(private, shown(PIXELS, private).double())
    assert torch.equal(armed.outliers.sum(1), every.total(LIMIT))
    assert bool((armed.spared <= armed.outliers).all())
    assert armed.own is not None
    assert armed.mass is not None
    assert bool(
        (armed.own[:, 0] > armed.largest[:, 0]).all()
    )  # r is huge, and only there it is seen
    out = observe(private, shown(PIXELS, private).double(), {Site.ATTN, Site.BLOCK_OUT})
    rest = [0, *range(4, 20)]  # the class token, r, the patches
    for block, (attention, stream) in enumerate(
        zip(out.values(Site.ATTN), out.values(Site.BLOCK_OUT), strict=True)
    ):
        paid = attention[:, :, rest, 1:4].sum(-1).mean(-1).float()
        torch.testing.assert_close(armed.mass[:, block], paid)
        torch.testing.assert_close(armed.peaks[:, block], stream[:, rest].abs().amax(1).float())
    sampled = Scope.on(VICTIM, 0, LIMIT).sampled
    assert sampled is not None
    assert bare.kept is not None
    assert bare.kept.tolist() == [(each.tokens - 1).tolist() for each in kept_by(sampled, PIXELS)]
    assert armed.of(2).largest.shape == (3,)


def test_a_report_is_told_and_taken_away(events: list[Progress | Working | Report]) -> None:
    found = last(iter(events))
    picture = Image.fromarray(PIXELS[0].permute(1, 2, 0).numpy())
    card = zoo.card("vit_imagenette")
    feature, _ = asked().attacks
    data = export.summary(found, Made(Source.of("made up", picture), card, "feature", feature, 0))
    again = json.loads(json.dumps(data))
    assert [each["name"] for each in again["threats"]] == [each.name for each in THREATS]
    assert len(export.table(again).splitlines()) == 1 + 2 * (1 + 2 * len(THREATS))
    assert export.markdown(found).count("\n") == 2 + 1 + len(THREATS)
    assert found.outcomes[0].feature.private.kept == pytest.approx(
        again["threats"][0]["feature"]["with_tokens"]["cosine_to_clean_without_tokens"], rel=1e-3
    )
    assert f"{found.outcomes[-1].feature.private.kept:.2f}" in sentence.honest(found)
    held = sentence.gain(found.outcomes[0])
    assert ("hold nothing" in sentence.verdict(found)) == (held < sentence.LITTLE)
