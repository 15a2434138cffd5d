"""Start the Lab: `python app.py [--port 7860] [--weights DIR]`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from demo.chrome import launch_settings
from demo.page import build
from engine.core.errors import EngineError
from engine.model.zoo import WEIGHTS_VARIABLE, weights_folder

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument(
    "--port", type=int, help="port to serve on (default: GRADIO_SERVER_PORT or 7860)"
)
parser.add_argument("--weights", type=Path, help=f"local weights folder (or {WEIGHTS_VARIABLE})")
arguments, _ = parser.parse_known_args()

try:
    demo = build(weights_folder(arguments.weights))
except EngineError as problem:
    parser.error(str(problem))

if __name__ == "__main__":
    demo.launch(server_port=arguments.port, **launch_settings())
