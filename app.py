"""Start the Lab: `python app.py [--port 7860] [--weights DIR]`."""

from __future__ import annotations

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from demo import start

arguments = start.arguments(__doc__)

from demo.kit.chrome import launch_settings
from demo.page import build
from engine.core.errors import EngineError
from engine.model.zoo import problems, weights_folder

try:
    weights = weights_folder(arguments.weights)
    start.tell(problems(weights))
    demo = build(weights)
except EngineError as problem:
    start.refuse(problem)

if __name__ == "__main__":
    start.serve(demo, server_port=arguments.port, **launch_settings())
