"""Laws of a class: one browser counts once, nobody sees a histogram too early, a flood stays in its bounds."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from visitor import alone

from demo.learn import classes, invite
from demo.learn.classes import Book, Group, NoClass, Refused
from demo.learn.lesson import Ask, Checked, Choose, Estimate, Lesson, Mark, Step, Task
from demo.learn.tally import NoAnswer, counted, histogram

CHOICE = Choose("Which?", (("same", "The same"), ("other", "Another")))
SCALE = Estimate("How many?", 0, 100, 1, "%")
MARKS = Mark("Where?", 2, (2, 3))
TASK = Task("Do it.", lambda _: Checked(True, ""), (), {})
LESSON = Lesson(
    "made_up",
    "Made up",
    "What?",
    10,
    (Step("Read", ""), *(Step("Ask", "", ask=each) for each in (CHOICE, SCALE, MARKS))),
    TASK,
)


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(clock: Clock) -> Book:
    return Book({LESSON.name: LESSON}, clock)


def member(number: int) -> str:
    return f"browser-{number:012}"


@pytest.fixture
def opened(book: Book) -> tuple[str, str]:
    return book.open(LESSON.name, "here")


def filled(book: Book, code: str, number: int) -> Group:
    for each in range(number):
        book.join(code, member(each))
    return book.find(code)


def test_one_browser_counts_once_and_its_last_prediction_counts(
    book: Book, opened: tuple[str, str]
) -> None:
    code, _ = opened
    for value in ("same", "other", "other"):
        group = book.predict(code, member(0), 1, value)
        book.join(code, member(0))
    told = book.told(group, 1, member(0))
    assert (told["joined"], told["predicted"], told["chart"]["counts"]) == (1, 1, [0, 1])


def test_who_has_not_predicted_sees_no_histogram_until_the_teacher_shows_it(
    book: Book, opened: tuple[str, str]
) -> None:
    code, key = opened
    group = filled(book, code, 3)
    book.predict(code, member(0), 1, "same")
    book.predict(code, member(1), 1, "other")
    assert all(book.told(group, 1, who)["chart"] is None for who in ("", member(0), member(2)))
    book.predict(
        code, member(2), 1, "other"
    )  # now all have: who predicted may see it, the wall not
    assert book.told(group, 1, member(0))["chart"] == {
        "kind": "options",
        "keys": ["same", "other"],
        "bars": ["The same", "Another"],
        "counts": [1, 2],
        "own": 0,
    }
    assert book.told(group, 1)["chart"] is None
    book.turn(code, key, "show", 1)
    book.join(code, member(3))
    assert [book.told(group, 1, who)["chart"]["own"] for who in ("", member(3))] == [None, None]
    assert not book.told(group, 1)["revealed"]


def test_at_their_own_pace_who_has_predicted_sees_it_at_once(
    book: Book, opened: tuple[str, str]
) -> None:
    code, key = opened
    group = filled(book, code, 3)
    assert book.told(group, 0, member(0))["at"] == 0
    book.turn(code, key, "free", 0)
    book.predict(code, member(0), 2, 50)
    assert book.told(group, 2, member(0))["chart"]["counts"][5] == 1
    assert book.told(group, 2, member(1))["chart"] is None
    assert book.told(group, 2, member(1))["at"] is None
    book.turn(code, key, "step", 3)
    assert book.told(group, 2, member(1))["at"] == 3


def test_after_the_result_is_out_no_prediction_is_counted(
    book: Book, opened: tuple[str, str]
) -> None:
    code, key = opened
    book.predict(code, member(0), 1, "same")
    book.turn(code, key, "reveal", 1)
    book.predict(code, member(0), 1, "same")  # said once more, nothing new
    for each, value in ((0, "other"), (1, "other")):
        with pytest.raises(Refused, match="The result is out"):
            book.predict(code, member(each), 1, value)
    assert book.told(book.find(code), 1)["chart"]["counts"] == [1, 0]


@pytest.mark.parametrize(
    ("ask", "value"),
    [
        (None, "same"),
        (CHOICE, "third"),
        (CHOICE, ["same"]),
        (CHOICE, None),
        (SCALE, 100.5),
        (SCALE, float("nan")),
        (SCALE, "7"),
        (SCALE, True),
        (MARKS, [0, 1, 2]),
        (MARKS, []),
        (MARKS, [1, 1]),
        (MARKS, [6]),
        (MARKS, [True]),
        (MARKS, [[0]]),
    ],
)
def test_what_is_no_answer_is_not_counted(ask: Ask | None, value: Any) -> None:
    with pytest.raises(NoAnswer):
        counted(ask, value)


@pytest.mark.parametrize("ask", [SCALE, Estimate("", 0, 1, 0.1), Estimate("", -2, 7, 1)])
def test_every_number_of_the_scale_is_in_the_range_that_is_written_below_its_bar(
    ask: Estimate,
) -> None:
    stops = round((ask.high - ask.low) / ask.step)
    values = [ask.low + place * ask.step for place in range(stops + 1)]
    for value in values:
        drawn = histogram(ask, [counted(ask, value)], value)
        assert sum(drawn["counts"]) == 1
        assert drawn["counts"][drawn["own"]] == 1
        words = drawn["bars"][drawn["own"]].removesuffix(f" {ask.unit}".rstrip())
        ends = [float(each) for each in words.split("–")]
        assert ends[0] - 1e-9 <= value <= ends[-1] + 1e-9
    assert sum(histogram(ask, values)["counts"]) == len(values)


def test_marks_are_counted_by_cell() -> None:
    votes = [counted(MARKS, each) for each in ([0, 5], [5, 1], [5])]
    drawn = histogram(MARKS, votes, votes[0])
    assert (drawn["counts"], drawn["own"]) == ([1, 1, 0, 0, 0, 3], [0, 5])


def test_a_class_is_as_full_as_it_can_be_and_who_is_silent_makes_room(
    book: Book, clock: Clock, opened: tuple[str, str]
) -> None:
    code, _ = opened
    other, _ = book.open(LESSON.name, "there")
    filled(book, code, classes.MOST_MEMBERS)
    book.predict(code, member(0), 1, "same")
    book.predict(code, member(1), 1, "same")
    with pytest.raises(NoClass, match="members already"):
        book.join(code, member(1000))
    book.join(other, member(1000))
    clock.time += classes.HERE + 1
    book.join(code, member(0))
    group = book.join(code, member(1000))
    assert set(group.members) == {member(0), member(1000)}
    assert set(group.of(1)) == {member(0)}


def test_who_is_silent_is_not_waited_for_unless_they_have_predicted(
    book: Book, clock: Clock, opened: tuple[str, str]
) -> None:
    code, _ = opened
    filled(book, code, 3)
    book.predict(code, member(0), 1, "same")
    clock.time += classes.HERE + 1
    group = book.join(code, member(1))
    told = book.told(group, 1, member(1))
    assert (told["joined"], told["predicted"]) == (2, 1)


def test_asking_for_other_steps_keeps_nothing(book: Book, opened: tuple[str, str]) -> None:
    code, _ = opened
    group = book.join(code, member(0))
    for step in (-5, 4, 10**9):
        assert book.told(group, step, member(0))["predicted"] == 0
        with pytest.raises((Refused, NoAnswer)):
            book.predict(code, member(0), step, "same")
    assert not group.votes


def test_few_classes_a_minute_and_in_all_from_one_address_and_none_is_lost(
    book: Book, clock: Clock
) -> None:
    code, _ = book.open(LESSON.name, "teacher")
    book.join(code, member(0))
    for minute in range(30):
        several = [_opens(book, "impatient") for _ in range(classes.MOST_A_MINUTE + 1)]
        assert not several[-1]
        for _ in range(classes.MOST_A_MINUTE):
            _opens(book, f"flood-{minute // 4}")
        clock.time += 61
        assert book.find(code).members
    assert len(book.groups) <= classes.MOST_CLASSES
    by = [each.opener for each in book.groups.values()]
    assert max(map(by.count, by)) <= classes.MOST_OF_ONE
    assert len(by) > classes.MOST_OF_ONE  # others could open theirs meanwhile


def _opens(book: Book, opener: str) -> bool:
    try:
        book.open(LESSON.name, opener)
    except Refused:
        return False
    return True


def test_a_class_ends_hours_after_it_was_last_used_and_an_empty_one_sooner(
    book: Book, clock: Clock, opened: tuple[str, str]
) -> None:
    code, key = opened
    empty, _ = book.open(LESSON.name, "here")
    book.join(code, member(0))
    clock.time += classes.LASTS_EMPTY + 1
    with pytest.raises(NoClass):
        book.find(empty)
    clock.time += classes.LASTS - classes.LASTS_EMPTY - 2
    book.lead(code, key)
    clock.time += classes.LASTS - 1
    book.join(code, member(0))
    clock.time += classes.LASTS + 1
    with pytest.raises(NoClass, match="over"):
        book.join(code, member(0))


def test_without_a_teacher_everybody_goes_on_alone(
    book: Book, clock: Clock, opened: tuple[str, str]
) -> None:
    code, key = opened
    group = book.turn(code, key, "step", 2)
    clock.time += classes.ALONE + 1
    assert book.told(group, 2, member(0))["at"] is None
    book.lead(code, key)
    assert book.told(group, 2, member(0))["at"] == 2


@pytest.mark.parametrize("what", ["show", "reveal", "step", "free", "end"])
def test_only_the_browser_that_opened_a_class_leads_it(
    book: Book, opened: tuple[str, str], what: str
) -> None:
    code, key = opened
    for wrong in ("", "é", key[:-1], member(0)):
        with pytest.raises(Refused, match="did not open"):
            book.turn(code, wrong, what, 1)
    book.turn(code, key, what, 1)
    if what == "end":
        with pytest.raises(NoClass):
            book.find(code)


def test_codes_and_keys_differ_and_are_read_without_doubt(book: Book) -> None:
    pairs = [book.open(LESSON.name, str(number)) for number in range(50)]
    assert len({code for code, _ in pairs}) == len({key for _, key in pairs}) == 50
    assert all(
        len(code) == classes.LETTERS_OF_A_CODE and set(code) <= set(classes.LETTERS)
        for code, _ in pairs
    )
    assert not set(classes.LETTERS) & set("0OQ1IL2Z5S8BU")


def asked(book: Book, name: str, request: Any) -> dict[str, Any]:
    """What a script is answered."""
    functions = {each.__name__: each for each in classes.functions(book)}
    text = request if isinstance(request, str) else json.dumps(request)
    return json.loads(alone(functions[name](text)))


NONSENSE = ["", "[", "[]", "null", "[" * 3000, '{"code": 7}', json.dumps({"code": "x" * 5000})]


@pytest.mark.parametrize("name", ["class_look", "class_predict", "class_lead", "class_card"])
@pytest.mark.parametrize("request_", NONSENSE, ids=range(len(NONSENSE)))
def test_nonsense_is_one_sentence(book: Book, name: str, request_: str) -> None:
    assert asked(book, name, request_)["problem"]


def test_a_script_hears_of_no_key_and_no_browser(book: Book, opened: tuple[str, str]) -> None:
    code, key = opened
    base = {"code": code, "step": 1}
    asked(book, "class_predict", base | {"member": member(1), "value": "same"})
    said = [
        asked(book, "class_look", base | {"member": member(0)}),
        asked(book, "class_look", base | {"key": key}),
        asked(book, "class_lead", base | {"key": key, "do": "show"}),
    ]
    assert [each["joined"] for each in said] == [2, 2, 2]
    assert key not in json.dumps(said)
    assert member(1) not in json.dumps(said)
    lost = asked(book, "class_look", {"code": "AAAAAA", "member": member(0), "step": 1})
    assert lost["over"]
    assert not asked(book, "class_look", base | {"key": "wrong"})["over"]


def test_the_card_leads_to_the_first_step_at_an_address_of_the_room(
    book: Book, opened: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, key = opened
    teacher = {"code": code, "key": key}
    there = teacher | {"base": "https://lab.example/sub/", "hide": "attack,goal,<b>,"}
    told = asked(book, "class_card", there)
    assert told["link"] == f"https://lab.example/sub/?l=made_up&s=0&k={code}&hide=attack,goal"
    assert told["typed"] == "https://lab.example/sub/learn"
    assert "<svg" in told["qr"]
    assert not told["said"]
    functions = {each.__name__: each for each in classes.doors(book)}
    found = json.loads(alone(functions["class_find"](json.dumps({"code": code}))))
    assert found["way"] == f"./?l=made_up&s=0&k={code}&hide=attack,goal"
    monkeypatch.setattr(invite, "_in_the_room", lambda port: f"10.42.0.1:{port}")
    here = teacher | {"base": "http://127.0.0.1:7860"}
    assert asked(book, "class_card", here)["typed"] == "http://10.42.0.1:7860/learn"
    monkeypatch.setattr(invite, "_in_the_room", lambda port: "")
    told = asked(book, "class_card", here)
    assert told["said"] == invite.ALONE
    assert told["typed"] == "http://127.0.0.1:7860/learn"
    assert asked(book, "class_card", teacher | {"base": "javascript:alert(1)"})["problem"]


def test_an_address_that_does_not_answer_is_not_offered() -> None:
    with socket.socket() as listens:
        listens.bind(("127.0.0.1", 0))
        port = listens.getsockname()[1]
        assert not invite._answers("127.0.0.1", port)
        listens.listen()
        assert invite._answers("127.0.0.1", port)
