"""Pixels of a slide on a grid of any resolution, the same bytes whatever region is asked for."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor

import cv2
import numpy as np
from numpy.typing import NDArray

from cerberus_bench.slides.grid import SAME_MPP, Box, WorkGrid
from cerberus_bench.slides.reader import Pixels, SlideReader

Mapper = Callable[[Callable[[Box], int], Iterable[Box]], Iterable[int]]
BAND_PX = 2**23
"""Level px that are averaged at once, which bounds the memory that this takes."""
WHITE = 255
"""Of everything outside the slide."""


@dataclass(frozen=True, slots=True)
class Region:
    """Pixels of a box, and what they cost."""

    box: Box
    """px of the grid."""
    pixels: Pixels
    """(H, W, 3) RGB; white where nothing was asked for."""
    px_read: int
    """Pixels that were read, of the level that they were read at."""


class GridPixels:
    """A slide's pixels on a grid.

    They are read at the coarsest level that is fine enough and averaged over the area of each
    pixel, with weights from coordinates on the whole slide. Outside the slide all is white.
    """

    def __init__(self, reader: SlideReader, grid: WorkGrid) -> None:
        """Choose the level to read.

        Args:
            reader: the slide.
            grid: its factor may be that of any resolution.
        """
        self._reader = reader
        self._grid = grid
        fine = [
            i
            for i, level in enumerate(reader.levels)
            if level.downsample <= grid.factor * (1 + SAME_MPP)
        ]
        self._index = max(fine, key=lambda i: reader.levels[i].downsample, default=0)
        self._level = reader.levels[self._index]
        ratio = grid.factor / self._level.downsample
        self._ratio = float(round(ratio)) if abs(ratio - round(ratio)) < 1e-9 else ratio
        """Level px a grid px."""

    @property
    def px_per_px(self) -> float:
        """Pixels of the level under a pixel of the grid: reading each once costs this much."""
        return self._ratio**2

    def read(self, boxes: Iterable[Box], mapper: Mapper = map) -> Region:
        """Read what some boxes cover, every pixel once.

        Args:
            boxes: at least one, px of the grid; they may overlap and reach beyond the slide.
            mapper: the builtin `map`, or that of an executor to read in several threads.
        """
        boxes = list(boxes)
        outer = Box(
            min(b.y0 for b in boxes),
            min(b.x0 for b in boxes),
            max(b.y1 for b in boxes),
            max(b.x1 for b in boxes),
        )
        pixels = np.full((outer.height, outer.width, 3), WHITE, np.uint8)
        parts = [p for box in disjoint(boxes) for p in self._bands(box.meet(self._grid.box))]

        def read(part: Box) -> int:
            pixels[part.within(outer)], px_read = self._averaged(part)
            return px_read

        return Region(outer, pixels, sum(mapper(read, parts)))

    def _bands(self, box: Box) -> Iterator[Box]:
        if box.area:
            rows = max(1, int(BAND_PX / (box.width * self._ratio**2)))
            for y in range(box.y0, box.y1, rows):
                yield box._replace(y0=y, y1=min(y + rows, box.y1))

    def _averaged(self, box: Box) -> tuple[Pixels, int]:
        ratio = self._ratio
        of_level = Box(
            floor(box.y0 * ratio), floor(box.x0 * ratio), ceil(box.y1 * ratio), ceil(box.x1 * ratio)
        )
        pixels, n = self._of_level(of_level)
        if ratio == 1:
            return pixels, n
        if ratio % 1 == 0:
            size = (box.width, box.height)
            return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8), n
        rows = _averaged_rows(pixels, box.y0, box.y1, of_level.y0, ratio)
        columns = _averaged_rows(rows.swapaxes(0, 1), box.x0, box.x1, of_level.x0, ratio)
        return np.floor(columns.swapaxes(0, 1) + 0.5).astype(np.uint8), n

    def _of_level(self, box: Box) -> tuple[Pixels, int]:
        """Pixels of a box of the level, white outside; and how many were read."""
        level = self._level
        inside = box.meet(Box(0, 0, level.height, level.width))
        if not inside.area:
            return np.full((box.height, box.width, 3), WHITE, np.uint8), 0
        pixels = self._reader.read(inside.x0, inside.y0, inside.width, inside.height, self._index)
        px_read = _whole_cells(inside, level.cell_px).area
        if inside == box:
            return pixels, px_read
        padded = np.full((box.height, box.width, 3), WHITE, np.uint8)
        padded[inside.within(box)] = pixels
        return padded, px_read


def disjoint(boxes: Iterable[Box]) -> Iterator[Box]:
    """Boxes that cover what some boxes cover, each place once: bands from top to bottom."""
    boxes = [box for box in boxes if box.area]
    cuts = sorted({y for box in boxes for y in (box.y0, box.y1)})
    for y0, y1 in pairwise(cuts):
        spans = sorted((box.x0, box.x1) for box in boxes if box.y0 <= y0 < box.y1)
        merged: list[tuple[int, int]] = []
        for start, stop in spans:
            if merged and start <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(stop, merged[-1][1])
            else:
                merged.append((start, stop))
        for start, stop in merged:
            yield Box(y0, start, y1, stop)


def _whole_cells(box: Box, cell: int) -> Box:
    return Box(
        box.y0 // cell * cell,
        box.x0 // cell * cell,
        -(-box.y1 // cell) * cell,
        -(-box.x1 // cell) * cell,
    )


def _averaged_rows(
    pixels: NDArray[np.generic], start: int, stop: int, first: int, ratio: float
) -> NDArray[np.float32]:
    """Average rows over the spans [i ratio, (i + 1) ratio) for i from start to stop.

    Args:
        pixels: (rows, columns, 3).
        start: first row wanted.
        stop: behind the last one.
        first: where `pixels` begins.
        ratio: rows of `pixels` a row wanted.
    """
    begin = np.arange(start, stop) * ratio
    end = np.arange(start + 1, stop + 1) * ratio
    index = np.floor(begin).astype(np.int64)
    total = np.zeros((stop - start, *pixels.shape[1:]), np.float32)
    for _ in range(ceil(ratio) + 1):
        weight = np.minimum(end, index + 1) - np.maximum(begin, index)
        share = (np.maximum(weight, 0) / ratio).astype(np.float32)
        rows = np.clip(index - first, 0, len(pixels) - 1)
        total += share[:, None, None] * pixels[rows]
        index = index + 1
    return total
