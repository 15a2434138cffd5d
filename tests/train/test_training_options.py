from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_training import RECIPE, small_vit
from test_adversarial import METHODS

from engine.core.errors import BadKnob, UnknownName
from engine.train import RECIPES, Finished, train
from engine.train.__main__ import main
from engine.train.card import read_weights
from engine.train.checkpoint import FILE
from engine.train.loop import describe
from engine.train.options import with_inner, with_scaling, with_seed
from engine.train.recipe import BadRecipe

ROBUST = [name for name, recipe in RECIPES.items() if recipe.task == "robust"]


@pytest.mark.parametrize("name", ROBUST)
def test_any_adversarial_training_takes_the_scaling_step(name: str):
    recipe = RECIPES[name]
    assert with_scaling(recipe, 0) is recipe
    told = describe(with_scaling(recipe, 7))["method"]
    assert (told["name"], told["gap"]) == ("ScaledRobust", 7)
    own = describe(recipe)["method"]
    assert told["base"] == (own["base"] if own["name"] == "ScaledRobust" else own)


def test_the_inner_attack_is_set_wherever_it_stands():
    recipe = with_inner(with_scaling(RECIPES["trades_awp"], 3), ["steps=2", "eps=8/255"])
    told = describe(recipe)["method"]["base"]["base"]
    assert told["name"] == "Trades"
    assert told["inner"] == {"eps": 8 / 255, "step": 1 / 255, "steps": 2, "start": "near"}
    assert (told["judge"]["eps"], told["judge"]["step"]) == (8 / 255, 2 / 255)
    assert with_inner(recipe, []) is recipe


def test_another_seed_is_another_model_and_overwrites_none():
    recipe = with_scaling(RECIPES["tiny_at"], 2)
    assert with_seed(recipe, 0) is recipe
    assert with_seed(recipe, 3).model == "tiny_imagenette_pgd_at_aas_seed3"


def test_what_a_recipe_cannot_do_is_said(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(BadRecipe, match="trains against no attack"):
        with_scaling(RECIPES["vit"], 5)
    with pytest.raises(BadRecipe, match="trains against no attack"):
        with_inner(RECIPES["vit"], ["steps=2"])
    with pytest.raises(BadRecipe, match="every -1 epochs"):
        with_scaling(RECIPES["pgd_at"], -1)
    with pytest.raises(BadRecipe, match="is not a setting"):
        with_inner(RECIPES["pgd_at"], ["steps"])
    with pytest.raises(UnknownName, match="knob of the inner attack"):
        with_inner(RECIPES["pgd_at"], ["walks=2"])
    with pytest.raises(BadKnob):
        with_inner(RECIPES["pgd_at"], ["steps=0"])
    assert main(["resnet", "--aas-every", "5"]) == 2
    assert "trains against no attack" in capsys.readouterr().err


@pytest.mark.usefixtures("thumbnail")
def test_it_trains_and_ships_a_plain_model(pictures: Path, tmp_path: Path):
    recipe = with_scaling(replace(RECIPE, method=METHODS["awp"], batch=24, epochs=2), 1)
    # An ascent that starts above 1 in all three blocks stays at 1; the one of seed 3 does not.
    *_, end = train(recipe, pictures, tmp_path, models=tmp_path, device=torch.device("cpu"), seed=3)
    assert isinstance(end, Finished)
    assert end.card["name"] == end.path.stem == "small_vit_aas"
    assert end.card["measured"]["pgd3_aas_accuracy"] <= end.card["measured"]["pgd3_accuracy"]
    small_vit("small_vit").load_state_dict(read_weights(tmp_path, "small_vit_aas"))
    kept = load_file(tmp_path / FILE)
    scales = [t for name, t in kept.items() if name.startswith("net/") and "q_norm" in name]
    assert len(scales) == 3
    assert any(scale < 1 for scale in scales)
