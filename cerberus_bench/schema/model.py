"""What a model file says of itself: the architecture and the card."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, FiniteFloat, ValidationError, model_validator

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import ONTOLOGY, LabelSpace
from cerberus_bench.schema.parity import ParityReport
from cerberus_bench.schema.report import STRICT
from cerberus_bench.schema.result import TrainedOn, TrainingBudget

CARD_FORMAT = 1
ENCODER_STRIDE = 16
"""Input sides of a network are multiples of this, px."""
BOX_STRIDE = 4
"""Pixels of the image per cell of a box output's grid, along each axis."""
BOX_CHANNELS = 5
"""Channels of a box output: centre, and the distances to left, top, right and bottom."""
MAX_CARD_BYTES = 20_000_000

Block = Literal["basic", "bottleneck"]
Depth = Annotated[int, Field(ge=1, le=64)]
Width = Annotated[int, Field(ge=1, le=4096)]
Stride = Annotated[int, Field(ge=1, le=64)]
Deviation = Annotated[FiniteFloat, Field(gt=0)]


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One named output of a network, such as `nuclei.type`, and its number of classes."""

    name: Annotated[str, Field(pattern=r"^(tissue|[a-z_]+\.(instance|type|box))$", max_length=64)]
    n_classes: Width
    """Channels; those of a box output are no classes, see `BOX_CHANNELS`."""

    @property
    def task(self) -> str:
        """Task that the output belongs to: the part of the name before the dot."""
        return self.name.partition(".")[0]

    @property
    def stride(self) -> int:
        """Pixels of the image per cell of a dense output's grid, along each axis."""
        return stride_of(self.name)


def stride_of(output: str) -> int:
    """Pixels of the image per cell of a dense output's grid, along each axis."""
    return BOX_STRIDE if output.endswith(".box") else 1


@dataclass(frozen=True, slots=True)
class BackboneSpec:
    """An encoder of the library transformers; see `model_zoo.transformers_encoder`.

    Everything is a tuple of the four feature maps, from shallow to deep, or of R, G, B.
    """

    config: Annotated[str, Field(max_length=100_000)]
    """Its configuration, as JSON."""
    channels: tuple[Width, Width, Width, Width]
    strides: tuple[Stride, Stride, Stride, Stride]
    """Pixels of the image per cell of each map."""
    mean: tuple[FiniteFloat, FiniteFloat, FiniteFloat]
    """Of RGB in 0..1: taken from the image before the backbone sees it."""
    deviation: tuple[Deviation, Deviation, Deviation]
    """What the image is divided by then."""


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """Everything that determines the shape of a Cerberus network."""

    depths: tuple[Depth, Depth, Depth, Depth]
    """Residual blocks of each encoder stage; (3, 4, 6, 3) is ResNet-34 and -50."""
    widths: tuple[Width, Width, Width, Width]
    """Width of the blocks of each encoder stage, and channels of the decoders at strides 2, 4, 8
    and 16; (64, 128, 256, 512) is ResNet-34 and -50."""
    head_width: Width
    """Hidden channels of a dense head."""
    outputs: Annotated[tuple[OutputSpec, ...], Field(min_length=1, max_length=32)]
    block: Block = "basic"
    """Kind of the residual blocks; bottlenecks have four times their width as channels."""
    backbone: BackboneSpec | None = None
    """Encoder instead of the ResNet, whose `depths` and `block` then mean nothing."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks of the outputs, each once, in order."""
        return tuple(dict.fromkeys(output.task for output in self.outputs))


