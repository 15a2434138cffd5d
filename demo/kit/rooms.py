"""Rooms: pages of one question, each with an address of its own, and the one way between them."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from urllib.parse import parse_qsl, urlencode

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send


@dataclass(frozen=True)
class Room:
    """A room: its title on the switch, its `name` in `?room=`, and its route without a slash.

    Gradio's routes have no folders, so a second room's is `cost-tokens`, not `cost/tokens`.
    """

    title: str
    name: str
    route: str


@dataclass(frozen=True)
class Rooms:
    """The rooms of one page of the navigation; the first has the page's own address."""

    page: str
    rooms: tuple[Room, ...]

    def switch(self, here: Room) -> str:
        """The way from room to room as HTML, this one marked."""
        links = "".join(
            f'<a href="{each.route}"{" aria-current=page" * (each == here)}>{escape(each.title)}</a>'
            for each in self.rooms
        )
        return (
            f'<nav class="lab-rooms" aria-label="Rooms of {escape(self.page)}" '
            f'data-page="{self.rooms[0].route}">{links}</nav>'
        )


OUTLIERS = Room("int8 outliers", "outliers", "cost")
TOKENS = Room("tokens", "tokens", "cost-tokens")
COST = Rooms("Cost", (OUTLIERS, TOKENS))
REGULARISED = Room("regularised gradients", "regularised", "why")
MASKED = Room("masked gradients", "masked", "why-masked")
WHY = Rooms("Why", (REGULARISED, MASKED))
TRAINING = Room("training", "training", "defend")
ARMOUR = Room("tokens", "tokens", "defend-tokens")
DEFEND = Rooms("Defend", (TRAINING, ARMOUR))
LESSONS = Room("lessons", "lessons", "learn")
CLAIMS = Room("run a claim again", "claims", "learn-claims")
LEARN = Rooms("Learn", (LESSONS, CLAIMS))
ALL = (WHY, COST, DEFEND)


class Doors:
    """Leads from `/cost?room=tokens` to that room's own address."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        there = _asked(scope) if scope["type"] == "http" else None
        await (self.app if there is None else RedirectResponse(there))(scope, receive, send)


def _asked(scope: Scope) -> str | None:
    """Where a request for a room is to be led, seen from the page; None where it asks for none."""
    query = parse_qsl(scope["query_string"].decode("latin-1"))
    asked, last = dict(query).get("room"), scope["path"].rpartition("/")[2]
    for page in ALL:
        for room in page.rooms[1:]:
            if last == page.rooms[0].route and asked == room.name:
                rest = urlencode([each for each in query if each[0] != "room"])
                return f"{room.route}?{rest}" if rest else room.route
    return None
