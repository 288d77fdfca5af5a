"""TIFF through tifffile: tiles or strips, pyramids, OME-TIFF."""

import logging
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import numpy as np

from cerberus_bench.schema.errors import DataError
from cerberus_bench.slides.reader import (
    COPY_AGAIN,
    INSTALL,
    Pixels,
    checked_mpp,
    file_identity,
    levels_of,
)

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PLAIN_IMAGE_PX = 100_000_000
"""Larger TIFF is read as a slide, even without tiles."""
WITHOUT_IMAGECODECS = {1, 8, 32946}
"""Compressions that tifffile itself can undo: none, and the two names of deflate."""
RECENT_BYTES = 2**26
"""Decoded tiles that are kept, because the next region often begins in the same ones."""
SCANNER_FLAGS = ("is_svs", "is_ndpi", "is_scn", "is_philips", "is_bif")
INCH, CENTIMETRE = 2, 3
"""Values of the tag ResolutionUnit."""
MICRONS = {"nm": 1e-3, "µm": 1.0, "um": 1.0, "mm": 1e3, "cm": 1e4}
APERIO_REDUCED = re.compile(r"\d+x\d+ -> \d+x\d+")
APERIO_MPP = re.compile(r"\|\s*MPP\s*=\s*([0-9.]+)")


