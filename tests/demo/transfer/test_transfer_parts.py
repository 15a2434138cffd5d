"""The Transfer page without a browser: whose pictures, what is said of them, and how a trial ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from demo.kit import stored
from demo.kit.loading import Loading
from demo.transfer import first, labelled
from demo.transfer.labelled import Labelled
from demo.transfer.message import DONE, findings, frame, message, shorts
from demo.transfer.trial import ATTACKS, Ended, Trial, at_one_budget, drive, experiment
from engine.attack.catalog import BY_NAME, recipe
from engine.core.errors import BadKnob, BadTask
from engine.data.samples import load_sample
from engine.evaluate.study import kept
from engine.evaluate.transfer import Cell, Filled
from engine.papers.tgr.ablation import Parts

CLASSES = ("cassette player", "church", "golf ball", "tench")
SOURCE, TARGET = "resnet_imagenette", "pit_imagenette"


def test_attacks_offered_aim_at_answers() -> None:
    names = {each.name for each in ATTACKS}
    assert {"fgsm", "pgd", "mifgsm", "tgr", "att", "vmi"} <= names
    assert not names & {"quantattack", "sponge"}
    assert names <= set(BY_NAME)


def test_one_budget_for_all() -> None:
    made = at_one_budget(("mifgsm", "fgsm"), 4, 7)
    assert [(each.eps * 255, each.steps) for each in made] == [(4, 7), (4, 1)]
    with pytest.raises(BadKnob):
        at_one_budget(("mifgsm",), 0.5, 7)


@pytest.mark.parametrize(("sources", "attacks"), [([], ["fgsm"]), ([SOURCE], [])])
def test_nothing_chosen_is_a_sentence(sources: list[str], attacks: list[str]) -> None:
    with pytest.raises(BadTask, match="There is no"):
        experiment(labelled.samples(), sources, at_one_budget(attacks, 8, 1), [TARGET], 0)


def trial(count: int = 6, **settings: int) -> Trial:
    found = Labelled(labelled.samples().pictures[:count], count, bundled=True)
    recipes = (recipe("fgsm", eps=8 / 255), recipe("mifgsm", steps=2, eps=8 / 255))
    return Trial(experiment(found, [SOURCE], recipes, [TARGET], **({"seed": 0} | settings)), found)


def test_a_trial_loads_fills_and_finishes() -> None:
    asked = trial()
    events = list(drive(asked))
    assert [type(each) for each in events[:2]] == [Loading, Loading]
    assert events[-1] == Ended("finished")
    filled = [each for each in events if isinstance(each, Filled)]
    assert [len(each.cells[0].right) for each in filled] == [4, 4, 6, 6]
    assert asked.judged == 6
    said = message(asked, DONE)
    for row, made in zip(said["cells"], asked.experiment.recipes, strict=True):
        for shown, target in zip(row, asked.experiment.targets, strict=True):
            cell = asked.found[SOURCE, made, target]
            low, high = cell.success.interval
            share = [cell.success.value, low, high, cell.success.count, cell.success.of]
            assert shown["success"] == pytest.approx(share, abs=1e-5)  # sent with 5 digits
            assert shown["papers"][3:] == [
                cell.success_with_clean_errors.count,
                cell.success_with_clean_errors.of,
            ]
    csv, report = asked.files()
    assert len(csv.read_text(encoding="utf-8").splitlines()) == 1 + 4
    assert '"schema"' in report.read_text(encoding="utf-8")


def test_stopping_and_lateness_keep_what_was_found() -> None:
    asked = trial()
    for event in drive(asked):
        if isinstance(event, Filled):
            asked.stop.set()
    assert asked.why == "stopped"
    assert len(asked.found) == 2
    assert asked.judged == 0
    assert message(asked, DONE)["findings"] == []
    late = trial()
    assert list(drive(late, patience=0))[-1] == Ended("late")


def told(right: list[tuple[bool, ...]], survived: list[tuple[bool, ...]]) -> list[str]:
    """What is found where attack i left `survived[i]` of the target's `right` pictures."""
    asked = trial(2)
    asked.experiment = replace(asked.experiment, recipes=(recipe("mifgsm"), recipe("tgr")))
    for made, before, after in zip(asked.experiment.recipes, right, survived, strict=True):
        for target in asked.experiment.targets:
            asked.found[SOURCE, made, target] = Cell(SOURCE, made, target, before, after)
    return message(asked, DONE)["findings"]


