"""Every named endpoint through `gradio_client`, as a script would call it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
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
        "/evaluate",
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
    assert json.loads(Path(files["json"]).read_text(encoding="utf-8")) == last["result"]
    arrays = np.load(files["npz"])
    picture = np.asarray(Image.open(files["png"])).transpose(2, 0, 1)
    assert np.array_equal(arrays["adversarial"], picture)
    assert abs(arrays["delta"]).max() == last["result"]["distances"]["linf_255"] <= 4


def test_an_attack_judges_a_stack_and_is_crafted_on_another(client: Client) -> None:
    settings = {"alter": ["ats", "int8:threshold=4"], "craft_on": [], "knobs": {"steps": 1}}
    told = client.predict(handle_file(CHURCH), attack="pgd", **settings, api_name="/attack")
    result = told["result"]
    assert result["model"]["altered"] == settings["alter"]
    assert result["crafted_on"] == []
    assert result["goal"]["success_means"]
    assert result["verdict"]


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ("Budget eps cannot be", {"knobs": {"eps": "nan"}}),
        ("Budget eps cannot be", {"knobs": {"eps": 0.001}}),
        ("Budget eps cannot be", {"knobs": {"eps": "99/255"}}),
        ("no knob of pgd called", {"attack": "pgd", "knobs": {"epsilon": 1}}),
        ("no model called", {"model": "nonsense"}),
        ("no attack called", {"attack": "nonsense"}),
        ("the class the picture already has", {"target": "church"}),
        ("no alteration called", {"alter": ["nonsense"]}),
        ("Threshold cannot be", {"alter": ["int8:threshold=-1"]}),
        ("alter must be a list", {"alter": "ats"}),
        ("cannot be put on a model that runs in bfloat16", {"alter": ["bfloat16", "int8"]}),
        ("the model hub cannot be reached", {"model": "vit_base_patch16_224"}),
    ],
)
def test_bad_requests_get_one_sentence(
    client: Client, words: str, settings: dict[str, Any]
) -> None:
    with pytest.raises(Exception, match=words):
        client.predict(handle_file(CHURCH), **settings, api_name="/attack")


@pytest.mark.parametrize(
    ("endpoint", "data"),
    [
        ("predict", [{"path": str(Path(CHURCH).resolve())}, "vit_imagenette", 1]),
        ("evaluate", [[{"path": str(Path(CHURCH).resolve())}], None, None, None, None, 0]),
    ],
)
def test_a_request_made_by_hand_reads_no_file_of_the_server(
    served: str, endpoint: str, data: list[Any]
) -> None:
    call = f"{served}/gradio_api/call/{endpoint}"
    event = httpx.post(call, json={"data": data}).json()["event_id"]
    told = httpx.get(f"{call}/{event}", timeout=30).text
    assert "This picture was not uploaded" in told
    assert "church" not in told.replace("church.png", "")


QUICK = [{"name": "fgsm", "knobs": {"eps": "16/255"}}]


def test_evaluate_streams_and_ends_with_the_matrix(client: Client) -> None:
    names = ["church", "golf_ball"]
    job = client.submit(
        [handle_file(f"assets/samples/{name}.png") for name in names],
        labels=["church", "Golf_Ball"],
        sources=["resnet_imagenette"],
        attacks=[*QUICK, {"name": "mifgsm", "knobs": {"steps": 2}}],
        targets=["vit_imagenette"],
        api_name="/evaluate",
    )
    told: list[dict[str, Any]] = list(job)
    begun = [each for each in told if each["state"] != "waiting"]
    assert begun[0] == {"state": "loading", "model": "ResNet-18-D, narrow"}
    running = [each for each in told if each["state"] == "running"]
    assert [each["done"] for each in running if each["cells"]] == [1, 3]
    assert {each["total"] for each in running} == {3}
    last = told[-1]
    assert last["state"] == "finished"
    report = last["result"]
    assert (report["images"], report["seed"]) == (2, 0)
    results = report["results"]
    assert [(each["knobs"]["name"], each["target"]) for each in results] == [
        (attack, target)
        for attack in ("fgsm", "mifgsm")
        for target in ("resnet_imagenette", "vit_imagenette")
    ]
    assert [each["white_box"] for each in results] == [True, False, True, False]
    for each in results:
        assert each["clean_accuracy"]["of"] == 2
        for rate in ("attack_success_rate", "attack_success_rate_with_clean_errors"):
            share = each[rate]
            assert share["low"] <= share["count"] / max(1, share["of"]) <= share["high"]
    changed = [cell for each in running for cell in each["cells"]]
    timeless = [{k: v for k, v in c.items() if k != "crafting_seconds"} for c in changed]
    assert timeless == [{k: v for k, v in c.items() if k != "crafting_seconds"} for c in results]


def test_evaluate_reads_labels_from_names(client: Client) -> None:
    last = client.predict(
        [handle_file(CHURCH)], sources=["resnet_imagenette"], attacks=QUICK, api_name="/evaluate"
    )
    assert last["result"]["results"][0]["clean_accuracy"]["value"] == 1


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ("1 pictures and 2 labels", {"labels": ["church", "tench"]}),
        ("has no class", {"labels": ["unicorn"]}),
        ("no model called", {"sources": ["nonsense"]}),
        ("no attack called", {"attacks": [{"name": "nonsense"}]}),
        ("This is not an attack", {"attacks": ["fgsm"]}),
        ("One of the recipes is given twice", {"attacks": QUICK * 2}),
        ("Budget eps cannot be", {"attacks": [{"name": "fgsm", "knobs": {"eps": 9}}]}),
        ("the model hub cannot be reached", {"targets": ["vit_base_patch16_224"]}),
    ],
)
def test_bad_evaluations_get_one_sentence(
    client: Client, words: str, settings: dict[str, Any]
) -> None:
    with pytest.raises(Exception, match=words):
        client.predict(
            [handle_file(CHURCH)], **({"attacks": QUICK} | settings), api_name="/evaluate"
        )


def test_evaluate_takes_no_more_than_it_says(client: Client) -> None:
    many = [handle_file(CHURCH)] * 65
    with pytest.raises(Exception, match="at most 64"):
        client.predict(many, labels=["church"] * 65, attacks=QUICK, api_name="/evaluate")
