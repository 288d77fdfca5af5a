"""Best, middle and worst images of a task: image, truth and prediction side by side."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.pictures.draw import Image, LabelImage, boxes, edges
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import check_image
from cerberus_bench.schema.tasks import TASKS, Kind

Layer = NDArray[np.uint8]

MATCHED = "#1fe09a"
MISSED = "#ffd60a"
SPURIOUS = "#38b6ff"
"""Outlines of found objects, of truth that was not found, of predictions without truth. Errors
are also tinted and drawn thicker, so that they can be told apart without seeing colours."""

INSIDE_OPACITY = 0.3

NOTHING, RIGHT, WRONG, INSIDE = range(4)
"""Values of a layer."""
MIN_SIDE, MAX_SIDE = 384, 768
"""Layers are enlarged by whole numbers, pictures shrunk, to this range of the longer side, px."""
THUMBNAIL_SIDE = 224
NUCLEUS_LINE, OBJECT_LINE = 1, 2
"""Thickness of the outline of a matched object, px of the layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One image of an evaluation report."""

    task: str
    sample_id: str
    group: str
    score: float | None
    """Headline score of the task on this image; None where it is undefined."""
    rank: Literal["best", "median", "worst"]
    image: Image
    """(H, W, 3) uint8."""
    truth: NDArray[Any] | None = None
    """(H, W) label map, or (n, 4) boxes x0 y0 x1 y1 for signet ring cells; None for tissue."""
    prediction: NDArray[Any] | None = None
    missed: tuple[int, ...] = ()
    """Ids of truth objects that no prediction matches; for boxes, their rows."""
    spurious: tuple[int, ...] = ()
    """Ids of predicted objects that match no truth; for boxes, their rows."""
    truth_class: str | None = None
    """Ontology node of the patch, for tissue."""
    predicted_class: str | None = None
    probability: float | None = None
    """Of the predicted class, in [0, 1]."""

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise DataError(f"{self.task!r} is no task; choose one of {', '.join(TASKS)}")
        check_image(self.image, self.sample_id)
        if self.kind is not Kind.TILE_CLASS and (self.truth is None or self.prediction is None):
            raise DataError(f"{self.sample_id}: a {self.task} example needs truth and prediction")

    @property
    def kind(self) -> Kind:
        """What the truth of the task is made of."""
        return TASKS[self.task].kind


def picture(example: Example) -> Image:
    """The image of an example, shrunk where it is large; small for tissue.

    Returns:
        (h, w, 3) uint8.
    """
    thumbnail = example.kind is Kind.TILE_CLASS
    height, width = example.image.shape[:2]
    scale = min(1.0, (THUMBNAIL_SIDE if thumbnail else MAX_SIDE) / max(height, width))
    return example.image if scale == 1 else _resized(example.image, scale)


def layers(example: Example) -> tuple[Layer, ...]:
    """What is drawn over the image: the truth, and the prediction. Nothing for tissue.

    Returns:
        Two (h, w) uint8 arrays: 0 nothing, 1 the outline of a matched object, 2 of a missed or a
        spurious one, 3 its inside. Small images have layers of a multiple of their size, so that
        lines stay thin.
    """
    if example.kind is Kind.TILE_CLASS:
        return ()
    draw = _boxes_layer if example.kind is Kind.BOXES else _instances_layer
    return (
        draw(example, np.asarray(example.truth), example.missed),
        draw(example, np.asarray(example.prediction), example.spurious),
    )


def _instances_layer(example: Example, labels: LabelImage, wrong: Iterable[int]) -> Layer:
    line = NUCLEUS_LINE if example.task == "nuclei" else OBJECT_LINE
    grid = _nearest(labels, _layer_shape(example))
    errors = np.where(np.isin(grid, list(wrong)), grid, 0)
    layer = np.where(errors != 0, INSIDE, NOTHING).astype(np.uint8)
    layer[edges(grid - errors, line)] = RIGHT
    layer[edges(errors, line + 1)] = WRONG
    return layer


def _boxes_layer(example: Example, corners: NDArray[Any], wrong: Iterable[int]) -> Layer:
    shape = _layer_shape(example)
    rows = np.asarray(corners, float).reshape(-1, 4) * (shape[0] / example.image.shape[0])
    is_wrong = np.isin(np.arange(len(rows)), list(wrong))
    # drawn in grey levels that are the values of the layer
    drawn = np.zeros((*shape, 3), np.uint8)
    drawn = boxes(drawn, rows[~is_wrong], f"#{RIGHT:02x}{RIGHT:02x}{RIGHT:02x}", OBJECT_LINE)
    drawn = boxes(drawn, rows[is_wrong], f"#{WRONG:02x}{WRONG:02x}{WRONG:02x}", 2 * OBJECT_LINE)
    return np.ascontiguousarray(drawn[..., 0])


def _layer_shape(example: Example) -> tuple[int, int]:
    """Enlarged by a whole number to at least `MIN_SIDE` on the longer side, or as the picture."""
    height, width = picture(example).shape[:2]
    longest = max(height, width)
    factor = max(min(-(-MIN_SIDE // longest), MAX_SIDE // longest), 1)
    return factor * height, factor * width


def _resized(image: Image, scale: float) -> Image:
    from PIL import Image as Pillow

    height, width = image.shape[:2]
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(Pillow.fromarray(image).resize(size, Pillow.Resampling.LANCZOS))


def _nearest(labels: LabelImage, shape: tuple[int, ...]) -> LabelImage:
    if labels.shape == shape:
        return labels
    rows = (np.arange(shape[0]) + 0.5) * labels.shape[0] / shape[0]
    columns = (np.arange(shape[1]) + 0.5) * labels.shape[1] / shape[1]
    return labels[np.ix_(rows.astype(int), columns.astype(int))]
