"""Before and after the page: the command line of app.py, read before anything heavy is imported, and
a quiet end."""

from __future__ import annotations

import argparse
import atexit
import os
import socket
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from engine.core.assets import ASSETS

PORTS = range(1, 65536)


def arguments(says: str | None) -> argparse.Namespace:
    """What the command line asks for; a wrong word is one sentence and exit status 2."""
    parser = argparse.ArgumentParser(description=says, allow_abbrev=False)
    parser.add_argument(
        "--port", type=_port, help="port to serve on (default: GRADIO_SERVER_PORT or 7860)"
    )
    parser.add_argument("--weights", type=_folder, help="local weights folder (or LAB_WEIGHTS)")
    return parser.parse_args()


def _port(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number not in PORTS:
        raise argparse.ArgumentTypeError(f"“{text}” is no port from 1 to 65535.")
    if not _free(number):
        raise argparse.ArgumentTypeError(f"port {number} is taken, choose another.")
    return number


def _free(port: int) -> bool:
    """Whether a server can be had there. Gradio's reload asks again, beside the one that it has."""
    if threading.current_thread() is not threading.main_thread():
        return True
    with socket.socket() as found:
        if os.name == "posix":  # a port whose last server has just ended is free
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"), port))
        except OSError:
            return False
    return True


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder “{text}”.")
    return Path(text)


def refuse(problem: Exception) -> NoReturn:
    """Say what the caller can mend, and end."""
    print(f"app.py: {problem}", file=sys.stderr)
    sys.exit(2)


def tell(problems: Iterable[str]) -> None:
    """Say what the page has to do without: it starts all the same."""
    folders = (ASSETS / name for name in ("samples", "style", "studies"))
    gone = [
        f"The folder {each.parent.name}/{each.name} is missing."
        for each in folders
        if not each.is_dir()
    ]
    for sentence in (*gone, *problems):
        print(f"app.py: {sentence}", file=sys.stderr)


_served = threading.Event()


def serve(page: Any, **settings: Any) -> None:
    """Serve the page until Ctrl-C."""
    with suppress(KeyboardInterrupt):  # pressed once more, while the server was closing
        page.launch(**settings)
    _served.set()


def _leave() -> None:
    """End now: a thread that is still inside torch would take a dying interpreter down by a crash."""
    if _served.is_set():
        sys.stdout.flush()
        os._exit(0)


# Registered before what the page imports, so that it is run after what that leaves to do at the end.
atexit.register(_leave)
