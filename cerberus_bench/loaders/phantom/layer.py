"""What the painters of one scene share: streams, textures, and the section they build up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.phantom.cells import Cast
from cerberus_bench.loaders.phantom.glandmap import GlandMap
from cerberus_bench.loaders.phantom.noise import fractal_noise, value_noise
from cerberus_bench.loaders.phantom.paint import Canvas, chromatin_tile
from cerberus_bench.loaders.phantom.randomness import Family, Purpose, RandomStream
from cerberus_bench.loaders.phantom.slide import Slide
from cerberus_bench.loaders.phantom.units import PAD, Field, Mask, half_grid

_CLEAR_OF_GLANDS_PX = -5.0
_OUTSIDE_FRAME_CELLS = 4


@dataclass(frozen=True, slots=True)
class Streams:
    """The random streams of one scene."""

    plan: RandomStream
    texture: RandomStream
    cells: RandomStream
    paint: RandomStream
    camera: RandomStream

    @classmethod
    def open(cls, seed: int, family: Family, index: int) -> Streams:
        """The streams of the scene with this index."""
        return cls(
            plan=RandomStream(seed, family, Purpose.PLAN, index),
            texture=RandomStream(seed, family, Purpose.TEXTURE, index),
            cells=RandomStream(seed, family, Purpose.CELLS, index),
            paint=RandomStream(seed, family, Purpose.PAINT, index),
            camera=RandomStream(seed, family, Purpose.CAMERA, index),
        )


@dataclass(frozen=True, slots=True)
class Textures:
    """Isotropic noises of a scene, 0 .. 1, (H, W); scales in px."""

    broad: Field
    """Scale 60."""
    clumpy: Field
    """Scales 24 and 12."""
    medium: Field
    """Scale 6."""
    fine: Field
    """Scale 2.2."""
    chromatin: Field
    """(256, 256), around 0."""

    @classmethod
    def draw(cls, texture: RandomStream, size: int) -> Textures:
        """The textures of one scene."""
        return cls(
            broad=value_noise(texture, size, 60.0),
            clumpy=fractal_noise(texture, size, 24.0, octaves=2),
            medium=value_noise(texture, size, 6.0),
            fine=value_noise(texture, size, 2.2),
            chromatin=chromatin_tile(texture),
        )


@dataclass(slots=True)
class Section:
    """One tissue in the making; fields fill up as the painters run."""

    size: int
    slide: Slide
    streams: Streams
    textures: Textures
    canvas: Canvas
    cast: Cast
    occupied: NDArray[np.uint8]
    """Cells of the half-resolution grid taken by nuclei."""
    glands: GlandMap | None = None

    @classmethod
    def blank(cls, size: int, slide: Slide, streams: Streams, textures: Textures) -> Section:
        """A section with nothing on it."""
        n = half_grid(size)
        return cls(
            size, slide, streams, textures, Canvas.blank(size), Cast(), np.zeros((n, n), np.uint8)
        )

    @property
    def relative_area(self) -> float:
        """Area in units of a scene of 512 x 512 px."""
        return (self.size / 512.0) * (self.size / 512.0)

    def free_space(self, clearance: float = _CLEAR_OF_GLANDS_PX) -> Mask:
        """Cells in or just outside the frame whose depth in a gland is below `clearance` px."""
        n = half_grid(self.size)
        free = np.zeros((n, n), np.bool_)
        margin = PAD - _OUTSIDE_FRAME_CELLS
        free[margin : n - margin, margin : n - margin] = True
        if self.glands is not None:
            free &= self.glands.depth < clearance
        return free

    def depth_at(self, row: int, column: int) -> float:
        """Signed depth in a gland at a cell, px; far outside where there are no glands."""
        return -99.0 if self.glands is None else float(self.glands.depth[row, column])
