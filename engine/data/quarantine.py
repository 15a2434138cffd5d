"""Strangers' pictures are decoded in a process of their own before anything else opens them.

What a decoder does with hostile bytes is not ours to foresee: a few kilobytes can ask it for an hour
or for all memory, or crash it. There it may; the page goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import DEVNULL, PIPE

from engine.core.errors import BadImage
from engine.data.decode import brief, decode

MOST_SECONDS = 5  # of processor time for one picture; the slowest honest one of 24 MP takes 2
PATIENCE = 60.0  # seconds by the clock for all that are tried together
MOST_MEMORY = 768 << 20  # bytes; the hungriest honest picture, a lossless 24 MP WebP, takes 0.6 GB
_passed: set[bytes] = set()
_ROOT = Path(__file__).resolve().parents[2]


def inspect(paths: Sequence[Path], patience: float = PATIENCE) -> None:
    """Raise BadImage at the first picture that cannot be decoded in `MOST_SECONDS` and `MOST_MEMORY`.

    What `decode` says of a picture is said here; what nobody foresaw is one sentence, too. What was
    let out once is known by its bytes.
    """
    known = {path: _digest(path) for path in paths}
    _try([path for path in paths if known[path] not in _passed], patience)
    if len(_passed) > 10_000:
        _passed.clear()
    _passed.update(known.values())


def _try(paths: Sequence[Path], patience: float) -> None:
    if not paths:
        return
    command = (sys.executable, "-m", __name__)
    asked = json.dumps([MOST_SECONDS, [os.path.abspath(path) for path in paths]])
    single = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    late = False
    with subprocess.Popen(
        command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, cwd=_ROOT, env=single
    ) as child:
        try:
            said, _ = child.communicate(asked.encode(), patience)
        except subprocess.TimeoutExpired:
            late = True
            child.kill()
            said, _ = child.communicate()
    told = [json.loads(line) for line in said.splitlines() if line.endswith(b"]")]
    for problem in filter(None, told):
        raise BadImage(*problem)
    if late:
        raise BadImage(
            f"Only {len(told)} of {len(paths)} pictures were decoded within {patience:.0f} s.",
            "Make them smaller, or bring fewer.",
        )
    if len(told) < len(paths):
        long = child.returncode == -getattr(signal, "SIGXCPU", 0)
        why = "takes too long to decode" if long else "cannot be decoded"
        name = brief(paths[len(told)].name)
        raise BadImage(f"{name} {why}.", "Save it again as PNG or JPEG, or make it smaller.")


def _digest(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except (OSError, ValueError) as cause:
        raise BadImage(f"There is no file {brief(path.name)}.", "Upload it again.") from cause


def _tried(path: Path) -> tuple[str, ...]:
    """What is wrong with the picture: sentence and hint, or nothing."""
    try:
        decode(path)
    except BadImage as problem:
        return problem.sentence, problem.hint
    except MemoryError:
        return f"{brief(path.name)} needs too much memory.", "Save it again, or make it smaller."
    return ()


def _limit(seconds: int) -> None:
    """From now on so many seconds more and `MOST_MEMORY`, where the system knows limits."""
    try:
        import resource
    except ImportError:  # Windows: patience alone
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds += 1 + int(used.ru_utime + used.ru_stime)
    for kind, most in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_DATA, MOST_MEMORY)):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (most if hard < 0 else min(most, hard), hard))


if __name__ == "__main__":
    most_seconds, asked = json.load(sys.stdin)
    for each in asked:
        _limit(most_seconds)
        sys.stdout.write(f"{json.dumps(_tried(Path(each)))}\n")
        sys.stdout.flush()  # one by one: whoever waits sees how far this came
