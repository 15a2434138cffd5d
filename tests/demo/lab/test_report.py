"""The report: one file that needs nothing else, says all that its run was asked, and takes any name."""

from __future__ import annotations

import base64
import json
import re
from html import escape
from typing import Any

import pytest

from demo.lab import report as reports
from demo.lab.citation import bibtex
from demo.lab.views.about import about
from engine import studio
from engine.attack.catalog import RECIPES, recipe
from engine.data.samples import load_sample
from engine.studio import NoFacts

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&.png"


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    """What a run of a picture with a hostile name says of itself, as a browser sends it back."""
    request = studio.Request(
        load_sample("golf_ball"),
        "vit_imagenette",
        recipe("mifgsm", steps=1),
        views=False,
        name=HOSTILE,
    )
    run = studio.Run(request)
    run.advance()
    return json.loads(json.dumps(about(run.result()), allow_nan=False))


def page(*runs: Any) -> str:
    found = reports.report(*runs)
    return f"{found['before']}{{}}{found['after']}"


def modules(text: str) -> dict[str, str]:
    """The modules that a report holds, by name."""
    held = re.search(r'<script type="importmap">(.*?)</script>', text)
    assert held
    before = "data:text/javascript;base64,"
    return {
        name: base64.b64decode(address.removeprefix(before)).decode()
        for name, address in json.loads(held[1])["imports"].items()
    }


def test_every_module_finds_all_that_it_imports_in_the_file(said: dict[str, Any]) -> None:
    found = modules(page(said))
    assert {reports.ENTRY, "lab/js/attention.js", "kit/js/draw.js"} <= found.keys()
    for name, text in found.items():
        wanted = re.findall(r'^(?:import|export)\b[^;=()]*?"([^"]+)";', text, re.MULTILINE)
        assert set(wanted) <= found.keys(), name
        assert not re.search(r'"\.{1,2}/[^"]*\.js"', text), name


def test_nothing_is_fetched(said: dict[str, Any]) -> None:
    text = page(said)
    tags = re.findall(r"<\w[^>]*>", text)
    assert not re.findall(r"\b(?:src|href|action)\s*=", "".join(tags))
    assert not re.search(r"url\(|@import", text)
    everything = text + "".join(modules(text).values())
    assert not re.search(r"https?://(?!www\.w3\.org/)", everything)


def test_a_name_is_text_wherever_it_stands(said: dict[str, Any]) -> None:
    text = page(said, said)
    assert "<img" not in text
    assert text.count("</script>") == 3  # the import map, the messages, what starts it
    assert escape(said["command"]) in text
    assert re.fullmatch(r"[\w.-]+-report\.html", reports.report(said)["name"])


def test_it_says_what_was_asked_and_how_to_make_it_again(said: dict[str, Any]) -> None:
    text = page(said)
    for name, word in said["setting"].items():
        if name != "pixels":
            assert f"<th scope=row>{name}</th><td>{escape(word)}</td>" in text
    for each in (said["code"], *said["papers"], *said["made"].values()):
        assert escape(each) in text


def test_beside_a_pinned_run_it_says_what_differs(said: dict[str, Any]) -> None:
    seed = {**said, "setting": {**said["setting"], "seed": "7"}}
    found = reports.report(seed, said)
    assert found["difference"]["setting"].startswith("Now seed 7 instead of 0;")
    assert escape(found["difference"]["setting"]) in found["before"]
    assert '<tr class="report-apart"><th scope=row>seed</th><td>0</td><td>7</td>' in found["before"]


def test_what_is_no_run_makes_no_report(said: dict[str, Any]) -> None:
    for nothing in (None, [], {**said, "made": 1}, {**said, "setting": None}):
        with pytest.raises(NoFacts):
            reports.report(nothing)


def test_a_paper_is_cited_with_no_more_than_its_line_says() -> None:
    assert bibtex("Dong et al., Boosting Adversarial Attacks with Momentum, CVPR 2018") == (
        "@inproceedings{dong2018boosting,\n"
        "  author = {Dong and others},\n"
        "  title = {{Boosting Adversarial Attacks with Momentum}},\n"
        "  booktitle = {CVPR},\n"
        "  year = {2018}\n}"
    )
    assert bibtex("A. Lee and Wang, One, Two, ICLR 2020").startswith("@inproceedings{alee2020one,")
    assert "note = {This project, after Zhang et al., CVPR 2023}" in bibtex(
        "This project, after Zhang et al., CVPR 2023"
    )
    for paper in [*reports.PAPERS, *(each.paper for each in RECIPES)]:
        entry = bibtex(paper)
        assert entry.count("{") == entry.count("}")
        assert paper.split()[0] in entry
