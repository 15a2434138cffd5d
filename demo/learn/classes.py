"""A lesson that a class takes together: who is here and what they predict, in memory alone.

Nobody gives a name: a member is a token that their browser made up, and counts once. Nothing is
written down, and a class is forgotten three hours after it was last used. All of it happens on the
server's event loop, a few microseconds at a time, so there is nothing to lock.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from demo.kit.uploads import peer
from demo.learn import invite
from demo.learn.catalog import BY_NAME
from demo.learn.lesson import Lesson
from demo.learn.tally import Value, counted, histogram
from engine.core.errors import EngineError

LETTERS = "ACDEFGHJKMNPRTVWXY34679"
"""None that is taken for another when it is read from a board: no 0 O Q, 1 I L, 2 Z, 5 S, 8 B, U."""
LETTERS_OF_A_CODE = 6
MOST_CLASSES = 100
MOST_MEMBERS = 120
MOST_OF_ONE = 20
"""Classes that one address may have open."""
MOST_A_MINUTE = 5
LASTS = 3 * 3600.0
LASTS_EMPTY = 900.0
"""A class that nobody has joined is forgotten sooner."""
HERE = 45.0
"""Seconds after which who was not heard of is no longer waited for."""
ALONE = 180.0
"""Seconds without the teacher after which everybody goes on at their own pace. A browser asks once a
minute in a tab that is out of sight."""
MOST_LETTERS = 4000
MEMBER = re.compile(r"[A-Za-z0-9_-]{16,64}")


class NoClass(EngineError):
    """There is no such class, or no place in it: who asks goes on alone."""


class Refused(EngineError):
    """Not now, or not you."""


@dataclass
class Group:
    """One class: its members by when they were last heard of, and their predictions by step.

    While it is `paced` everybody is at step `at`, and sees a result once the teacher lets them. `hide`
    names the controls that are taken away from everybody but the teacher.
    """

    lesson: Lesson
    opener: str
    key: str
    opened: float
    used: float
    led: float
    paced: bool = True
    at: int = 0
    hide: str = ""
    members: dict[str, float] = field(default_factory=dict[str, float])
    votes: dict[int, dict[str, Value]] = field(default_factory=dict[int, dict[str, Value]])
    shown: set[int] = field(default_factory=set[int])
    revealed: set[int] = field(default_factory=set[int])

    def of(self, step: int) -> dict[str, Value]:
        """The predictions of a step so far."""
        return self.votes.get(step, {})

    def here(self, step: int, now: float) -> set[str]:
        """Who is waited for at a step: who was heard of just now, or has predicted."""
        return {each for each, heard in self.members.items() if now - heard <= HERE} | set(
            self.of(step)
        )

    def led_now(self, now: float) -> bool:
        """Whether the teacher sets the pace, and is there."""
        return self.paced and now - self.led <= ALONE


class Book:
    """All classes of a server, by their codes. `now` is the time in seconds."""

    def __init__(
        self,
        lessons: Mapping[str, Lesson] = BY_NAME,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lessons, self.now = lessons, now
        self.groups: dict[str, Group] = {}

    def open(self, name: str, opener: str) -> tuple[str, str]:
        """A new class, as its code and its teacher's key. `opener` is the address it is opened from."""
        self._sweep()
        if name not in self.lessons:
            raise Refused("There is no such lesson.")
        now = self.now()
        own = [each for each in self.groups.values() if each.opener == opener]
        if sum(now - each.opened < 60 for each in own) >= MOST_A_MINUTE:
            raise Refused("Several classes were opened just now.", "Try again in a minute.")
        if len(own) >= MOST_OF_ONE or len(self.groups) >= MOST_CLASSES:
            raise Refused("No further class can be opened.", "Use one that is open, or end it.")
        code, key = self._unused(), secrets.token_urlsafe(18)
        self.groups[code] = Group(self.lessons[name], opener, key, now, now, now)
        return code, key

    def find(self, code: str) -> Group:
        """The class of that code; raises NoClass."""
        self._sweep()
        if code not in self.groups:
            raise NoClass("This class is over, or there never was one of this code.")
        return self.groups[code]

    def join(self, code: str, member: str) -> Group:
        """The class, with this browser in it. In a full one, who is silent makes room."""
        group, now = self.find(code), self.now()
        if not MEMBER.fullmatch(member):
            raise Refused("This browser did not say which one it is.")
        if member not in group.members and len(group.members) >= MOST_MEMBERS:
            _make_room(group, now)
        group.members[member] = group.used = now
        return group

    def lead(self, code: str, key: str) -> Group:
        """The class, for its teacher."""
        group = self.find(code)
        if not secrets.compare_digest(key.encode(), group.key.encode()):
            raise Refused("This browser did not open this class.")
        group.led = group.used = self.now()
        return group

    def predict(self, code: str, member: str, step: int, value: Any) -> Group:
        """Counts a prediction; the last one of a browser counts, until the result is out."""
        group = self.join(code, member)
        if not 0 <= step < len(group.lesson.steps):
            raise Refused("There is no such step.")
        answer = counted(group.lesson.steps[step].ask, value)
        if step in group.revealed and group.of(step).get(member) != answer:
            raise Refused("The result is out: this prediction is not counted.")
        group.votes.setdefault(step, {})[member] = answer
        return group

    def told(self, group: Group, step: int, member: str = "") -> dict[str, Any]:
        """What who is at a step may know; without a `member`, what the teacher may, before the class.

        The histogram is for who has predicted, once all have or at their own pace, and for everybody
        once the teacher shows it.
        """
        now, votes = self.now(), group.of(step)
        here, led = group.here(step, now), group.led_now(now)
        shown = step in group.shown
        done = member in votes and (not led or len(votes) >= len(here))
        steps = group.lesson.steps
        ask = steps[step].ask if 0 <= step < len(steps) else None
        drawn = ask is not None and (shown or done)
        return {
            "lesson": group.lesson.name,
            "at": group.at if led else None,
            "joined": len(here),
            "predicted": len(votes),
            "shown": shown,
            "revealed": step in group.revealed,
            "mine": member in votes,
            "chart": histogram(ask, votes.values(), votes.get(member)) if drawn and ask else None,
        }

    def turn(self, code: str, key: str, what: str, step: int) -> Group:
        """What a teacher does: to lead everybody to a `step`, let them `free`, `show` the predictions
        of a step, `reveal` its result, `end` the class."""
        group = self.lead(code, key)
        if not 0 <= step <= len(group.lesson.steps):
            raise Refused("There is no such step.")
        if what == "end":
            del self.groups[code]
        elif what == "step":
            group.paced, group.at = True, step
        elif what == "free":
            group.paced = False
        elif what in ("show", "reveal"):
            group.shown.add(step)
            if what == "reveal":
                group.revealed.add(step)
        else:
            raise Refused("A teacher can do no such thing.")
        return group

    def _sweep(self) -> None:
        now = self.now()
        for code, each in list(self.groups.items()):
            if now - each.used > (LASTS if each.members else LASTS_EMPTY):
                del self.groups[code]

    def _unused(self) -> str:
        while True:
            code = "".join(secrets.choice(LETTERS) for _ in range(LETTERS_OF_A_CODE))
            if code not in self.groups:
                return code


