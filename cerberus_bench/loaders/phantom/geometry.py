"""Distance transform, upsampling, blur and connected components with exact, portable results."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.phantom.units import Field, Labels, Mask

_FAR = 99999


def distance_inside(mask: Mask, cap: int) -> Field:
    """Euclidean distance of each True cell to the nearest False one, at most `cap` + 1; 0 outside.

    Exact: squared distances are integers, found by a row scan and a column minimum.
    """
    rows, columns = mask.shape
    across = _row_distance(mask, cap)
    across *= across
    padded = np.full((rows + 2 * cap, columns), (cap + 1) ** 2, np.int32)
    padded[cap : cap + rows] = across
    squared = across.copy()
    candidate = np.empty_like(across)
    for k in range(1, cap + 1):
        above, below = padded[cap - k : cap - k + rows], padded[cap + k : cap + k + rows]
        np.minimum(above, below, out=candidate)
        candidate += k * k
        np.minimum(squared, candidate, out=squared)
    return np.sqrt(squared.astype(np.float32))


def _row_distance(mask: Mask, cap: int) -> Labels:
    position = np.arange(mask.shape[1], dtype=np.int32)[None]
    left = np.maximum.accumulate(np.where(mask, np.int32(-_FAR), position), axis=1)
    reverse = np.where(mask, np.int32(_FAR), position)[:, ::-1]
    right = np.minimum.accumulate(reverse, axis=1)[:, ::-1]
    nearest = np.minimum(position - left, right - position)
    return np.minimum(nearest, cap + 1).astype(np.int32)


def upsample(field: Field) -> Field:
    """Twice the size by fixed 3/4 and 1/4 weights, edges repeated."""
    rows = np.concatenate((field[:1], field, field[-1:]))
    near = rows[1:-1] * np.float32(0.75)
    tall = np.empty((2 * field.shape[0], field.shape[1]), field.dtype)
    tall[0::2] = near + rows[:-2] * np.float32(0.25)
    tall[1::2] = near + rows[2:] * np.float32(0.25)
    columns = np.concatenate((tall[:, :1], tall, tall[:, -1:]), axis=1)
    near = columns[:, 1:-1] * np.float32(0.75)
    out = np.empty((tall.shape[0], 2 * field.shape[1]), field.dtype)
    out[:, 0::2] = near + columns[:, :-2] * np.float32(0.25)
    out[:, 1::2] = near + columns[:, 2:] * np.float32(0.25)
    return out


def upsample_labels(labels: NDArray[np.integer]) -> NDArray[np.integer]:
    """Twice the size, every value repeated."""
    return np.repeat(np.repeat(labels, 2, axis=0), 2, axis=1)


def blur(field: Field, passes: int) -> Field:
    """`passes` times [1 2 1] / 4 along both axes; the outermost rows and columns stay."""
    quarter, half = np.float32(0.25), np.float32(0.5)
    for _ in range(passes):
        rows = field.copy()
        rows[1:-1] = (field[:-2] + field[2:]) * quarter + field[1:-1] * half
        field = rows.copy()
        field[:, 1:-1] = (rows[:, :-2] + rows[:, 2:]) * quarter + rows[:, 1:-1] * half
    return field


def gradient(field: Field) -> tuple[Field, Field]:
    """Central differences (not halved) along y and x; 0 on the outermost rows and columns."""
    along_y, along_x = np.zeros_like(field), np.zeros_like(field)
    along_y[1:-1] = field[2:] - field[:-2]
    along_x[:, 1:-1] = field[:, 2:] - field[:, :-2]
    return along_y, along_x


def unit_vector(x: float, y: float) -> tuple[float, float] | None:
    """(x, y) at length 1, or None where it is too short to have a direction."""
    length = math.sqrt(x * x + y * y)
    if length < 1e-3:
        return None
    return x / length, y / length


def components(labels: NDArray[np.integer], connectivity: int) -> Labels:
    """Connected regions of equal value, numbered in scan order; value 0 is background.

    Args:
        labels: integer map.
        connectivity: 1 joins the four neighbours, 2 the eight.
    """
    from skimage.measure import label

    numbered = label(labels, connectivity=connectivity, background=0)  # type: ignore[no-untyped-call]
    return np.asarray(numbered, np.int32)


def renumbering(keep: Mask) -> Labels:
    """Look-up table that numbers the kept ids 1, 2, ... and sends the others to 0."""
    table = np.zeros(len(keep), np.int32)
    table[keep] = np.arange(1, int(np.count_nonzero(keep)) + 1, dtype=np.int32)
    return table
