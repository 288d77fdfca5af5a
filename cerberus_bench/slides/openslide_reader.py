"""Slides through OpenSlide (extra `[slides]`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cerberus_bench.schema.errors import DataError
from cerberus_bench.slides.reader import (
    COPY_AGAIN,
    INSTALL,
    Level,
    Pixels,
    checked_mpp,
    file_identity,
    levels_of,
)
from cerberus_bench.slides.tiff_reader import is_ome, second_is_reduced

if TYPE_CHECKING:
    from openslide import OpenSlide

CELL_PX = 128
"""See `OpenSlideReader`."""
GENERIC = "generic-tiff"


class OpenSlideReader:
    """One slide.

    OpenSlide takes positions in level-0 px and divides them by a downsample that is no whole
    number wherever a side was odd (2.0016 for 1503 px halved). A region that does not begin on a
    pixel of its level is then interpolated, and a pixel's value depends on where the region began.
    Such levels are read in cells of a fixed lattice, each always by the same call.
    """

    def __init__(self, path: Path, mpp: float | None = None) -> None:
        """Open a slide; see `open_slide` for the arguments and errors."""
        require(path)
        self._path = path
        self._handle = _open(path)
        properties = self._handle.properties
        self.name = path.stem
        self.kind = f"openslide:{properties.get('openslide.vendor')}"
        self.size_px = self._handle.dimensions
        self.mpp = checked_mpp(str(path), _stated_mpp(properties), mpp, _objective(properties))
        self._scales = self._handle.level_downsamples
        self.levels = tuple(
            Level(level.width, level.height, level.downsample, 1 if scale % 1 == 0 else CELL_PX)
            for level, scale in zip(
                levels_of(self._handle.level_dimensions), self._scales, strict=True
            )
        )

    def read(self, x: int, y: int, width: int, height: int, level: int = 0) -> Pixels:
        """See `SlideReader.read`."""
        cell = self.levels[level].cell_px
        if cell == 1:
            return self._read(x, y, width, height, level)
        pixels = np.empty((height, width, 3), np.uint8)
        for top in range(y - y % cell, y + height, cell):
            for left in range(x - x % cell, x + width, cell):
                y0, y1 = max(y, top), min(y + height, top + cell)
                x0, x1 = max(x, left), min(x + width, left + cell)
                whole = self._read(left, top, cell, cell, level)
                pixels[y0 - y : y1 - y, x0 - x : x1 - x] = whole[
                    y0 - top : y1 - top, x0 - left : x1 - left
                ]
        return pixels

    def preview(self) -> Pixels | None:
        """See `SlideReader.preview`."""
        from openslide import OpenSlideError

        # In Aperio's files OpenSlide takes whatever comes second for the thumbnail.
        if self.kind == "openslide:aperio" and not second_is_reduced(self._path):
            return None
        try:
            picture = self._handle.associated_images.get("thumbnail")
        except OpenSlideError as error:
            raise self._broken(error) from None
        return None if picture is None else _on_white(np.asarray(picture))

    def identity(self) -> tuple[int, str]:
        """See `SlideReader.identity`."""
        return file_identity(self._path)

    def _read(self, x: int, y: int, width: int, height: int, level: int) -> Pixels:
        """One region, by one call."""
        from openslide import OpenSlideError

        scale = self._scales[level]
        box = ((round(x * scale), round(y * scale)), level, (width, height))
        try:
            return _on_white(np.asarray(self._handle.read_region(*box)))
        except OpenSlideError:
            pass
        # A handle that failed stays failed, and another thread's region may have been the reason:
        # only what a fresh one says is true of this region.
        try:
            fresh = _open(self._path)
            pixels = _on_white(np.asarray(fresh.read_region(*box)))
        except OpenSlideError as error:
            self._handle = _open(self._path)
            raise self._broken(error) from None
        self._handle = fresh
        return pixels

    def _broken(self, error: Exception) -> DataError:
        return DataError(f"{self._path}: truncated or corrupt ({error}). {COPY_AGAIN}")


def vendor_of(path: Path) -> str | None:
    """Format that OpenSlide knows a file by; None where it knows none, or is not installed."""
    try:
        from openslide import OpenSlide, OpenSlideError
    except ImportError:
        return None
    try:
        return OpenSlide.detect_format(path)
    except OpenSlideError:
        return None


def is_left_to_tifffile(vendor: str, path: Path) -> bool:
    """Whether OpenSlide sees but part of a file: it knows neither levels nor mpp of OME-TIFF."""
    return vendor == GENERIC and is_ome(path)


def require(path: Path) -> None:
    """Ask for OpenSlide.

    Raises:
        DataError: it is not installed.
    """
    try:
        import openslide  # noqa: F401
    except ImportError as error:
        raise DataError(f"{path}: whole slides need OpenSlide ({error}): {INSTALL}") from None


def _open(path: Path) -> OpenSlide:
    from openslide import OpenSlide, OpenSlideError

    try:
        return OpenSlide(path)
    except OpenSlideError as error:
        raise DataError(f"{path}: truncated or corrupt ({error}). {COPY_AGAIN}") from None


def _on_white(pixels: Pixels) -> Pixels:
    """RGB of RGBA over white; places that were not scanned have alpha 0."""
    if pixels.shape[2] == 3:
        return pixels
    colour, alpha = pixels[..., :3], pixels[..., 3:]
    if alpha.min() == 255:
        return np.ascontiguousarray(colour)
    share = alpha.astype(np.float32) / 255
    return np.rint(colour * share + 255 * (1 - share)).astype(np.uint8)


def _stated_mpp(properties: object) -> tuple[float, float] | None:
    try:
        x, y = (float(properties[f"openslide.mpp-{axis}"]) for axis in "xy")  # type: ignore[index]
    except (KeyError, ValueError):
        return None
    return x, y


def _objective(properties: object) -> str:
    power = properties.get("openslide.objective-power")  # type: ignore[attr-defined]
    return f" (but an objective of {power}x)" if power else ""
