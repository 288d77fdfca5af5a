"""The muscularis mucosae: a band of smooth muscle below the crypts of some scenes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cerberus_bench.loaders.phantom.geometry import blur, upsample
from cerberus_bench.loaders.phantom.glands import Crypt, Gland, Surface
from cerberus_bench.loaders.phantom.layer import Section
from cerberus_bench.loaders.phantom.noise import value_noise
from cerberus_bench.loaders.phantom.stroma import (
    MUSCLE,
    Fibres,
    Population,
    add_population,
    draw_fibres,
    paint_ground,
)
from cerberus_bench.loaders.phantom.tables import sincos
from cerberus_bench.loaders.phantom.units import PAD, Field, Mask, frame, half_grid, px

BAND_SHARE = 0.3
"""Share of benign and inflamed scenes with a band of muscle."""

MUSCLE_SHARES = (0.0, 0.03, 0.0, 0.01, 0.96)
MUSCLE_SPINDLE_LENGTH = 1.45
MUSCLE_DISORDER = 0.06
MUSCLE_SPACING_UM = 7.0

_DEPTH_UM = (20.0, 70.0)
_CLEARANCE_UM = 22.0
_CELLS_A_PX = 0.0011


@dataclass(frozen=True, slots=True)
class MuscleBand:
    """A half plane of muscle with a wavy border."""

    turn: float
    """Direction of its border and its fibres, in turns."""
    sin: float
    cos: float
    offset: float
    """Where the border crosses the direction (-sin, cos), px; muscle lies beyond."""
    mask: Mask
    """On the half-resolution grid."""


def plan_band(section: Section, surface: Surface | None) -> MuscleBand:
    """A band on the side opposite to the surface epithelium, or on any side where there is none."""
    plan, size = section.streams.plan, section.size
    if surface is None:
        turn = (plan.below(4) * 0.25 + plan.normal(0.0, 0.02)) % 1.0
        sin, cos = sincos(turn)
    else:
        turn, sin, cos = surface.turn, surface.sin, surface.cos
    highest = max(0.0, -size * sin, size * cos, size * (cos - sin))
    offset = highest - px(plan.uniform(*_DEPTH_UM))
    n = half_grid(size)
    axis = (np.arange(n, dtype=np.float32) - np.float32(PAD)) * np.float32(2.0) + np.float32(1.0)
    wave = (value_noise(section.streams.texture, n, 50.0) - np.float32(0.5)) * np.float32(px(20.0))
    across = axis[:, None] * np.float32(cos) - axis[None] * np.float32(sin) + wave
    return MuscleBand(turn, sin, cos, offset, across > np.float32(offset))


def clear_of_band(glands: list[Gland], band: MuscleBand) -> list[Gland]:
    """The glands that end above the band."""
    return [g for g in glands if not isinstance(g.outline, Crypt) or _ends_above(g.outline, band)]


def _ends_above(crypt: Crypt, band: MuscleBand) -> bool:
    across = crypt.y * band.cos - crypt.x * band.sin
    along = abs(crypt.cos * band.cos + crypt.sin * band.sin)
    reach = along * crypt.b + (1.0 - along) * max(crypt.a, crypt.b)
    return across + reach < band.offset - px(_CLEARANCE_UM) * 0.5


def paint_band(section: Section, band: MuscleBand) -> Fibres:
    """Blend muscle into the ground of `section`; returns its fibres."""
    muscle = Section.blank(section.size, section.slide, section.streams, section.textures)
    fibres = draw_fibres(muscle, band.turn, MUSCLE)
    paint_ground(muscle, MUSCLE, fibres)
    weight = _weight(section, band)
    for ground, stain in (
        (section.canvas.haematoxylin, muscle.canvas.haematoxylin),
        (section.canvas.eosin, muscle.canvas.eosin),
    ):
        ground += weight * (stain - ground)
    return fibres


def _weight(section: Section, band: MuscleBand) -> Field:
    inner = (frame(section.size), frame(section.size))
    return blur(upsample(band.mask.astype(np.float32)[inner]), 4)


def add_muscle_cells(section: Section, band: MuscleBand, fibres: Fibres) -> None:
    """Long spindles along the band."""
    room = section.free_space() & band.mask
    count = int(np.count_nonzero(room) * 4.0 * _CELLS_A_PX)
    population = Population(
        count, MUSCLE_SHARES, MUSCLE_SPACING_UM, MUSCLE_SPINDLE_LENGTH, MUSCLE_DISORDER
    )
    add_population(section, fibres, population, room)
