"""The outline of a mask of any size along the edges of its pixels."""

import cv2
import numpy as np
from numpy.typing import NDArray

from cerberus_bench.model_zoo.instances import MIN_CONTOUR_POINTS, pixel_outlines
from cerberus_bench.model_zoo.pixel_edges import follow_edges, simple_rings
from cerberus_bench.slides import masks
from cerberus_bench.slides.grid import Box
from cerberus_bench.slides.masks import TILE_PX, Parts, TiledMask, fill_holes


def outline(mask: TiledMask) -> NDArray[np.float64]:
    """Outline of a mask, as `pixel_outlines` gives it for the first point of its contour.

    Of a mask in several 8-connected pieces that is the outline of the piece whose first pixel in
    raster order comes last, pieces in holes of others aside.

    Returns:
        (vertices, 2) x, y, px; no vertices where the mask is empty, or where that piece is a
        straight line of pixels, of which `instance_table` makes no object.
    """
    box = mask.box
    if box.area > masks.BAND_PX:
        return _followed(fill_holes(mask))
    pixels = mask.get(box)
    found, _ = cv2.findContours(pixels, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    if not found or len(found[0]) < MIN_CONTOUR_POINTS:
        return np.zeros((0, 2))
    (vertices,) = pixel_outlines(pixels, np.asarray(found[0][0]))
    return np.asarray(vertices + np.array([box.x0, box.y0]), np.float64)


def _followed(solid: TiledMask) -> NDArray[np.float64]:
    """Follow the border of the last piece of a mask without holes, a tile at a time."""
    start = _last_first_pixel(solid)
    if start is None:
        return np.zeros((0, 2))
    tiles: dict[tuple[int, int], bytes] = {}

    def is_set(x: int, y: int) -> bool:
        key = (y // TILE_PX, x // TILE_PX)
        if key not in tiles:
            top, left = key[0] * TILE_PX, key[1] * TILE_PX
            tiles[key] = solid.get(Box(top, left, top + TILE_PX, left + TILE_PX)).tobytes()
        return bool(tiles[key][y % TILE_PX * TILE_PX + x % TILE_PX])

    corners = follow_edges(is_set, start)
    if _is_line(corners):
        return np.zeros((0, 2))
    return simple_rings(corners, np.array([len(corners)]))[0]


def _is_line(corners: NDArray[np.int32]) -> bool:
    """Whether the pixels of a piece without holes are a row, a column or a diagonal."""
    width, height = map(int, np.ptp(corners, axis=0))
    x, y = corners.astype(np.int64).T
    area = int(x @ np.roll(y, -1) - y @ np.roll(x, -1)) // 2
    return min(width, height) == 1 or width == height == area


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
