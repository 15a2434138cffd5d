"""The Transfer page without a browser: whose pictures, what is said of them, and how a trial ends."""

from __future__ import annotations

import gc
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from PIL import Image

from demo import stored
from demo.running import Loading
from demo.transfer import first, labelled
from demo.transfer.labelled import Labelled, Upload
from demo.transfer.message import DONE, findings, frame, message, shorts
from demo.transfer.page import FINDING
from demo.transfer.trial import ATTACKS, Ended, Trial, at_one_budget, drive, experiment
from demo.why import studies
from engine.attack.catalog import BY_NAME, recipe
from engine.core.errors import BadImage, BadKnob, BadTask
from engine.data.decode import decode
from engine.data.labels import imagenet_names, spellings
from engine.data.samples import load_sample
from engine.evaluate.transfer import Cell, Progress

CLASSES = ("cassette player", "church", "golf ball", "tench")
SOURCE, TARGET = "resnet_imagenette", "pit_imagenette"

PUBLISHED = {"attention": 0.25, "qkv": 0.75, "mlp": 0.5, "components": "all", "site": "scores"}


def png(shade: int = 90) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), (shade, 120, 30)).save(buffer, "PNG")
    return buffer.getvalue()


def put(folder: Path, name: str, content: bytes) -> Upload:
    path = folder / f"upload_{len(list(folder.iterdir()))}"
    path.write_bytes(content)
    return Upload(path, name)


def zipped(folder: Path, files: Mapping[str, bytes], name: str = "mine.zip") -> Upload:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, content in files.items():
            archive.writestr(each, content)
    return put(folder, name, buffer.getvalue())


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("church.png", "church"),
        ("Church_12.JPG", "church"),
        ("golf_ball_1.jpg", "golf ball"),
        ("golf-ball (3).jpg", "golf ball"),
        ("GolfBall7.png", "golf ball"),
        ("n03028079_4.JPEG", "church"),
        ("cassette player at home.png", "cassette player"),
        ("val/church/ILSVRC_1.png", "church"),
        ("church/golf_ball/3.png", "golf ball"),
        ("golf_ball/church.png", "golf ball"),
        ("mine/tench_1.png", "tench"),
    ],
)
def test_folder_or_file_name_says_the_class(name: str, label: str) -> None:
    assert labelled.class_of(PurePosixPath(name), spellings(CLASSES)) == CLASSES.index(label)


@pytest.mark.parametrize(
    "name", ["holiday.png", "churches.png", "my_church.png", "golf.png", "1.png"]
)
def test_a_class_is_a_beginning_of_whole_words(name: str) -> None:
    assert labelled.class_of(PurePosixPath(name), spellings(CLASSES)) is None


def test_no_short_synonym_is_read_into_a_longer_word() -> None:
    # “ai” is a sloth in WordNet's words.
    known = spellings(imagenet_names())
    assert labelled.class_of(PurePosixPath("airship_1.png"), known) == imagenet_names().index(
        "airship"
    )
    assert labelled.class_of(PurePosixPath("aim.png"), known) is None


def test_single_pictures_and_archives_mix(tmp_path: Path) -> None:
    found = labelled.read(
        [
            put(tmp_path, "church_1.png", png(10)),
            zipped(
                tmp_path,
                {
                    "set/golf_ball/a.png": png(20),
                    "set/golf_ball/notes.txt": b"no picture",
                    "__MACOSX/set/golf_ball/._a.png": b"no picture",
                    "set/.hidden/church.png": b"no picture",
                },
            ),
        ],
        CLASSES,
    )
    assert [each.label for each in found.pictures] == ["church", "golf ball"]
    assert found.brought == 2
    assert [decode(each.image).getpixel((0, 0))[0] for each in found.pictures] == [10, 20]
    labelled.check(found)
    assert found.words == "2 pictures of 2 classes"


def test_too_many_are_taken_evenly_and_the_words_say_so(tmp_path: Path) -> None:
    many = {f"church/{i:03}.png": png() for i in range(90)} | {"tench/1.png": png(1)}
    found = labelled.read([zipped(tmp_path, many)], CLASSES)
    labels = [each.label for each in found.pictures]
    assert (len(labels), labels.count("tench"), found.brought) == (labelled.MOST_PICTURES, 1, 91)
    assert found.words == "64 pictures of 2 classes, taken evenly from 91"
    with pytest.raises(BadTask, match="There are 91 pictures; at most 64"):
        labelled.refuse_rest(found)


def test_unpacked_pictures_stay_inside_and_go_with_the_value(tmp_path: Path) -> None:
    names = {
        "../../church/evil.png": png(),
        "/church/root.png": png(),
        f"church/{'x' * 200}.png": png(),
    }
    found = labelled.read([zipped(tmp_path, names)], CLASSES)
    assert found.unpacked is not None
    folder = found.unpacked.path
    assert all(
        Path(each.image).resolve().is_relative_to(folder.resolve()) for each in found.pictures
    )
    assert len(found.pictures) == 2  # a name that climbs out of its folder is left alone
    del found
    gc.collect()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("words", "name", "content"),
    [
        ("“holiday.png” does not say which class it shows", "holiday.png", png()),
        ("is not a zip archive", "mine.zip", b"PK no zip"),
        ("There are no pictures", "mine.zip", None),
    ],
)
def test_what_cannot_be_read_is_one_sentence(
    tmp_path: Path, words: str, name: str, content: bytes | None
) -> None:
    upload = zipped(tmp_path, {}) if content is None else put(tmp_path, name, content)
    with pytest.raises((BadTask, BadImage), match=words):
        labelled.read([upload], CLASSES)


