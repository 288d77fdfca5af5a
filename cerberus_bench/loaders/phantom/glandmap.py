"""The shape of the glands on the half-resolution grid: owner, depth, lumen, normal direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.phantom.geometry import (
    blur,
    components,
    distance_inside,
    gradient,
    renumbering,
    unit_vector,
    upsample,
    upsample_labels,
)
from cerberus_bench.loaders.phantom.glands import Crypt, Gland, Opening, Surface
from cerberus_bench.loaders.phantom.noise import value_noise
from cerberus_bench.loaders.phantom.randomness import RandomStream
from cerberus_bench.loaders.phantom.truth import drop_small
from cerberus_bench.loaders.phantom.units import (
    PAD,
    Field,
    Labels,
    Mask,
    clamp,
    frame,
    half_grid,
    px,
    to_px,
)

_GAP_BENIGN_UM = 4.5
_GAP_MALIGNANT_UM = 2.0
_DEPTH_CAP_CELLS = 32
_OUTSIDE_CAP_CELLS = 14
_SMALLEST_GLAND_CELLS = 80
_SMALLEST_LUMEN_PX = 60
_ROUNDING_PX = 12.0
"""Radius, about, of the corner between the surface and an opening."""

_FAR = np.float32(1e4)


@dataclass(frozen=True, slots=True)
class GlandMap:
    """Glands of a scene on the padded half-resolution grid (n, n); lengths in px.

    Depth is positive inside a gland. `beyond` is depth minus the height of the epithelium: positive
    in a lumen. `radial` is a noise that is constant along the normal of the border, which makes
    cell borders fan in towards the lumen.
    """

    glands: tuple[Gland, ...]
    owner: NDArray[np.int16]
    """Nearest gland, counted from 1, everywhere."""
    inside: Mask
    part: Labels
    """Connected part of a gland, grown by one cell."""
    part_owner: NDArray[np.int64]
    depth: Field
    normal_y: Field
    normal_x: Field
    beyond: Field
    height: Field
    radial: Field


@dataclass(frozen=True, slots=True)
class GlandLayer:
    """The same at full resolution, inside the frame, with the ground truth; (H, W) each."""

    owner: NDArray[np.integer]
    depth: Field
    beyond: Field
    radial: Field
    gut: Mask
    """The lumen of the gut beyond the surface epithelium: background, not a lumen instance."""
    gland: Labels
    gland_classes: NDArray[np.int64]
    lumen: Labels


def map_glands(
    plan: RandomStream, texture: RandomStream, size: int, glands: list[Gland]
) -> GlandMap:
    """Cut the planned glands out of each other and measure depth, height and lumina."""
    n = half_grid(size)
    owner, inside = _territories(n, glands)
    part, part_owner, inside = _parts(owner, inside)
    depth = distance_inside(inside, _DEPTH_CAP_CELLS) * np.float32(2.0)
    depth = depth - distance_inside(~inside, _OUTSIDE_CAP_CELLS) * np.float32(2.0)
    normal_y, normal_x = gradient(blur(depth, 2))
    fine, coarse = _radial_noise(texture, depth, normal_y, normal_x)
    height = _per_gland([gland.height for gland in glands])[owner] + coarse * np.float32(8.0)
    half = np.float32(0.5)
    height = height + (value_noise(texture, n, 9.0) - half) * np.float32(13.0)
    height = height + (value_noise(texture, n, 3.0) - half) * np.float32(6.0)
    beyond = _punch_holes(plan, glands, owner, depth, depth - height)
    radial = fine + coarse * np.float32(0.7)
    return GlandMap(
        tuple(glands), owner, inside, part, part_owner,
        depth, normal_y, normal_x, beyond, height, radial,
    )  # fmt: skip


def _per_gland(values: list[float]) -> Field:
    """Look-up table by owner; owner 0 has the value 0."""
    return np.array([0.0, *values], np.float32)


def _territories(n: int, glands: list[Gland]) -> tuple[NDArray[np.int16], Mask]:
    """Nearest gland of each cell, and the cells inside one and clear of the next.

    A crypt that opens to the gut shares one outline with the surface epithelium, and owns the part
    of it below the surface.
    """
    nearest = np.full((n, n), _FAR, np.float32)
    second = nearest.copy()
    owner = np.zeros((n, n), np.int16)
    opening = owner.copy()
    axis = (np.arange(n, dtype=np.float32) - np.float32(PAD)) * np.float32(2.0) + np.float32(1.0)
    for number, gland in enumerate(glands, 1):
        if isinstance(gland.outline, Opening):
            continue
        if isinstance(gland.outline, Surface):
            window = (slice(0, n), slice(0, n))
            distance, opening = _open_surface(gland.outline, gland.height, glands, axis)
        else:
            window = _crypt_window(gland.outline, n)
            distance = _crypt_distance(gland.outline, axis[window[0]], axis[window[1]])
        closest, runner_up = nearest[window], second[window]
        closer = distance < closest
        runner_up[...] = np.where(closer, closest, np.minimum(runner_up, distance))
        closest[...] = np.where(closer, distance, closest)
        owner[window][closer] = number
    gaps = [px(_GAP_MALIGNANT_UM if g.is_malignant else _GAP_BENIGN_UM) for g in glands]
    inside = (nearest < 0) & (second - nearest > _per_gland(gaps)[owner])
    inside = _part_neighbours(owner, inside)
    surface = np.array([False, *(gland.is_surface for gland in glands)])
    return np.where(surface[owner] & (opening > 0), opening, owner).astype(np.int16), inside


def _open_surface(
    surface: Surface, height: float, glands: list[Gland], axis: Field
) -> tuple[Field, NDArray[np.int16]]:
    """Distance to the surface epithelium joined with its openings, and the opening of each cell."""
    border = _surface_distance(surface, height, axis)
    joined = border
    opening = np.zeros(border.shape, np.int16)
    for number, gland in enumerate(glands, 1):
        if isinstance(gland.outline, Opening):
            distance = _opening_distance(gland.outline, axis)
            joined = _smooth_minimum(joined, distance)
            opening[(border > 0) & (distance < _ROUNDING_PX)] = number
    return joined, opening


def _opening_distance(finger: Opening, axis: Field) -> Field:
    sin, cos = np.float32(finger.surface.sin), np.float32(finger.surface.cos)
    u = axis[None] * cos + axis[:, None] * sin - np.float32(finger.along)
    v = axis[:, None] * cos - axis[None] * sin
    below = v - np.float32(finger.surface.offset)
    u = u + np.float32(finger.bend) * below * below
    past = np.maximum(v - np.float32(finger.end), np.float32(0.0))
    distance: Field = np.sqrt(u * u + past * past) - np.float32(finger.width)
    return distance


def _smooth_minimum(a: Field, b: Field) -> Field:
    """The smaller of two distances, with a rounded corner where they meet."""
    share = clamp((b - a) * np.float32(0.5 / _ROUNDING_PX) + np.float32(0.5), 0.0, 1.0)
    corner = np.float32(_ROUNDING_PX) * share * (np.float32(1.0) - share)
    return b + (a - b) * share - corner


def _surface_distance(surface: Surface, height: float, axis: Field) -> Field:
    across = axis[:, None] * np.float32(surface.cos) - axis[None] * np.float32(surface.sin)
    return across - np.float32(surface.offset) - surface.waves - np.float32(height)


def _crypt_window(crypt: Crypt, n: int) -> tuple[slice, slice]:
    reach = max(crypt.a, crypt.b) * 0.95 + 8.0
    column, row = crypt.x / 2 + PAD, crypt.y / 2 + PAD
    rows = slice(min(max(int(row - reach), 0), n), min(max(int(row + reach), 0), n))
    columns = slice(min(max(int(column - reach), 0), n), min(max(int(column + reach), 0), n))
    return rows, columns


def _crypt_distance(crypt: Crypt, rows: Field, columns: Field) -> Field:
    """About the signed distance to the outline in px: negative inside.

    Harmonics of the angle come from its cosine and sine by angle addition, without an arctangent.
    """
    sin, cos = np.float32(crypt.sin), np.float32(crypt.cos)
    dx, dy = columns[None] - np.float32(crypt.x), rows[:, None] - np.float32(crypt.y)
    u, v = dx * cos + dy * sin, dy * cos - dx * sin
    v = v + np.float32(crypt.bend) * u * u
    p, q = u * np.float32(1.0 / crypt.a), v * np.float32(1.0 / crypt.b)
    rho = np.sqrt(p * p + q * q) + np.float32(1e-4)
    c1, s1 = p / rho, q / rho
    c, s = c1, s1
    radius = np.ones_like(rho)
    for cosine, sine in crypt.harmonics:
        c, s = c * c1 - s * s1, s * c1 + c * s1
        radius = radius + np.float32(cosine) * c + np.float32(sine) * s
    return (rho - radius) * np.float32(crypt.b)


def _part_neighbours(owner: NDArray[np.int16], inside: Mask) -> Mask:
    """Clear cells where two owners still meet, so that no two glands touch."""
    owned = np.where(inside, owner, 0)
    down = (owned[1:] != owned[:-1]) & inside[:-1]
    inside[1:][down] = False
    across = (owned[:, 1:] != owned[:, :-1]) & inside[:, :-1]
    inside[:, 1:][across] = False
    return inside


def _parts(owner: NDArray[np.int16], inside: Mask) -> tuple[Labels, NDArray[np.int64], Mask]:
    """Connected parts above the least size, grown by one cell, and the gland that owns each."""
    part = components(np.where(inside, owner, 0), connectivity=1)
    sizes = np.bincount(part.ravel())
    small = sizes < _SMALLEST_GLAND_CELLS
    small[0] = False
    inside = inside & ~small[part]
    part = np.where(small[part], 0, part).astype(np.int32)
    part_owner = np.zeros(len(sizes), np.int64)
    part_owner[part.ravel()] = owner.ravel()
    return _grow(part), part_owner, inside


def _grow(part: Labels) -> Labels:
    grown = part.copy()
    for here, there in (
        (np.s_[1:, :], np.s_[:-1, :]),
        (np.s_[:-1, :], np.s_[1:, :]),
        (np.s_[:, 1:], np.s_[:, :-1]),
        (np.s_[:, :-1], np.s_[:, 1:]),
    ):
        grown[here] = np.where(grown[here] == 0, part[there], grown[here])
    return grown


def _radial_noise(
    texture: RandomStream, depth: Field, normal_y: Field, normal_x: Field
) -> tuple[Field, Field]:
    """Noise of 2.4 and 5 cells, looked up at the border point onto which each cell projects."""
    n = depth.shape[0]
    length = np.sqrt(normal_y * normal_y + normal_x * normal_x) + np.float32(1e-3)
    step = depth * np.float32(0.5) / length
    axis = np.arange(n, dtype=np.float32)
    rows = clamp(axis[:, None] - normal_y * step, 0, n - 1).astype(np.int32)
    columns = clamp(axis[None] - normal_x * step, 0, n - 1).astype(np.int32)
    half = np.float32(0.5)
    fine = value_noise(texture, n, 2.4)[rows, columns] - half
    return fine, value_noise(texture, n, 5.0)[rows, columns] - half


def _punch_holes(
    plan: RandomStream,
    glands: list[Gland],
    owner: NDArray[np.int16],
    depth: Field,
    beyond: Field,
) -> Field:
    """Round cribriform lumina in the epithelium of some malignant glands."""
    for number, gland in enumerate(glands, 1):
        if not gland.holes:
            continue
        mine = owner == number
        rows, columns = np.nonzero(mine & (depth > px(9.0)) & (beyond < -px(1.0)))
        if not len(rows):
            continue
        for _ in range(gland.holes):
            site = plan.below(len(rows))
            hole = _hole(plan, len(owner), int(rows[site]), int(columns[site]))
            open_here = np.maximum(beyond, np.minimum(hole, depth - np.float32(8.0)))
            beyond = np.where(mine, open_here, beyond)
    return beyond


def _hole(plan: RandomStream, n: int, row: int, column: int) -> Field:
    radius = px(plan.uniform(5.0, 11.0))
    stretch = np.float32(plan.uniform(0.6, 1.4))
    axis = np.arange(n, dtype=np.float32)
    dx, dy = axis[None] - np.float32(column), axis[:, None] - np.float32(row)
    return np.float32(radius) - np.float32(2.0) * np.sqrt(dx * dx * stretch + dy * dy)


def render_glands(shape: GlandMap, size: int) -> GlandLayer:
    """Depths at full resolution, and gland and lumen instances."""
    inner = (frame(size), frame(size))
    depth, beyond = upsample(shape.depth[inner]), upsample(shape.beyond[inner])
    owner = upsample_labels(shape.owner[inner])
    inside = depth > 0
    open_space = inside & (beyond > 0)
    surface = np.array([False, *(gland.is_surface for gland in shape.glands)])
    gut = open_space & surface[owner]
    gland, classes = _gland_instances(shape, upsample_labels(shape.part[inner]), inside & ~gut)
    lumen = drop_small(_joined(open_space & ~gut), _SMALLEST_LUMEN_PX)
    return GlandLayer(
        owner, depth, beyond, upsample(shape.radial[inner]), gut, gland, classes, lumen
    )


def _joined(mask: Mask) -> Labels:
    return components(mask.astype(np.uint8), connectivity=1)


def _gland_instances(
    shape: GlandMap, part: NDArray[np.integer], inside: Mask
) -> tuple[Labels, NDArray[np.int64]]:
    part = np.where(inside, part, 0)
    present = np.bincount(part.ravel(), minlength=len(shape.part_owner)) > 0
    present[0] = False
    kinds = [int(shape.glands[k - 1].kind) for k in shape.part_owner[present].tolist()]
    return renumbering(present)[part], np.array(kinds, np.int64)


def cell_normal(shape: GlandMap, row: int, column: int) -> tuple[float, float] | None:
    """(sin, cos) of the direction into the gland at a cell, or None where it has none."""
    vector = unit_vector(float(shape.normal_x[row, column]), float(shape.normal_y[row, column]))
    return None if vector is None else (vector[1], vector[0])


def cell_centre(row: int, column: int) -> tuple[float, float]:
    """(x, y) in px of a cell of the half-resolution grid."""
    return to_px(column), to_px(row)
