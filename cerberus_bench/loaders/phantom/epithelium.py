"""Paints glands: cytoplasm, goblet vacuoles, lumina, and the nuclei of the epithelium."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cerberus_bench.loaders.phantom.cells import CellType, add_immune, jittered
from cerberus_bench.loaders.phantom.glandmap import (
    GlandLayer,
    GlandMap,
    cell_centre,
    cell_normal,
    render_glands,
)
from cerberus_bench.loaders.phantom.glands import Gland
from cerberus_bench.loaders.phantom.layer import Section
from cerberus_bench.loaders.phantom.noise import value_noise
from cerberus_bench.loaders.phantom.paint import Blob, paint
from cerberus_bench.loaders.phantom.placement import place
from cerberus_bench.loaders.phantom.randomness import RandomStream
from cerberus_bench.loaders.phantom.stroma import Fibres
from cerberus_bench.loaders.phantom.units import Field, Mask, clamp, half_grid, px

_FAINT_CYTOPLASM = 0.6
_FAINT_NUCLEI = 0.62
_MOST_NUCLEI = 400
_INTRAEPITHELIAL_LYMPHOCYTES = 0.025
_NEUTROPHILS_INFLAMED = 0.02
_NEUTROPHILS_MALIGNANT = 0.03
_MITOSES = 0.008
_SLIT_LEVEL = 0.36
"""Radial noise (-0.85 to 0.85) above which malignant cells part."""
_NUCLEI_REACH_PX = -5.0
_HALF = np.float32(0.5)


def paint_epithelium(
    section: Section, shape: GlandMap, fibres: Fibres, *, inflamed: bool = False
) -> GlandLayer:
    """Paint glands; their nuclei go to the cast of `section`, to be painted later.

    Args:
        section: its ground is painted already.
        shape: its glands.
        fibres: give the wisps of mucin their texture.
        inflamed: neutrophils pass through the epithelium of normal glands too.
    """
    layer = render_glands(shape, section.size)
    _paint_cytoplasm(section, shape, layer)
    paint(
        section.canvas, _goblets(section, shape), section.textures.chromatin, section.streams.paint
    )
    _paint_lumina(section, shape, layer, fibres)
    _add_nuclei(section, shape, inflamed)
    return layer


def _by_owner(shape: GlandMap, layer: GlandLayer, values: list[float]) -> Field:
    table: Field = np.array([0.0, *values], np.float32)[layer.owner]
    return table


def _paint_cytoplasm(section: Section, shape: GlandMap, layer: GlandLayer) -> None:
    canvas, textures = section.canvas, section.textures
    malignant = _by_owner(shape, layer, [float(g.is_malignant) for g in shape.glands])
    tint = _by_owner(shape, layer, [_cytoplasm_gain(g) for g in shape.glands])
    depth = clamp(layer.depth * np.float32(1.0 / px(20.0)), 0.0, 1.0)
    shade = malignant * np.float32(0.05)
    haematoxylin = (shade - np.float32(0.045) * depth + np.float32(0.115)) * tint
    eosin = (shade * np.float32(1.2) + np.float32(0.02) * depth + np.float32(0.125)) * tint
    streak = np.float32(1.0) + (textures.fine - _HALF) * np.float32(0.55)
    streak = streak + (textures.medium - _HALF) * np.float32(0.3)
    streak = streak + layer.radial * np.float32(0.75)
    whole = np.float32(1.0) - _slits(section, layer, malignant)
    inside = clamp(layer.depth * np.float32(0.7) + np.float32(0.3), 0.0, 1.0)
    canvas.eosin += inside * (eosin * streak * whole - canvas.eosin)
    canvas.haematoxylin += inside * (haematoxylin * streak * whole - canvas.haematoxylin)
    brush = np.float32(1.0) - np.abs(layer.beyond + np.float32(2.0)) * np.float32(0.35)
    brush = clamp(brush, 0.0, 1.0) * inside
    canvas.eosin += brush * np.float32(0.07)
    canvas.haematoxylin += brush * np.float32(0.04)
    membrane = np.float32(1.0) - np.abs(layer.depth + np.float32(1.5)) * np.float32(0.5)
    strength = np.float32(0.05) * (np.float32(0.4) + textures.broad)
    canvas.eosin += clamp(membrane, 0.0, 1.0) * strength


def _slits(section: Section, layer: GlandLayer, malignant: Field) -> Field:
    """Gaps between shrunken malignant cells, along the normal, in patches; 0 whole to 0.8 open."""
    patch = clamp((section.textures.clumpy - np.float32(0.5)) * np.float32(8.0), 0.0, 1.0)
    gap = clamp((layer.radial - np.float32(_SLIT_LEVEL)) * np.float32(7.0), 0.0, 1.0)
    return malignant * patch * gap * np.float32(0.8)


def _cytoplasm_gain(gland: Gland) -> float:
    return gland.tint * (_FAINT_CYTOPLASM if gland.faint else 1.0)


def _paint_lumina(section: Section, shape: GlandMap, layer: GlandLayer, fibres: Fibres) -> None:
    """Glass with wisps of mucin; dirty necrosis in malignant glands; an almost clear gut lumen."""
    canvas, textures = section.canvas, section.textures
    one = np.float32(1.0)
    malignant = _by_owner(shape, layer, [float(g.is_malignant) for g in shape.glands])
    debris = clamp((textures.clumpy - np.float32(0.52)) * np.float32(9.0), 0.0, 1.0)
    debris = debris * clamp(layer.beyond * np.float32(0.12), 0.0, 1.0)
    debris = debris * np.where(layer.gut, np.float32(0.3), one)
    wisps = fibres.texture * _HALF + textures.medium * _HALF - np.float32(0.45)
    wisps = clamp(wisps * np.float32(3.0), 0.0, 1.0) * np.where(layer.gut, np.float32(0.45), one)
    dirt_h = np.float32(0.02) + np.float32(0.10) * malignant * textures.fine
    dirt_e = np.float32(0.03) + np.float32(0.20) * malignant * textures.medium
    haematoxylin = debris * dirt_h + wisps * np.float32(0.03)
    eosin = debris * dirt_e + wisps * np.float32(0.018)
    inside = clamp(layer.beyond * np.float32(0.55) + _HALF, 0.0, 1.0)
    inside = inside * clamp(layer.depth * np.float32(0.7) + np.float32(0.3), 0.0, 1.0)
    canvas.eosin += inside * (eosin - canvas.eosin)
    canvas.haematoxylin += inside * (haematoxylin - canvas.haematoxylin)


def _goblets(section: Section, shape: GlandMap) -> list[Blob]:
    """Mucin vacuoles between the nuclei and the lumen, longer along the normal."""
    random = section.streams.cells
    room = shape.inside & (shape.depth > px(10.0)) & (shape.beyond < -px(3.0))
    vacuoles = []
    for number, gland in enumerate(shape.glands, 1):
        mine = room & (shape.owner == number)
        wanted = int(np.count_nonzero(mine) / 62.0 * gland.goblets)
        if not wanted:
            continue
        taken = np.zeros_like(section.occupied)
        for row, column in place(random, taken, mine, random.uniform(6.8, 8.6), wanted):
            x, y = cell_centre(row, column)
            radius = max(px(random.normal(5.4, 1.0)), px(2.5))
            if _in_sight(x, y, radius, section.size):
                sin, cos = cell_normal(shape, row, column) or random.direction()
                vacuoles.append(_vacuole(random, x, y, radius, sin, cos))
    return vacuoles


def _vacuole(
    random: RandomStream, x: float, y: float, radius: float, sin: float, cos: float
) -> Blob:
    return Blob(
        0, x, y, radius * random.uniform(1.0, 1.35), radius, sin, cos,
        random.uniform(0.015, 0.07), random.uniform(0.005, 0.03),
        rim=random.uniform(0.0, 1.6), chromatin=0.3, keep=0.10, softness=2.0, lump=0.07,
    )  # fmt: skip


def _in_sight(x: float, y: float, reach: float, size: int) -> bool:
    return -reach < x < size + reach and -reach < y < size + reach


@dataclass(frozen=True, slots=True)
class _NuclearHabit:
    """What the nuclei of one gland have in common; lengths in px."""

    a: float
    b: float
    a_sd: float
    haematoxylin: float
    rim: float
    chromatin: float
    lump: float
    jitter: float
    lymphocytes: float
    """Share of intra-epithelial lymphocytes."""
    neutrophils: float
    malignant: bool


def _benign_habit(random: RandomStream, inflamed: bool) -> _NuclearHabit:
    return _NuclearHabit(
        a=px(random.normal(3.1, 0.25)),
        b=px(random.normal(2.05, 0.175)),
        a_sd=px(0.4),
        haematoxylin=random.normal(0.275, 0.04),
        rim=random.uniform(0.1, 0.6),
        chromatin=0.75,
        lump=0.10,
        jitter=0.16,
        lymphocytes=_INTRAEPITHELIAL_LYMPHOCYTES,
        neutrophils=_NEUTROPHILS_INFLAMED if inflamed else 0.0,
        malignant=False,
    )


def _malignant_habit(random: RandomStream) -> _NuclearHabit:
    return _NuclearHabit(
        a=px(random.normal(4.4, 0.6)),
        b=px(random.normal(2.3, 0.3)),
        a_sd=px(0.8),
        haematoxylin=random.normal(0.265, 0.045),
        rim=random.uniform(0.2, 0.6),
        chromatin=0.8,
        lump=0.13,
        jitter=0.28,
        lymphocytes=0.0,
        neutrophils=_NEUTROPHILS_MALIGNANT,
        malignant=True,
    )


def _add_nuclei(section: Section, shape: GlandMap, inflamed: bool) -> None:
    random = section.streams.cells
    lining = shape.inside & (shape.beyond < _NUCLEI_REACH_PX)
    n = half_grid(section.size)
    wave = (value_noise(section.streams.texture, n, 5.0) - _HALF) * np.float32(px(3.5))
    for number, gland in enumerate(shape.glands, 1):
        mine = lining & (shape.owner == number)
        if not mine.any():
            continue
        if gland.is_malignant:
            habit = _malignant_habit(random)
            sites = _stratified_sites(section, shape, mine)
        else:
            habit = _benign_habit(random, inflamed)
            sites = _single_row_sites(section, shape, gland, mine, wave)
        for row, column in sites:
            _add_nucleus(section, shape, gland, habit, row, column)


def _stratified_sites(section: Section, shape: GlandMap, mine: Mask) -> list[tuple[int, int]]:
    """Nuclei at any depth up to 40 to 80 % of the epithelium."""
    random = section.streams.cells
    base = np.float32(px(3.0))
    top = base + shape.height * np.float32(random.uniform(0.4, 0.8))
    room = mine & (shape.depth > base) & (shape.depth < top) & (shape.beyond < -px(4.5))
    return place(random, section.occupied, room, random.uniform(4.3, 5.8), _MOST_NUCLEI)


def _single_row_sites(
    section: Section, shape: GlandMap, gland: Gland, mine: Mask, wave: Field
) -> list[tuple[int, int]]:
    """A wavy basal row, then a second pass that fills its gaps."""
    random = section.streams.cells
    row_depth = np.float32(px(6.0 if gland.is_surface else 5.25))
    spacing = random.uniform(3.6, 5.0)
    row = mine & (np.abs(shape.depth - row_depth - wave) < np.float32(px(1.3)))
    sites = place(random, section.occupied, row, spacing, _MOST_NUCLEI)
    gaps = mine & (shape.depth > px(3.5)) & (shape.depth < px(9.0))
    return sites + place(random, section.occupied, gaps, spacing * 0.86, _MOST_NUCLEI)


def _add_nucleus(
    section: Section, shape: GlandMap, gland: Gland, habit: _NuclearHabit, row: int, column: int
) -> None:
    random, cast = section.streams.cells, section.cast
    chromatin = section.slide.chromatin_gain
    x, y = cell_centre(row, column)
    x, y = x + random.uniform(-1.0, 1.0), y + random.uniform(-1.0, 1.0)
    a = max(random.normal(habit.a, habit.a_sd), px(2.25))
    b = max(random.normal(habit.b, habit.a_sd * 0.5), px(1.45))
    if not _in_sight(x, y, a, section.size):
        return
    sin, cos = jittered(random, cell_normal(shape, row, column) or random.direction(), habit.jitter)
    guest = _guest(random, habit)
    if guest is not None:
        add_immune(cast, random, chromatin, x, y, guest)
        return
    label = cast.new(CellType.EPITHELIAL)
    if habit.malignant and random.chance(_MITOSES):
        mitosis = Blob(
            label, x, y, a * 0.8, px(1.4), sin, cos, 0.8, 0.15,
            chromatin=0.3, keep=0.2, softness=1.4, lump=0.25,
        )  # fmt: skip
        cast.nuclei.append(mitosis)
        return
    dim = _FAINT_NUCLEI if gland.faint else 1.0
    nucleus = Blob(
        label, x, y, a, b, sin, cos,
        habit.haematoxylin * chromatin * dim * random.uniform(0.65, 1.35), 0.12 * dim,
        rim=habit.rim * random.uniform(0.5, 1.2), chromatin=habit.chromatin, lump=habit.lump,
    )  # fmt: skip
    cast.nuclei.append(nucleus)
    if random.chance(0.56 if habit.malignant else 0.12):
        cast.overlays.append(_nucleolus(random, x, y))


def _guest(random: RandomStream, habit: _NuclearHabit) -> CellType | None:
    """An inflammatory cell between the epithelial ones, seldom."""
    draw = random.uniform()
    if draw < habit.lymphocytes:
        return CellType.LYMPHOCYTE
    if draw < habit.lymphocytes + habit.neutrophils:
        return CellType.NEUTROPHIL
    return None


def _nucleolus(random: RandomStream, x: float, y: float) -> Blob:
    return Blob(
        0, x + random.uniform(-2.0, 2.0), y + random.uniform(-2.0, 2.0), px(0.9), px(0.75),
        0.0, 1.0, 0.20, 0.12, keep=0.9, softness=1.4,
    )  # fmt: skip