def test_damaged_and_huge_members_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = zipped(tmp_path, {"church/1.png": png()})
    bytes_ = bytearray(whole.path.read_bytes())
    bytes_[45] ^= 0xFF  # inside the first member's data
    with pytest.raises(BadImage, match="damaged or locked"):
        labelled.read([put(tmp_path, "broken.zip", bytes(bytes_))], CLASSES)
    monkeypatch.setattr(labelled, "MOST_BYTES", 20)
    with pytest.raises(BadImage, match="is larger than"):
        labelled.read([whole], CLASSES)


def test_broken_pictures_are_found_when_they_are_brought(tmp_path: Path) -> None:
    found = labelled.read([put(tmp_path, "church.png", b"hello")], CLASSES)
    with pytest.raises(BadImage):
        labelled.check(found)


def test_given_labels_go_with_the_files_in_order(tmp_path: Path) -> None:
    files = [put(tmp_path, "1.png", png()), put(tmp_path, "2.png", png())]
    found = labelled.given(files, ["church", "tench"])
    assert [(each.image, each.label) for each in found.pictures] == [
        (files[0].path, "church"),
        (files[1].path, "tench"),
    ]
    with pytest.raises(BadTask, match="2 pictures and 1 labels"):
        labelled.given(files, ["church"])


def test_samples_have_their_classes() -> None:
    found = labelled.samples()
    assert found.bundled
    assert {"golf ball", "church"} <= {each.label for each in found.pictures}
    assert "bundled samples" in found.words


def test_attacks_offered_aim_at_answers() -> None:
    names = {each.name for each in ATTACKS}
    assert {"fgsm", "pgd", "mifgsm", "tgr", "att", "vmi"} <= names
    assert not names & {"quantattack", "sponge"}
    assert names <= set(BY_NAME)


def test_one_budget_for_all() -> None:
    made = at_one_budget(("mifgsm", "fgsm"), 4, 7)
    assert [(each.eps * 255, each.steps) for each in made] == [(4, 7), (4, 1)]
    with pytest.raises(BadKnob):
        at_one_budget(("mifgsm",), 0, 7)


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
    filled = [each for each in events if isinstance(each, Progress) and each.cells]
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
        if isinstance(event, Progress) and event.cells:
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
    return findings(asked)


def test_findings_speak_of_other_models_and_pair_the_attacks() -> None:
    n = 40
    yes, no = (True,) * n, (False,) * n
    half = yes[: n // 2] + no[: n // 2]
    first, second = told([yes, yes], [half, no])
    assert first.startswith("From ResNet-18-D to 1 other model, mean success: MI-FGSM 50 % [")
    assert first.endswith("TGR 100 %.")
    assert second.startswith("TGR against MI-FGSM from ResNet-18-D: +50 points [")
    assert "do not tell" not in second
    (only,) = told([yes, yes], [yes, yes])
    assert "no picture travels" in only
    _, same = told([yes, yes], [half, half])
    assert "the same models fooled" in same
    almost = (False, *half[1:])
    _, unsure = told([yes, yes], [half, almost])
    assert "40 pictures do not tell them apart" in unsure
    assert told([no, no], [no, no]) == []


def test_titles_are_short_where_they_still_tell_models_apart() -> None:
    assert shorts({"a": "PiT, a pooling ViT", "b": "ViT with a stem"}) == {"a": "PiT", "b": "ViT"}
    both = {"a": "ViT with a stem", "b": "ViT, trained against PGD"}
    assert shorts(both) == both


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
    assert made["measured"].startswith("a folder of one, earlier: 1 picture")
    assert len(made["rows"]) == 2 * len(made["columns"]) == 2 * len(first.names())
    assert all(cell["n"] == 1 for row in made["cells"] for cell in row)
    assert stored.read(first.FILE, "of other weights") is None
    assert first.main([str(tmp_path / "nowhere")]) == 2


def test_the_finding_says_what_the_studies_hold() -> None:
    def gain(source: str, eps: int, k: int) -> float:
        data = json.loads(
            (studies.STUDIES / f"tgr_ablation_{source}.json").read_text(encoding="utf-8")
        )
        (found,) = (
            100 * each["gain"][0]
            for each in data["entries"]
            if round(each["eps_255"]) == eps
            and each["recipe"] == {**each["recipe"], **PUBLISHED, "k": k, "name": "tgr"}
        )
        return found

    bundled, tiny = "vit_imagenette", "vit_tiny_patch16_224"
    helps = [gain(bundled, 8, 1), gain(bundled, 16, 1), gain(tiny, 16, 1)]
    assert all(f"{each:+.1f}" in FINDING for each in helps)
    assert f"costs {-gain(tiny, 8, 1):.1f} points at 8/255" in FINDING
    assert min(gain(tiny, 8, 0), gain(tiny, 16, 0)) > 0


def test_the_map_that_ships_is_of_these_weights() -> None:
    """If not: `python -m demo.transfer.first FOLDER`."""
    assert first.stored() is not None
