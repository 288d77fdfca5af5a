"""What the two ways to measure the objects of a label map give."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Measures(NamedTuple):
    """Columns of n objects in ascending id order; counts and sums over the pixels of each."""

    id: NDArray[np.int32]
    box: NDArray[np.int32]
    """(n, 4) y0, x0, y1, x1, half-open, px."""
    area: NDArray[np.int64]
    """(n,) px."""
    xy_sum: NDArray[np.int64]
    """(n, 2) of x and y, px."""
    type: NDArray[np.int32]
    """(n,) the most frequent class but 0, of equally frequent ones the lower; else 0."""
    type_count: NDArray[np.int64]
    """(n,) px of that class."""
    value_sum: NDArray[np.float64]
    """(n,) of a map of values, added in raster order."""
    outline_xy: NDArray[np.int32]
    """(points, 2) outer outlines, one behind the other, px."""
    outline_lengths: NDArray[np.int64]
    """(n,) points of each outline."""
