"""Overlapping windows over an image of any size. Pure planning; no pixel is touched by a network.

Each window is computed whole and kept only in its centre, where the zero padding inside the
network hardly reaches. The kept centres cover every pixel exactly once; beyond its borders the
image is continued by reflection.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.model import ENCODER_STRIDE


@dataclass(frozen=True, slots=True)
class Tiling:
    """How windows are laid out."""

    window_px: int
    """Largest side of a window, a multiple of 16."""
    margin_px: int
    """Context at each side that is computed and not kept."""
    fit: bool = False
    """Share an axis evenly among its windows, so that less of the last one lies outside."""

    def __post_init__(self) -> None:
        if self.window_px % ENCODER_STRIDE or self.margin_px < 0 or self.kept_px < 1:
            raise DataError(
                f"windows of {self.window_px} px with margins of {self.margin_px} px cannot tile: "
                f"the side must be a multiple of {ENCODER_STRIDE} and larger than both margins."
            )

    @property
    def kept_px(self) -> int:
        """Side of the centre that is kept of the largest window."""
        return self.window_px - 2 * self.margin_px


@dataclass(frozen=True, slots=True)
class Window:
    """One window on the image's grid, px. The input box may reach beyond the image."""

    y: int
    x: int
    height: int
    width: int
    kept: tuple[slice, slice]
    """Rows and columns of the image that this window decides."""

    def kept_at(self, stride: int) -> tuple[slice, slice]:
        """`kept` on a grid of cells of `stride` px; the last cell may reach beyond the image."""
        rows, columns = (slice(s.start // stride, -(-s.stop // stride)) for s in self.kept)
        return rows, columns

    @property
    def area(self) -> int:
        """Pixels that this window decides."""
        rows, columns = self.kept
        return int((rows.stop - rows.start) * (columns.stop - columns.start))


def plan_windows(shape: tuple[int, int], tiling: Tiling) -> list[Window]:
    """Windows of one common size whose kept boxes cover an image exactly once, in raster order.

    The grid starts at the top left corner. An image smaller than the kept centre takes a smaller
    window.

    Args:
        shape: (H, W) of the image, px.
        tiling: size and margin of the windows.

    Raises:
        DataError: the image is empty.
    """
    if min(shape) < 1:
        raise DataError(f"an image of {shape[0]} x {shape[1]} px has nothing to predict.")
    kept_rows, kept_columns = (_kept_side(length, tiling) for length in shape)
    margin = tiling.margin_px
    return [
        Window(
            y=y - margin,
            x=x - margin,
            height=kept_rows + 2 * margin,
            width=kept_columns + 2 * margin,
            kept=(
                slice(y, min(y + kept_rows, shape[0])),
                slice(x, min(x + kept_columns, shape[1])),
            ),
        )
        for y in range(0, shape[0], kept_rows)
        for x in range(0, shape[1], kept_columns)
    ]


def cut_windows(
    image: NDArray[np.uint8], windows: Iterable[Window], batch_size: int
) -> Iterator[tuple[list[Window], NDArray[np.uint8]]]:
    """Batches of windows with their pixels, (N, height, width, 3).

    Args:
        image: (H, W, 3); continued by reflection where a window leaves it.
        windows: windows of one size.
        batch_size: most windows a batch.
    """
    windows = list(windows)
    top, left = -min(w.y for w in windows), -min(w.x for w in windows)
    bottom = max(w.y + w.height for w in windows) - image.shape[0]
    right = max(w.x + w.width for w in windows) - image.shape[1]
    padded = np.pad(image, ((top, max(0, bottom)), (left, max(0, right)), (0, 0)), mode="reflect")
    for start in range(0, len(windows), batch_size):
        batch = windows[start : start + batch_size]
        boxes = [(w.y + top, w.x + left, w.height, w.width) for w in batch]
        yield batch, np.stack([padded[y : y + h, x : x + w] for y, x, h, w in boxes])


def pad_to_stride(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Continue an image by reflection, evenly on both sides, to multiples of 16 px."""
    pads = []
    for length in image.shape[:2]:
        missing = -length % ENCODER_STRIDE
        pads.append((missing // 2, missing - missing // 2))
    return np.pad(image, (*pads, (0, 0)), mode="reflect")


def _kept_side(length: int, tiling: Tiling) -> int:
    """Kept side along an axis; with the margins it is a multiple of the network's stride."""
    wanted = length
    if tiling.fit:
        n_windows = -(-length // tiling.kept_px)
        wanted = -(-length // n_windows)
    side = wanted + 2 * tiling.margin_px
    return min(tiling.window_px, side + -side % ENCODER_STRIDE) - 2 * tiling.margin_px
