"""What is installed: every import is declared, and the engine alone works anywhere, with its models."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.test_floors import FILES, ROOT, imports

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
ENGINE, PAGE = PROJECT["dependencies"], PROJECT["optional-dependencies"]["page"]


def distribution(requirement: str) -> str:
    return re.split(r"[=<>]", requirement)[0].lower().replace("_", "-")


def test_a_space_installs_the_engine_and_the_page() -> None:
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    asked = [line for line in lines if line and not line.startswith("#")]
    assert sorted(asked) == sorted(ENGINE + PAGE)


@pytest.mark.parametrize(("top", "declared"), [("engine", ENGINE), ("demo", ENGINE + PAGE)])
def test_what_is_imported_is_declared(top: str, declared: list[str]) -> None:
    files = [path for path in FILES if path.relative_to(ROOT).parts[0] == top]
    names = {name.split(".")[0] for path in files for name in imports(path)}
    foreign = names - {"engine", "demo", ""} - sys.stdlib_module_names
    known = packages_distributions()
    brought = {each.lower().replace("_", "-") for name in foreign for each in known[name]}
    assert brought <= {distribution(each) for each in declared}


@pytest.mark.slow
def test_an_installed_engine_attacks_from_anywhere_without_the_page(tmp_path: Path) -> None:
    """The files of a wheel, in a folder of their own; gradio and plotly cannot be imported."""
    lib = tmp_path / "lib"
    build = (sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(lib))
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    for name in ("gradio", "plotly"):
        (lib / f"{name}.py").write_text("raise ImportError('no page here')", encoding="utf-8")
    attack = "-m engine attack sample:golf_ball --model vit_imagenette --attack fgsm --out out"
    done = subprocess.run(
        (sys.executable, *attack.split()),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(lib)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "golf ball" in done.stdout
    assert len(list((tmp_path / "out").iterdir())) == 3
