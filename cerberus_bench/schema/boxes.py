"""Boxes: overlap and matching in order of score."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cerberus_bench.schema.errors import DataError

Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]


def as_boxes(boxes: ArrayLike, name: str) -> Float64:
    """Boxes as (n, 4) float64 x0 y0 x1 y1, px; x1 and y1 are the first column and row outside.

    Raises:
        DataError: the shape is another, a value is not finite, or a box is inside out.
    """
    array = np.asarray(boxes, np.float64)
    if array.size == 0:
        return np.empty((0, 4))
    if array.ndim != 2 or array.shape[1] != 4 or not np.isfinite(array).all():
        raise DataError(f"{name} has shape {array.shape}; expected finite boxes of shape (n, 4)")
    if (array[:, 2:] < array[:, :2]).any():
        raise DataError(f"{name} has a box with x1 < x0 or y1 < y0; boxes are x0 y0 x1 y1")
    return array


def box_iou(left: Float64, right: Float64) -> Float64:
    """(n, m) intersection over union of (n, 4) and (m, 4) boxes; 0 where both have no area."""
    low = np.maximum(left[:, None, :2], right[None, :, :2])
    high = np.minimum(left[:, None, 2:], right[None, :, 2:])
    inside = np.clip(high - low, 0, None).prod(axis=2)
    areas = (left[:, 2:] - left[:, :2]).prod(axis=1), (right[:, 2:] - right[:, :2]).prod(axis=1)
    union = areas[0][:, None] + areas[1][None, :] - inside
    iou = np.zeros(inside.shape)
    np.divide(inside, union, out=iou, where=union > 0)
    return iou


def hits(truth: Float64, prediction: Float64, scores: Float64, iou: float) -> Bool:
    """(m,) whether each prediction finds a truth box of its own at IoU >= `iou`.

    Predictions choose in order of score, the first given first among equals; each takes the free
    truth box of largest IoU.
    """
    table = box_iou(prediction, truth)
    free = np.ones(len(truth), np.bool_)
    hit = np.zeros(len(prediction), np.bool_)
    for row in np.argsort(-scores, kind="stable"):
        candidates = np.where(free, table[row], -1.0)
        if candidates.size and candidates.max() >= iou:
            free[candidates.argmax()] = False
            hit[row] = True
    return hit