class ModelCard(BaseModel):
    """The card inside a model file: all that is needed to run the model and to trust its scores."""

    model_config = STRICT

    format: Literal[1] = 1
    name: str = Field(min_length=1, max_length=200)
    architecture: str
    """Name in the zoo that the network was made by."""
    network: NetworkSpec
    label_spaces: dict[str, list[str]]
    """Task -> ontology nodes, in the order of the network's classes."""
    mpp: FiniteFloat = Field(default=0.5, gt=0)
    """Microns per pixel of the images that the network was trained on."""
    window_px: int = Field(default=448, ge=ENCODER_STRIDE, multiple_of=ENCODER_STRIDE)
    """Side of an exact inference window."""
    margin_px: int = Field(default=152, ge=0)
    """Context at each side of a window that is computed and not kept."""
    trained_on: list[TrainedOn] | None = None
    """None where it is not known; an empty list means random weights."""
    budget: TrainingBudget | None = None
    """What the training was given in all, whichever step the weights are of; None where no run of
    ours made them, and in files of versions that did not state it."""
    recipe_sha256: str | None = None
    seed: int | None = None
    validation: dict[str, FiniteFloat] = {}
    """Scores on the validation split that chose the weights."""
    parity: list[ParityReport] = []
    """Other ways of running it than exact fp32 torch, each at most once, as `parity` measured
    them."""
    licence: str | None = None
    """SPDX id of the weights."""
    provenance: dict[str, str | int | float | bool | None] = {}
    """Commit, package versions, device, command line."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.window_px <= 2 * self.margin_px:
            raise ValueError("window_px leaves nothing between its margins")
        stride = max(output.stride for output in self.network.outputs)
        if self.margin_px % stride:
            raise ValueError(f"margin_px must be a multiple of {stride}, the stride of an output")
        check_label_spaces(self.network.outputs, self.spaces())
        return self

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks that the network predicts."""
        return self.network.tasks

    def spaces(self) -> dict[str, LabelSpace]:
        """Task -> label space.

        Raises:
            ValueError: a task or a class is not in the ontology.
        """
        return {task: label_space(task, names) for task, names in self.label_spaces.items()}


def label_space(task: str, classes: list[str]) -> LabelSpace:
    """A label space of names from a file.

    Raises:
        ValueError: the task or a class is not in the ontology, or a class is doubled.
    """
    if task not in ONTOLOGY:
        raise ValueError(f"no task is called {task!r}")
    return LabelSpace(task, tuple(classes))


def check_label_spaces(
    outputs: tuple[OutputSpec, ...], label_spaces: Mapping[str, LabelSpace]
) -> None:
    """Check that every output has as many channels as its task has classes.

    A type map has one more, the background; a task without a type map has exactly one class; an
    instance map has three channels: background, inner, contour; a task of boxes has these alone.

    Raises:
        ValueError: an output and the label space of its task do not fit.
    """
    n_classes = {output.name: output.n_classes for output in outputs}
    tasks = {output.task for output in outputs}
    if tasks != set(label_spaces):
        raise ValueError(f"label spaces for {sorted(label_spaces)}, outputs for {sorted(tasks)}")
    for task, space in label_spaces.items():
        if f"{task}.box" in n_classes:
            _check_boxes(task, len(space.classes), n_classes)
        else:
            _check_maps(task, len(space.classes), n_classes)


def _check_boxes(task: str, classes: int, channels: Mapping[str, int]) -> None:
    if classes != 1 or channels[f"{task}.box"] != BOX_CHANNELS:
        raise ValueError(f"{task} needs one class and a box output of {BOX_CHANNELS} channels")
    if {f"{task}.instance", f"{task}.type"} & set(channels):
        raise ValueError(f"{task} has boxes and maps")


def _check_maps(task: str, classes: int, channels: Mapping[str, int]) -> None:
    found = channels.get("tissue" if task == "tissue" else f"{task}.type")
    expected = classes + (task != "tissue")
    if found is None and classes != 1:
        raise ValueError(f"{task} has {classes} classes and no type map")
    if found is not None and found != expected:
        raise ValueError(f"{task} has {found} class channels where its labels need {expected}")
    if task != "tissue" and channels.get(f"{task}.instance") != 3:
        raise ValueError(f"{task} needs an instance map of 3 channels")


def read_card(text: str | bytes, source: str) -> ModelCard:
    """Parse the card of a model file.

    Args:
        text: the card as JSON.
        source: the file, for the error.

    Raises:
        DataError: the card is not valid.
    """
    if len(text) > MAX_CARD_BYTES:
        raise DataError(f"{source}: its card has {len(text)} bytes, over {MAX_CARD_BYTES}.")
    try:
        return ModelCard.model_validate_json(text)
    except (ValidationError, RecursionError) as error:
        raise DataError(
            f"{source}: its model card is not valid: {error}. Write the file again with "
            "cerberus_bench.model_zoo.save_model."
        ) from error
