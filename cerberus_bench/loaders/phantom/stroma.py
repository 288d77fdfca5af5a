"""Paints what lies between the glands: fibres, clefts, vessels, red cells, stromal cells."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cerberus_bench.loaders.phantom.cells import (
    STROMAL_TYPES,
    CellType,
    add_immune,
    add_spindle,
    erythrocyte,
    jittered,
    mixture,
)
from cerberus_bench.loaders.phantom.geometry import unit_vector, upsample
from cerberus_bench.loaders.phantom.glandmap import cell_centre, cell_normal
from cerberus_bench.loaders.phantom.layer import Section
from cerberus_bench.loaders.phantom.noise import fractal_noise, value_noise
from cerberus_bench.loaders.phantom.paint import Blob
from cerberus_bench.loaders.phantom.placement import place
from cerberus_bench.loaders.phantom.randomness import RandomStream
from cerberus_bench.loaders.phantom.tables import sincos
from cerberus_bench.loaders.phantom.units import Field, Mask, clamp, frame, half_grid, px

_FIBRE_TILE = 512
_RETRACTION_UM = (1.5, 5.0)
"""Half width of the gap where the stroma has shrunk away from a gland."""

_HALF = np.float32(0.5)
_ONE = np.float32(1.0)


@dataclass(frozen=True, slots=True)
class Ground:
    """The extracellular matrix of a tissue; stains in concentration, lengths in um."""

    eosin: float = 0.15
    haematoxylin: float = 0.022
    contrast: float = 1.25
    """Of the fibres: lamina propria 1.25, collagen 1.6, muscle 1.1."""
    fibre_um: float = 7.5
    """Length of the finer fibres."""
    warp_um: float = 30.0
    """By how much the fibres wave."""
    clefts: bool = True
    cleft_threshold: float | None = None
    """Texture level above which it tears; None takes the slide's."""


LAMINA_PROPRIA = Ground()
MUSCLE = Ground(
    eosin=0.24, haematoxylin=0.035, contrast=1.1, fibre_um=20.0, warp_um=7.0, clefts=False
)


@dataclass(frozen=True, slots=True)
class Fibres:
    """An anisotropic texture 0 .. 1 and its direction, (H, W)."""

    texture: Field
    warp: Field
    """Displacement across the fibres, px."""
    sin: float
    cos: float

    def direction_at(self, x: float, y: float) -> tuple[float, float]:
        """(sin, cos) of the fibres at a point in px."""
        last = self.warp.shape[0] - 3
        row, column = min(max(int(y), 2), last), min(max(int(x), 2), last)
        along_x = float(self.warp[row, column + 2]) - float(self.warp[row, column - 2])
        along_y = float(self.warp[row + 2, column]) - float(self.warp[row - 2, column])
        vector = unit_vector(self.cos + along_y * 0.25, self.sin - along_x * 0.25)
        return (self.sin, self.cos) if vector is None else (vector[1], vector[0])


def draw_fibres(section: Section, turn: float, ground: Ground) -> Fibres:
    """Fibres along `turn`: a tile of stretched noise read at warped, rotated coordinates."""
    texture, size = section.streams.texture, section.size
    sin, cos = sincos((turn + section.streams.plan.normal(0.0, 0.05)) % 1.0)
    tile = value_noise(texture, _FIBRE_TILE, px(ground.fibre_um), 2.3) * np.float32(0.6)
    tile = tile + value_noise(texture, _FIBRE_TILE, 30.0, 5.0) * np.float32(0.4)
    reach = px(ground.warp_um)
    warp = (value_noise(texture, size, 90.0) - _HALF) * np.float32(reach)
    warp = warp + (value_noise(texture, size, 30.0) - _HALF) * np.float32(reach * 0.35)
    warp = warp + (value_noise(texture, size, 7.0) - _HALF) * np.float32(5.0)
    axis = np.arange(size, dtype=np.float32)
    along = axis[None] * np.float32(cos) + axis[:, None] * np.float32(sin)
    across = axis[:, None] * np.float32(cos) - axis[None] * np.float32(sin) + warp
    wrap = _FIBRE_TILE - 1
    rows, columns = across.astype(np.int32) & wrap, along.astype(np.int32) & wrap
    return Fibres(tile[rows, columns], warp, sin, cos)


