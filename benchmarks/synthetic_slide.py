"""A synthetic whole slide of any size: islands of phantom tissue on glass, as a pyramidal TIFF.

Written band by band, so that memory does not grow with the slide. Equal arguments give equal
pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from cerberus_bench.loaders.phantom import mucosa_scene

Pixels = NDArray[np.uint8]

MPP = 0.5
TILE_PX = 256
"""Side of the file's tiles, and height of the bands that it is written in."""
REDUCTION = 16
"""The second level of the pyramid is smaller by this."""
SCENE_PX = 1024
N_SCENES = 8
ISLAND_PX = 2300
"""Mean diameter of an island."""
GLASS = 243
JPEG_QUALITY = 85


@dataclass(frozen=True, slots=True)
class Island:
    """A piece of tissue with a wavy outline, px."""

    y: float
    x: float
    radius: float
    waves: NDArray[np.float64]
    """(n, 2) amplitude (share of the radius) and phase of the n-th wave around it."""
    scene: int

    @property
    def reach(self) -> float:
        """No pixel is farther from the centre."""
        return self.radius * (1 + float(np.abs(self.waves[:, 0]).sum()))

    def covers(self, ys: NDArray[np.int64], xs: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the pixels at rows (n, 1) and columns (m,) it covers, (n, m)."""
        dy, dx = (ys - self.y).astype(np.float32), (xs - self.x).astype(np.float32)
        angle = np.arctan2(dy, dx)
        edge = np.ones(angle.shape, np.float32)
        for n, (amplitude, phase) in enumerate(self.waves.astype(np.float32), start=2):
            edge += amplitude * np.sin(n * angle + phase)
        return np.hypot(dy, dx) < self.radius * edge


def islands(side: int, tissue_share: float, seed: int = 0) -> list[Island]:
    """Islands in the cells of a grid over the whole slide, which they cover by about a share."""
    rng = np.random.default_rng(seed)
    n = max(1, round(side * (tissue_share / (np.pi / 4)) ** 0.5 / ISLAND_PX))
    radius = side / n * (tissue_share / np.pi) ** 0.5
    found = []
    for row in range(n):
        for column in range(n):
            jitter = rng.uniform(-0.15, 0.15, 2)
            y, x = (np.array([row, column]) + 0.5 + jitter) * side / n
            waves = np.stack([rng.uniform(-0.08, 0.08, 4), rng.uniform(0, 6.3, 4)], axis=1)
            scene = int(rng.integers(N_SCENES))
            found.append(Island(y, x, radius * rng.uniform(0.8, 1.2), waves, scene))
    return found


def write_slide(path: Path, side: int, tissue_share: float, seed: int = 0) -> None:
    """Write a square slide at 0.5 mpp as tiled JPEG with one reduced level.

    Args:
        path: ends in .tif.
        side: px, a multiple of 16.
        tissue_share: of the area, about.
        seed: of the islands and the glass; the tissue is always the same few scenes.
    """
    scenes = [_seamless(mucosa_scene(8 * i, size=SCENE_PX).image) for i in range(N_SCENES)]
    canvas = Canvas(side, scenes, islands(side, tissue_share, seed), seed)
    reduced = np.zeros((side // REDUCTION, side // REDUCTION, 3), np.uint8)

    def tiles() -> Iterator[Pixels]:
        for top in range(0, side, TILE_PX):
            band = canvas.band(top, min(TILE_PX, side - top))
            rows = slice(top // REDUCTION, (top + len(band)) // REDUCTION)
            reduced[rows] = cv2.resize(
                band, reduced[rows].shape[1::-1], interpolation=cv2.INTER_AREA
            )
            for left in range(0, side, TILE_PX):
                yield _tile(band[:, left : left + TILE_PX])

    options: dict[str, Any] = {
        "tile": (TILE_PX, TILE_PX),
        "photometric": "rgb",
        "compression": "jpeg",
        "compressionargs": {"level": JPEG_QUALITY},
        "resolutionunit": "CENTIMETER",
    }
    part = path.with_suffix(".part.tif")
    with tifffile.TiffWriter(part, bigtiff=True) as file:
        file.write(
            tiles(),
            shape=(side, side, 3),
            dtype=np.uint8,
            resolution=(1e4 / MPP,) * 2,
            **options,
        )
        file.write(reduced, subfiletype=1, resolution=(1e4 / MPP / REDUCTION,) * 2, **options)
    part.replace(path)


@dataclass(frozen=True, slots=True)
class Canvas:
    """Pixels of a slide, in any band."""

    side: int
    scenes: Sequence[Pixels]
    """Seamless tissue."""
    islands: Sequence[Island]
    seed: int

    def band(self, top: int, height: int) -> Pixels:
        """Rows of the slide, (height, side, 3)."""
        noise = np.random.default_rng((self.seed, top)).integers(-2, 3, (height, self.side, 1))
        pixels = np.repeat((GLASS + noise).astype(np.uint8), 3, axis=2)
        ys = np.arange(top, top + height)[:, None]
        for island in self.islands:
            if island.y + island.reach < top or island.y - island.reach > top + height:
                continue
            left, right = (int(island.x + sign * island.reach) for sign in (-1, 1))
            xs = np.arange(max(0, left), min(self.side, right))
            scene = self.scenes[island.scene]
            tissue = scene[ys % len(scene), xs % len(scene)]
            inside = island.covers(ys, xs)
            pixels[:, xs[0] : xs[-1] + 1][inside] = tissue[inside]
        return pixels


def _seamless(scene: Pixels) -> Pixels:
    """A scene and its mirror images, which can be repeated without an edge."""
    wide = np.concatenate([scene, scene[:, ::-1]], axis=1)
    return np.concatenate([wide, wide[::-1]])


def _tile(pixels: Pixels) -> Pixels:
    """Filled up to a whole tile with glass."""
    height, width = pixels.shape[:2]
    if (height, width) == (TILE_PX, TILE_PX):
        return np.ascontiguousarray(pixels)
    missing = ((0, TILE_PX - height), (0, TILE_PX - width), (0, 0))
    return np.pad(pixels, missing, constant_values=GLASS)
