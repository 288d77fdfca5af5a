"""The outline of a mask of any size, point for point the one of `instance_table`."""

import cv2
import numpy as np
from numpy.typing import NDArray

from cerberus_bench.slides import masks
from cerberus_bench.slides.grid import Box
from cerberus_bench.slides.masks import TILE_PX, Parts, TiledMask, fill_holes

_STEPS = ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))
"""x, y of the eight directions, counterclockwise as seen on the screen."""


def outline(mask: TiledMask) -> NDArray[np.int32]:
    """Outline of a mask as OpenCV lists it first, straight runs reduced to their ends.

    Of a mask in several 8-connected pieces that is the piece whose first pixel in raster order
    comes last.

    Returns:
        (points, 2) x, y, px; no points where the mask is empty.
    """
    box = mask.box
    if box.area > masks.BAND_PX:
        return _traced(fill_holes(mask))
    found, _ = cv2.findContours(mask.get(box), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    points = found[0].reshape(-1, 2) if found else np.zeros((0, 2), np.int32)
    return np.asarray(points + np.array([box.x0, box.y0]), dtype=np.int32)


def _traced(solid: TiledMask) -> NDArray[np.int32]:
    """Follow the border of the last piece of a mask without holes.

    Source: Suzuki and Abe, "Topological structural analysis of digitized binary images by border
    following", CVGIP 1985, algorithm 1, step 3.
    """
    start = _last_first_pixel(solid)
    if start is None:
        return np.zeros((0, 2), np.int32)
    tiles: dict[tuple[int, int], bytes] = {}

    def is_set(x: int, y: int) -> bool:
        key = (y // TILE_PX, x // TILE_PX)
        if key not in tiles:
            top, left = key[0] * TILE_PX, key[1] * TILE_PX
            tiles[key] = solid.get(Box(top, left, top + TILE_PX, left + TILE_PX)).tobytes()
        return bool(tiles[key][y % TILE_PX * TILE_PX + x % TILE_PX])

    def neighbour(x: int, y: int, directions: range) -> int | None:
        for direction in directions:
            dx, dy = _STEPS[direction % 8]
            if is_set(x + dx, y + dy):
                return direction % 8
        return None

    back = neighbour(*start, range(11, 4, -1))  # clockwise from the left, which is background
    if back is None:
        return np.array([start], np.int32)
    points = []
    (x, y), came_from, heading = start, back, (back + 4) % 8
    end = (start[0] + _STEPS[back][0], start[1] + _STEPS[back][1])
    while True:
        ahead = neighbour(x, y, range(came_from + 1, came_from + 9))
        assert ahead is not None  # the pixel that it came from is set
        if ahead != heading:
            points.append((x, y))
        following = (x + _STEPS[ahead][0], y + _STEPS[ahead][1])
        if following == start and (x, y) == end:
            return np.array(points, np.int32)
        (x, y), came_from, heading = following, (ahead + 4) % 8, ahead


def _last_first_pixel(mask: TiledMask) -> tuple[int, int] | None:
    """Of the first pixels of all 8-connected pieces, in raster order, the last one; x, y."""
    pieces, seen = Parts(mask, value=1, connectivity=8), np.zeros(0, np.int64)
    last = None
    for band in mask.bands():
        labels = pieces.labels(band)
        wide = mask.get(Box(band.y0 - 1, band.x0 - 1, band.y1, band.x1 + 1))
        above = wide[:-1, :-2] | wide[:-1, 1:-1] | wide[:-1, 2:]
        ys, xs = np.nonzero(wide[1:, 1:-1] & ~(above | wide[1:, :-2]))
        found, index = np.unique(labels[ys, xs], return_index=True)
        new = index[~np.isin(found, seen)]
        if len(new):
            last = int(xs[new.max()]) + band.x0, int(ys[new.max()]) + band.y0
        seen = np.union1d(seen, found)
    return last