def test_findings_speak_of_other_models_and_pair_the_attacks() -> None:
    n = 40
    yes, no = (True,) * n, (False,) * n
    half = yes[: n // 2] + no[: n // 2]
    first, second = told([yes, yes], [half, no])
    assert first.startswith("From ResNet-18-D to 1 other model, mean success: MI-FGSM 50 % [")
    assert first.endswith("TGR 100 %.")
    assert second.startswith("TGR against MI-FGSM from ResNet-18-D: +50 [")
    assert "do not tell" not in second
    (only,) = told([yes, yes], [yes, yes])
    assert "no picture travels" in only
    _, same = told([yes, yes], [half, half])
    assert "the same models fooled" in same
    almost = (False, *half[1:])
    _, unsure = told([yes, yes], [half, almost])
    assert "40 pictures do not tell them apart" in unsure
    assert told([no, no], [no, no]) == []


def test_pictures_are_counted_alike_whoever_had_them_right() -> None:
    """Clean errors are left out of the rate, not out of what was measured."""
    known = (True,) * 38 + (False,) * 2
    half = (True,) * 19 + (False,) * 21
    first, second = told([known, known], [half, half])
    assert "MI-FGSM 50 % [" in first
    assert "40 pictures" in second


def test_several_sources_are_one_sentence_for_each_attack() -> None:
    def row(source: str, attack: str, gain: list[float] | None) -> tuple[dict, dict]:
        mean = {"rate": [0.5, 0.4, 0.6], "gain": gain, "on": gain and "MI-FGSM", "targets": 4}
        return {"short": source, "attack": attack}, mean

    rows = [
        row("ViT", "MI-FGSM", None),
        row("ViT", "TGR", [0.04, 0.0, 0.08]),
        row("PiT", "MI-FGSM", None),
        row("PiT", "TGR", [0.1, 0.02, 0.17]),
        row("DeiT", "TGR", [-0.08, -0.12, -0.01]),
        row("ResNet", "TGR", [0.11, 0.07, 0.15]),
        row("Swin", "TGR", None),
    ]
    made = {"judged": 60, "rows": [r for r, _ in rows], "means": [*(m for _, m in rows[:-1]), None]}
    assert findings(made) == [
        "TGR against MI-FGSM, mean success on the 4 other models (points, 60 pictures): "
        "it fools more when made on PiT (+10) and ResNet (+11); "
        "it fools fewer when made on DeiT (−8); "
        "the two are not told apart when made on ViT (+4)."
    ]


def test_a_mean_is_the_mean_of_the_cells_it_stands_beside() -> None:
    asked = trial(8)
    for _ in drive(asked):
        pass
    said = message(asked, DONE)
    for row, mean in zip(said["cells"], said["means"], strict=True):
        others = [
            cell for cell, at in zip(row, said["columns"], strict=True) if at["name"] != SOURCE
        ]
        assert mean["targets"] == len(others)
        assert mean["rate"][0] == pytest.approx(
            sum(cell["success"][0] for cell in others) / len(others), abs=1e-5
        )


def test_titles_are_short_where_they_still_tell_models_apart() -> None:
    assert shorts({"a": "PiT, a pooling ViT", "b": "ViT with a stem"}) == {"a": "PiT", "b": "ViT"}
    both = {"a": "ViT with a stem", "b": "ViT, trained against PGD"}
    assert shorts(both) == both
    assert shorts({"a": "DeiT-Tiny (weights folder, 1000 classes)"}) == {"a": "DeiT-Tiny"}


def test_the_frame_shows_rows_and_columns_before_any_run() -> None:
    made = frame(trial().experiment, None)
    assert [each["short"] for each in made["columns"]] == ["ResNet-18-D", "PiT"]
    assert [each["attack"] for each in made["rows"]] == ["FGSM", "MI-FGSM"]
    assert made["cells"] == [[None, None], [None, None]]


def test_an_ensemble_is_one_row_and_its_members_are_white_boxes() -> None:
    single = trial().experiment
    names = ("resnet_imagenette", "pit_imagenette")
    recipes, targets = single.recipes[:1], ("deit_imagenette",)
    asked = experiment(labelled.samples(), names, recipes, targets, 0, together=True)
    assert asked.sources == ("resnet_imagenette+pit_imagenette",)
    assert asked.targets == (*names, "deit_imagenette")
    (row,) = frame(asked, None)["rows"]
    assert row["short"] == "ResNet-18-D + PiT"
    assert list(row["members"]) == list(names)


def test_the_map_that_stands_there_first_is_an_experiment_on_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every bundled classifier against every other; gone as soon as a model's weights change."""
    monkeypatch.setattr(stored, "FOLDER", tmp_path)
    monkeypatch.setattr(first, "STEPS", 1)
    (tmp_path / "val" / "golf_ball").mkdir(parents=True)
    load_sample("golf_ball").save(tmp_path / "val" / "golf_ball" / "1.png")
    assert first.main([str(tmp_path / "val"), "--name", "a folder of one"]) == 0
    made = stored.read(first.FILE, first.made_of())
    assert made is not None
    assert made["state"] == DONE
    assert made["of"] == "Measured earlier: 1 photograph of a folder of one, 1 class"
    assert len(made["rows"]) == 2 * len(made["columns"]) == 2 * len(first.names())
    assert all(cell["n"] == 1 for row in made["cells"] for cell in row)
    assert stored.read(first.FILE, "of other weights") is None
    assert first.main([str(tmp_path / "nowhere")]) == 2


def test_a_study_and_the_map_are_measured_on_the_same_and_agree() -> None:
    """One quantity, one definition: the bundled source to all other bundled classifiers."""
    shown = first.stored()
    assert shown is not None
    study = kept("tgr_ablation", "vit_imagenette", Parts)
    assert study is not None
    assert {study.model, *study.about["targets"]} == set(first.names())
    (row,) = (
        mean
        for each, mean in zip(shown["rows"], shown["means"], strict=True)
        if each["source"] == study.model and each["attack"] == "TGR"
    )
    entry = study.findings.find(first.EPS)
    assert entry is not None
    assert entry.images == shown["pictures"]
    assert entry.pictures == row["known"]
    # 0.01: one picture more on two of four targets, where a batch is summed in another order
    for own, told in ((entry.gain, row["gain"]), (entry.rate, row["rate"])):
        assert [own.value, own.low, own.high] == pytest.approx(told, abs=0.01)


def test_the_map_that_ships_is_of_these_weights() -> None:
    """If not: `python -m demo.transfer.first FOLDER`."""
    assert first.stored() is not None
