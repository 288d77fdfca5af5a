"""Masks that are stored as pictures, in whatever mode and with whatever loss."""

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.images import _open as open_picture
from cerberus_bench.schema.errors import DataError

_MODES = {"L", "1", "P", "LA", "RGB", "RGBA"}


def decode_brightness(data: bytes, name: str) -> NDArray[np.uint8]:
    """(H, W) uint8 brightness, 0 to 255, of a mask of two levels, of grey, or in colour.

    Raises:
        DataError: the bytes are no image, or have more than 8 bit.
    """
    picture = open_picture(data, name)
    if picture.mode not in _MODES:
        raise DataError(f"{name} has mode {picture.mode}; expected a mask of 8 bit")
    return np.array(picture.convert("L"))
