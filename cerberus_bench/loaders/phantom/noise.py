"""Value noise as two small matrix products on integer-valued floats, exact in float32."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from cerberus_bench.loaders.phantom.randomness import RandomStream
from cerberus_bench.loaders.phantom.units import Field

_WEIGHT = 64
_BYTE = 255


@lru_cache(maxsize=256)
def _weights(size: int, scale: float) -> Field:
    """(size, lattice) float32 matrix of smoothstep weights in 1/64; two a row, summing to 64."""
    matrix = np.zeros((size, int(size / scale) + 3), np.float32)
    for i in range(size):
        position = i / scale
        j = int(position)
        t = position - j
        weight = int(t * t * (3.0 - 2.0 * t) * _WEIGHT + 0.5)
        matrix[i, j] += _WEIGHT - weight
        matrix[i, j + 1] += weight
    return matrix


def value_noise(
    random: RandomStream, size: int, scale: float, scale_y: float | None = None
) -> Field:
    """Smooth noise in 0 .. 1, (size, size) float32, with a lattice of `scale` samples.

    Every partial sum is an integer below 64 x 64 x 255 < 2^24, so the order of summation of a BLAS
    cannot change a bit.
    """
    rows = _weights(size, scale if scale_y is None else scale_y)
    columns = _weights(size, scale)
    shape = (rows.shape[1], columns.shape[1])
    lattice = random.raw_bytes(shape[0] * shape[1]).reshape(shape).astype(np.float32)
    return (rows @ lattice @ columns.T) * np.float32(1.0 / (_WEIGHT * _WEIGHT * _BYTE))


def fractal_noise(random: RandomStream, size: int, scale: float, octaves: int = 3) -> Field:
    """Value noise summed over octaves of halving scale and amplitude, in 0 .. 1."""
    total = value_noise(random, size, scale)
    amplitude, weight = 0.5, 1.0
    for _ in range(octaves - 1):
        scale /= 2.0
        total = total + np.float32(amplitude) * value_noise(random, size, scale)
        weight += amplitude
        amplitude *= 0.5
    return total * np.float32(1.0 / weight)
