"""Builds mucosa: glands, surface epithelium and lamina propria, in four states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cerberus_bench.loaders.phantom.epithelium import paint_epithelium
from cerberus_bench.loaders.phantom.glandmap import GlandLayer, map_glands
from cerberus_bench.loaders.phantom.glands import (
    Gland,
    MucosaKind,
    clear_of_openings,
    plan_crypts,
    plan_openings,
    plan_surface,
)
from cerberus_bench.loaders.phantom.layer import Section
from cerberus_bench.loaders.phantom.muscularis import (
    BAND_SHARE,
    MuscleBand,
    add_muscle_cells,
    clear_of_band,
    paint_band,
    plan_band,
)
from cerberus_bench.loaders.phantom.stroma import (
    LAMINA_PROPRIA,
    Fibres,
    Population,
    add_bleeding,
    add_population,
    add_vessels,
    draw_fibres,
    paint_ground,
)
from cerberus_bench.loaders.phantom.units import Mask

KINDS: tuple[MucosaKind, ...] = ("benign", "malignant", "mixed", "inflamed")
KIND_SHARES = (0.40, 0.32, 0.13, 0.15)

SURFACE_SHARE = 0.4
"""Share of benign and inflamed scenes that show surface epithelium: 22 % of all scenes."""

TRAINING_SURFACE_SHARE = 0.65
"""The same in the training split: 36 % of all scenes."""

_SHARES: dict[MucosaKind, tuple[float, float, float, float, float]] = {
    "benign": (0.03, 0.30, 0.26, 0.09, 0.32),
    "inflamed": (0.12, 0.26, 0.30, 0.12, 0.20),
    "malignant": (0.07, 0.24, 0.12, 0.04, 0.53),
    "mixed": (0.03, 0.30, 0.26, 0.09, 0.32),
}
"""Neutrophil, lymphocyte, plasma, eosinophil, connective."""

TRAINING_GAIN = (2.5, 1.0, 1.5, 2.5, 1.0)
"""How much more often the training split shows each stromal type (before they are made shares)."""

_CELLS_A_PX = (0.0016, 0.0030)
_INFLAMED_DENSITY = 1.45


def draw_kind(section: Section) -> MucosaKind:
    """The state of a mucosa scene."""
    return section.streams.plan.choice(KINDS, KIND_SHARES)


def build_mucosa(
    section: Section, kind: MucosaKind, *, patch: bool = False, training: bool = False
) -> GlandLayer | None:
    """Fill `section` with mucosa; None where it happens to hold no gland.

    Args:
        section: blank section.
        kind: state of the glands and of the lamina propria.
        patch: puts a gland in the middle and leaves none out; no surface epithelium.
        training: raises the share of surface epithelium and of the rare inflammatory cells.
    """
    streams = section.streams
    turn = (section.slide.turn + streams.plan.normal(0.0, 0.04)) % 1.0
    plan = _plan(section, kind, turn, patch=patch, training=training)
    if plan.glands:
        section.glands = map_glands(streams.plan, streams.texture, section.size, plan.glands)
    fibres = draw_fibres(section, turn, LAMINA_PROPRIA)
    paint_ground(section, LAMINA_PROPRIA, fibres)
    muscle = None if plan.band is None else paint_band(section, plan.band)
    layer = _paint_glands(section, fibres, inflamed=kind == "inflamed")
    add_vessels(section, streams.plan.below(4))
    if streams.plan.chance(0.5):
        add_bleeding(section)
    room = section.free_space()
    if plan.band is not None and muscle is not None:
        add_muscle_cells(section, plan.band, muscle)
        room &= ~plan.band.mask
    add_population(section, fibres, _population(section, kind, room, training=training), room)
    return layer


@dataclass(frozen=True, slots=True)
class _Plan:
    glands: list[Gland]
    band: MuscleBand | None


def _plan(section: Section, kind: MucosaKind, turn: float, *, patch: bool, training: bool) -> _Plan:
    """Crypts, and in some normal scenes the surface above and the muscle below them."""
    random, size = section.streams.plan, section.size
    glands = plan_crypts(random, size, kind, turn, dense=patch)
    if patch or kind not in ("benign", "inflamed"):
        return _Plan(glands, None)
    surface = None
    if random.chance(TRAINING_SURFACE_SHARE if training else SURFACE_SHARE):
        gland, surface = plan_surface(random, section.streams.texture, size)
        openings = plan_openings(random, surface, size)
        glands = [*clear_of_openings(glands, openings), gland, *openings]
    if not random.chance(BAND_SHARE):
        return _Plan(glands, None)
    band = plan_band(section, surface)
    return _Plan(clear_of_band(glands, band), band)


def _paint_glands(section: Section, fibres: Fibres, *, inflamed: bool) -> GlandLayer | None:
    if section.glands is None:
        return None
    return paint_epithelium(section, section.glands, fibres, inflamed=inflamed)


def _population(section: Section, kind: MucosaKind, room: Mask, *, training: bool) -> Population:
    plan = section.streams.plan
    free_px = float(np.count_nonzero(room)) * 4.0
    density = plan.uniform(*_CELLS_A_PX) * plan.uniform(0.75, 1.35)
    density *= _INFLAMED_DENSITY if kind == "inflamed" else 1.0
    shares = _SHARES[kind]
    if training:
        neutrophil, lymphocyte, plasma, eosinophil, connective = (
            share * gain for share, gain in zip(shares, TRAINING_GAIN, strict=True)
        )
        shares = (neutrophil, lymphocyte, plasma, eosinophil, connective)
    return Population(int(free_px * density), shares)
