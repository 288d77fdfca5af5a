"""Pixels of a slide behind one small protocol, whatever file they come from."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.schema.errors import DataError

Pixels = NDArray[np.uint8]

SAME_PIXEL_SIDES = 0.01
"""Pixels whose sides differ by more than this share are not square, and refused."""
PLAUSIBLE_MPP = (0.02, 20.0)
"""Resolutions outside are those of a printer or a default of some program, not of a scanner."""
END_BYTES = 2**20
"""A file is told from others by its length and this much of either end."""
INSTALL = "pip install 'cerberus-bench[slides]'"
COPY_AGAIN = "Compare its size and checksum with those of the original, and copy it again."


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of a slide."""

    width: int
    """px of this level."""
    height: int
    """px of this level."""
    downsample: float
    """Level-0 px a px of this level: a whole number wherever it is meant to be one."""
    cell_px: int = 1
    """Regions are read in whole cells of this side, px of this level: see `OpenSlideReader`."""


class SlideReader(Protocol):
    """A slide that is open. May be read by several threads at once."""

    @property
    def name(self) -> str:
        """Name of the file without its suffix."""
        ...

    @property
    def kind(self) -> str:
        """What reads it, such as `openslide:aperio`."""
        ...

    @property
    def size_px(self) -> tuple[int, int]:
        """Width, height of level 0."""
        ...

    @property
    def mpp(self) -> tuple[float, float]:
        """Microns per level-0 px along x and along y; they differ by 1 % at most."""
        ...

    @property
    def levels(self) -> Sequence[Level]:
        """Finest first; the first is level 0."""
        ...

    def read(self, x: int, y: int, width: int, height: int, level: int = 0) -> Pixels:
        """Pixels of a box inside a level; what the slide leaves out is white.

        A pixel's value does not depend on the box that it was read with.

        Args:
            x: left side, px of the level.
            y: top, px of the level.
            width: px of the level.
            height: px of the level.
            level: index into `levels`.

        Returns:
            (height, width, 3) RGB.

        Raises:
            DataError: the file is truncated or corrupt there.
        """
        ...

    def preview(self) -> Pixels | None:
        """The file's own small picture of the whole slide, (H, W, 3), where it has one.

        Never its label, which may name a patient.
        """
        ...

    def identity(self) -> tuple[int, str]:
        """Bytes of the file, and the SHA-256 of its first and last MiB."""
        ...


def open_slide(path: Path, mpp: float | None = None) -> SlideReader:
    """Open a slide with the reader that its content asks for.

    Args:
        path: a file that OpenSlide knows, or an 8-bit RGB TIFF, tiled or not.
        mpp: microns per pixel; None takes what the file states.

    Raises:
        DataError: the file is absent, no slide, or corrupt; a package is missing; its pixels are
            not square; or nobody states its mpp.
    """
    from cerberus_bench.slides import openslide_reader
    from cerberus_bench.slides.tiff_reader import TiffReader, is_tiff, needs_openslide

    if not path.is_file():
        raise DataError(f"{path} does not exist")
    vendor = openslide_reader.vendor_of(path)
    if vendor and not openslide_reader.is_left_to_tifffile(vendor, path):
        return openslide_reader.OpenSlideReader(path, mpp)
    if is_tiff(path):
        if needs_openslide(path):
            openslide_reader.require(path)
        return TiffReader(path, mpp)
    openslide_reader.require(path)
    raise DataError(f"{path}: no slide that OpenSlide or tifffile knows. {COPY_AGAIN}")


def is_slide(path: Path) -> bool:
    """Whether a file is read as a slide rather than as a plain image, by its content.

    Slides are what OpenSlide knows, and TIFF with tiles, a pyramid, or more pixels than a plain
    image may have.
    """
    from cerberus_bench.slides import openslide_reader
    from cerberus_bench.slides.tiff_reader import is_large_tiff

    return openslide_reader.vendor_of(path) is not None or is_large_tiff(path)


def checked_mpp(
    source: str, stated: tuple[float, float] | None, given: float | None, hint: str = ""
) -> tuple[float, float]:
    """Resolution of a slide: the user's word before the file's.

    Args:
        source: the file, for the error.
        stated: x, y microns per pixel that the file states.
        given: by the user.
        hint: what else the file says, for the error.

    Raises:
        DataError: nobody states it, the file states none that a scanner has, or the pixels are not
            square.
    """
    if given is not None:
        if not given > 0:
            raise DataError(f"{source}: --mpp {given} is no resolution; give microns per pixel.")
        return given, given
    low, high = PLAUSIBLE_MPP
    if stated is None or not all(low <= side <= high for side in stated):
        says = "no resolution" if stated is None else f"{stated[0]:.4g} microns per pixel"
        raise DataError(
            f"{source}: the file states {says}{hint}. Give microns per pixel of its full"
            " resolution: --mpp 0.25 (mpp=0.25)."
        )
    if abs(stated[0] / stated[1] - 1) > SAME_PIXEL_SIDES:
        raise DataError(
            f"{source}: its pixels are {stated[0]} x {stated[1]} microns, not square. Resample the"
            " slide, or give --mpp if one of them is wrong."
        )
    return stated


def levels_of(sizes: Sequence[tuple[int, int]]) -> tuple[Level, ...]:
    """Levels from their sizes.

    A level of half the side of an odd one lost its last row, not a share of each: wherever a whole
    ratio explains both sides, the downsample is that ratio.

    Args:
        sizes: width, height of each, px, finest first.
    """
    full = sizes[0]
    levels = []
    for width, height in sizes:
        ratio = (full[0] / width + full[1] / height) / 2
        whole = round(ratio)
        fits = all(
            abs(side * whole - of) < whole for side, of in zip((width, height), full, strict=True)
        )
        levels.append(Level(width, height, float(whole) if fits else ratio))
    return tuple(levels)


def file_identity(path: Path) -> tuple[int, str]:
    """Bytes of a file, and the SHA-256 of its first and last MiB."""
    size = path.stat().st_size
    with path.open("rb") as file:
        digest = hashlib.sha256(file.read(END_BYTES))
        file.seek(max(0, size - END_BYTES))
        digest.update(file.read(END_BYTES))
    return size, digest.hexdigest()
