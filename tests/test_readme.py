"""The README says what is so: its commands parse, its numbers are the cards', its links exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from engine.__main__ import parser
from engine.model import zoo
from engine.train import RECIPES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^python -m engine (.+)$", README, re.M)


def test_spaces_front_matter_is_complete() -> None:
    _, front, _ = README.split("---\n", 2)
    values = dict(re.findall(r"^(\w+): *(.*)$", front, re.M))
    assert values["sdk"] == "gradio"
    assert f"gradio=={values['sdk_version']}" in (ROOT / "requirements.txt").read_text(
        encoding="utf-8"
    )
    assert (ROOT / values["app_file"]).is_file()
    assert len(values["short_description"]) <= 60
    assert values["license"] == "apache-2.0"


def test_ci_runs_exactly_the_test_command() -> None:
    command = 'pip install -e ".[test]" && python -m pytest'
    assert f"```bash\n{command}\n```" in README
    assert f"\n{command}\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_parse(command: str) -> None:
    words = shlex.split(command)
    if words[0] == "train":
        assert words[1] in RECIPES
    else:
        assert callable(parser().parse_args(words).run)


def test_the_table_of_models_is_what_the_cards_say() -> None:
    for card in zoo.cards():
        if card.source == "bundled":
            (row,) = re.findall(rf"^\| `{card.name}` \| [^\d].*$", README, re.M)
            assert f"{card.measured['val_accuracy']:.1%}" in row
            assert f"{card.params / 1e6:.1f} M" in row


def test_links_and_pictures_exist() -> None:
    for target in re.findall(r"\]\((?!http|#)([^)]+)\)", README):
        assert (ROOT / target).exists(), target