class TiffReader:
    """The first series of a TIFF file and its pyramid."""

    def __init__(self, path: Path, mpp: float | None = None) -> None:
        """Open a file; see `open_slide` for the arguments and errors."""
        self._path = path
        with _opened(path) as tiff:
            series = tiff.series[0]
            self._pages = [level.keyframe for level in series.levels]
            for page in self._pages:
                _check_page(path, page)
            # Choosing a decoder looks into the file, so it is done while that is open.
            self._decoders = [page.decode for page in self._pages]
            self.kind = "tifffile:ome" if tiff.is_ome else "tifffile"
            stated = _ome_mpp(tiff) or _aperio_mpp(self._pages[0]) or _tag_mpp(self._pages[0])
        self._bytes = path.open("rb")
        self.name = path.stem
        self.levels = levels_of([(p.imagewidth, p.imagelength) for p in self._pages])
        self.size_px = (self.levels[0].width, self.levels[0].height)
        self.mpp = checked_mpp(str(path), stated, mpp)
        self._lock = threading.Lock()
        self._recent: OrderedDict[tuple[int, int], Pixels] = OrderedDict()

    def read(self, x: int, y: int, width: int, height: int, level: int = 0) -> Pixels:
        """See `SlideReader.read`."""
        page = self._pages[level]
        if page.is_contiguous:
            return self._rows(page, y, height)[:, x : x + width, :3].copy()
        pixels = np.full((height, width, 3), 255, np.uint8)
        rows, columns = _segment_sides(page)
        across = -(-page.imagewidth // columns)
        for row in range(y // rows, -(-(y + height) // rows)):
            for column in range(x // columns, -(-(x + width) // columns)):
                segment = self._segment(level, row * across + column)
                if segment is None:
                    continue
                top, left = row * rows, column * columns
                y0, y1 = max(y, top), min(y + height, top + segment.shape[0])
                x0, x1 = max(x, left), min(x + width, left + segment.shape[1])
                pixels[y0 - y : y1 - y, x0 - x : x1 - x] = segment[
                    y0 - top : y1 - top, x0 - left : x1 - left, :3
                ]
        return pixels

    def preview(self) -> Pixels | None:
        """None: which picture of a plain TIFF shows the whole slide is not stated."""
        return None

    def identity(self) -> tuple[int, str]:
        """See `SlideReader.identity`."""
        return file_identity(self._path)

    def _rows(self, page: Any, y: int, height: int) -> Pixels:
        """Whole rows of a page that is stored as it is, (height, W, samples)."""
        shape = (height, page.imagewidth, page.samplesperpixel)
        row_bytes = shape[1] * shape[2]
        data = self._stored(page.dataoffsets[0] + y * row_bytes, height * row_bytes)
        return np.frombuffer(data, np.uint8).reshape(shape)

    def _segment(self, level: int, index: int) -> Pixels | None:
        """A tile or strip, (H, W, samples); None where the file leaves it out."""
        key, page = (level, index), self._pages[level]
        with self._lock:
            if key in self._recent:
                self._recent.move_to_end(key)
                return self._recent[key]
        length = page.databytecounts[index]
        if length == 0:
            return None
        data = self._stored(page.dataoffsets[index], length)
        try:
            decoded = self._decoders[level](data, index, jpegtables=page.jpegtables)
            segment: Pixels = decoded[0][0]
        except Exception as error:
            # A codec may raise anything at bytes that are not its own.
            raise self._broken(str(error)) from None
        with self._lock:
            self._recent[key] = segment
            while len(self._recent) * segment.nbytes > RECENT_BYTES:
                self._recent.popitem(last=False)
        return segment

    def _stored(self, offset: int, length: int) -> bytes:
        data = os.pread(self._bytes.fileno(), length, offset)
        if len(data) < length:
            raise self._broken(f"{length - len(data):,} of {length:,} bytes are missing")
        return data

    def _broken(self, reason: str) -> DataError:
        return DataError(f"{self._path}: truncated or corrupt ({reason}). {COPY_AGAIN}")


def is_tiff(path: Path) -> bool:
    """Whether a file begins like TIFF or BigTIFF."""
    with path.open("rb") as file:
        return file.read(4) in MAGIC


def is_ome(path: Path) -> bool:
    """Whether a file is OME-TIFF."""
    if not is_tiff(path):
        return False
    with _opened(path) as tiff:
        return bool(tiff.is_ome)


def second_is_reduced(path: Path) -> bool:
    """Whether the second image of an Aperio file says that it is the first one made smaller."""
    with _opened(path) as tiff:
        return len(tiff.pages) > 1 and APERIO_REDUCED.search(tiff.pages[1].description) is not None


def is_large_tiff(path: Path) -> bool:
    """Whether a file is TIFF with tiles, with a pyramid, or of more pixels than a plain image."""
    if not is_tiff(path):
        return False
    with _opened(path) as tiff:
        page = tiff.pages[0]
        pixels = page.imagewidth * page.imagelength
        return page.is_tiled or len(tiff.series[0].levels) > 1 or pixels > PLAIN_IMAGE_PX


def needs_openslide(path: Path) -> bool:
    """Whether a file is TIFF as a scanner writes it, with rules of its own."""
    with _opened(path) as tiff:
        return any(getattr(tiff, flag) for flag in SCANNER_FLAGS)


def _opened(path: Path) -> Any:
    """The file with its pages listed.

    Raises:
        DataError: it is damaged, or ends before its last tile does.
    """
    import tifffile

    try:
        with _errors_raised("tifffile"):
            tiff = tifffile.TiffFile(path)
            if not tiff.series:
                raise ValueError("it holds no image")
            ends = [
                offset + length
                for level in tiff.series[0].levels
                for offset, length in zip(
                    level.keyframe.dataoffsets, level.keyframe.databytecounts, strict=True
                )
            ]
            missing = max(ends) - path.stat().st_size
            if missing > 0:
                raise ValueError(f"at least {missing:,} bytes are missing")
    except Exception as error:
        # tifffile raises whatever the bytes lead it to, struct.error and IndexError among them.
        raise DataError(f"{path}: truncated or corrupt TIFF ({error}). {COPY_AGAIN}") from None
    return tiff


@contextmanager
def _errors_raised(logger: str) -> Iterator[None]:
    """Raise what a library only logs as errors of this thread before it goes on without."""
    here, errors = threading.get_ident(), list[str]()

    def taken(record: logging.LogRecord) -> bool:
        if record.thread != here or record.levelno < logging.WARNING:
            return True
        if record.levelno >= logging.ERROR:
            errors.append(record.getMessage())
        return False

    log = logging.getLogger(logger)
    log.addFilter(taken)
    try:
        yield
    finally:
        log.removeFilter(taken)
    if errors:
        raise ValueError(errors[0])


def _check_page(path: Path, page: Any) -> None:
    """Refuse what is not 8-bit RGB with all samples together, and codecs that are not there."""
    shape = (page.imagelength, page.imagewidth, page.samplesperpixel)
    if page.dtype != np.uint8 or shape[2] not in (3, 4) or page.planarconfig != 1:
        raise DataError(
            f"{path}: {shape[0]} x {shape[1]} px of {shape[2]} samples of {page.dtype}, planar"
            f" configuration {int(page.planarconfig)}; convert the slide to 8-bit RGB, samples"
            " together."
        )
    if int(page.compression) not in WITHOUT_IMAGECODECS:
        try:
            import imagecodecs  # noqa: F401
        except ImportError:
            raise DataError(
                f"{path}: its tiles are compressed by {page.compression.name}, which needs"
                f" imagecodecs: {INSTALL}"
            ) from None


def _segment_sides(page: Any) -> tuple[int, int]:
    """Rows and columns of a tile, or of a strip."""
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return min(page.rowsperstrip, page.imagelength), page.imagewidth


def _ome_mpp(tiff: Any) -> tuple[float, float] | None:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    if not tiff.is_ome:
        return None
    try:
        root = fromstring(tiff.ome_metadata)
    except (ParseError, DefusedXmlException, TypeError):
        return None
    pixels = root.find("{*}Image/{*}Pixels")
    if pixels is None:
        return None
    try:
        x, y = (
            float(pixels.attrib[f"PhysicalSize{axis}"])
            * MICRONS[pixels.get(f"PhysicalSize{axis}Unit", "µm")]
            for axis in "XY"
        )
    except (KeyError, ValueError):
        return None
    return x, y


def _aperio_mpp(page: Any) -> tuple[float, float] | None:
    found = APERIO_MPP.search(page.description or "")
    if found is None:
        return None
    try:
        mpp = float(found[1])
    except ValueError:
        return None
    return mpp, mpp


def _tag_mpp(page: Any) -> tuple[float, float] | None:
    tags = page.tags
    unit = {INCH: 25_400.0, CENTIMETRE: 10_000.0}.get(
        int(tags.valueof("ResolutionUnit", default=0))
    )
    ratios = [tags.valueof(f"{axis}Resolution") for axis in "XY"]
    if unit is None or any(ratio is None or 0 in ratio for ratio in ratios):
        return None
    x, y = (unit * below / above for above, below in ratios)
    return x, y
