"""Where there is tissue on a slide. Glass costs nothing: windows without tissue are not computed.

The rule, on a picture of the whole slide at about 8 microns per pixel: saturation above Otsu's
threshold (kept within bounds, so that a slide of glass has no tissue and pen marks do not hide pale
tissue), closed, small holes filled, specks dropped, grown by a margin. Saturation parts stained
tissue from glass of any brightness: Otsu, IEEE Transactions on Systems, Man, and Cybernetics 1979;
on saturation as in Lu et al., Nature Biomedical Engineering 2021 (CLAM).
"""

from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.resample import resize_image, scaled_shape
from cerberus_bench.slides.grid import Box, WorkGrid
from cerberus_bench.slides.pixels import GridPixels
from cerberus_bench.slides.reader import Pixels, SlideReader

RULE = "saturation-otsu/1"
"""Name of the rule and its version; a change of any constant below raises it."""
MASK_MPP = 8.0
"""Microns per pixel of the picture that the rule looks at."""
PICTURE_PX = 2400
"""The picture of a small slide is finer, up to this longest side: it is also what people see."""
PREVIEW_MPP = 32.0
"""The file's own small picture may be this coarse, where no level but the first is there."""
PREVIEW_ASPECT = 0.02
"""Its sides may have another ratio than the slide's by this share: it is of the whole slide."""
SATURATION = (12, 40)
"""Bounds of Otsu's threshold, of 255: glass has up to 10, pale fat and mucus from 15 on."""
SMOOTH_UM = 20
"""Side of the median that takes the noise of glass away."""
CLOSE_UM = 120
"""Diameter of the closing: joins fibres and cells of loose tissue."""
HOLE_UM2 = 1_000_000
"""Larger holes stay glass."""
SPECK_UM2 = 4_000
"""Smaller pieces are dust."""
MARGIN_UM = 40
"""The mask is grown by this."""


@dataclass(frozen=True, slots=True)
class Overview:
    """A picture of the whole slide."""

    pixels: Pixels
    """(H, W, 3) RGB."""
    mpp: float
    """Microns per pixel."""
    px_read: int
    """Pixels of the slide's levels that it cost."""


def overview(reader: SlideReader) -> Overview:
    """A picture of the whole slide at about 8 mpp, finer where the slide is small, at least cost.

    From a reduced level; else the file's own small picture, where it has the slide's aspect ratio;
    else from all of level 0, band by band.
    """
    mpp = sum(reader.mpp) / 2
    coarsest = max(1.0, MASK_MPP / mpp)
    factor = min(max(1.0, max(reader.size_px) / PICTURE_PX), coarsest)
    reduced = [d for level in reader.levels[1:] if (d := level.downsample) <= coarsest]
    if reduced:
        factor = max(factor, min(reduced))
    else:
        preview = reader.preview()
        if preview is not None and _shows_all(preview, reader):
            return Overview(preview, mpp * reader.size_px[0] / preview.shape[1], 0)
    grid = WorkGrid(*reader.size_px, factor)
    region = GridPixels(reader, grid).read([grid.box])
    return Overview(region.pixels, mpp * factor, region.px_read)


