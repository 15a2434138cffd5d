"""app.py: a wrong word is said before anything is loaded, and Ctrl-C is a quiet end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "assets" / "samples" / "golf_ball.png"


@pytest.fixture
def port() -> Iterator[socket.socket]:
    """A socket bound to some free port."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        yield found


def app(*words: str) -> tuple[int, str, float]:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "app.py", *words],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return done.returncode, done.stderr, time.monotonic() - began


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--nonsense",), "unrecognized arguments: --nonsense"),
        (("--prt", "7860"), "unrecognized arguments: --prt 7860"),
        (("--port", "99999999"), "“99999999” is no port"),
        (("--port", "0"), "“0” is no port"),
        (("--port", "http"), "“http” is no port"),
        (("--weights", "no/such/folder"), "there is no folder “no/such/folder”"),
    ],
)
def test_a_wrong_word_is_one_sentence(words: tuple[str, ...], said: str) -> None:
    status, err, seconds = app(*words)
    assert status == 2
    assert said in err.splitlines()[-1]
    assert "Traceback" not in err
    assert seconds < 3, "refused only after the imports"


def test_a_port_that_is_taken_is_one_sentence(port: socket.socket) -> None:
    port.listen()
    number = port.getsockname()[1]
    status, err, seconds = app("--port", str(number))
    assert (status, "Traceback" in err) == (2, False)
    assert f"port {number} is taken" in err
    assert seconds < 3, "refused only after the imports"


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a POSIX signal")
def test_ctrl_c_while_a_client_attacks_is_a_quiet_end(port: socket.socket, tmp_path: Path) -> None:
    """A thread inside torch took the dying interpreter down: exit status -6, a C++ abort."""
    from gradio_client import Client, handle_file

    number = port.getsockname()[1]
    port.close()
    command = [sys.executable, "app.py", "--port", str(number)]
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(tmp_path)}
    served = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        # tests that run in a shell's background have it ignored, and so would their children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert served.stdout is not None
        heard = iter(served.stdout)
        assert any("Running on local URL" in line for line in heard)
        client = Client(f"http://127.0.0.1:{number}", verbose=False)
        job = client.submit(
            handle_file(SAMPLE), "vit_imagenette", "vmi", {"steps": 200}, api_name="/attack"
        )
        while not any(each["state"] == "running" for each in job.outputs()):
            assert not job.done()
            time.sleep(0.1)
        served.send_signal(signal.SIGINT)
        rest = served.stdout.read()
        assert served.wait(60) in (0, 130)
        assert "Traceback" not in rest
        assert "terminate" not in rest
    finally:
        served.kill()
        served.communicate()
