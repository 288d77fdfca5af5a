"""Random numbers from raw Philox words.

NumPy promises the raw words of a bit generator, not the output of `Generator` methods; everything
here is integer arithmetic on those words, or float64 sums in a fixed order.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.phantom.tables import sincos
from cerberus_bench.schema.errors import DataError

VERSION = 1
"""Version of the recipe; a change of any byte of any scene needs a new one."""

_T = TypeVar("_T")
_BUFFER = 256
_UNIT = 2.0**-53
_IRWIN_HALL_SCALE = 1.7320508
_MAX_SEED = 1 << 48
_MAX_INDEX = 1 << 48


class Family(IntEnum):
    """The kinds of image; each has slides and streams of its own."""

    MUCOSA = 1
    TISSUE = 2
    SIGNET_RING = 3


class Purpose(IntEnum):
    """What a stream decides, so that a change of one leaves the others alone."""

    SLIDE = 1
    PLAN = 2
    TEXTURE = 3
    CELLS = 4
    PAINT = 5
    CAMERA = 6


class RandomStream:
    """Endless random numbers keyed by version, seed, family, purpose and index, on any machine."""

    def __init__(self, seed: int, family: Family, purpose: Purpose, index: int) -> None:
        """Open the stream; raises DataError for a seed or index outside 0 .. 2^48 - 1."""
        if not 0 <= seed < _MAX_SEED:
            raise DataError(f"phantom seed {seed} is outside 0 .. 2^48 - 1; choose one inside")
        if not 0 <= index < _MAX_INDEX:
            raise DataError(f"phantom index {index} is outside 0 .. 2^48 - 1; choose one inside")
        stream = (family << 8) | purpose
        key = np.array([(seed << 16) | stream, (VERSION << 48) | index], np.uint64)
        self._words = np.random.Philox(key=key)
        self._buffer: list[float] = []

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """One number in [low, high)."""
        if not self._buffer:
            self._buffer = self._unit(_BUFFER).tolist()
        return low + (high - low) * self._buffer.pop()

    def normal(self, mean: float = 0.0, sd: float = 1.0) -> float:
        """One nearly normal number (sum of four uniforms: no logarithm), within 3.46 sd."""
        total = self.uniform() + self.uniform() + self.uniform() + self.uniform()
        return mean + sd * _IRWIN_HALL_SCALE * (total - 2.0)

    def below(self, n: int) -> int:
        """One integer in 0 .. n - 1."""
        return min(int(self.uniform() * n), n - 1)

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.uniform() < probability

    def choice(self, items: Sequence[_T], weights: Sequence[float]) -> _T:
        """One item, drawn with the given weights."""
        rest = self.uniform() * sum(weights)
        for item, weight in zip(items, weights, strict=True):
            rest -= weight
            if rest < 0:
                return item
        return items[-1]

    def direction(self) -> tuple[float, float]:
        """Sine and cosine of a random angle."""
        return sincos(self.uniform())

    def uniforms(self, n: int, low: float = 0.0, high: float = 1.0) -> NDArray[np.float64]:
        """`n` numbers in [low, high)."""
        return low + (high - low) * self._unit(n)

    def raw_bytes(self, n: int) -> NDArray[np.uint8]:
        """`n` random bytes."""
        words = np.asarray(self._words.random_raw((n + 7) // 8), dtype="<u8")
        return words.view(np.uint8)[:n]

    def keys(self, n: int) -> NDArray[np.uint64]:
        """`n` random 64-bit sort keys."""
        return np.asarray(self._words.random_raw(n), dtype=np.uint64)

    def _unit(self, n: int) -> NDArray[np.float64]:
        words = self._words.random_raw(n)
        return (words >> np.uint64(11)).astype(np.float64) * _UNIT
