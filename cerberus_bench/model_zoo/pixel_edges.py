"""Outlines along the edges of pixels: polygons that hold an object's pixels and nothing else."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

CUT_PX = 1 / 4
"""How much of an edge is cut off at a corner that an outline would pass twice."""

_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))
"""x, y of right, down, left, up."""
_AHEAD = ((0, -1), (0, 0), (-1, 0), (-1, -1))
"""From a corner to the pixel ahead on the left hand, by direction; the one on the right hand is
that of the next direction."""


def follow_edges(
    is_set: Callable[[int, int], bool], start_xy: tuple[int, int]
) -> NDArray[np.int32]:
    """Outline of the 8-connected part of an object that has a pixel at the start.

    The object is on the right hand. Of two pixels that touch at a corner only, the border goes on
    from one to the other.

    Source: crack following, Rosenfeld and Kak, "Digital Picture Processing", 2nd edition 1982,
    section 11.2.

    Args:
        is_set: whether pixel x, y belongs to the object.
        start_xy: a pixel of the object with none of it above; the first one in raster order, or
            else this may be the border of a hole.

    Returns:
        (corners, 2) x, y, px, where the outline turns, clockwise as seen on the screen. Corner
        x, y is the upper left one of pixel x, y.
    """

    def has_ahead(direction: int) -> bool:
        dx, dy = _AHEAD[direction % 4]
        return is_set(x + dx, y + dy)

    (x, y), direction = start_xy, 0
    corners = []
    while True:
        x, y = x + _STEPS[direction][0], y + _STEPS[direction][1]
        turned = direction
        if has_ahead(direction):
            turned = (direction - 1) % 4
        elif not has_ahead(direction + 1):
            turned = (direction + 1) % 4
        if turned != direction:
            corners.append((x, y))
        direction = turned
        if (x, y) == start_xy and direction == 0:
            return np.array(corners, np.int32)


def simple_rings(
    corners: NDArray[np.int32], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Rings of `follow_edges` that do not touch themselves.

    Where two pixels of an object touch at a corner only, its ring passes that corner twice. The
    first time it is cut, by `CUT_PX` along both edges and on the side of the background: the pixels
    are joined, and the area grows by 1/32 px.

    Args:
        corners: (N, 2) x, y of all rings, one behind the other, px.
        lengths: (n,) corners of each.

    Returns:
        Vertices, (M, 2) x, y, px, and how many each ring has.
    """
    first = np.cumsum(lengths) - lengths
    ring = np.repeat(np.arange(len(lengths)), lengths)
    order = np.lexsort((corners[:, 1], corners[:, 0], ring))
    keys = np.column_stack([ring, corners])[order]
    cut = np.sort(order[:-1][(keys[1:] == keys[:-1]).all(axis=1)])
    of_ring = ring[cut]
    start, length = first[of_ring], lengths[of_ring]
    here = corners[cut]
    before = corners[start + (cut - start - 1) % length]
    after = corners[start + (cut - start + 1) % length]
    times = np.ones(len(corners), np.int64)
    times[cut] = 2
    vertices = np.repeat(corners, times, axis=0).astype(np.float64)
    at = cut + np.arange(len(cut))
    vertices[at] = here + CUT_PX * np.sign(before - here)
    vertices[at + 1] = here + CUT_PX * np.sign(after - here)
    return vertices, lengths + np.bincount(of_ring, minlength=len(lengths))