def _make_room(group: Group, now: float) -> None:
    silent = [each for each, heard in group.members.items() if now - heard > HERE]
    if not silent:
        raise NoClass(f"This class has its {MOST_MEMBERS} members already.")
    for each in silent:
        del group.members[each]
        for votes in group.votes.values():
            votes.pop(each, None)


def functions(book: Book) -> list[Callable[..., Any]]:
    """What scripts of the lesson call: JSON text in, JSON text out."""

    async def class_look(text: str) -> str:
        """What is known of the class; who looks has joined. A teacher brings the `key`."""
        return _answer(text, lambda asked: _look(book, asked))

    async def class_predict(text: str) -> str:
        return _answer(text, lambda asked: _predict(book, asked))

    async def class_lead(text: str) -> str:
        return _answer(text, lambda asked: _lead(book, asked))

    async def class_card(text: str) -> str:
        """The way in for everybody in the room, as `invite.card` says it; from the teacher alone."""
        try:
            asked = read(text)
            code = _text(asked, "code")
            group = book.lead(code, _text(asked, "key"))
            if "hide" in asked:
                group.hide = invite.hidden(_text(asked, "hide"))
            told = invite.card(group.lesson, code, _text(asked, "base"), group.hide)
            return json.dumps(await told)
        except EngineError as problem:
            return _problem(problem)

    return [class_look, class_predict, class_lead, class_card]


def doors(book: Book) -> list[Callable[..., Any]]:
    """What the Learn page calls, in the same way: to open a class, to find one by its code."""

    async def class_open(text: str, visitor: gr.Request) -> str:
        def opened(asked: dict[str, Any]) -> dict[str, Any]:
            code, key = book.open(_text(asked, "lesson"), peer(visitor))
            return {"code": code, "key": key}

        return _answer(text, opened)

    async def class_find(text: str) -> str:
        def found(asked: dict[str, Any]) -> dict[str, Any]:
            code = _text(asked, "code")
            group = book.find(code)
            return {"way": invite.way(group.lesson, code, group.hide)}

        return _answer(text, found)

    return [class_open, class_find]


def _look(book: Book, asked: dict[str, Any]) -> dict[str, Any]:
    if "key" in asked:
        return book.told(book.lead(_text(asked, "code"), _text(asked, "key")), _step(asked))
    member = _text(asked, "member")
    return book.told(book.join(_text(asked, "code"), member), _step(asked), member)


def _predict(book: Book, asked: dict[str, Any]) -> dict[str, Any]:
    member, step = _text(asked, "member"), _step(asked)
    group = book.predict(_text(asked, "code"), member, step, asked.get("value"))
    return book.told(group, step, member)


def _lead(book: Book, asked: dict[str, Any]) -> dict[str, Any]:
    step = _step(asked)
    group = book.turn(_text(asked, "code"), _text(asked, "key"), _text(asked, "do"), step)
    return book.told(group, step)


def _answer(text: str, of: Callable[[dict[str, Any]], dict[str, Any]]) -> str:
    try:
        return json.dumps(of(read(text)))
    except EngineError as problem:
        return _problem(problem)


def _problem(problem: EngineError) -> str:
    """A sentence, and whether it is `over`: there is no class to ask again."""
    return json.dumps({"problem": str(problem), "over": isinstance(problem, NoClass)})


def read(text: Any) -> dict[str, Any]:
    """What a script sent; raises Refused."""
    try:
        asked = json.loads(text) if len(text) <= MOST_LETTERS else None
    except (TypeError, ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise Refused("This is no request to a class.")
    return asked


def _text(asked: dict[str, Any], name: str) -> str:
    return str(asked.get(name, ""))[:MOST_LETTERS]


def _step(asked: dict[str, Any]) -> int:
    step = asked.get("step", 0)
    return step if type(step) is int else -1
