"""Builds the nine kinds of tissue patch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from cerberus_bench.loaders.phantom.cells import CellType, add_immune, add_spindle
from cerberus_bench.loaders.phantom.glandmap import cell_centre
from cerberus_bench.loaders.phantom.glands import MucosaKind
from cerberus_bench.loaders.phantom.layer import Section
from cerberus_bench.loaders.phantom.mucosa import build_mucosa
from cerberus_bench.loaders.phantom.muscularis import (
    MUSCLE_DISORDER,
    MUSCLE_SHARES,
    MUSCLE_SPACING_UM,
    MUSCLE_SPINDLE_LENGTH,
)
from cerberus_bench.loaders.phantom.noise import fractal_noise, value_noise
from cerberus_bench.loaders.phantom.paint import Blob
from cerberus_bench.loaders.phantom.placement import place
from cerberus_bench.loaders.phantom.randomness import RandomStream
from cerberus_bench.loaders.phantom.stroma import (
    MUSCLE,
    Fibres,
    Ground,
    Population,
    add_population,
    add_vessels,
    draw_fibres,
    paint_ground,
)
from cerberus_bench.loaders.phantom.units import Field, clamp, frame, half_grid, px

_HALF = np.float32(0.5)
_ONE = np.float32(1.0)


class Tissue(IntEnum):
    """Patch classes in the published order of Cerberus."""

    BACKGROUND = 0
    ABNORMAL_EPITHELIUM = 1
    NORMAL_EPITHELIUM = 2
    INFLAMMATORY = 3
    MUSCLE = 4
    STROMA = 5
    DEBRIS = 6
    MUCUS = 7
    ADIPOSE = 8


@dataclass(frozen=True, slots=True)
class _Matrix:
    """A tissue that is a ground with cells scattered over it."""

    ground: Ground
    cells: tuple[float, float]
    """Least and largest number of cells a patch."""
    shares: tuple[float, float, float, float, float]
    spacing_um: float = 5.0
    spindle_length: float = 1.0
    disorder: float = 0.25
    vessels: int = 1


_MATRICES = {
    Tissue.INFLAMMATORY: _Matrix(
        Ground(), (150.0, 300.0), (0.05, 0.66, 0.18, 0.04, 0.07), spacing_um=4.4
    ),
    Tissue.MUSCLE: _Matrix(
        MUSCLE,
        (35.0, 70.0),
        MUSCLE_SHARES,
        spacing_um=MUSCLE_SPACING_UM,
        spindle_length=MUSCLE_SPINDLE_LENGTH,
        disorder=MUSCLE_DISORDER,
    ),
    Tissue.STROMA: _Matrix(
        Ground(contrast=1.6, cleft_threshold=0.66),
        (22.0, 60.0),
        (0.01, 0.10, 0.03, 0.02, 0.84),
        spacing_um=7.0,
    ),
    Tissue.MUCUS: _Matrix(
        Ground(eosin=0.022, haematoxylin=0.045, contrast=0.5, cleft_threshold=0.49),
        (3.0, 22.0),
        (0.15, 0.30, 0.05, 0.05, 0.45),
        vessels=0,
    ),
}
_NECROSIS = Ground(eosin=0.17, haematoxylin=0.08)


def build_tissue(section: Section, tissue: Tissue) -> None:
    """Fill a blank section with one tissue."""
    _BUILDERS[tissue](section, tissue)


def _build_epithelium(section: Section, tissue: Tissue) -> None:
    kind: MucosaKind = "malignant" if tissue is Tissue.ABNORMAL_EPITHELIUM else "benign"
    build_mucosa(section, kind, patch=True)


def _build_matrix(section: Section, tissue: Tissue) -> None:
    matrix, plan = _MATRICES[tissue], section.streams.plan
    fibres = draw_fibres(section, section.slide.turn, matrix.ground)
    paint_ground(section, matrix.ground, fibres)
    if tissue is Tissue.MUCUS:
        _swirl(section, fibres)
    add_vessels(section, plan.below(matrix.vessels + 1))
    population = Population(
        int(plan.uniform(*matrix.cells)),
        matrix.shares,
        matrix.spacing_um,
        matrix.spindle_length,
        matrix.disorder,
    )
    add_population(section, fibres, population)


def _swirl(section: Section, fibres: Fibres) -> None:
    """Strands of mucus between the fibres' ridges."""
    textures, canvas = section.textures, section.canvas
    strands = np.abs(fibres.texture - _HALF) * np.float32(-7.0) + _ONE
    strands = strands + (textures.clumpy - _HALF) * np.float32(2.0)
    strands = clamp(strands, 0.0, 1.0)
    canvas.haematoxylin += strands * np.float32(0.07) * (_HALF + textures.fine)
    canvas.eosin += strands * np.float32(0.035) * textures.broad


def _build_background(section: Section, tissue: Tissue) -> None:
    """Glass with a slow drift and a few specks of dust."""
    textures, random = section.textures, section.streams.plan
    canvas = section.canvas
    canvas.eosin[:] = np.float32(0.006 * random.uniform(0.0, 2.0)) * textures.broad
    canvas.haematoxylin[:] = np.float32(0.004) * textures.clumpy
    for _ in range(random.below(7)):
        sin, cos = random.direction()
        speck = Blob(
            0, random.uniform(0.0, section.size), random.uniform(0.0, section.size),
            px(random.uniform(0.5, 2.5)), px(random.uniform(0.5, 2.0)), sin, cos,
            random.uniform(0.0, 0.12), random.uniform(0.0, 0.15),
            chromatin=0.5, keep=0.9, softness=2.5, lump=0.25,
        )  # fmt: skip
        section.cast.cytoplasm.append(speck)


