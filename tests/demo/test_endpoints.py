"""Every named endpoint through `gradio_client`, as a script would call it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from engine.attack.catalog import BY_NAME
from engine.studio import SCHEMA

CHURCH = "assets/samples/church.png"


@pytest.fixture(scope="module")
def client(served: str) -> Client:
    return Client(served, verbose=False)


def test_only_named_endpoints_are_public(client: Client) -> None:
    told = client.view_api(return_format="dict", print_info=False)
    assert set(told["named_endpoints"]) == {
        "/models",
        "/attacks",
        "/predict",
        "/attack",
        "/inspect",
    }
    assert told["unnamed_endpoints"] == {}


def test_models_and_attacks_are_listed(client: Client) -> None:
    models = client.predict(api_name="/models")
    assert models[0]["source"] == "bundled"
    assert models[0]["available"] == "here"
    attacks = client.predict(api_name="/attacks")
    assert {each["name"] for each in attacks} == set(BY_NAME)
    assert all(each["knobs"] for each in attacks)


def test_predict_and_inspect(client: Client) -> None:
    image = handle_file(CHURCH)
    best = client.predict(image, top=3, api_name="/predict")
    assert len(best) == 3
    assert best[0]["class"] == "church"
    seen = client.predict(image, api_name="/inspect")
    assert seen["predictions"][0]["class"] == "church"
    assert "outlier_columns_at_6" in seen["probes"]


def test_attack_streams_and_ends_with_summary_and_exact_files(client: Client) -> None:
    knobs = {"eps": "4/255", "steps": 3}
    job = client.submit(handle_file(CHURCH), attack="pgd", knobs=knobs, api_name="/attack")
    told: list[dict[str, Any]] = list(job)
    running = [each for each in told if each["state"] == "running"]
    assert [each["step"] for each in running] == [1, 2, 3]
    last = told[-1]
    assert last["state"] == "finished"
    assert last["result"]["schema"] == SCHEMA
    files = last["files"]
    assert json.loads(Path(files["result.json"]).read_text()) == last["result"]
    arrays = np.load(files["perturbation.npz"])
    picture = np.asarray(Image.open(files["adversarial.png"])).transpose(2, 0, 1)
    assert np.array_equal(arrays["adversarial"], picture)
    assert abs(arrays["delta"]).max() == last["result"]["distances"]["linf_255"] <= 4


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ("Budget eps cannot be", {"knobs": {"eps": "nan"}}),
        ("Budget eps cannot be", {"knobs": {"eps": 0}}),
        ("Budget eps cannot be", {"knobs": {"eps": "99/255"}}),
        ("no knob of pgd called", {"attack": "pgd", "knobs": {"epsilon": 1}}),
        ("no model called", {"model": "nonsense"}),
        ("no attack called", {"attack": "nonsense"}),
        ("the class the picture already has", {"target": "church"}),
        ("the model hub cannot be reached", {"model": "vit_base_patch16_224"}),
    ],
)
def test_bad_requests_get_one_sentence(
    client: Client, words: str, settings: dict[str, Any]
) -> None:
    with pytest.raises(Exception, match=words):
        client.predict(handle_file(CHURCH), **settings, api_name="/attack")
