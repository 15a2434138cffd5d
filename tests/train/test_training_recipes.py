from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from small_training import small_vit
from torch import nn

from engine.core.errors import UnknownName
from engine.model.architectures import ARCHITECTURES, build
from engine.train import RECIPES, Recipe
from engine.train import recipes as folder
from engine.train.loop import describe
from engine.train.network import Network
from engine.train.teachers import BadTeacher, Teacher, load_teacher


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_a_recipe_is_plain_data_and_names_what_exists(recipe: Recipe):
    assert (
        json.loads(json.dumps(describe(recipe)))["method"]["name"] == type(recipe.method).__name__
    )
    assert architecture(recipe.model)
    before = list(RECIPES)[: list(RECIPES).index(recipe.name)]
    made = {RECIPES[name].model for name in before}
    bundled = {name for name in recipe.teachers if name in ARCHITECTURES}
    assert bundled | ({recipe.start} if recipe.start else set()) <= made


def architecture(model: str) -> str:
    """Which network a model has: that of its own name, or of the name that it is a variant of."""
    (found,) = {name for name in ARCHITECTURES if f"{model}_".startswith(f"{name}_")}
    return found


def test_every_architecture_has_a_recipe_and_no_two_make_the_same_model():
    made = [recipe.model for recipe in RECIPES.values()]
    assert {architecture(model) for model in made} == set(ARCHITECTURES)
    assert len(set(made)) == len(made)


def test_every_recipe_file_is_in_the_table():
    files = {path.stem for path in Path(str(folder.__file__)).parent.glob("[a-z]*.py")}
    used = Path(str(folder.__file__)).read_text(encoding="utf-8")
    assert all(f"engine.train.recipes.{name} import" in used for name in files)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_fits_in_ten_megabytes(name: str):
    (size,) = {each.size for each in RECIPES.values() if architecture(each.model) == name}
    model = build(name).eval()
    assert 2 * sum(t.numel() for t in model.state_dict().values()) < 10_000_000
    with torch.no_grad():
        assert model(torch.zeros(1, 3, size, size)).shape == (1, 10)


def test_a_variant_has_the_network_of_the_model_that_it_is_named_after():
    variant, base = build("vit_imagenette_of_mine"), build("vit_imagenette")
    shapes = [{k: v.shape for k, v in each.state_dict().items()} for each in (variant, base)]
    assert shapes[0] == shapes[1]


def test_an_unknown_architecture_is_named():
    with pytest.raises(UnknownName, match="vit_nowhere"):
        build("vit_nowhere")


def test_a_teacher_answers_for_the_taught_classes_at_its_own_size():
    network = Network(small_vit("small_vit"), (0.5,) * 3, (0.5,) * 3)
    teacher = Teacher(network, size=32, chosen=[1, 0])
    images = torch.rand(3, 3, 20, 20)
    answer = teacher(images)
    torch.testing.assert_close(answer.sum(1), torch.ones(3))
    bigger = nn.functional.interpolate(images, (32, 32), mode="bicubic").clamp(0, 1)
    torch.testing.assert_close(answer, network(bigger).softmax(1).flip(1))
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_a_teacher_that_cannot_teach_says_why(tmp_path: Path):
    with pytest.raises(BadTeacher, match="needs a folder"):
        load_teacher("vit_tiny_patch16_224", ["tench"], None, tmp_path)
