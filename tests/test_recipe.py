"""Recipes: what is in the package, what a file may say, how the learning rate falls."""

from pathlib import Path

import pytest

from cerberus_bench.model_zoo.recipe import load_recipe, parse_recipe, shipped_recipes
from cerberus_bench.model_zoo.training_state import learning_rate
from cerberus_bench.schema.errors import DataError


@pytest.mark.parametrize("name", ["default", "tiny-phantom", "cerberus-paper"])
def test_shipped_recipes_are_valid(name: str) -> None:
    assert name in shipped_recipes()
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.architecture is not None
    assert learning_rate(recipe.optimiser, recipe.schedule, 0.2) > 0
    assert len(recipe.sha256) == 64


def test_a_hash_is_of_values_not_of_layout_or_description() -> None:
    text = 'name = "x"\n' + _recipe_text().split("\n", 1)[1]
    assert parse_recipe(text, "a").sha256 == parse_recipe("# note\n" + text, "b").sha256
    reworded = text.replace('description = "', 'description = "Also: ')
    assert reworded != text
    assert parse_recipe(reworded, "b").sha256 == parse_recipe(text, "a").sha256
    changed = text.replace("stain = 0.25", "stain = 0.3")
    assert parse_recipe(changed, "c").sha256 != parse_recipe(text, "a").sha256


def _recipe_text() -> str:
    import cerberus_bench.model_zoo.recipe as module

    return (Path(module.__file__).parent / "recipes" / "default.toml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("crop = 224\npatches", "crop = 225\npatches", "batches.crop"),
        ("flips = true", "flips = 1", "augmentation.flips"),
        ("[schedule]", "[schedule]\nspeed = 1", "schedule.speed"),
        ("tissue = 0.4", "tissues = 0.4", "losses"),
        ("plasma = 6.0\n", "", "losses"),
        ("noise = 6.0", "noise = nan", "augmentation.noise"),
    ],
)
def test_a_wrong_recipe_says_where(old: str, new: str, place: str) -> None:
    with pytest.raises(DataError, match=place):
        parse_recipe(_recipe_text().replace(old, new), "mine.toml")


def test_an_unknown_recipe_names_those_that_exist() -> None:
    with pytest.raises(DataError, match="tiny-phantom"):
        load_recipe("nope")


def test_cosine_by_hand() -> None:
    recipe = load_recipe()
    schedule = recipe.schedule.model_copy(update={"warmup": 0.2, "final": 0.0})
    rate = recipe.optimiser.learning_rate
    values = [learning_rate(recipe.optimiser, schedule, f) / rate for f in (0.1, 0.2, 0.6, 1.0)]
    assert values == pytest.approx([0.5, 1.0, 0.5, 0.0], abs=1e-9)
