"""Order along the Hilbert curve: what lies close on it lies close on the slide."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

ORDER = 24
"""The curve runs through a square of 2^24 px, larger than any slide."""


def hilbert_index(x: NDArray[np.floating[Any]], y: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Position of each point's pixel along the curve, below 4^24.

    The curve is hierarchical: `index >> 2 * k` orders the squares of 2^k px.

    Args:
        x: (n,) px, within [0, 2^24); the whole part counts.
        y: (n,) px.

    Source: D. Hilbert, Math. Annalen 38 (1891); the usual bitwise form, all points at once.
    """
    column, row = (np.floor(axis).astype(np.int64) for axis in (x, y))
    index = np.zeros(column.shape, np.int64)
    for bit in reversed(range(ORDER)):
        right, low = column >> bit & 1, row >> bit & 1
        index = index << 2 | 3 * right ^ low
        rest = (1 << bit) - 1
        column, row = column & rest, row & rest
        mirrored = (low == 0) & (right == 1)
        column, row = (np.where(mirrored, rest - axis, axis) for axis in (column, row))
        column, row = np.where(low == 0, row, column), np.where(low == 0, column, row)
    return index
