"""The default recipe made small enough for a test."""

from pathlib import Path

import cerberus_bench.model_zoo.recipe as module

SMALL = {
    "size = 8": "size = 2",
    "crop = 224": "crop = 64",
    "patches = 8": "patches = 2",
    "steps = 4000": "steps = 2",
    "validations = 16": "validations = 1",
    "validation_windows = 96": "validation_windows = 2",
}


def write_small_recipe(path: Path, changes: dict[str, str] | None = None) -> Path:
    """Write the default recipe with small batches and two steps.

    `changes` maps texts of the default recipe to others, and overrides those of `SMALL`.
    """
    text = (Path(module.__file__).parent / "recipes" / "default.toml").read_text()
    for before, after in {**SMALL, **(changes or {})}.items():
        assert before in text
        text = text.replace(before, after)
    path.write_text(text)
    return path
