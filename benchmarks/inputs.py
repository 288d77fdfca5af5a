"""What to measure on, the same in every run: label maps, boxes, changed recipes."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.model_zoo.recipe import Recipe

Labels = NDArray[np.int32]
Boxes = NDArray[np.float64]
Changes = Mapping[str, Mapping[str, object]]
"""Section of a recipe -> fields with other values."""


def changed(recipe: Recipe, changes: Changes) -> Recipe:
    """The recipe with other values in some of its sections."""
    sections = {
        name: getattr(recipe, name).model_copy(update=fields) for name, fields in changes.items()
    }
    return recipe.model_copy(update=sections)


def discs(size: int, n: int, radius: float, seed: int) -> tuple[Labels, Labels]:
    """Truth of n discs and a prediction of the same discs, moved and scaled a little."""
    rng = np.random.default_rng(seed)
    truth, prediction = np.zeros((2, size, size), np.int32)
    for number in range(1, n + 1):
        centre, r = rng.uniform(0, size, 2), radius * rng.uniform(0.6, 1.2)
        _paint(truth, centre, r, number)
        _paint(prediction, centre + rng.normal(0, r / 6, 2), r * rng.uniform(0.85, 1.15), number)
    return truth, prediction


def _paint(labels: Labels, centre: NDArray[np.float64], radius: float, number: int) -> None:
    (y0, x0), (y1, x1) = (np.clip(centre + s * radius, 0, len(labels)).astype(int) for s in (-1, 1))
    y, x = np.ogrid[y0:y1, x0:x1]
    inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
    labels[y0:y1, x0:x1][inside] = number


def classes_of(labels: Labels, n_classes: int) -> NDArray[np.uint8]:
    """A class for every pixel of an object, the same for all pixels of one id."""
    return np.where(labels > 0, 1 + labels % n_classes, 0).astype(np.uint8)


def tiles(n: int) -> tuple[Labels, Labels]:
    """N pairs of 256 x 256 maps of about 100 nuclei, cut from one large pair."""
    truth, prediction = discs(4096, 25_600, 9.0, seed=2)
    cut = [
        m.reshape(16, 256, 16, 256).swapaxes(1, 2).reshape(256, 256, 256)
        for m in (truth, prediction)
    ]
    rows = np.arange(n) % 256
    return cut[0][rows], cut[1][rows]


def boxes(n_images: int, n: int, seed: int) -> tuple[list[Boxes], list[Boxes], list[Boxes]]:
    """Boxes of truth and of a prediction of n objects an image, and its scores."""
    rng = np.random.default_rng(seed)
    truths, predictions, scores = [], [], []
    for _ in range(n_images):
        corner, side = rng.uniform(0, 900, (n, 2)), rng.uniform(10, 40, (n, 2))
        moved = corner + rng.normal(0, 3, (n, 2))
        truths.append(np.hstack([corner, corner + side]))
        predictions.append(np.hstack([moved, moved + side * rng.uniform(0.8, 1.2, (n, 2))]))
        scores.append(rng.random(n))
    return truths, predictions, scores
