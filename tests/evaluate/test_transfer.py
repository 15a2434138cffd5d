"""Transfer: the numbers are those of an independent loop, and how they were come by is no matter."""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import socket
from itertools import pairwise
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import small_zoo
import torch
from small_zoo import CLASSES, experiment, finish, load, pictures, plain
from torch.nn import functional as F

from engine.alter.bfloat16 import BFloat16
from engine.alter.ensemble import ensemble
from engine.alter.quantize.int8 import Int8
from engine.attack.attack import craft
from engine.attack.catalog import RECIPES, recipe
from engine.attack.constraint import to_8bit
from engine.attack.criterion import GapClosed
from engine.core.errors import BadTask
from engine.core.streams import Streams
from engine.data.decode import fit
from engine.data.labels import imagenet_names
from engine.evaluate import store
from engine.evaluate.judge import predict, shown
from engine.evaluate.progress import Progress
from engine.evaluate.transfer import (
    Experiment,
    Filled,
    Matrix,
    bare,
    class_indices,
    table,
    transfer,
)
from engine.model.task import task_for


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    return finish(transfer(experiment(), load))


def test_cells_equal_an_independent_loop() -> None:
    """MI-FGSM written out on the bare modules, one picture at a time."""
    chosen = recipe("mifgsm", eps=30 / 255, steps=3)
    found = finish(transfer(experiment(recipes=(chosen,), batch=5), load))
    source = load("vit_a")
    for name, size in (("vit_a", 32), ("vit_large", 48)):
        target = load(name)
        right, survived = [], []
        for picture in pictures():
            label = torch.tensor([CLASSES.index(picture.label)])
            clean = fit(picture.image, 32).unsqueeze(0).float()
            x0 = clean / 255
            x, m = x0, torch.zeros_like(x0)
            for _ in range(3):
                leaf = x.clone().requires_grad_()
                loss = F.cross_entropy(source.module((leaf.double() - 0.5) / 0.5), label)
                (g,) = torch.autograd.grad(loss, leaf)
                m = m + g / g.abs().mean()
                x = (x + 10 / 255 * m.sign()).clamp(x0 - 30 / 255, x0 + 30 / 255).clamp(0, 1)
            saved = (x * 255).round()
            assert int((saved - clean).abs().max()) <= 30
            for pixels, kept in ((clean, right), (saved, survived)):
                seen = pixels / 255
                if size != 32:
                    seen = F.interpolate(seen, (size, size), mode="bicubic", antialias=True)
                answer = target.module((seen.clamp(0, 1).double() - 0.5) / 0.5).argmax(1)
                kept.append(bool(answer == label))
        cell = found.cell("vit_a", chosen, name)
        assert cell.right == tuple(right)
        assert cell.survived == tuple(survived)
        assert right != survived


def test_a_source_of_joined_names_is_their_ensemble() -> None:
    chosen = recipe("mifgsm", eps=30 / 255, steps=3)
    asked = experiment(sources=("vit_a+cnn",), recipes=(chosen,), targets=("vit_a", "vit_b"))
    assert asked.models == ("vit_a", "cnn", "vit_b")
    found = finish(transfer(asked, load))
    source = ensemble([load("vit_a"), load("cnn")])
    images = torch.stack([fit(each.image, 32) for each in pictures()]) / 255
    labels = class_indices(pictures(), source)
    attack = chosen.build(source.spec)
    x = craft(attack, source, task_for(source, images, labels), Streams(asked.seed))
    saved = to_8bit(x, images, chosen.eps)
    for name in asked.targets:
        survived = predict(load(name), saved) == labels
        assert found.cell("vit_a+cnn", chosen, name).survived == tuple(survived.tolist())


