"""One picture's report: every count is that of the trace, of the picture alone, and parts build on parts."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest
import torch

from engine.alter.stack import altered
from engine.attack.attack import run
from engine.attack.constraint import to_8bit
from engine.attack.recipes.desparsify import DeSparsify
from engine.attack.recipes.pgd import PGD
from engine.attack.recipes.slowformer import SlowFormer
from engine.attack.universal import Universal
from engine.core.errors import UnsupportedModel
from engine.core.streams import Streams
from engine.data.samples import load_sample
from engine.evaluate.judge import predict, shown
from engine.evaluate.noise import noisy
from engine.evaluate.progress import Progress
from engine.model import zoo
from engine.model.sparse import cost
from engine.model.task import task_for
from engine.papers.desparsify import export
from engine.papers.desparsify.compare import (
    ATTACKED,
    BATCHES,
    CLEAN,
    DENSE,
    NOISE,
    Asked,
    Report,
    Working,
    report,
)
from engine.papers.desparsify.countermeasures import countermeasures
from engine.papers.desparsify.passes import batch_macs, dense_macs, look, wanted
from engine.papers.desparsify.victims import full, relatives
from engine.papers.export import Made, Source
from tests.model.sparse.mechanisms import KINDS, sparse
from tests.tiny import SIZE, victim

GEN = torch.Generator().manual_seed(0)
PIXELS = torch.randint(0, 256, (8, 3, SIZE, SIZE), generator=GEN, dtype=torch.uint8)
EPS, STEPS = 16 / 255, 5
ATTACK = DeSparsify(eps=EPS, steps=STEPS)
every = pytest.mark.parametrize("kind", KINDS)


def asked(kind: str, **changes: object) -> Asked:
    others = {"another": sparse("avit" if kind != "avit" else "ats"), "dense": victim()}
    plain = Asked(PIXELS[0], PIXELS[1:], ATTACK, others, rounds=1)
    return replace(plain, **changes)


@cache
def found(kind: str) -> Report:
    return last(kind, asked(kind))


def last(kind: str, what: Asked) -> Report:
    return [each for each in report(sparse(kind), what) if isinstance(each, Report)][-1]


@every
def test_each_pass_is_what_the_trace_of_the_picture_alone_says(kind: str) -> None:
    of = sparse(kind)
    for name, seen in found(kind).seen.items():
        x = shown(found(kind).pixels[name][None], of)
        with torch.no_grad():
            logits, trace = wanted(of).trace(of.normalised(x))
        used = trace.keep[:, 0] & (trace.msa | trace.ffn)
        assert torch.equal(seen.keep, used)
        assert seen.macs == int(cost.macs(trace))
        assert seen.utilisation == pytest.approx(float(cost.utilisation(trace)), abs=1e-6)
        assert seen.answer == int(logits.argmax())
        assert torch.equal(seen.tokens, trace.n_out[:, 0] * (trace.msa | trace.ffn)[:, 0])
        if kind == "adavit":
            assert seen.heads is not None
            assert seen.sublayers is not None
            assert torch.equal(seen.heads.sum(1), trace.heads[:, 0])
            assert torch.equal(seen.sublayers, torch.cat((trace.msa, trace.ffn), 1))
        else:
            assert seen.heads is None
    assert found(kind).seen[CLEAN].macs < found(kind).dense


@every
def test_the_gap_is_the_share_of_what_was_spared(kind: str) -> None:
    its = found(kind)
    clean, hit = its.seen[CLEAN].macs, its.seen[ATTACKED].macs
    assert its.gap(ATTACKED) == (hit - clean) / (its.dense - clean)
    assert its.gap(CLEAN) == 0
    assert its.closed(its.dense) == 1
    assert math.isnan(replace(its, dense=clean).gap(ATTACKED))
    parts = its.formula
    blocks = len(its.seen[CLEAN].keep)
    assert parts["embed"] + parts["head"] + blocks * parts["block"] == its.dense
    assert (parts["deciders"] > 0) == (kind == "adavit")


@every
def test_the_path_is_the_attacks_own_pictures(kind: str) -> None:
    of, its = sparse(kind), found(kind)
    assert [each.step for each in its.path] == list(range(STEPS + 1))
    assert (its.steps, its.asked) == (STEPS, STEPS)
    assert its.path[0].seen.macs == its.seen[CLEAN].macs
    clean = shown(PIXELS[:1], of)
    task = task_for(of, clean, predict(of, PIXELS[:1]))
    states = [state for state, _ in run(ATTACK.build(of.spec), of, task, Streams(0))]
    for told, state in zip(its.path[1:], states, strict=True):
        with torch.no_grad():
            trace = wanted(of).trace(of.normalised(state.x))[1]
        assert told.seen.macs == int(cost.macs(trace))
    assert torch.equal(its.pixels[ATTACKED], to_8bit(states[-1].x, clean, EPS)[0])
    assert its.linf <= 16
    assert torch.equal(its.pixels[NOISE], noisy(PIXELS[:1], its.linf / 255, 0)[0])


@every
def test_other_models_are_shown_the_same_and_a_dense_one_does_not_move(kind: str) -> None:
    its = found(kind)
    another, dense = its.elsewhere
    assert (dense.clean, dense.noise, dense.attacked) == (dense.dense,) * 3
    assert dense.mechanism == "Dense"
    other = sparse("avit" if kind != "avit" else "ats")
    saved = torch.stack([its.pixels[name] for name in (CLEAN, NOISE, ATTACKED)])
    assert [another.clean, another.noise, another.attacked] == [
        each.macs for each in look(other, saved)
    ]
    before, _, after = predict(other, saved).tolist()
    assert another.kept == (before == after)


@every
def test_a_padded_batch_pays_for_its_largest_member(kind: str) -> None:
    of, its = sparse(kind), found(kind)
    assert [each.size for each in its.batch] == list(BATCHES)
    alone = [each.macs for each in look(of, PIXELS)]
    assert its.batch[0].clean == alone[0]
    assert its.batch[0].attacked == its.seen[ATTACKED].macs
    for each in its.batch:
        assert each.clean >= max(alone[: each.size])
        assert each.attacked <= dense_macs(of) + its.formula["deciders"]
    assert batch_macs(of, PIXELS[:1].repeat(4, 1, 1, 1)) == alone[0]
    assert [each.clean for each in its.batch] == sorted(each.clean for each in its.batch)


@every
def test_a_countermeasure_is_the_victim_that_it_makes(kind: str) -> None:
    of, its = sparse(kind), found(kind)
    saved = torch.stack([its.pixels[name] for name in (CLEAN, ATTACKED)])
    for told, each in zip(its.defences, countermeasures(), strict=True):
        clean, hit = look(altered(of, each.stack), saved)
        assert (told.name, told.clean, told.attacked) == (each.name, clean.macs, hit.macs)
        assert told.answer == (clean.answer == its.seen[CLEAN].answer)


def test_time_is_of_the_path_that_skips_and_nothing_is_invented_where_no_meter_is() -> None:
    its = found("ats")
    assert its.times is not None
    assert set(its.times) == {DENSE, CLEAN, NOISE, ATTACKED}
    assert all(0 < each.low <= each.median <= each.high for each in its.times.values())
    if not torch.cuda.is_available():
        assert (its.energy, its.memory, its.metered) == (None, None, False)
        assert its.meter


def test_a_stopped_attack_is_read_and_what_would_follow_is_left_out() -> None:
    events: list[Progress | Working | Report] = []

    def stopped() -> bool:
        return sum(isinstance(each, Working) for each in events) >= 2

    for each in report(sparse("avit"), asked("avit"), stopped):
        events.append(each)
    (its,) = (each for each in events if isinstance(each, Report))
    assert (its.steps, its.asked, len(its.path)) == (2, STEPS, 3)
    assert set(its.seen) == {CLEAN, NOISE, ATTACKED}
    assert (its.elsewhere, its.batch, its.defences, its.times) == ((), (), (), None)


def test_each_report_holds_the_one_before() -> None:
    reports = [each for each in report(sparse("ats"), asked("ats")) if isinstance(each, Report)]
    for before, after in pairwise(reports):
        for name, value in vars(before).items():
            if value not in ((), None, False, ""):
                assert getattr(after, name) is value


def test_without_an_attack_nothing_changes() -> None:
    its = last("adavit", asked("adavit", attack=None))
    assert (its.linf, its.steps, its.asked, len(its.path)) == (0, 0, 0, 1)
    assert {each.macs for each in its.seen.values()} == {its.seen[CLEAN].macs}
    assert its.gap(ATTACKED) == 0


def test_attacks_that_begin_elsewhere_patches_and_universal_ones_are_told_alike() -> None:
    its = last("ats", asked("ats", attack=PGD(eps=EPS, steps=3)))
    assert [each.step for each in its.path] == [0, 1, 2, 3]
    assert its.path[0].seen.macs == its.seen[CLEAN].macs
    delta = torch.full((3, SIZE, SIZE), 4 / 255)
    its = last("ats", asked("ats", attack=Universal(delta, 4 / 255, "ats")))
    assert ([each.step for each in its.path], its.asked, its.linf) == ([0, 1], 1, 4)
    its = last("ats", asked("ats", attack=SlowFormer(steps=2)))
    side = round(64 / 224 * SIZE)
    for name in (NOISE, ATTACKED):
        changed = (its.pixels[name] != PIXELS[0]).any(0)
        assert changed.any()
        assert not changed[side:].any()
        assert not changed[:, side:].any()


def test_a_model_that_computes_everything_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="computes all"):
        next(report(victim(), asked("ats")))


@every
def test_what_is_taken_away_says_what_the_report_says(kind: str) -> None:
    its = found(kind)
    source = Source.of("=a picture", load_sample("golf_ball"))
    made = Made(source, zoo.card("vit_imagenette"), "desparsify", ATTACK, 0)
    data = export.summary(its, made)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["pictures"]["attacked"]["macs"] == its.seen[ATTACKED].macs
    assert data["macs_by_step"][-1] == [STEPS, its.path[-1].seen.macs]
    rows = list(csv.DictReader(io.StringIO(export.table(data))))
    assert len(rows) == len(its.seen[CLEAN].keep)
    for row, clean, hit in zip(
        rows, its.seen[CLEAN].tokens.tolist(), its.seen[ATTACKED].tokens.tolist(), strict=True
    ):
        assert int(row["tokens_clean"]) == clean
        assert int(row["tokens_attacked"]) - clean == int(row["woken"]) - int(row["put_to_sleep"])
        assert int(row["tokens_attacked"]) == hit
        assert row["picture"] == "'=a picture"
    assert made.stem.startswith("_a_picture-vit_imagenette-desparsify-eps16")
    assert f"{its.seen[ATTACKED].macs / 1e9:.3f}" in export.markdown(its)


def test_relatives_share_a_host() -> None:
    names: Mapping[str, str] = {k: v.spec.full for k, v in relatives("vit_imagenette").items()}
    trained = {"vit_imagenette_avit", "vit_imagenette_adavit"}
    assert set(names.values()) == trained | {"vit_imagenette"}
    assert full("vit_imagenette") == full("vit_imagenette|ats") == "vit_imagenette|ats"
    own = {each.spec.full for each in relatives("vit_imagenette_avit").values()}
    assert own == {"vit_imagenette|ats", "vit_imagenette_adavit", "vit_imagenette"}
