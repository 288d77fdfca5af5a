"""Regions of slides, larger than the bound that other images are held to."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.images import load_pixels, open_bounded
from cerberus_bench.schema.errors import DataError

MAX_PIXELS = 150_000_000
"""The largest region of BCSS has about 125 million; Pillow's own bound is 89 million."""


def decode_large_rgb(data: bytes, name: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of an 8-bit colour image of up to `MAX_PIXELS`; alpha is dropped.

    Raises:
        DataError: the bytes are no image, one of another kind, or a larger one.
    """
    picture = _load(data, name, {"RGB", "RGBA", "P"})
    return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"))


def decode_large_codes(data: bytes, name: str) -> NDArray[np.uint8]:
    """(H, W) uint8 codes of an 8-bit image of one channel, of up to `MAX_PIXELS`.

    Raises:
        DataError: as `decode_large_rgb`.
    """
    return np.array(_load(data, name, {"L", "P"}))


def _load(data: bytes, name: str, modes: set[str]) -> Any:
    picture = open_bounded(data, name, MAX_PIXELS)
    if picture.mode not in modes:
        raise DataError(
            f"{name} has mode {picture.mode}; expected {' or '.join(sorted(modes))}. Take the file"
            " that the source distributes."
        )
    load_pixels(picture, name)
    return picture
