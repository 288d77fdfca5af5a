"""Recipes: everything that a training run is made of, as a small validated TOML file."""

import hashlib
import json
import tomllib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cerberus_bench.model_zoo.registry import ADDED, OUTPUTS
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.model import ENCODER_STRIDE
from cerberus_bench.schema.tasks import INSTANCE_TASKS, NUCLEI, SIGNET_RING

STRICT = ConfigDict(strict=True, extra="forbid", frozen=True)
DEFAULT_RECIPE = "default"

Side = Annotated[int, Field(ge=64, le=2048, multiple_of=ENCODER_STRIDE)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=1000)]


class Batches(BaseModel):
    """Size of a step. Scenes and patches of equal side go through the encoder together."""

    model_config = STRICT

    size: int = Field(ge=1, le=1024)
    """Windows a step of records with instances or boxes."""
    crop: Side
    """Side of a window, px."""
    patches: int = Field(ge=2, le=1024)
    """Tissue patches a step; at least two, for batch normalisation."""
    patch_crop: Side
    """Side of a tissue patch, px; the head sees the central 144."""
    sampling: dict[str, Weight]
    """Task -> relative frequency of windows drawn for it."""

    @model_validator(mode="after")
    def _known_tasks(self) -> Self:
        known = (*INSTANCE_TASKS, SIGNET_RING.name)
        if set(self.sampling) - set(known):
            raise ValueError(f"sampling knows {', '.join(known)}")
        return self


class Augmentation(BaseModel):
    """Random changes of a training window; a zero turns one off."""

    model_config = STRICT

    flips: bool
    """Flips and quarter turns."""
    scale: float = Field(ge=1, le=2)
    """Windows are scaled by a factor in [1 / scale, scale]."""
    rotation: float = Field(ge=0, le=180)
    """Degrees either way."""
    stain: Share
    """Relative change of the haematoxylin, eosin and residual densities."""
    brightness: Share
    contrast: Share
    blur: float = Field(ge=0, le=3)
    """Largest standard deviation of a Gaussian, px; half of the windows stay as they are."""
    noise: float = Field(ge=0, le=50)
    """Largest standard deviation of white noise, grey levels."""


class Losses(BaseModel):
    """Weights of the outputs in the loss."""

    model_config = STRICT

    outputs: dict[str, Weight]
    """Output -> weight; an output of weight 0, or left out, is not trained."""
    nuclei_classes: dict[str, Weight]
    """Nuclear class -> weight in the cross-entropy."""
    border: Weight = 0.0
    """Extra weight of pixels of instance maps between objects that touch (`targets.border_weights`,
    with the kernel of inner and contour as sigma); U-Net's is 10."""

    @model_validator(mode="after")
    def _known_names(self) -> Self:
        _check_outputs(self.outputs)
        if tuple(self.nuclei_classes) != NUCLEI.labels.classes:
            raise ValueError(f"nuclei_classes must name {', '.join(NUCLEI.labels.classes)}")
        return self


class Initial(BaseModel):
    """What a run makes of the weights that it starts with (`--encoder-weights`)."""

    model_config = STRICT

    freeze_encoder: bool
    """Train decoders and heads only."""
    outputs: tuple[str, ...] = ()
    """Outputs whose decoders and heads are taken over too, where the weights have them. On a frozen
    encoder they stay as they are; all others are trained."""

    @model_validator(mode="after")
    def _known_names(self) -> Self:
        _check_outputs(self.outputs)
        return self


class Optimiser(BaseModel):
    """How weights move."""

    model_config = STRICT

    name: Literal["adam", "adamw"]
    learning_rate: float = Field(gt=0, le=1)
    weight_decay: float = Field(ge=0, le=1)
    betas: tuple[float, float]
    clip_norm: float = Field(gt=0)
    """Largest norm of the gradient."""
    ema_decay: float = Field(ge=0, lt=1)
    """Decay of the moving average of the weights, which is what is validated and kept."""


class Schedule(BaseModel):
    """How long, and how the learning rate falls; all places are fractions of the run."""

    model_config = STRICT

    steps: int = Field(ge=1)
    warmup: Share
    shape: Literal["cosine", "steps"]
    final: Share
    """Learning rate at the end of a cosine, relative to its peak."""
    drops: tuple[Share, ...] = ()
    """Where a `steps` schedule divides the learning rate by ten."""
    validations: int = Field(ge=1, le=1000)
    """How many times the run is validated, evenly spaced; the last one is at its end."""
    validation_windows: int = Field(ge=1)
    """Most windows validated a task."""


class Recipe(BaseModel):
    """One way to train."""

    model_config = STRICT

    name: str
    description: str
    architecture: str | None = None
    """Model to train where the command line names none."""
    tasks: tuple[str, ...] | None = None
    data: tuple[str, ...] | None = None
    seed: int = Field(default=0, ge=0)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    initial: Initial | None = None
    """None: nothing is frozen or taken over but by the command line."""
    batches: Batches
    augmentation: Augmentation
    losses: Losses
    optimiser: Optimiser
    schedule: Schedule

    @property
    def sha256(self) -> str:
        """Hash of what decides the run, whatever the layout of the file and the description say."""
        content = self.model_dump(mode="json", exclude={"description"})
        # what is not used is left out, so that recipes from before it was there keep their hash
        if self.initial is None:
            del content["initial"]
        if not self.losses.border:
            del content["losses"]["border"]
        text = json.dumps(content, sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def with_steps(self, steps: int) -> Self:
        """The same recipe over another number of steps; its hash differs."""
        schedule = self.schedule.model_copy(update={"steps": steps})
        return self.model_copy(update={"schedule": schedule})


def _check_outputs(names: Iterable[str]) -> None:
    known = [output.name for output in (*OUTPUTS, *ADDED)]
    if set(names) - set(known):
        raise ValueError(f"outputs may be {', '.join(known)}")


def shipped_recipes() -> tuple[str, ...]:
    """Names of the recipes in the package."""
    folder = resources.files("cerberus_bench.model_zoo") / "recipes"
    names = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def load_recipe(name: str | Path = DEFAULT_RECIPE) -> Recipe:
    """Read a recipe.

    Args:
        name: a shipped recipe (`shipped_recipes`), or the path of a TOML file.

    Raises:
        DataError: there is no such recipe, or a value in it is not allowed.
    """
    if str(name) in shipped_recipes():
        folder = resources.files("cerberus_bench.model_zoo") / "recipes"
        return parse_recipe((folder / f"{name}.toml").read_text(encoding="utf-8"), str(name))
    path = Path(name)
    if not path.is_file():
        raise DataError(
            f"there is no recipe {name}. Give a TOML file, or one of: "
            f"{', '.join(shipped_recipes())}."
        )
    return parse_recipe(path.read_text(encoding="utf-8"), str(path))


def parse_recipe(text: str, source: str) -> Recipe:
    """Validate the text of a recipe.

    Args:
        text: TOML.
        source: what to call it in an error.

    Raises:
        DataError: it is not TOML, or a field is unknown, missing or out of range.
    """
    try:
        # strict validation takes arrays for tuples in its JSON mode only
        return Recipe.model_validate_json(json.dumps(tomllib.loads(text)))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataError(
            f"{source}: {place or 'recipe'}: {first['msg']} (got {first['input']!r:.80}). Correct"
            " the file; `default` is an example."
        ) from None
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise DataError(f"{source}: this is no TOML recipe: {error}") from None
