"""Regions of slides, larger than the bound that other images are held to."""

import io
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            picture = Image.open(io.BytesIO(data))
            if picture.width * picture.height > MAX_PIXELS:
                raise DataError(f"{name} is larger than any image expected here: {picture.size}")
            if picture.mode not in modes:
                raise DataError(
                    f"{name} has mode {picture.mode}; expected {' or '.join(sorted(modes))}. Take"
                    " the file that the source distributes."
                )
            picture.load()
        except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
            raise DataError(
                f"{name} cannot be decoded ({error}). It is damaged or cut short: obtain it again."
            ) from None
    return picture