def columns(name: str, pixels: torch.Tensor, threshold: float) -> list[int]:
    """Input columns of the linear layers in blocks that reach a threshold, seen by plain hooks."""
    found: list[int] = []
    victim = load(name)
    layers = [
        layer
        for path, layer in victim.module.named_modules()
        if path.endswith(("qkv", "attn.proj", "fc1", "fc2"))
    ]
    for picture in pixels.split(1):
        count = 0

        def look(layer: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
            nonlocal count
            count += int((inputs[0][0].abs().amax(0).half() >= threshold).sum())

        hooks = [layer.register_forward_pre_hook(look) for layer in layers]
        victim.logits(shown(picture, victim))
        for hook in hooks:
            hook.remove()
        found.append(count)
    return found


def test_an_attack_on_cost_is_judged_by_cost_where_that_can_be_seen() -> None:
    chosen = recipe("quantattack", eps=32 / 255, steps=8, threshold=2.5, form="count")
    asked = experiment(sources=("vit_a",), recipes=(chosen,), targets=("vit_a", "vit_b", "cnn"))
    found = finish(transfer(asked, load))
    pixels = torch.stack([fit(each.image, 32) for each in pictures()])
    labels = class_indices(pictures(), load("vit_a"))
    task = task_for(load("vit_a"), shown(pixels, load("vit_a")), labels)
    attack = chosen.build(load("vit_a").spec)
    saved = to_8bit(craft(attack, load("vit_a"), task, Streams(0)), task.images, chosen.eps)
    for name in ("vit_a", "vit_b"):
        before, after = (columns(name, each, 2.5) for each in (pixels, saved))
        same = predict(load(name), pixels) == predict(load(name), saved)
        kept = [
            now >= 2 * max(then, 1) and bool(stays)
            for then, now, stays in zip(before, after, same, strict=True)
        ]
        cell = found.cell("vit_a", chosen, name)
        assert cell.reached == tuple(kept)
        assert cell.success.count == sum(r and k for r, k in zip(cell.right, kept, strict=True))
    assert any(found.cell("vit_a", chosen, "vit_a").reached)
    blind = found.cell("vit_a", chosen, "cnn")
    assert (blind.reached, blind.success.of) == (None, 0)
    assert blind.attacked.of == 12


def test_kept_pieces_of_an_attack_on_cost_hold_where_it_was_reached(tmp_path: Path) -> None:
    chosen = recipe("quantattack", eps=32 / 255, steps=2, threshold=2.5, form="count")
    parts = {"sources": ("vit_a",), "recipes": (chosen,), "pictures": pictures()[:3]}
    first = finish(transfer(experiment(**parts, targets=("vit_a", "cnn")), load, tmp_path))
    events = list(transfer(experiment(**parts, targets=("vit_a", "cnn")), load, tmp_path))
    assert (events[-1], len(events)) == (first, 2)
    (kept,) = tmp_path.glob("*.json")
    whole = json.loads(kept.read_text(encoding="utf-8"))
    for broken in ({}, {"vit_a": [True], "cnn": None}, {"vit_a": [1, 0, 1], "cnn": None}):
        kept.write_text(json.dumps(whole | {"reached": broken}), encoding="utf-8")
        assert (
            finish(transfer(experiment(**parts, targets=("vit_a", "cnn")), load, tmp_path)) == first
        )


def test_sources_and_targets_may_be_altered_and_crafting_stand_on_something_else() -> None:
    chosen = recipe("mifgsm", eps=30 / 255, steps=2)
    low = "vit_a|int8:threshold=3"
    asked = experiment(
        sources=("vit_a",), recipes=(chosen,), targets=(low, "vit_a"), craft_on=(BFloat16(),)
    )
    found = finish(transfer(asked, load))
    source = load("vit_a")
    images = torch.stack([fit(each.image, 32) for each in pictures()])
    labels = class_indices(pictures(), source)
    made = craft(
        chosen.build(source.spec),
        BFloat16()(source),
        task_for(source, images / 255, labels),
        Streams(0),
    )
    saved = to_8bit(made, images / 255, chosen.eps)
    int8 = Int8(3.0)(source)
    alone = torch.cat([int8.logits(shown(each, int8)).argmax(1) for each in saved.split(1)])
    assert found.cell("vit_a", chosen, low).survived == tuple((alone == labels).tolist())
    exact = source.logits(shown(saved, source)).argmax(1)
    assert found.cell("vit_a", chosen, "vit_a").survived == tuple((exact == labels).tolist())
    assert bare("vit_a|ats+vit_b|int8:threshold=3") == "vit_a+vit_b"


def test_rates_count_what_they_say(matrix: Matrix) -> None:
    for cell in matrix.cells:
        fooled = [r and not s for r, s in zip(cell.right, cell.survived, strict=True)]
        assert (cell.success.count, cell.success.of) == (sum(fooled), sum(cell.right))
        assert cell.attacked.count + cell.success_with_clean_errors.count == 12
    white = matrix.cell("vit_a", recipe("pgd", steps=3), "vit_a")
    assert white.clean.count >= 6  # as the pictures were labelled
    assert white.success.count > 0


@pytest.mark.parametrize("kind", RECIPES, ids=lambda kind: kind.name)
def test_the_size_of_a_batch_changes_nothing(kind: type) -> None:
    """Also for attacks that draw: every picture has its own noise. Exact, as the victims are double."""
    chosen = kind() if kind.name == "fgsm" else kind(steps=2)
    asleep = isinstance(chosen.criterion, GapClosed)  # what needs tokens asleep
    source = "vit_a|ats" if asleep else "vit_a"
    parts = {"sources": (source,), "recipes": (chosen,), "targets": (source, "vit_b")}
    whole, split = (
        finish(transfer(experiment(**parts, batch=batch, pictures=pictures()[:7]), load))
        for batch in (7, 3)
    )
    assert whole == split


def test_a_picture_draws_the_same_noise_in_every_batch() -> None:
    source = load("vit_a")
    x = shown(torch.stack([fit(p.image, 32) for p in pictures(3)]), source)
    attack = recipe("pgd").build(source.spec)

    def start(seed: int, *places: int) -> torch.Tensor:
        part = x[list(places)]
        task = task_for(source, part, torch.zeros(len(part), dtype=torch.long))
        return attack.init(source, task, Streams(seed, places)).x - part

    together = start(0, 0, 1, 2)
    assert torch.equal(start(0, 2, 0), together[[2, 0]])
    assert not torch.equal(start(1, 0, 1, 2), together)
    assert len({tuple(each.flatten()[:4].sign().tolist()) for each in together}) > 1


def start(out: Path, keep: Path | None = None, killed_after: int = 0, **world: str) -> BaseProcess:
    """A worker; all are forked from one process that has imported what they need."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["small_zoo"])
    made = processes.Process(target=small_zoo.work, args=(out, keep, killed_after, world))
    made.start()
    return made


@pytest.mark.slow
def test_two_processes_and_a_killed_run_give_the_same_numbers(
    matrix: Matrix, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    kept = tmp_path / "kept"
    outs = [tmp_path / f"{rank}.json" for rank in (0, 1)]
    pair = [start(out, RANK=str(rank), **world) for rank, out in enumerate(outs)]
    # Events 0 to 8: pgd and tgr of vit_a are kept, pgd of vit_b is under way.
    killed = start(tmp_path / "never.json", kept, 8)
    for each in (killed, *pair):
        each.join(120)
    assert [each.exitcode for each in (killed, *pair)] == [-9, 0, 0]
    expected = plain(matrix.cells)
    assert json.loads(outs[0].read_text(encoding="utf-8")) == expected
    assert not outs[1].exists()  # process 0 alone reports

    assert len(list(kept.glob("*.json"))) == 2
    events = list(transfer(experiment(), load, kept))
    assert isinstance(events[-1], Matrix)
    assert plain(events[-1].cells) == expected
    assert events[-1] == matrix
    # 12 batches under attack, of 3 + 2 steps and one closing event each; two are only read.
    assert len(events) == 12 + 6 * 5 - (3 + 2) + 1
    again = list(transfer(experiment(), load, kept))
    assert again[-1] == matrix
    assert len(again) == 12 + 1


def test_what_is_kept_depends_on_all_that_matters(tmp_path: Path) -> None:
    small = {"sources": ("vit_a",), "targets": ("vit_a",), "pictures": pictures()[:2]}
    base = {"recipes": (recipe("pgd", steps=1),), "seed": 0}
    list(transfer(experiment(**small, **base), load, tmp_path))
    count = len(list(tmp_path.glob("*.json")))
    changes = (
        {"seed": 1},
        {"recipes": (recipe("pgd", steps=1, eps=9 / 255),)},
        {"targets": ("vit_b",)},
        {"sources": ("vit_b",)},
        {"pictures": pictures()[2:4]},
    )
    for change in changes:
        list(transfer(experiment(**(small | base | change)), load, tmp_path))
        grown = len(list(tmp_path.glob("*.json")))
        assert grown == count + 1, change
        count = grown


def test_a_torn_piece_is_made_anew(tmp_path: Path) -> None:
    store.keep(tmp_path, "whole", [1])
    assert store.recall(tmp_path, "whole") == [1]
    (tmp_path / "torn.json").write_text('{"predicted": [1, 2', encoding="utf-8")
    assert store.recall(tmp_path, "torn") is None
    assert store.recall(tmp_path, "never") is None
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    "piece",
    [
        "{}",
        "[]",
        "3",
        '{"seconds": 1.0, "predicted": {}}',
        '{"seconds": 1.0, "predicted": {"vit_a": [0]}}',
        '{"seconds": 1.0, "predicted": {"vit_a": [0, "x"]}}',
        '{"seconds": "1", "predicted": {"vit_a": [0, 1]}}',
    ],
)
def test_a_piece_that_holds_something_else_is_made_anew(piece: str, tmp_path: Path) -> None:
    asked = experiment(
        sources=("vit_a",),
        targets=("vit_a",),
        pictures=pictures()[:2],
        recipes=(recipe("pgd", steps=1),),
    )
    *_, expected = transfer(asked, load, tmp_path)
    (kept,) = tmp_path.glob("*.json")
    whole = json.loads(kept.read_text(encoding="utf-8"))
    kept.write_text(piece, encoding="utf-8")
    *_, found = transfer(asked, load, tmp_path)
    assert found == expected
    assert json.loads(kept.read_text(encoding="utf-8"))["predicted"] == whole["predicted"]


def test_closing_leaves_nothing_behind() -> None:
    victims = {name: load(name) for name in experiment().models}
    before = {
        n: v.logits(torch.zeros(1, 3, v.spec.input_size, v.spec.input_size))
        for n, v in victims.items()
    }
    events = transfer(experiment(), victims.__getitem__)
    for _ in range(4):
        next(events)
    events.close()
    for name, each in victims.items():
        assert each.lock.acquire(blocking=False)
        each.lock.release()
        hooks = [m for m in each.module.modules() if m._forward_hooks or m._forward_pre_hooks]
        assert not hooks
        zeros = torch.zeros(1, 3, each.spec.input_size, each.spec.input_size)
        assert torch.equal(each.logits(zeros), before[name])


def test_progress_counts_every_step_and_cells_fill() -> None:
    events = list(transfer(experiment(), load))
    steps = [e for e in events if isinstance(e, Progress)]
    assert steps[-1].done == steps[-1].total == 3 * 2 * 5
    assert all(a.done <= b.done for a, b in pairwise(steps))
    filled = [len(e.cells[0].right) for e in steps if isinstance(e, Filled)]
    assert filled == [4] * 4 + [8] * 4 + [12] * 4
    final = events[-1]
    assert isinstance(final, Matrix)
    assert {c for e in steps if isinstance(e, Filled) for c in e.cells} >= set(final.cells)


def test_labels_travel_by_name() -> None:
    names = imagenet_names()
    wide = small_zoo.victim("wide", small_zoo.vit(classes=1000), 32, names)
    found = [names[i] for i in class_indices(pictures(), wide)]
    assert set(found) <= {"tench", "church", "golf ball", "parachute"}
    assert found == [p.label for p in pictures()]
    answers = predict(wide, torch.stack([fit(p.image, 32) for p in pictures()]))
    assert int(answers.max()) >= len(CLASSES)  # it answers over all its thousand
    stranger = (pictures()[0]._replace(label="zebra"),)
    with pytest.raises(BadTask, match="has no class “zebra”"):
        class_indices(stranger, load("vit_a"))


@pytest.mark.parametrize("part", ["pictures", "sources", "recipes", "targets"])
def test_an_empty_experiment_is_refused(part: str) -> None:
    with pytest.raises(BadTask, match=f"no {part}"):
        experiment(**{part: ()})
    if part != "pictures":
        with pytest.raises(BadTask, match="twice"):
            experiment(**{part: getattr(experiment(), part) * 2})


def test_the_table_reads_back(matrix: Matrix) -> None:
    rows = list(csv.DictReader(io.StringIO(table(matrix.cells))))
    assert len(rows) == len(matrix.cells)
    for row, cell in zip(rows, matrix.cells, strict=True):
        assert row["target"] == cell.target
        assert float(row["attack_success_rate"]) == pytest.approx(cell.success.value, nan_ok=True)
        assert row["success_means"] == "another answer"
        assert int(row["clean_accuracy_of"]) == 12


def test_one_batch_needs_no_more_than_it_holds() -> None:
    one = Experiment(pictures()[:1], ("vit_a",), (recipe("mifgsm", steps=1),), ("cnn",))
    assert len(finish(transfer(one, load)).cells[0].right) == 1
