"""Where things lie on a slide: the work grid, and the lattices of windows, blocks and shards on it.

Every lattice covers the whole slide and knows nothing of the part that is being worked on, so that
no number depends on how the work was cut up. Pure arithmetic; no pixel is read here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.model_zoo.tiling import Tiling
from cerberus_bench.schema.errors import DataError

SAME_MPP = 0.01
"""Resolutions that differ by at most this share count as equal, and nothing is resampled."""
BLOCK_PX = 1024
"""Side of the blocks that nuclei are cut out in, work px. Shards are whole numbers of blocks."""
HALO_PX = 64
"""What a block sees beyond its own side, work px: more than any nucleus (32 um at 0.5 mpp)."""


class Box(NamedTuple):
    """A half-open box, px of the grid that is at hand."""

    y0: int
    x0: int
    y1: int
    x1: int

    @property
    def height(self) -> int:
        """Rows."""
        return self.y1 - self.y0

    @property
    def width(self) -> int:
        """Columns."""
        return self.x1 - self.x0

    @property
    def area(self) -> int:
        """Pixels; 0 where the box is empty."""
        return max(0, self.height) * max(0, self.width)

    @property
    def centre(self) -> tuple[float, float]:
        """y, x of the middle."""
        return (self.y0 + self.y1) / 2, (self.x0 + self.x1) / 2

    def holds(self, y: float, x: float) -> bool:
        """Whether a point lies in the box."""
        return self.y0 <= y < self.y1 and self.x0 <= x < self.x1

    def grown(self, px: int) -> "Box":
        """The box with `px` more at each side."""
        return Box(self.y0 - px, self.x0 - px, self.y1 + px, self.x1 + px)

    def meet(self, other: "Box") -> "Box":
        """What both boxes cover; its area is 0 where they do not meet."""
        return Box(
            max(self.y0, other.y0),
            max(self.x0, other.x0),
            min(self.y1, other.y1),
            min(self.x1, other.x1),
        )

    def within(self, outer: "Box") -> tuple[slice, slice]:
        """Rows and columns of this box in an array that holds `outer`."""
        return (
            slice(self.y0 - outer.y0, self.y1 - outer.y0),
            slice(self.x0 - outer.x0, self.x1 - outer.x0),
        )


@dataclass(frozen=True, slots=True)
class WorkGrid:
    """The slide at the model's resolution; work px (x, y) covers level 0 from (x f, y f) on."""

    level0_width: int
    level0_height: int
    factor: float
    """Level-0 px a work px: exactly that of a level whose resolution counts as equal."""

    @classmethod
    def of(
        cls,
        size_px: tuple[int, int],
        mpp: float,
        model_mpp: float,
        downsamples: Iterable[float] = (1.0,),
    ) -> "WorkGrid":
        """Grid of a slide.

        Args:
            size_px: width, height of level 0.
            mpp: of level 0.
            model_mpp: that the model works at.
            downsamples: of the slide's levels. Where one of them has the model's resolution, the
                grid is that level's own.
        """
        wanted = model_mpp / mpp
        nearest = min(downsamples, key=lambda downsample: abs(wanted / downsample - 1))
        return cls(*size_px, nearest if abs(wanted / nearest - 1) <= SAME_MPP else wanted)

    @property
    def width(self) -> int:
        """Columns, work px; the last one may reach beyond the slide."""
        return max(1, ceil(self.level0_width / self.factor - 1e-6))

    @property
    def height(self) -> int:
        """Rows, work px; the last one may reach beyond the slide."""
        return max(1, ceil(self.level0_height / self.factor - 1e-6))

    @property
    def box(self) -> Box:
        """The whole grid."""
        return Box(0, 0, self.height, self.width)

    @property
    def half_shape(self) -> tuple[int, int]:
        """(H, W) of the grid of twice the pixel size (1 mpp for a model at 0.5).

        Its px (x, y) is the mean of the work px 2x, 2x + 1 and 2y, 2y + 1; an odd last row or
        column of the work grid is left out.
        """
        return self.height // 2, self.width // 2

    def to_level0(self, xy: NDArray[np.floating]) -> NDArray[np.float64]:
        """Points (n, 2) x y in level-0 px from points in work px.

        Both count from the top left corner of the slide, so the centre of the first pixel is at
        (.5, .5).
        """
        return np.asarray(xy, dtype=np.float64) * self.factor


@dataclass(frozen=True, slots=True)
class WindowLattice:
    """Windows of one size whose kept boxes tile the plane.

    The lattice begins half a kept box before the slide: where shards end at a multiple of the kept
    side, they end in the middle of kept boxes, and a halo costs half a window, not a whole one.
    """

    kept_px: int
    """Side of what a window decides; even."""
    margin_px: int
    """Context at each side of it."""

    @classmethod
    def of(cls, tiling: Tiling) -> "WindowLattice":
        """Lattice of a layout of windows."""
        return cls(tiling.kept_px, tiling.margin_px)

    @property
    def origin(self) -> int:
        """Where the kept box of row 0 (or column 0) begins, work px: even, about -kept / 2."""
        return -(self.kept_px // 4) * 2

    @property
    def window_px(self) -> int:
        """Side of what the network sees."""
        return self.kept_px + 2 * self.margin_px

    def kept(self, row: int, column: int) -> Box:
        """Kept box of a window, work px; the outermost ones reach beyond the slide."""
        y, x = self.origin + row * self.kept_px, self.origin + column * self.kept_px
        return Box(y, x, y + self.kept_px, x + self.kept_px)

    def shape(self, grid: WorkGrid) -> tuple[int, int]:
        """Rows and columns of windows that a slide takes."""
        rows, columns = self.meeting(grid.box)
        return rows.stop, columns.stop

    def meeting(self, box: Box) -> tuple[range, range]:
        """Rows and columns of the windows whose kept boxes meet a box inside the slide."""

        def span(start: int, stop: int) -> range:
            first = (start - self.origin) // self.kept_px
            return range(first, -(-(stop - self.origin) // self.kept_px))

        return span(box.y0, box.y1), span(box.x0, box.x1)


def meeting(boxes: NDArray[np.integer], box: Box) -> NDArray[np.bool_]:
    """Which of some boxes (n, 4) meet a box; none of them is empty."""
    y0, x0, y1, x1 = boxes.T
    met: NDArray[np.bool_] = (y0 < box.y1) & (box.y0 < y1) & (x0 < box.x1) & (box.x0 < x1)
    return met


def check_shard_px(shard_px: int) -> None:
    """Refuse a shard side that is not a whole number of blocks.

    Raises:
        DataError: it is not.
    """
    if shard_px < BLOCK_PX or shard_px % BLOCK_PX:
        raise DataError(
            f"shards of {shard_px} px cannot be cut into blocks: give a multiple of {BLOCK_PX}."
        )


def squares(grid: WorkGrid, side: int) -> Iterator[Box]:
    """Squares of a lattice that begins at the slide's corner, clipped to it, in raster order.

    Args:
        grid: the slide.
        side: work px.
    """
    yield from _squares(grid.box, grid.box, side)


def blocks_of(shard: Box) -> Iterator[Box]:
    """Blocks of a shard, in raster order, clipped to it."""
    yield from _squares(shard, shard, BLOCK_PX)


def _squares(area: Box, clip: Box, side: int) -> Iterator[Box]:
    for y in range(area.y0, area.y1, side):
        for x in range(area.x0, area.x1, side):
            yield Box(y, x, y + side, x + side).meet(clip)
