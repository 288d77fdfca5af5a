"""Lengths and array types that every phantom module shares."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Field: TypeAlias = NDArray[np.floating[Any]]
"""A float32 image of a concentration, a depth or a texture."""

Labels: TypeAlias = NDArray[np.int32]
"""An int32 label map; 0 is background."""

Mask: TypeAlias = NDArray[np.bool_]

MPP = 0.5
"""Microns a pixel of every phantom image."""

PAD = 24
"""Cells of the half-resolution grid added on each side, so that the frame is nothing special."""


def px(um: float) -> float:
    """Pixels at `MPP` for a length in um."""
    return um / MPP


def half_grid(size: int) -> int:
    """Cells along a side of the padded half-resolution grid for an image of `size` px."""
    return size // 2 + 2 * PAD


def frame(size: int) -> slice:
    """The cells of the half-resolution grid that lie inside the image."""
    return slice(PAD, PAD + size // 2)


def to_px(cell: int) -> float:
    """Pixel coordinate of the centre of a half-resolution cell."""
    return (cell - PAD) * 2.0 + 1.0


def clamp(values: Any, low: float, high: float) -> Field:
    """`values` limited to [low, high]; elementwise minimum and maximum only."""
    clamped: Field = np.minimum(np.maximum(values, np.float32(low)), np.float32(high))
    return clamped


def limit(value: float, low: float, high: float) -> float:
    """A scalar limited to [low, high]."""
    return min(max(value, low), high)