def _build_debris(section: Section, tissue: Tissue) -> None:
    """Necrosis: smeared protein, nuclear dust, ghosts of cells, neutrophils."""
    fibres = draw_fibres(section, section.slide.turn, _NECROSIS)
    paint_ground(section, _NECROSIS, fibres)
    textures, canvas = section.textures, section.canvas
    curds = fractal_noise(section.streams.texture, section.size, 9.0)
    canvas.eosin += (curds - np.float32(0.35)) * np.float32(0.45) * textures.clumpy
    thin = textures.broad * np.float32(0.6) + textures.clumpy * np.float32(0.6) - np.float32(0.3)
    canvas.eosin *= clamp(thin * np.float32(4.0), 0.12, 1.0)
    canvas.haematoxylin += clamp(curds - _HALF, 0.0, 1.0) * np.float32(0.3)
    random = section.streams.cells
    wanted = int(random.uniform(800.0, 2080.0) * section.relative_area)
    for row, column in place(random, section.occupied, section.free_space(), 2.2, wanted):
        x, y = cell_centre(row, column)
        _add_fragment(section, random, x + random.uniform(-2.0, 0.0), y + random.uniform(-2.0, 0.0))


def _add_fragment(section: Section, random: RandomStream, x: float, y: float) -> None:
    sin, cos = random.direction()
    draw = random.uniform()
    if draw < 0.55:
        dust = Blob(
            0, x, y, px(random.uniform(0.6, 1.5)), px(random.uniform(0.5, 1.2)), sin, cos,
            random.uniform(0.15, 0.6), 0.1, chromatin=0.3, keep=0.5, softness=1.8, lump=0.2,
        )  # fmt: skip
        section.cast.cytoplasm.append(dust)
    elif draw < 0.85:
        ghost = Blob(
            0, x, y, px(random.uniform(2.5, 4.5)), px(random.uniform(2.0, 3.5)), sin, cos,
            random.uniform(0.0, 0.12), random.uniform(0.08, 0.3),
            rim=0.1, chromatin=0.5, keep=0.5, softness=2.5, lump=0.15,
        )  # fmt: skip
        section.cast.cytoplasm.append(ghost)
    else:
        cell_type = CellType.NEUTROPHIL if random.chance(0.7) else CellType.LYMPHOCYTE
        add_immune(section.cast, random, section.slide.chromatin_gain, x, y, cell_type)


def _build_adipose(section: Section, tissue: Tissue) -> None:
    """Fat cells as a weighted Voronoi diagram with thin, wobbling walls and flat nuclei."""
    wall = _fat_walls(section)
    fibres = draw_fibres(section, section.slide.turn, Ground())
    canvas, random = section.canvas, section.streams.cells
    strength = np.float32(0.06) + np.float32(0.12) * fibres.texture
    canvas.eosin[:] = wall * strength + np.float32(0.004)
    canvas.haematoxylin[:] = wall * np.float32(0.03)
    n = half_grid(section.size)
    on_wall = np.zeros((n, n), np.bool_)
    on_wall[frame(section.size), frame(section.size)] = wall[::2, ::2] > 0.45
    for row, column in place(
        random, section.occupied, on_wall, 9.0, int(random.uniform(8.0, 26.0))
    ):
        x, y = cell_centre(row, column)
        add_spindle(
            section.cast, random, section.slide.chromatin_gain, x, y, random.direction(), width=0.8
        )


def _fat_walls(section: Section) -> Field:
    size, plan = section.size, section.streams.plan
    pitch = px(plan.uniform(23.0, 46.0))
    wobble = value_noise(section.streams.texture, size, 30.0) - _HALF
    wobble = wobble * np.float32(px(8.0))
    axis = np.arange(size, dtype=np.float32)
    columns, rows = axis[None] + wobble, axis[:, None] + wobble.T
    nearest = np.full((size, size), 1e5, np.float32)
    second = nearest.copy()
    cells = int(size / pitch) + 3
    for i in range(-1, cells):
        for j in range(-1, cells):
            x = (i + 0.5 * (j & 1) + plan.normal(0.0, 0.16)) * pitch * 1.25
            y = (j + plan.normal(0.0, 0.16)) * pitch * 1.05
            dx, dy = columns - np.float32(x), rows - np.float32(y)
            distance = np.sqrt(dx * dx + dy * dy) * np.float32(1.0 / plan.uniform(0.75, 1.2))
            closer = distance < nearest
            second = np.where(closer, nearest, np.minimum(second, distance))
            nearest = np.minimum(nearest, distance)
    clumpy = section.textures.clumpy
    wall = np.float32(1.1) - (second - nearest) * np.float32(0.30)
    wall = clamp(wall + (clumpy - _HALF) * np.float32(2.2), 0.0, 1.0)
    return wall * (np.float32(0.45) + np.float32(0.75) * clumpy)


_BUILDERS: dict[Tissue, Callable[[Section, Tissue], None]] = {
    Tissue.BACKGROUND: _build_background,
    Tissue.ABNORMAL_EPITHELIUM: _build_epithelium,
    Tissue.NORMAL_EPITHELIUM: _build_epithelium,
    Tissue.INFLAMMATORY: _build_matrix,
    Tissue.MUSCLE: _build_matrix,
    Tissue.STROMA: _build_matrix,
    Tissue.DEBRIS: _build_debris,
    Tissue.MUCUS: _build_matrix,
    Tissue.ADIPOSE: _build_adipose,
}
