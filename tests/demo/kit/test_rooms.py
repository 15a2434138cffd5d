"""Rooms: a question's other rooms are led to, whatever stands before the page's address."""

from __future__ import annotations

import re

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from demo.kit import rooms
from demo.kit.rooms import COST, Doors
from demo.page import PAGES


def told(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.url.path)


@pytest.mark.parametrize("root", ["", "/spaces/lab"])
@pytest.mark.parametrize(
    ("asked", "there"),
    [
        ("/cost?room=tokens", "/cost-tokens"),
        ("/cost?room=tokens&__theme=dark", "/cost-tokens?__theme=dark"),
        ("/cost?room=outliers", "/cost?room=outliers"),
        ("/cost?room=none", "/cost?room=none"),
        ("/cost", "/cost"),
        ("/why?room=masked", "/why-masked"),
        ("/why?room=tokens", "/why?room=tokens"),
        ("/defend?room=tokens", "/defend-tokens"),
    ],
)
def test_a_room_is_led_to_by_its_name(asked: str, there: str, root: str) -> None:
    app = Starlette(routes=[Route("/{path:path}", told)])
    found = TestClient(Doors(app)).get(root + asked)
    assert found.status_code == 200
    assert (
        found.url.path + (f"?{found.url.query.decode()}" if found.url.query else "") == root + there
    )


def test_the_switch_names_every_room_once_and_marks_the_one_that_is_looked_at() -> None:
    for here in COST.rooms:
        html = COST.switch(here)
        assert re.findall(r'href="([^"]+)"', html) == [each.route for each in COST.rooms]
        assert html.count("aria-current") == 1
        assert f"aria-current=page>{here.title}<" in html


def test_every_room_is_a_page_and_only_the_first_is_in_the_navigation() -> None:
    named = {route: shown for _, route, _, shown in PAGES}
    for page in rooms.ALL:
        assert [named[each.route] for each in page.rooms] == [
            True,
            *[False] * (len(page.rooms) - 1),
        ]
