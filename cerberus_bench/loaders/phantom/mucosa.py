"""Builds mucosa: glands, surface epithelium and lamina propria, in four states."""

from __future__ import annotations

import numpy as np

from cerberus_bench.loaders.phantom.epithelium import paint_epithelium
from cerberus_bench.loaders.phantom.glandmap import GlandLayer, map_glands
from cerberus_bench.loaders.phantom.glands import MucosaKind, plan_crypts, plan_surface
from cerberus_bench.loaders.phantom.layer import Section
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
    streams, size = section.streams, section.size
    turn = (section.slide.turn + streams.plan.normal(0.0, 0.04)) % 1.0
    glands = plan_crypts(streams.plan, size, kind, turn, dense=patch)
    share = TRAINING_SURFACE_SHARE if training else SURFACE_SHARE
    has_surface = streams.plan.chance(share)
    if has_surface and not patch and kind in ("benign", "inflamed"):
        glands.append(plan_surface(streams.plan, streams.texture, size))
    if glands:
        section.glands = map_glands(streams.plan, streams.texture, size, glands)
    fibres = draw_fibres(section, turn, LAMINA_PROPRIA)
    paint_ground(section, LAMINA_PROPRIA, fibres)
    layer = _paint_glands(section, fibres, inflamed=kind == "inflamed")
    add_vessels(section, streams.plan.below(4))
    if streams.plan.chance(0.5):
        add_bleeding(section)
    add_population(section, fibres, _population(section, kind, training))
    return layer


def _paint_glands(section: Section, fibres: Fibres, *, inflamed: bool) -> GlandLayer | None:
    if section.glands is None:
        return None
    return paint_epithelium(section, section.glands, fibres, inflamed=inflamed)


def _population(section: Section, kind: MucosaKind, training: bool) -> Population:
    plan = section.streams.plan
    free_px = float(np.count_nonzero(section.free_space())) * 4.0
    density = plan.uniform(*_CELLS_A_PX) * plan.uniform(0.75, 1.35)
    density *= _INFLAMED_DENSITY if kind == "inflamed" else 1.0
    shares = _SHARES[kind]
    if training:
        neutrophil, lymphocyte, plasma, eosinophil, connective = (
            share * gain for share, gain in zip(shares, TRAINING_GAIN, strict=True)
        )
        shares = (neutrophil, lymphocyte, plasma, eosinophil, connective)
    return Population(int(free_px * density), shares)
