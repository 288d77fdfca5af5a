"""Slides for tests: a picture, and files that hold it as scanners and programs write them."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from cerberus_bench.loaders.phantom.scene import mucosa_scene

Pixels = NDArray[np.uint8]
APERIO = "Aperio Image Library v11.2.1 \r\n{0}x{1} [0,0 {0}x{1}] (256x256) |AppMag = 20{2}"


@cache
def scene(index: int, size: int = 512) -> Pixels:
    """Phantom tissue, (size, size, 3) at 0.5 mpp; not to be written to."""
    image = mucosa_scene(index, size=size).image
    image.setflags(write=False)
    return image


def glass(height: int, width: int) -> Pixels:
    """A slide without tissue, nearly white as scanners give it."""
    noise = np.random.default_rng(0).integers(238, 246, (height, width, 1), dtype=np.uint8)
    return noise.repeat(3, axis=2)


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def halved(pixels: Pixels) -> Pixels:
    """Half the side, an odd last row or column left out, as scanners do it."""
    height, width = (side // 2 * 2 for side in pixels.shape[:2])
    quarters = pixels[:height, :width].reshape(height // 2, 2, width // 2, 2, 3).astype(np.uint16)
    return np.asarray((quarters.sum(axis=(1, 3)) + 2) // 4, dtype=np.uint8)


def write_aperio(path: Path, pixels: Pixels, mpp: float | None = 0.5, **options: Any) -> Path:
    """A file of one level that OpenSlide takes for Aperio's."""
    height, width = pixels.shape[:2]
    text = APERIO.format(width, height, "" if mpp is None else f"|MPP = {mpp}")
    given = {"tile": (256, 256), "compression": "zlib", "bigtiff": False, **options}
    bigtiff = given.pop("bigtiff")
    with tifffile.TiffWriter(path, bigtiff=bigtiff) as writer:
        writer.write(pixels, photometric="rgb", description=text, metadata=None, **given)
    return path


def write_pyramid(
    path: Path, pixels: Pixels, mpp: float | None = 0.5, levels: int = 3, **options: Any
) -> Path:
    """A tiled pyramid with its resolution in the tags, as libvips writes it."""
    given: dict[str, Any] = {"tile": (256, 256), "compression": "zlib", **options}
    if mpp is not None:
        given |= {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path) as writer:
        for level in range(levels):
            kind = 1 if level else 0
            writer.write(pixels, photometric="rgb", metadata=None, subfiletype=kind, **given)
            pixels = halved(pixels)
            given.pop("resolution", None)
            given.pop("resolutionunit", None)
    return path


def write_ome(path: Path, pixels: Pixels, mpp: float, unit: str = "µm") -> Path:
    """OME-TIFF with one reduced level."""
    sizes = {"axes": "YXS", "PhysicalSizeX": mpp, "PhysicalSizeY": mpp}
    units = {f"PhysicalSize{axis}Unit": unit for axis in "XY"}
    shared: dict[str, Any] = {"photometric": "rgb", "tile": (256, 256), "compression": "zlib"}
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(pixels, subifds=1, metadata=sizes | units, **shared)
        writer.write(halved(pixels), subfiletype=1, metadata=None, **shared)
    return path
