"""Paints soft ellipses ("blobs") of stain, and the label of each in the same stroke.

The profile of many blobs is evaluated in one batch of equal windows; only the paste is a Python
loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.phantom.noise import value_noise
from cerberus_bench.loaders.phantom.randomness import RandomStream
from cerberus_bench.loaders.phantom.units import Field, Labels, clamp

CLEAR = -1
"""Label of a blob that removes the label of what it covers."""

_REACHES = (5, 7, 9, 11, 13, 16, 20, 26, 64)
"""Half sizes of the windows, px; a blob is evaluated in the smallest that holds it."""

_BATCH_ELEMENTS = 40_000
"""Elements a batch: fits a level-2 cache; ten times more was 1.6 times slower."""

_TILE = 256
_LABEL_FROM = 0.5


class Blob(NamedTuple):
    """One soft, lumpy ellipse; lengths in px, stains in concentration (optical density)."""

    label: int
    """Id to write where the blob is at least half opaque; 0 none, `CLEAR` erases."""
    x: float
    y: float
    a: float
    """Semi-axis along the direction (cos, sin)."""
    b: float
    sin: float
    cos: float
    haematoxylin: float
    eosin: float
    red: float = 0.0
    rim: float = 0.0
    """How much darker the border is than the middle."""
    chromatin: float = 0.0
    """Contrast of the inner texture."""
    keep: float = 0.45
    """Share of what lies below that shows through."""
    softness: float = 1.3
    """Width of the edge, px."""
    lump: float = 0.0
    """Amplitude of the second and third harmonics of the outline."""


@dataclass(slots=True)
class Canvas:
    """Concentrations of the three stains and the nuclei painted so far; (H, W) each."""

    haematoxylin: Field
    eosin: Field
    red: Field
    labels: Labels

    @classmethod
    def blank(cls, size: int) -> Canvas:
        """Clear glass of `size` x `size` px."""
        shape = (size, size)
        return cls(
            np.zeros(shape, np.float32),
            np.zeros(shape, np.float32),
            np.zeros(shape, np.float32),
            np.zeros(shape, np.int32),
        )


class _Stamp(NamedTuple):
    x: int
    y: int
    alpha: Field
    gain: Field


def chromatin_tile(random: RandomStream) -> Field:
    """A 256 x 256 texture around 0, from which every blob takes a window."""
    coarse = (value_noise(random, _TILE, 2.6) - np.float32(0.5)) * np.float32(2.0)
    return coarse + (value_noise(random, _TILE, 5.0) - np.float32(0.5)) * np.float32(0.8)


def paint(canvas: Canvas, blobs: Sequence[Blob], tile: Field, random: RandomStream) -> None:
    """Paint `blobs` in order; later ones cover earlier ones, in stain and in label."""
    if not blobs:
        return
    for blob, stamp in zip(blobs, _stamps(blobs, tile, random), strict=True):
        _paste(canvas, blob, stamp)


def _stamps(blobs: Sequence[Blob], tile: Field, random: RandomStream) -> list[_Stamp]:
    table = np.array(blobs, np.float64)
    count = len(table)
    harmonics = random.uniforms(4 * count, -1.0, 1.0).reshape(4, count).astype(np.float32)
    offsets = (random.uniforms(2 * count) * _TILE).astype(np.int64).reshape(2, count)
    extent = np.maximum(table[:, 3], table[:, 4]) * 1.3 + 2.0
    stamps: list[_Stamp | None] = [None] * count
    smaller = 0
    for reach in _REACHES:
        last = reach == _REACHES[-1]
        fits = np.flatnonzero((extent > smaller) & ((extent <= reach) | last))
        smaller = reach
        step = max(_BATCH_ELEMENTS // (4 * reach * reach), 1)
        for start in range(0, len(fits), step):
            rows = fits[start : start + step]
            batch = _evaluate(table[rows], harmonics[:, rows], offsets[:, rows], reach, tile)
            for row, stamp in zip(rows.tolist(), batch, strict=True):
                stamps[row] = stamp
    return [stamp for stamp in stamps if stamp is not None]


def _evaluate(
    rows: NDArray[np.float64],
    harmonics: Field,
    offsets: NDArray[np.int64],
    reach: int,
    tile: Field,
) -> list[_Stamp]:
    """Opacity and inner texture of a batch of blobs on windows of 2 x reach px."""
    left = np.floor(rows[:, 1]).astype(np.int64) - reach
    top = np.floor(rows[:, 2]).astype(np.int64) - reach
    a, b = _column(rows, 3), _column(rows, 4)
    rho = _elliptic_radius(rows, left, top, reach, harmonics)
    inside = (np.float32(1.0) - rho) * np.sqrt(a * b)
    alpha = inside * (np.float32(1.0) / _column(rows, 13))
    alpha += np.float32(0.5)
    np.maximum(alpha, np.float32(0.0), out=alpha)
    np.minimum(alpha, np.float32(1.0), out=alpha)
    gain = clamp(inside * np.float32(-0.4) + np.float32(1.0), -1.0, 1.0)
    gain *= _column(rows, 10)
    gain += np.float32(1.0)
    gain += _windows(tile, offsets, 2 * reach) * _column(rows, 11)
    origins = zip(left.tolist(), top.tolist(), strict=True)
    return [_Stamp(x, y, alpha[i], gain[i]) for i, (x, y) in enumerate(origins)]


def _column(rows: NDArray[np.float64], index: int) -> Field:
    return rows[:, index].astype(np.float32)[:, None, None]


def _elliptic_radius(
    rows: NDArray[np.float64],
    left: NDArray[np.int64],
    top: NDArray[np.int64],
    reach: int,
    harmonics: Field,
) -> Field:
    """Radius in units of the outline: 1 on it. Harmonics come from polynomials, not from angles."""
    step = np.arange(2 * reach, dtype=np.float32) + np.float32(0.5)
    dx = (step + (left - rows[:, 1]).astype(np.float32)[:, None])[:, None, :]
    dy = (step + (top - rows[:, 2]).astype(np.float32)[:, None])[:, :, None]
    sin, cos = _column(rows, 5), _column(rows, 6)
    p = (dx * cos + dy * sin) / _column(rows, 3)
    q = (dy * cos - dx * sin) / _column(rows, 4)
    rho = np.sqrt(p * p + q * q) + np.float32(1e-3)
    lump = rows[:, 14].astype(np.float32)
    if not np.any(lump > 0):
        return rho
    u = harmonics[:, :, None, None] * lump[:, None, None]
    inverse = np.float32(1.0) / rho
    c1, s1 = p * inverse, q * inverse
    c2, s2 = c1 * c1 - s1 * s1, np.float32(2.0) * c1 * s1
    c3, s3 = c2 * c1 - s2 * s1, s2 * c1 + c2 * s1
    lumpy: Field = rho / (np.float32(1.0) + u[0] * c2 + u[1] * s2 + u[2] * c3 + u[3] * s3)
    return lumpy


def _windows(tile: Field, offsets: NDArray[np.int64], width: int) -> Field:
    step = np.arange(width)
    rows = (offsets[0][:, None] + step[None]) & (_TILE - 1)
    columns = (offsets[1][:, None] + step[None]) & (_TILE - 1)
    windows: Field = tile[rows[:, :, None], columns[:, None, :]]
    return windows


def _paste(canvas: Canvas, blob: Blob, stamp: _Stamp) -> None:
    height, width = canvas.labels.shape
    side = stamp.alpha.shape[0]
    top, bottom = max(stamp.y, 0), min(stamp.y + side, height)
    left, right = max(stamp.x, 0), min(stamp.x + side, width)
    if top >= bottom or left >= right:
        return
    window = (slice(top, bottom), slice(left, right))
    part = (slice(top - stamp.y, bottom - stamp.y), slice(left - stamp.x, right - stamp.x))
    alpha, gain = stamp.alpha[part], stamp.gain[part]
    covered = np.float32(1.0) - np.float32(blob.keep)
    _blend(canvas.haematoxylin[window], alpha, gain, blob.haematoxylin, covered)
    _blend(canvas.eosin[window], alpha, gain, blob.eosin, covered)
    if blob.red or blob.keep < 0.3:
        _blend(canvas.red[window], alpha, gain, blob.red, covered)
    if blob.label:
        canvas.labels[window][alpha >= _LABEL_FROM] = max(blob.label, 0)


def _blend(field: Field, alpha: Field, gain: Field, value: float, covered: np.float32) -> None:
    """Field += alpha (gain value - covered field), in place."""
    field += alpha * (gain * np.float32(value) - covered * field)
