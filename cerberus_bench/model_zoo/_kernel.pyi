import numpy as np
from numpy.typing import NDArray

Probability = NDArray[np.float32]
Labels = NDArray[np.int32]

def nuclei(
    inner: Probability,
    contour: Probability,
    labels: Labels,
    min_mask_area: int,
    min_marker_area: int,
    published_ties: bool,
    threads: int,
    /,
) -> bool:
    """Paint nuclei on a map of zeros in C order.

    Returns:
        Whether the order of equal marker pixels mattered.
    """

def regions(
    inner: Probability,
    contour: Probability,
    labels: Labels,
    element: NDArray[np.uint8],
    threshold: float,
    min_area: int,
    /,
) -> None:
    """Paint glands or lumina on a map of zeros in C order.

    Raises:
        ValueError: the element is not square, or a row of it is not one stretch.
    """

def objects(
    labels: Labels,
    types: NDArray[np.uint16] | None,
    values: Probability | None,
    threads: int,
    /,
) -> tuple[bytearray, ...]:
    """Measure the objects of a label map in C order.

    Returns:
        Columns in order of ids: id (int32), box y0, x0, y1, x1 (4 int32), area, sums of x and of y
        (int64), most frequent type (int32), its pixels (int64), sum of values (float64), points of
        the outline (int64); and the outlines, x, y (2 int32 a point).

    Raises:
        OverflowError: an id is negative, or above the number of pixels by more than 2**20.
    """

def edges(labels: Labels, starts: NDArray[np.int32], /) -> tuple[bytearray, bytearray]:
    """Follow outlines along the edges of pixels.

    Args:
        labels: (H, W) in C order.
        starts: (n, 2) x, y of a pixel of each object that has none of it above, in C order.

    Returns:
        Corners of each outline (int64), and the corners, x, y (2 int32 each).

    Raises:
        ValueError: a start is background, outside the map, or has its own object above.
    """
