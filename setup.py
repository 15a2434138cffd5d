"""What pyproject.toml cannot say: an installed engine has its assets inside."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithAssets(build_py):
    """Puts `assets/` where `engine.core.assets` looks for it; an editable install reads the checkout's."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            inside = Path(self.build_lib, "engine", "assets")
            shutil.rmtree(inside, ignore_errors=True)
            # scripts make assets and are none; the screenshot is the README's
            left_out = shutil.ignore_patterns("*.py", "render", "__pycache__", "screenshot.png")
            shutil.copytree("assets", inside, ignore=left_out)


setup(cmdclass={"build_py": WithAssets})