def paint_ground(section: Section, ground: Ground, fibres: Fibres) -> None:
    """Paint the matrix, with clefts, and a halo of retraction around some glands."""
    canvas, textures = section.canvas, section.textures
    grain = np.float32(ground.contrast * 1.3) * (fibres.texture - _HALF)
    grain = grain + (textures.fine - _HALF) * np.float32(0.7)
    grain = grain + (textures.medium - _HALF) * np.float32(0.4) + _ONE
    drift = np.float32(0.75) + _HALF * textures.broad
    canvas.eosin[:] = np.float32(ground.eosin) * grain * drift
    mottle = np.float32(0.6) + textures.medium * np.float32(0.8)
    canvas.haematoxylin[:] = np.float32(ground.haematoxylin) * mottle
    if ground.clefts:
        left = _ONE - np.float32(0.9) * _clefts(section, ground, fibres)
        canvas.eosin *= left
        canvas.haematoxylin *= left


def _clefts(section: Section, ground: Ground, fibres: Fibres) -> Field:
    textures, plan = section.textures, section.streams.plan
    threshold = (
        section.slide.looseness if ground.cleft_threshold is None else ground.cleft_threshold
    )
    threshold += plan.normal(0.0, 0.02)
    level = fractal_noise(section.streams.texture, section.size, 15.0) * np.float32(0.55)
    level = level + fibres.texture * np.float32(0.3) + textures.broad * np.float32(0.15)
    clefts = clamp((level - np.float32(threshold)) * np.float32(9.0), 0.0, 1.0)
    if section.glands is not None:
        inner = (frame(section.size), frame(section.size))
        depth = upsample(section.glands.depth[inner])
        width = px(plan.uniform(*_RETRACTION_UM))
        off_middle = np.abs(depth + np.float32(width))
        ring = clamp((np.float32(width + 2.0) - off_middle) * np.float32(0.3), 0.0, 1.0)
        where = clamp((textures.broad - np.float32(0.56)) * np.float32(9.0), 0.0, 1.0)
        clefts = np.maximum(clefts, ring * where)
    return clefts * (_ONE - np.float32(0.35) * textures.fine)


def add_vessels(section: Section, most: int) -> None:
    """Add up to `most` small vessels with red cells and flat endothelial nuclei."""
    random = section.streams.cells
    room = section.free_space(-px(6.0))
    for row, column in place(random, section.occupied.copy(), room, 16.0, most):
        x, y = cell_centre(row, column)
        a, b = px(random.uniform(4.5, 11.0)), px(random.uniform(3.0, 5.5))
        depth = section.depth_at(row, column)
        if depth > -b * 1.6 and depth > -px(13.0):
            a, b = px(4.5), px(3.0)
        reach = int(max(a, b) / 2) + 5
        section.occupied[
            max(row - reach, 0) : row + reach, max(column - reach, 0) : column + reach
        ] = 1
        _add_vessel(section, random, x, y, a, b)


