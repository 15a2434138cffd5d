"""Scripts and styles: served once, at addresses that name their content; linted, formatted; every import holds."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from scripted import HOME, alone
from starlette.applications import Starlette
from starlette.testclient import TestClient

from demo.kit import scripts

ROOT = Path(__file__).parents[3]
PAGES = ("lab", "transfer", "why", "cost")


def asked(path: str, root_path: str = "", **headers: str) -> Any:
    client = TestClient(Starlette(routes=scripts.routes()), root_path=root_path)
    return client.get(path, headers=headers)


@pytest.mark.parametrize("prefix", ["", "/spaces/lab"])
@pytest.mark.parametrize(
    ("path", "kind"), [("kit/js/store.js", "text/javascript"), ("kit/kit.css", "text/css")]
)
def test_a_file_is_kept_for_good_by_an_address_that_names_its_content(
    path: str, kind: str, prefix: str
) -> None:
    for encoding in ("gzip", "identity"):
        found = asked(f"/{scripts.folder()}/{path}", prefix, **{"accept-encoding": encoding})
        assert found.content == (ROOT / "demo" / path).read_bytes()
        assert found.headers["content-type"].startswith(kind)
        assert "immutable" in found.headers["cache-control"]
        assert ("content-encoding" in found.headers) == (encoding == "gzip")


@pytest.mark.parametrize("path", ["/kit/scripts.py", "/../engine/__init__.py", "/kit/js/none.js"])
def test_nothing_else_is_served(path: str) -> None:
    assert asked(f"/{scripts.folder()}{path}").status_code == 404
    assert asked("/scripts/0000000000000000/kit/js/store.js").status_code == 404


def test_the_address_changes_with_any_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    before, files = scripts.folder(), scripts.files()
    for path in ("kit/js/store.js", "cost/cost.css"):
        changed = {**files, path: files[path] + b" "}
        monkeypatch.setattr(scripts, "files", lambda changed=changed: changed)
        assert scripts.folder.__wrapped__() != before
    monkeypatch.setattr(scripts, "files", lambda: files)
    assert scripts.folder.__wrapped__() == before


def tool(name: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    found = shutil.which(name, path=sysconfig.get_path("scripts"))
    assert found, f"pip install -e '.[test]' brings {name}"
    return subprocess.run([found, *words], cwd=ROOT, capture_output=True, encoding="utf-8")


def lint(*paths: Path) -> subprocess.CompletedProcess[str]:
    return tool("oxlint", "-c", ROOT / ".oxlintrc.json", *paths)


def test_the_linter_finds_nothing() -> None:
    found = lint(ROOT / "demo")
    assert found.returncode == 0, found.stdout


def test_the_formatter_would_change_nothing() -> None:
    found = tool("oxfmt", "-c", ROOT / ".oxfmtrc.json", "--check", ROOT / "demo")
    assert found.returncode == 0, found.stdout


def test_the_linter_would_find_it(tmp_path: Path) -> None:
    (tmp_path / "whole.js").write_text("export const whole = 1;\n", encoding="utf-8")
    (tmp_path / "broken.js").write_text(
        'import { half, whole } from "./whole.js";\nexport const sum = () => half + other;\n',
        encoding="utf-8",
    )
    found = lint(tmp_path)
    assert found.returncode
    for rule in ("no-undef", "no-unused-vars", "named"):
        assert f"({rule})" in found.stdout, rule


def test_every_import_of_every_module_resolves(browser: Any) -> None:
    """The browser itself resolves: a missing file or export is an error of the module."""
    page = browser.new_page()
    alone(page)
    page.goto(HOME)
    modules = [f"/{scripts.folder()}/{each}" for each in scripts.files() if each.endswith(".js")]
    assert len(modules) > 20
    failed = page.evaluate(
        """async (modules) => {
          const ends = await Promise.allSettled(modules.map((each) => import(each)));
          return ends.map(({ reason }, i) => reason && `${modules[i]}: ${reason}`).filter(Boolean);
        }""",
        modules,
    )
    page.close()
    assert not failed


DRIVEN = """
async () => {
  const { select, selection, on } = await lab;
  const part = Object.keys(selection())[0];
  const heard = [];
  const end = on("select", (all) => heard.push(all[part]));
  select({ [part]: "there" });
  select({ [part]: "there" });  // nothing has moved
  end();
  select({ [part]: "not heard" });
  try { on("selected", () => {}); } catch { heard.push("a misspelt event is refused"); }
  return heard;
}
"""


@pytest.mark.parametrize(
    ("name", "root"),
    [
        *((name, HOME) for name in PAGES),
        ("lab", "http://lab.test/spaces/lab"),
        ("why", "https://lab.test/a/"),
    ],
)
def test_a_page_loads_what_it_needs_alone_and_is_driven_and_watched(
    browser: Any, name: str, root: str
) -> None:
    page = browser.new_page()
    route = "" if name == "lab" else name
    came = alone(page, root, route)
    page.goto(f"{root.rstrip('/')}/")
    heard = page.evaluate(DRIVEN)
    page.close()
    assert heard == ["there", "a misspelt event is refused"]
    below = f"{root.rstrip('/')}/{scripts.folder()}/"
    files = [each.removeprefix(below) for each in came[1:]]
    assert len(files) == len(set(files))
    assert {f"{name}/{name}.js", f"{name}/{name}.css", "kit/kit.css"} <= set(files)
    assert {each.partition("/")[0] for each in files} == {"kit", name}
