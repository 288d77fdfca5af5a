"""Best, middle and worst images of a task: image, truth and prediction side by side."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.pictures.draw import Image, LabelImage, boxes, outline, rgb, tint
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import check_image
from cerberus_bench.schema.tasks import TASKS, Kind

Layer = NDArray[np.uint8]

MATCHED = "#1fe09a"
MISSED = "#ffd60a"
SPURIOUS = "#38b6ff"
"""Outlines of found objects, of truth that was not found, of predictions without truth. Errors
are also tinted and drawn thicker, so that they can be told apart without seeing colours."""

MIN_SIDE, MAX_SIDE = 384, 768
"""Panels are enlarged by whole numbers, or shrunk, towards this range of the longer side, px."""
THUMBNAIL_SIDE = 224
NUCLEUS_LINE, OBJECT_LINE = 1, 2
"""Thickness of the outline of a matched object, px of the panel."""


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


def panels(example: Example) -> tuple[Image, ...]:
    """What to show of an example: image, truth, prediction; for tissue, the image alone.

    Returns:
        (h, w, 3) uint8 arrays of one size.
    """
    if example.kind is Kind.TILE_CLASS:
        return (_resized(example.image, THUMBNAIL_SIDE, THUMBNAIL_SIDE),)
    return _panels(example, tinted=True)


def _panels(example: Example, *, tinted: bool) -> tuple[Image, Image, Image]:
    image = _resized(example.image, MIN_SIDE, MAX_SIDE)
    truth, prediction = np.asarray(example.truth), np.asarray(example.prediction)
    scale = image.shape[0] / example.image.shape[0]
    if example.kind is Kind.BOXES:
        return (
            image,
            _drawn_boxes(image, truth * scale, example.missed, MISSED),
            _drawn_boxes(image, prediction * scale, example.spurious, SPURIOUS),
        )
    line = NUCLEUS_LINE if example.task == "nuclei" else OBJECT_LINE
    return (
        image,
        _drawn_instances(image, truth, example.missed, MISSED, line, tinted),
        _drawn_instances(image, prediction, example.spurious, SPURIOUS, line, tinted),
    )


def layers(example: Example) -> tuple[Layer, ...]:
    """Outlines alone, of the truth and of the prediction, to be laid over the image.

    Returns:
        Two (h, w) uint8 arrays of the size of the panels: 0 nothing, 1 the outline of a matched
        object, 2 of a missed or a spurious one. Nothing for tissue.
    """
    if example.kind is Kind.TILE_CLASS:
        return ()
    # the outlines of black panels are all that is not black; tints are left out
    image = np.zeros_like(example.image)
    bare = replace(example, image=image)
    _, truth, prediction = _panels(bare, tinted=False)
    return tuple(_layer(drawn) for drawn in (truth, prediction))


def _layer(drawn: Image) -> Layer:
    matched = (drawn == np.array(rgb(MATCHED), np.uint8)).all(axis=2)
    return np.where(matched, 1, 2 * drawn.any(axis=2)).astype(np.uint8)


def _drawn_instances(
    image: Image, labels: LabelImage, wrong: Iterable[int], colour: str, line: int, tinted: bool
) -> Image:
    grid = _nearest(labels, image.shape[:2])
    errors = np.where(np.isin(grid, list(wrong)), grid, 0)
    below = tint(image, errors, colour) if tinted else image
    drawn = outline(below, grid - errors, MATCHED, line)
    return outline(drawn, errors, colour, line + 1)


def _drawn_boxes(image: Image, corners: NDArray[Any], wrong: Iterable[int], colour: str) -> Image:
    rows = np.asarray(corners, float).reshape(-1, 4)
    is_wrong = np.isin(np.arange(len(rows)), list(wrong))
    drawn = boxes(image, rows[~is_wrong], MATCHED, OBJECT_LINE)
    return boxes(drawn, rows[is_wrong], colour, 2 * OBJECT_LINE)


def _resized(image: Image, low: int, high: int) -> Image:
    """Enlarged by a whole number to at least `low` on the longer side, shrunk to at most `high`."""
    from PIL import Image as Pillow

    height, width = image.shape[:2]
    longest = max(height, width)
    factor = min(-(-low // longest), max(high // longest, 1))
    scale = factor if factor > 1 else min(1.0, high / longest)
    if scale == 1:
        return image
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(Pillow.fromarray(image).resize(size, Pillow.Resampling.LANCZOS))


def _nearest(labels: LabelImage, shape: tuple[int, ...]) -> LabelImage:
    if labels.shape == shape:
        return labels
    rows = (np.arange(shape[0]) + 0.5) * labels.shape[0] / shape[0]
    columns = (np.arange(shape[1]) + 0.5) * labels.shape[1] / shape[1]
    return labels[np.ix_(rows.astype(int), columns.astype(int))]
