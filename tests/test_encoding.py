"""Text is UTF-8 on every machine: also where the locale says that it is something else."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = [
    ROOT / "app.py",
    *(path for top in ("engine", "demo", "tests") for path in sorted((ROOT / top).rglob("*.py"))),
]
TEXT = {"read_text": 0, "write_text": 1}  # and how many arguments come before the encoding
START = """
import locale, warnings
warnings.filterwarnings("error", category=EncodingWarning, module=r"(app|demo|engine)(\\.|$)")
warnings.filterwarnings("error", category=EncodingWarning, module="__main__")
import app
from demo.kit.chrome import launch_settings
launch_settings()
print(locale.getencoding(), len(app.demo.blocks) > 50)
"""


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_text_is_read_or_written_in_the_machines_own_encoding(path: Path) -> None:
    calls = (n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call))
    assert not [call.lineno for call in calls if _takes_the_locale(call)]


def _takes_the_locale(call: ast.Call) -> bool:
    """Whether a call may open text without saying its encoding, as far as its words tell."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    given = {each.arg: each.value for each in call.keywords}
    if "encoding" in given or None in given:
        return False
    if name in TEXT:
        return len(call.args) <= TEXT[name]
    if name == "open" and isinstance(function, ast.Name):
        return "b" not in _mode(given.get("mode"), call.args[1:])
    if name == "open" and _is_mode(given.get("mode"), call.args):  # a path's: others take a name
        return "b" not in _mode(given.get("mode"), call.args)
    return any(_is(given.get(word), True) for word in ("text", "universal_newlines"))


def _mode(named: ast.expr | None, rest: list[ast.expr]) -> str:
    found = named or (rest[0] if rest else None)
    return str(found.value) if isinstance(found, ast.Constant) else "r"


def _is_mode(named: ast.expr | None, rest: list[ast.expr]) -> bool:
    if not rest or named is not None:
        return True
    return isinstance(rest[0], ast.Constant) and set(str(rest[0].value)) <= set("rwxabt+")


def _is(found: ast.expr | None, value: object) -> bool:
    return isinstance(found, ast.Constant) and found.value is value


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("path.read_text()", True),
        ("path.read_text('utf-8')", False),
        ("path.write_text(words)", True),
        ("path.write_text(words, encoding='utf-8')", False),
        ("open(path)", True),
        ("open(path, 'rb')", False),
        ("path.open()", True),
        ("path.open('w')", True),
        ("path.open('rb')", False),
        ("Image.open(path)", False),
        ("archive.open('labels.csv')", False),
        ("subprocess.run(words, text=True)", True),
        ("subprocess.run(words, encoding='utf-8')", False),
    ],
)
def test_the_rule_sees_what_it_is_for(text: str, found: bool) -> None:
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call)
    assert _takes_the_locale(call) is found


@pytest.fixture(params=["ascii", "cp1252"])
def western(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The environment of a machine whose text is ASCII (the C locale), or as on Windows."""
    plain = {**os.environ, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(ROOT)}
    plain.pop("LAB_WEIGHTS", None)
    if request.param == "ascii":
        return plain | {"LC_ALL": "C"}
    if shutil.which("localedef") is None:
        pytest.skip("this machine cannot make a locale")
    # Warnings of the locale's own source make localedef end with 1; the locale is there all the same.
    made = tmp_path / "en_US.CP1252"
    subprocess.run(
        ["localedef", "-c", "-i", "en_US", "-f", "CP1252", str(made)],
        capture_output=True,
        check=False,
    )
    if not made.is_dir():
        pytest.skip("this machine has no CP1252")
    return plain | {"LC_ALL": made.name, "LOCPATH": str(tmp_path)}


@pytest.mark.slow
def test_the_page_starts_in_any_locale(western: dict[str, str]) -> None:
    command = [sys.executable, "-X", "warn_default_encoding", "-c", START]
    done = subprocess.run(
        command, cwd=ROOT, env=western, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    encoding, built = done.stdout.split()[-2:]
    assert encoding.lower() in ("ansi_x3.4-1968", "us-ascii", "646", "cp1252")
    assert built == "True"