def find_tissue(picture: Overview) -> NDArray[np.bool_]:
    """Tissue by the rule of this module.

    Returns:
        (H, W) over the whole slide, True on tissue; at 8 mpp, or coarser where the picture is.
    """
    pixels, mpp = picture.pixels, picture.mpp
    if mpp < MASK_MPP:
        shape = (pixels.shape[0], pixels.shape[1])
        pixels, mpp = resize_image(pixels, scaled_shape(shape, mpp, MASK_MPP)), MASK_MPP
    saturation = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)[..., 1]
    smooth = cv2.medianBlur(np.ascontiguousarray(saturation), _odd(SMOOTH_UM / mpp))
    otsu, _ = cv2.threshold(smooth, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    mask = (smooth > np.clip(otsu, *SATURATION)).astype(np.uint8)
    mask = _closed(mask, _odd(CLOSE_UM / mpp))
    mask = _filled(mask, HOLE_UM2 / mpp**2)
    mask = _without_small(mask, SPECK_UM2 / mpp**2)
    return np.asarray(cv2.dilate(mask, _disc(_odd(2 * MARGIN_UM / mpp))), dtype=np.bool_)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """A mask of the user's own: an image of any size over the whole slide, nonzero = tissue.

    Raises:
        DataError: the file is absent or no image of one channel.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            values = np.asarray(image)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{path}: not a readable mask ({error}). Give a PNG of one channel."
        ) from None
    if values.ndim != 2:
        raise DataError(f"{path}: a mask of shape {values.shape}. Give a PNG of one channel.")
    return np.asarray(values != 0)


def thumbnail(picture: Overview) -> Pixels:
    """The picture with its longest side at most `PICTURE_PX`."""
    pixels = picture.pixels
    share = PICTURE_PX / max(pixels.shape[:2])
    if share >= 1:
        return pixels
    height, width = (max(1, round(side * share)) for side in pixels.shape[:2])
    return resize_image(pixels, (height, width))


class TissueCounts:
    """Answers whether a box on the work grid meets tissue."""

    def __init__(self, mask: NDArray[np.bool_], grid: WorkGrid) -> None:
        """Count.

        Args:
            mask: (H, W) over the whole slide.
            grid: whose boxes are asked about.
        """
        self._shape = mask.shape
        self._grid = grid
        self._sums = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.int64)
        mask.cumsum(axis=0, dtype=np.int64).cumsum(axis=1, out=self._sums[1:, 1:])

    def meets(self, box: Box) -> bool:
        """Whether any mask pixel under a box, clipped to the slide, is tissue."""
        inside = box.meet(self._grid.box)
        if not inside.area:
            return False
        grid, (rows, columns) = self._grid, self._shape
        y0, y1 = _span(inside.y0, inside.y1, rows * grid.factor / grid.level0_height, rows)
        x0, x1 = _span(inside.x0, inside.x1, columns * grid.factor / grid.level0_width, columns)
        sums = self._sums
        return bool(sums[y1, x1] - sums[y0, x1] > sums[y1, x0] - sums[y0, x0])


def _span(start: int, stop: int, scale: float, n: int) -> tuple[int, int]:
    """First and behind the last of the n mask pixels under a side; `scale` mask px a work px."""
    first = min(int(start * scale), n - 1)
    return first, min(max(first + 1, ceil(stop * scale)), n)


def _shows_all(preview: Pixels, reader: SlideReader) -> bool:
    width, height = reader.size_px
    ratio = preview.shape[1] / preview.shape[0] * height / width
    mpp = reader.mpp[0] * width / preview.shape[1]
    return bool(abs(ratio - 1) <= PREVIEW_ASPECT and mpp <= PREVIEW_MPP)


def _odd(px: float) -> int:
    """An odd whole number next to it."""
    return 2 * int(px / 2) + 1


def _disc(side: int) -> NDArray[np.uint8]:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(kernel, dtype=np.uint8)


def _closed(mask: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Closing that does not take the edge of the slide for tissue."""
    padded = np.pad(mask, side)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, _disc(side))
    return np.asarray(closed[side:-side, side:-side], dtype=np.uint8)


def _filled(mask: NDArray[np.uint8], max_px: float) -> NDArray[np.uint8]:
    """Fill holes of fewer px; what reaches the edge of the picture is no hole."""
    padded = np.pad(mask, 1)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(1 - padded, connectivity=4)
    hole = (stats[:, cv2.CC_STAT_AREA] < max_px).astype(np.uint8)
    hole[[0, labels[0, 0]]] = 0
    return np.asarray((padded | hole[labels])[1:-1, 1:-1], dtype=np.uint8)


def _without_small(mask: NDArray[np.uint8], min_px: float) -> NDArray[np.uint8]:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    keep: NDArray[Any] = (stats[:, cv2.CC_STAT_AREA] >= min_px).astype(np.uint8)
    keep[0] = 0
    return np.asarray(keep[labels], dtype=np.uint8)
