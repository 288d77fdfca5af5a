"""Random sequential adsorption: places cells one after another where there is still room."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.phantom.randomness import RandomStream
from cerberus_bench.loaders.phantom.units import Field, Mask

_RADIUS_STEP = 0.25
_TRIES_A_SITE = 40
_SPARE_TRIES = 200


@lru_cache(maxsize=128)
def _disc(radius: float) -> NDArray[np.uint8]:
    reach = int(radius)
    offset = np.arange(-reach, reach + 1)
    return ((offset[:, None] ** 2 + offset[None] ** 2) <= radius * radius).astype(np.uint8)


def place(
    random: RandomStream,
    occupied: NDArray[np.uint8],
    allowed: Mask,
    radius: float,
    most: int,
    density: Field | None = None,
) -> list[tuple[int, int]]:
    """Sites (row, column) on the half-resolution grid, no two nearer than `radius` cells.

    Args:
        random: source of the order in which cells are tried.
        occupied: byte map of taken cells; the discs of the new sites are added to it.
        allowed: where sites may lie.
        radius: least distance between sites, in cells (1 um each).
        most: number of sites wanted; fewer where room ends.
        density: probability in 0 .. 1 with which a cell is tried at all.
    """
    if most < 1:
        return []
    candidates = _candidates(random, occupied, allowed, most, density)
    disc = _disc(round(radius / _RADIUS_STEP) * _RADIUS_STEP)
    reach = disc.shape[0] // 2
    height, width = occupied.shape
    flat = occupied.reshape(-1)
    sites: list[tuple[int, int]] = []
    for cell in candidates:
        if flat[cell]:
            continue
        y, x = divmod(cell, width)
        top, bottom = max(y - reach, 0), min(y + reach + 1, height)
        left, right = max(x - reach, 0), min(x + reach + 1, width)
        occupied[top:bottom, left:right] |= disc[
            top - y + reach : bottom - y + reach, left - x + reach : right - x + reach
        ]
        sites.append((y, x))
        if len(sites) >= most:
            break
    return sites


def _candidates(
    random: RandomStream,
    occupied: NDArray[np.uint8],
    allowed: Mask,
    most: int,
    density: Field | None,
) -> list[int]:
    """Free cells in random order; only as many as are likely to be needed, which saves the sort."""
    cells = np.flatnonzero(allowed & (occupied == 0))
    keys = random.keys(len(cells))
    if density is not None:
        draw = (keys & np.uint64(0xFFFF)).astype(np.float32) * np.float32(1.0 / 65536)
        tried = draw < density.ravel()[cells]
        cells, keys = cells[tried], keys[tried]
    tries = min(len(cells), _TRIES_A_SITE * most + _SPARE_TRIES)
    if tries < len(cells):
        first = np.argpartition(keys, tries)[:tries]
        cells, keys = cells[first], keys[first]
    ordered: list[int] = cells[np.argsort(keys, kind="stable")].tolist()
    return ordered
