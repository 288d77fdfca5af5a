"""Builds fields of signet ring cells: a mucin vacuole that pushes the nucleus into a crescent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cerberus_bench.loaders.phantom.cells import CellType
from cerberus_bench.loaders.phantom.geometry import unit_vector
from cerberus_bench.loaders.phantom.glandmap import cell_centre
from cerberus_bench.loaders.phantom.layer import Section
from cerberus_bench.loaders.phantom.noise import value_noise
from cerberus_bench.loaders.phantom.paint import CLEAR, Blob
from cerberus_bench.loaders.phantom.placement import place
from cerberus_bench.loaders.phantom.randomness import RandomStream
from cerberus_bench.loaders.phantom.stroma import (
    Ground,
    Population,
    add_bleeding,
    add_population,
    add_vessels,
    draw_fibres,
    paint_ground,
)
from cerberus_bench.loaders.phantom.units import clamp, half_grid, limit, px

DECOY_SHARE = 0.14
"""Vacuoles without a nucleus: no signet ring cells, so no box."""

_TIGHTEST = 0.57
_SHARES = (0.05, 0.30, 0.20, 0.06, 0.39)
_SPACING_UM = 9.2
_LEAST_BOX_PX = 8.0
_RIM_UM = 1.3

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in px."""


@dataclass(frozen=True, slots=True)
class _Vacuole:
    x: float
    y: float
    a: float
    b: float
    sin: float
    cos: float


def build_signet_rings(section: Section) -> list[Box]:
    """Fill `section` with stroma and signet ring cells; returns the box of each in the frame."""
    plan = section.streams.plan
    ground = Ground(cleft_threshold=max(section.slide.looseness, _TIGHTEST))
    fibres = draw_fibres(section, section.slide.turn, ground)
    paint_ground(section, ground, fibres)
    add_vessels(section, plan.below(4))
    if plan.chance(0.5):
        add_bleeding(section)
    boxes = _add_signet_rings(section)
    count = int(plan.uniform(150.0, 420.0) * section.relative_area)
    add_population(section, fibres, Population(count, _SHARES))
    return boxes


def _add_signet_rings(section: Section) -> list[Box]:
    random = section.streams.cells
    cluster = value_noise(section.streams.texture, half_grid(section.size), 26.0)
    cluster = clamp((cluster - np.float32(0.35)) * np.float32(2.2), 0.03, 1.0) * np.float32(0.4)
    wanted = int(random.uniform(24.0, 70.0) * section.relative_area)
    room = section.free_space()
    boxes: list[Box] = []
    for row, column in place(random, section.occupied, room, _SPACING_UM, wanted, cluster):
        x, y = cell_centre(row, column)
        vacuole = _draw_vacuole(
            random, x + random.uniform(-1.0, 1.0), y + random.uniform(-1.0, 1.0)
        )
        _add_body(section, random, vacuole)
        if random.chance(DECOY_SHARE):
            _add_mucin(section, random, vacuole, (0.0, 0.0))
            continue
        box = _add_crescent(section, random, vacuole)
        if box is not None:
            boxes.append(box)
    return boxes


def _draw_vacuole(random: RandomStream, x: float, y: float) -> _Vacuole:
    radius = px(limit(random.normal(5.75, 1.15), 3.75, 9.0))
    sin, cos = random.direction()
    return _Vacuole(x, y, radius, radius * random.uniform(0.72, 1.0), sin, cos)


def _add_body(section: Section, random: RandomStream, vacuole: _Vacuole) -> None:
    rim = 2.2
    section.cast.cytoplasm.append(
        Blob(
            0, vacuole.x, vacuole.y, vacuole.a + rim, vacuole.b + rim, vacuole.sin, vacuole.cos,
            0.07, 0.17 * random.uniform(0.6, 1.3), chromatin=0.4, keep=0.4, softness=2.4, lump=0.09,
        )
    )  # fmt: skip


def _add_mucin(
    section: Section, random: RandomStream, vacuole: _Vacuole, away: tuple[float, float]
) -> None:
    """The vacuole itself; it cuts the nucleus, in stain and in label, into a crescent."""
    section.cast.cytoplasm.append(
        Blob(
            CLEAR, vacuole.x + away[0], vacuole.y + away[1], vacuole.a - 1.0, vacuole.b - 1.0,
            vacuole.sin, vacuole.cos, random.uniform(0.02, 0.09), random.uniform(0.01, 0.06),
            rim=random.uniform(0.0, 1.0), chromatin=0.9, keep=0.15, softness=2.6, lump=0.10,
        )
    )  # fmt: skip


def _add_crescent(section: Section, random: RandomStream, vacuole: _Vacuole) -> Box | None:
    """Nucleus at the rim, tangential, painted before the vacuole; returns the box of the cell."""
    sin, cos = random.direction()
    reach = random.uniform(0.86, 1.0)
    u, v = cos * vacuole.a * reach, sin * vacuole.b * reach
    dx, dy = u * vacuole.cos - v * vacuole.sin, u * vacuole.sin + v * vacuole.cos
    outward = unit_vector(dx, dy) or (1.0, 0.0)
    a = px(random.normal(4.2, 0.55)) * min(vacuole.a / px(6.0), 1.25)
    b = px(random.normal(2.15, 0.3))
    nucleus = Blob(
        section.cast.new(CellType.EPITHELIAL), vacuole.x + dx, vacuole.y + dy,
        a, b, outward[0], -outward[1],
        0.52 * section.slide.chromatin_gain * random.uniform(0.8, 1.2), 0.14,
        rim=0.1, chromatin=0.45, keep=0.25, softness=1.4, lump=0.08,
    )  # fmt: skip
    section.cast.cytoplasm.append(nucleus)
    _add_mucin(section, random, vacuole, (-outward[0] * 1.2, -outward[1] * 1.2))
    return _box(vacuole, nucleus, section.size)


def _box(vacuole: _Vacuole, nucleus: Blob, size: int) -> Box | None:
    """The upright box around cell and nucleus, cut by the frame; None where little is left."""
    body = vacuole.a + px(_RIM_UM)
    wide = abs(nucleus.cos) * nucleus.a + abs(nucleus.sin) * nucleus.b
    high = abs(nucleus.sin) * nucleus.a + abs(nucleus.cos) * nucleus.b
    x0 = max(min(vacuole.x - body, nucleus.x - wide), 0.0)
    y0 = max(min(vacuole.y - body, nucleus.y - high), 0.0)
    x1 = min(max(vacuole.x + body, nucleus.x + wide), float(size))
    y1 = min(max(vacuole.y + body, nucleus.y + high), float(size))
    if x1 - x0 < _LEAST_BOX_PX or y1 - y0 < _LEAST_BOX_PX:
        return None
    return x0, y0, x1, y1
