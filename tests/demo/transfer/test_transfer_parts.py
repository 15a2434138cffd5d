"""The Transfer page without a browser: whose pictures, what is said of them, and how a trial ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from demo.kit import labelled, stored
from demo.kit.labelled import Labelled
from demo.kit.loading import Loading
from demo.transfer import first
from demo.transfer.findings import Mean, Row, caution, findings
from demo.transfer.message import DONE, frame, message
from demo.transfer.trial import ATTACKS, Trial, at_one_budget, card, drive, experiment
from engine.attack.catalog import BY_NAME, recipe
from engine.core.errors import BadKnob, BadTask, UnknownName
from engine.data.samples import load_sample
from engine.evaluate.interval import Estimate
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


@pytest.fixture(scope="module")
def driven() -> tuple[Trial, list[object]]:
    """A trial that has come to its end, and what happened in it."""
    asked = trial()
    return asked, list(drive(asked))


def test_a_trial_loads_fills_and_finishes(driven: tuple[Trial, list[object]]) -> None:
    asked, events = driven
    assert [type(each) for each in events[:2]] == [Loading, Loading]
    assert asked.why == "finished"
    filled = [each for each in events if isinstance(each, Filled)]
    assert [len(each.cells[0].right) for each in filled] == [4, 4, 6, 6]
    assert asked.judged == 6
    said = message(asked, DONE)
    for row, made in zip(said["rows"], asked.experiment.recipes, strict=True):
        for shown, target in zip(row["cells"], asked.experiment.targets, strict=True):
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
    assert [type(each) for each in drive(late, patience=0)] == [Loading, Loading]
    assert late.why == "late"


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
    assert first.startswith(
        "From ResNet-18-D to 1 other model, mean attack success rate: MI-FGSM 50 % ["
    )
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
    def row(source: str, attack: str, *gain: float) -> Row:
        mean = Mean(Estimate(0.5, 0.4, 0.6), 4, 60, 16 / 255)
        if gain:
            mean = replace(mean, on="MI-FGSM", gain=Estimate(*gain), p=0.5)
        return Row(source, attack, mean)

    rows = [
        row("ViT", "MI-FGSM"),
        row("ViT", "TGR", 0.04, 0.0, 0.08),
        row("PiT", "MI-FGSM"),
        row("PiT", "TGR", 0.1, 0.02, 0.17),
        row("DeiT", "TGR", -0.08, -0.12, -0.01),
        row("ResNet", "TGR", 0.11, 0.07, 0.15),
    ]
    assert findings(rows, 60) == [
        "TGR against MI-FGSM, mean attack success rate on the 4 other models (points, 60 pictures): "
        "it fools more when made on PiT (+10) and ResNet (+11); "
        "it fools fewer when made on DeiT (−8); "
        "the two are not told apart when made on ViT (+4)."
    ]


def test_few_pictures_are_said_to_settle_little() -> None:
    assert caution(1) == "1 picture settles little: mind the intervals"
    assert caution(31) == "31 pictures settle little: mind the intervals"
    assert caution(32) == ""


def test_a_mean_is_the_mean_of_the_cells_it_stands_beside(
    driven: tuple[Trial, list[object]],
) -> None:
    asked, _ = driven
    for row in message(asked, DONE)["rows"]:
        others = [
            cell
            for cell, target in zip(row["cells"], asked.experiment.targets, strict=True)
            if target not in row["members"]
        ]
        assert row["others"] == len(others)
        assert row["judged"] == 6
        for key, found in row["plain"].items():
            plain = sum(cell[key][0] for cell in others) / len(others)
            assert found == pytest.approx(plain, abs=1e-5)  # cells are sent with 5 digits
        assert row["mean"]["rate"][0] == pytest.approx(row["plain"]["success"], abs=1e-5)
        gain = row["mean"]["gain"]
        assert row["mean"]["apart"] == bool(gain and (gain[1] > 0 or gain[2] < 0))


def test_while_a_cell_is_missing_a_row_has_no_mean() -> None:
    asked = trial(2)
    source, attack = asked.experiment.sources[0], asked.experiment.recipes[0]
    asked.found[source, attack, SOURCE] = Cell(source, attack, SOURCE, (True,), (False,))
    assert [row["plain"] for row in message(asked)["rows"]] == [
        {"success": None, "papers": None}
    ] * 2


def test_the_frame_shows_rows_and_columns_before_any_run() -> None:
    made = frame(trial().experiment, None)
    assert [each["short"] for each in made["columns"]] == ["ResNet-18-D", "PiT"]
    assert [each["attack"] for each in made["rows"]] == ["FGSM", "MI-FGSM"]
    assert [each["cells"] for each in made["rows"]] == [[None, None], [None, None]]


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


def test_a_result_is_shown_to_an_altered_model_by_its_name() -> None:
    few = Labelled(labelled.samples().pictures[:2], 2, bundled=True)
    target = "vit_imagenette|ats"
    asked = Trial(experiment(few, [SOURCE], (recipe("fgsm", eps=8 / 255),), [target], 0), few)
    loaded = [each.title for each in drive(asked) if isinstance(each, Loading)]
    assert loaded == [card(name, None).title for name in (SOURCE, "vit_imagenette")]
    said = message(asked, DONE)
    assert said["columns"][1]["title"] == f"{card('vit_imagenette', None).title} | ats"
    assert said["rows"][0]["cells"][1]["n"] == 2
    assert [each["name"] for each in asked.report()["models"]] == [SOURCE, target]
    for wrong in ("vit_imagenette|nothing", "nothing|ats"):
        with pytest.raises(UnknownName):
            card(wrong, None)


def test_the_map_that_stands_there_first_is_an_experiment_on_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every model against every other; gone as soon as a model's weights change."""
    monkeypatch.setattr(stored, "FOLDER", tmp_path)
    monkeypatch.setattr(first, "names", lambda: (SOURCE, TARGET))
    monkeypatch.setattr(first, "STEPS", 1)
    monkeypatch.setattr(first, "STEPS_AGAIN", 1)
    (tmp_path / "val" / "golf_ball").mkdir(parents=True)
    load_sample("golf_ball").save(tmp_path / "val" / "golf_ball" / "1.png")
    first.result(first.Photographs(tmp_path / "val", 100, "a folder of one")).renew(stored.silent)
    made = stored.read(first.RESULT.file, first.made_of())
    assert made is not None
    assert made["kind"] == DONE
    assert made["of"] == "Measured earlier: 1 photograph of a folder of one, 1 class"
    assert len(made["rows"]) == 2 * len(made["columns"]) == 2 * len(first.names())
    assert all(cell["n"] == 1 for row in made["rows"] for cell in row["cells"])
    assert stored.read(first.RESULT.file, "of other weights") is None


def test_a_study_and_the_map_are_measured_on_the_same_and_agree() -> None:
    """One quantity, one definition: the bundled source to all other bundled classifiers."""
    shown = first.stored()
    assert shown is not None
    study = kept("tgr_ablation", "vit_imagenette", Parts)
    assert study is not None
    assert {study.model, *study.about["targets"]} == set(first.names())
    (row,) = (
        each["mean"]
        for each in shown["rows"]
        if each["source"] == study.model and each["attack"] == "TGR"
    )
    entry = study.findings.find(first.EPS)
    assert entry is not None
    assert entry.images == shown["pictures"]
    assert entry.pictures == row["known"]
    # 0.01: one picture more on two of four targets, where a batch is summed in another order
    for own, told in ((entry.gain, row["gain"]), (entry.rate, row["rate"])):
        assert [own.value, own.low, own.high] == pytest.approx(told, abs=0.01)