def _add_vessel(
    section: Section, random: RandomStream, x: float, y: float, a: float, b: float
) -> None:
    cast = section.cast
    sin, cos = random.direction()
    wall, lumen = px(1.5), px(1.25)
    cast.cytoplasm.append(
        Blob(0, x, y, a + wall, b + wall, sin, cos, 0.03, 0.2, chromatin=0.2, keep=0.4,
             softness=1.8, lump=0.1)
    )  # fmt: skip
    cast.cytoplasm.append(
        Blob(0, x, y, a, b, sin, cos, 0.0, 0.015, keep=0.04, softness=1.8, lump=0.1)
    )
    for _ in range(int(a * b * 0.085 * random.uniform(0.2, 1.3))):
        sin_p, cos_p = random.direction()
        radius = math.sqrt(random.uniform()) * 0.8
        u, v = cos_p * radius * a, sin_p * radius * b
        cast.cytoplasm.append(erythrocyte(random, x + u * cos - v * sin, y + u * sin + v * cos))
    for _ in range(3 + random.below(4)):
        sin_p, cos_p = random.direction()
        u, v = cos_p * (a + lumen), sin_p * (b + lumen)
        along = unit_vector(-sin_p * a, cos_p * b) or (1.0, 0.0)
        direction = (along[0] * sin + along[1] * cos, along[0] * cos - along[1] * sin)
        add_spindle(
            cast, random, section.slide.chromatin_gain,
            x + u * cos - v * sin, y + u * sin + v * cos, direction, width=0.85, cytoplasm=False,
        )  # fmt: skip


def add_bleeding(section: Section) -> None:
    """Add a patch of 5 to 60 red cells outside the vessels."""
    random = section.streams.cells
    patch = value_noise(section.streams.texture, half_grid(section.size), 30.0)
    patch = clamp((patch - np.float32(0.70)) * np.float32(6.0), 0.0, 1.0)
    room = section.free_space() & (patch > 0)
    wanted = int(random.uniform(5.0, 60.0))
    for row, column in place(random, section.occupied, room, 3.6, wanted, patch):
        section.cast.cytoplasm.append(erythrocyte(random, *cell_centre(row, column)))


@dataclass(frozen=True, slots=True)
class Population:
    """The cells of a stroma."""

    count: int
    shares: tuple[float, float, float, float, float]
    """Of `STROMAL_TYPES`, before the scene's own variation."""
    spacing_um: float = 5.0
    spindle_length: float = 1.0
    disorder: float = 0.25
    """Turn of the spindles off their direction, radians."""


def add_population(
    section: Section, fibres: Fibres, population: Population, room: Mask | None = None
) -> None:
    """Scatter cells in clusters over `room`; spindles lie along glands or fibres.

    Args:
        section: its cast and its occupied cells grow.
        fibres: direction of the spindles.
        population: how many, which, how dense.
        room: allowed cells of the half-resolution grid; None takes all free space.
    """
    random = section.streams.cells
    shares = mixture(random, population.shares)
    cluster = value_noise(section.streams.texture, half_grid(section.size), 24.0)
    cluster = clamp((cluster - np.float32(0.2)) * np.float32(1.5), 0.05, 1.0)
    sites = place(
        random, section.occupied, section.free_space() if room is None else room,
        population.spacing_um, population.count, cluster,
    )  # fmt: skip
    for row, column in sites:
        x, y = cell_centre(row, column)
        x, y = x + random.uniform(-1.0, 1.0), y + random.uniform(-1.0, 1.0)
        cell_type = random.choice(STROMAL_TYPES, shares)
        beside_gland = -section.depth_at(row, column) < px(4.5)
        if cell_type is CellType.CONNECTIVE or (beside_gland and random.chance(0.7)):
            direction = _spindle_direction(section, fibres, row, column, x, y)
            add_spindle(
                section.cast, random, section.slide.chromatin_gain, x, y,
                jittered(random, direction, population.disorder),
                width=1.05, length=population.spindle_length,
            )  # fmt: skip
        else:
            add_immune(section.cast, random, section.slide.chromatin_gain, x, y, cell_type)


def _spindle_direction(
    section: Section, fibres: Fibres, row: int, column: int, x: float, y: float
) -> tuple[float, float]:
    """Tangent to a gland within 8 um of it, else along the fibres."""
    if section.glands is not None and -section.depth_at(row, column) < px(8.0):
        normal = cell_normal(section.glands, row, column)
        if normal is not None:
            return normal[1], -normal[0]
    return fibres.direction_at(x, y)
