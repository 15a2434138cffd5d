"""One picture's report: gaps, gradients and outcomes against what is worked out here, and the words."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engine.alter.saturated import Saturated
from engine.alter.stack import altered
from engine.attack.attack import observe
from engine.core.errors import UnsupportedModel
from engine.evaluate.judge import shown
from engine.evaluate.progress import Progress
from engine.model.sites import Site
from engine.model.victim import Victim
from engine.papers.aas import export
from engine.papers.aas.compare import CLEAN, TITLES, UNDONE, Asked, Outcome, Report, report
from engine.papers.aas.masking import EDGES, gaps, gradients
from engine.papers.aas.sentence import told
from engine.probe.scores import PAST
from tests import tiny


def picture(victim: Victim) -> torch.Tensor:
    return (tiny.task(1).images[0] * 255).round().to(torch.uint8)


def last(victim: Victim, asked: Asked) -> list[Report]:
    return [each for each in report(victim, asked) if not isinstance(each, Progress)]


@pytest.mark.parametrize("name", ["vit", "pit"])
def test_a_report_says_what_the_models_say(name: str) -> None:
    victim = tiny.victim(name)
    asked = Asked(picture(victim), c=30.0, steps=2)
    first, *_, found = last(victim, asked)
    assert first.outcomes == ()
    assert found.whole
    assert [each.name for each in found.outcomes] == list(TITLES)
    judge = altered(victim, (Saturated(c=30.0),))
    for each in found.outcomes:
        x = shown(found.pixels[each.name][None], judge).double()
        said = judge.logits(x)[0]
        assert int(said.argmax()) == each.answer
        assert each.fooled == (each.answer != found.label)
        assert found.linf[each.name] <= 1
    undone = found.outcomes[1]
    assert undone.factor == pytest.approx(1 / 30)
    assert max(found.aligned) < 1.01
    out = observe(judge, shown(asked.picture[None], judge).double(), {Site.SCORES})
    scores = out.values(Site.SCORES)
    for block, (heads, z) in enumerate(zip(found.heads, scores, strict=True)):
        two = z[0].topk(2, -1).values
        lead = two[..., 0] - two[..., 1]
        clean = found.gaps[CLEAN]
        assert torch.allclose(clean.largest[block, :heads], lead.amax(1).double(), rtol=1e-4)
        assert clean.counts[block, :heads].sum(1).tolist() == [lead.shape[1]] * heads
        assert clean.counts[block, heads:].sum() == 0
        share = (lead >= PAST["bfloat16 rounds"]).double().mean(1)
        assert torch.allclose(clean.past["bfloat16 rounds"][block, :heads], share)
    assert len(found.norms["scaled"]) == len(found.heads) + 1


def test_gaps_fall_into_their_bins() -> None:
    victim = tiny.victim()
    out = observe(victim, tiny.task(2).images, {Site.SCORES})
    found = gaps(out, 1)
    lead = [z[1].topk(2, -1).values for z in out.values(Site.SCORES)]
    flat = torch.stack([(each[..., 0] - each[..., 1]).float() for each in lead])
    for low, high, counts in zip(EDGES, EDGES[1:], found.counts.unbind(-1), strict=False):
        inside = (flat >= low) & (flat < high) if high < EDGES[-1] else flat >= low
        assert inside.sum(-1).tolist() == counts.tolist()


def test_gradients_without_c_are_those_at_one_over_c_and_float64_is_the_same_in_double() -> None:
    victim = tiny.victim()
    asked = tiny.task(1)
    found = gradients(victim, asked.images, asked.labels)
    x = asked.images.clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(victim.logits(x), asked.labels)
    (g,) = torch.autograd.grad(loss, x)
    assert torch.allclose(found.at[-1], g.flatten(), rtol=1e-6, atol=1e-12)
    assert torch.allclose(found.cosine(found), torch.ones(len(found.at)).double())
    zero = replace(found, at=tuple(torch.zeros_like(each) for each in found.at))
    assert found.cosine(zero).isnan().all()


def test_a_model_whose_scores_are_hidden_is_refused() -> None:
    for name in ("resnet", "swin"):
        with pytest.raises(UnsupportedModel):
            list(report(tiny.victim(name), Asked(picture(tiny.victim()))))


def outcome(name: str, fooled: bool, gradients: int = 20) -> Outcome:
    factor = 1 / 30 if name == UNDONE else None
    return Outcome(name, TITLES[name], factor, 0, 0.5, fooled, fooled, gradients)


def test_the_sentence_says_what_was_found_and_no_more() -> None:
    victim = tiny.victim()
    clean = next(e for e in report(victim, Asked(picture(victim))) if isinstance(e, Report))
    plain = replace(clean, asked=3)
    assert "does not occur here" in told(plain)
    assert "fools" not in told(plain)

    def after(*outcomes: Outcome) -> str:
        return told(replace(plain, c=30.0, outcomes=outcomes, steps=len(outcomes)))

    assert "in 3 steps: nothing that the attack needs is hidden" in after(outcome("base", True, 3))
    base = outcome("base", False)
    assert "so far" in after(base)
    undone, exact = outcome(UNDONE, True), outcome("float64", False)
    assert "this does: scores times 1/c (0.0333)." in after(base, undone)
    assert "not rounding that hides the way; the gradient is right" in after(base, undone, exact)
    assert "Float64 is enough" in after(base, undone, outcome("float64", True))
    assert "Float64 is enough" in after(base, outcome("float64", True))
    assert "nothing was found that hides" in after(base, outcome(UNDONE, False), exact)
    assert "wrong about the clean picture" in told(replace(plain, right=False))
    far = replace(
        clean.gaps[CLEAN],
        largest=clean.gaps[CLEAN].largest + 120,
        past={name: torch.full_like(each, 0.25) for name, each in clean.gaps[CLEAN].past.items()},
    )
    assert "Of the rows of scores 25.0 % lead" in told(replace(plain, gaps={CLEAN: far}))
    nothing = torch.full_like(clean.cosine, torch.nan)
    norms = {**clean.norms, "as it is": torch.zeros_like(nothing)}
    assert "exactly zero in float32 only" in told(replace(plain, cosine=nothing, norms=norms))
    crossed = replace(plain, cosine=torch.zeros_like(nothing) - 0.5)
    assert "another gradient (cosine −0.50)" in told(crossed)


def test_what_is_taken_away_says_what_was_found() -> None:
    from engine.model.zoo import card
    from engine.papers.export import Made, Source

    victim = tiny.victim()
    asked = Asked(picture(victim), steps=1)
    found = last(victim, asked)[-1]
    made = Made(Source("a", 8, 8, "0"), card("vit_imagenette"), "pgd", asked.recipe, 0)
    taken = export.summary(found, made)
    assert [each["name"] for each in taken["attacks"]] == [n for n in TITLES if n != UNDONE]
    assert len(export.table(taken).splitlines()) == 1 + len(found.heads)
    words = export.markdown(found)
    assert found.sentence in words
    assert all(each.title in words for each in found.outcomes)
