"""Masks of any size in little memory: bits in tiles, and the region rules applied band by band.

A gland may be as large as its slide. Nothing here holds more than one band of such an object as
an array; its tiles hold one bit a pixel, and empty ones nothing.
"""

import zlib
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cerberus_bench.slides.grid import Box

TILE_PX = 128
"""Side of a tile; a multiple of 8."""
BAND_PX = 2**24
"""Most pixels that are looked at as an array at once."""

Mask = NDArray[np.uint8]


class TiledMask:
    """A mask within a box; what is never put is 0."""

    def __init__(self, box: Box) -> None:
        """Begin with an empty mask."""
        self.box = box
        self._tiles: dict[tuple[int, int], Mask | bytes] = {}

    def bands(self) -> Iterator[Box]:
        """The box in pieces of full width, top to bottom."""
        height = max(1, BAND_PX // max(1, self.box.width))
        for y in range(self.box.y0, self.box.y1, height):
            yield self.box._replace(y0=y, y1=min(y + height, self.box.y1))

    def get(self, box: Box) -> Mask:
        """Pixels of a box as 0 and 1, (H, W); 0 outside the mask."""
        found = np.zeros((box.height, box.width), np.uint8)
        for key, tile in _tiles_of(box):
            if key in self._tiles:
                part = tile.meet(box)
                found[part.within(box)] = self._unpacked(key)[part.within(tile)]
        return found

    def put(self, box: Box, pixels: NDArray[np.uint8] | NDArray[np.bool_]) -> None:
        """Replace the pixels of a box.

        Args:
            box: inside the mask's box.
            pixels: (H, W) of 0 and 1.
        """
        for key, tile in _tiles_of(box):
            part = tile.meet(box)
            whole = self._unpacked(key)
            whole[part.within(tile)] = pixels[part.within(box)]
            if whole.any():
                self._tiles[key] = np.packbits(whole, axis=1)
            else:
                self._tiles.pop(key, None)

    def compress(self) -> None:
        """Take as little memory as possible until the next `put`."""
        for key, tile in self._tiles.items():
            if not isinstance(tile, bytes):
                self._tiles[key] = zlib.compress(tile.tobytes(), 1)

    def sums(self) -> tuple[int, float, float]:
        """Area, px, and the mean x and y of its pixels; NaN where it is empty."""
        area = total_x = total_y = 0
        for band in self.bands():
            pixels = self.get(band)
            columns, rows = pixels.sum(axis=0, dtype=np.int64), pixels.sum(axis=1, dtype=np.int64)
            area += int(rows.sum())
            total_x += int(columns @ np.arange(band.x0, band.x1))
            total_y += int(rows @ np.arange(band.y0, band.y1))
        if not area:
            return 0, np.nan, np.nan
        return area, total_x / area, total_y / area

    def _unpacked(self, key: tuple[int, int]) -> Mask:
        tile = self._tiles.get(key)
        if tile is None:
            return np.zeros((TILE_PX, TILE_PX), np.uint8)
        if isinstance(tile, bytes):
            tile = np.frombuffer(zlib.decompress(tile), np.uint8).reshape(TILE_PX, -1)
        return np.unpackbits(tile, axis=1)


class Parts:
    """Connected parts of a mask or of its background, labelled band by band."""

    def __init__(self, mask: TiledMask, *, value: int, connectivity: int) -> None:
        """Find the parts.

        Args:
            mask: what has parts.
            value: 1 for parts of the mask, 0 for parts of its background.
            connectivity: 4 or 8.
        """
        self._mask, self._value, self._connectivity = mask, value, connectivity
        self._latest: tuple[Box, NDArray[np.int32]] | None = None
        self._offsets: dict[Box, int] = {}
        self._count = 1
        links: list[NDArray[np.int64]] = []
        above = None
        for band in mask.bands():
            labels = self._local(band)
            self._offsets[band] = self._count - 1
            ids = self._ids(band)
            if above is not None:
                links += touching(above, ids[0], diagonal=connectivity == 8)
            above = ids[-1]
            self._count += int(labels.max(initial=0))
        self._part = merged(self._count, links)

    def labels(self, band: Box) -> NDArray[np.int64]:
        """Part of every pixel of a band; part 0 holds all pixels of the other value."""
        return self._part[self._ids(band)]

    def at_border(self) -> NDArray[np.bool_]:
        """By part: whether it touches the border of the mask's box."""
        found = np.zeros(self._count, bool)
        box = self._mask.box
        for band in self._mask.bands():
            ids = self._ids(band)
            edges = [ids[:, 0], ids[:, -1]]
            edges += [ids[0]] if band.y0 == box.y0 else []
            edges += [ids[-1]] if band.y1 == box.y1 else []
            for edge in edges:
                found[self._part[edge[edge > 0]]] = True
        return found

    def _ids(self, band: Box) -> NDArray[np.int32]:
        labels = self._local(band)
        offset = self._offsets[band]
        return np.where(labels > 0, labels + offset, 0) if offset else labels

    def _local(self, band: Box) -> NDArray[np.int32]:
        """Labels of a band alone; a mask of one band is labelled once."""
        if self._latest is None or self._latest[0] != band:
            pixels = (self._mask.get(band) == self._value).astype(np.uint8)
            _, labels = cv2.connectedComponents(pixels, connectivity=self._connectivity)
            self._latest = band, np.asarray(labels, np.int32)
        return self._latest[1]


def merged(count: int, links: Sequence[NDArray[np.integer]]) -> NDArray[np.int64]:
    """Join ids that are linked: the sets of a union-find.

    Args:
        count: ids are 0..count - 1; id 0 is never linked.
        links: (n, 2) pairs each.

    Returns:
        (count,) set of every id, numbered by their lowest id; 0 stays 0.
    """
    if not links:
        return np.arange(count)
    pairs = np.concatenate(links)
    ones = np.ones(len(pairs), bool)
    graph = sparse.coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    sets = sparse.csgraph.connected_components(graph, directed=False)[1]
    first = np.unique(sets, return_index=True)[1]
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[sets]


def touching(
    before: NDArray[np.integer], after: NDArray[np.integer], *, diagonal: bool = False
) -> list[NDArray[np.int64]]:
    """Pairs of ids that touch across a border between two lines of pixels; 0 touches nothing.

    Args:
        before: ids along one side.
        after: ids along the other side, as many.
        diagonal: whether neighbours at a corner touch too.
    """
    views = [(before, after)]
    if diagonal:
        views += [(before[1:], after[:-1]), (before[:-1], after[1:])]
    pairs = [np.stack([a[(a > 0) & (b > 0)], b[(a > 0) & (b > 0)]], axis=1) for a, b in views]
    return [np.unique(p.astype(np.int64), axis=0) for p in pairs if len(p)]


def grow(mask: TiledMask, box: Box, kernel: NDArray[np.uint8]) -> TiledMask:
    """Dilate a mask and fill its holes, as seen in a crop.

    Args:
        mask: what grows.
        box: the crop; nothing outside it is seen or grown into.
        kernel: what it is dilated by.
    """
    dilated, reach = TiledMask(box), len(kernel)
    for band in dilated.bands():
        seen = band._replace(y0=band.y0 - reach, y1=band.y1 + reach)
        pixels = np.asarray(cv2.dilate(mask.get(seen), kernel), np.uint8)
        dilated.put(band, pixels[reach:-reach])
    return fill_holes(dilated)


def fill_holes(mask: TiledMask) -> TiledMask:
    """Add the background that is not 4-connected to the border of the mask's box."""
    background = Parts(mask, value=0, connectivity=4)
    outside = background.at_border()
    filled = TiledMask(mask.box)
    for band in mask.bands():
        filled.put(band, ~outside[background.labels(band)])
    return filled


def _tiles_of(box: Box) -> Iterator[tuple[tuple[int, int], Box]]:
    for row in range(box.y0 // TILE_PX, -(-box.y1 // TILE_PX)):
        for column in range(box.x0 // TILE_PX, -(-box.x1 // TILE_PX)):
            y, x = row * TILE_PX, column * TILE_PX
            yield (row, column), Box(y, x, y + TILE_PX, x + TILE_PX)
