"""Label maps of sources, in whatever way an image file stores small whole numbers."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.images import _open as open_picture
from cerberus_bench.schema.errors import DataError

_ROWS = 256
_CODED = {"1", "L", "P", "I", "I;16", "I;16B"}


def decode_codes(data: bytes, name: str) -> NDArray[np.int32]:
    """(H, W) ids or codes as stored: of 1, 8, 16 or 32 bit, or the indices of a palette.

    Raises:
        DataError: the bytes are no image, or one of several channels.
    """
    picture = open_picture(data, name)
    if picture.mode not in _CODED:
        raise DataError(
            f"{name} has mode {picture.mode}; expected one channel, whose values are codes. The"
            " file was re-encoded; take the one that the source distributes."
        )
    return np.array(picture).astype(np.int32)


def decode_foreground(data: bytes, name: str) -> NDArray[np.bool_]:
    """(H, W) True where a mask is not black. Alpha does not count.

    Raises:
        DataError: the bytes are no image.
    """
    picture = open_picture(data, name)
    values: NDArray[Any] = np.array(picture if picture.mode in _CODED else picture.convert("RGB"))
    brightest: NDArray[Any] = values if values.ndim == 2 else values.max(axis=2)
    foreground: NDArray[np.bool_] = brightest > 0
    return foreground


def label_parts(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """(H, W) label map of the connected parts of a mask; pixels that touch at a corner connect."""
    from scipy.ndimage import label

    labels: NDArray[np.int32] = np.zeros(mask.shape, np.int32)
    label(mask, structure=np.ones((3, 3)), output=labels)
    return labels


def tiff_mpp(data: bytes) -> float | None:
    """Microns per pixel that the resolution tags of a TIFF state, None where they say nothing.

    A value outside 0.05 to 5, such as the 72 dpi that many programs write, says nothing.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as picture:
            tags: Any = getattr(picture, "tag_v2", {})
            per_unit, unit = float(tags.get(282, 0)), int(tags.get(296, 2))
    except (OSError, SyntaxError, ValueError, TypeError, ZeroDivisionError):
        return None
    microns = {2: 25_400.0, 3: 10_000.0}.get(unit, 0.0)
    mpp = microns / per_unit if per_unit > 0 else 0.0
    return mpp if 0.05 <= mpp <= 5 else None


def area_shares(
    codes: NDArray[np.integer],
    classes: Sequence[str],
    inside: NDArray[np.bool_],
    name: str,
) -> dict[str, str]:
    """`area_<class>` -> share of the pixels inside, of the classes that are there.

    Args:
        codes: (H, W) codes, an index into `classes` each.
        classes: what they mean.
        inside: (H, W) pixels that count.
        name: how to speak of the file.

    Raises:
        DataError: a code has no meaning, or the masks are of different size.
    """
    if codes.shape != inside.shape:
        raise DataError(f"{name} is {codes.shape}, its image {inside.shape}. Obtain it again.")
    highest, lowest = int(codes.max(initial=0)), int(codes.min(initial=0))
    if lowest < 0 or highest >= len(classes):
        raise DataError(
            f"{name} holds the code {highest if lowest >= 0 else lowest}; expected 0 to"
            f" {len(classes) - 1}. Take the mask that the source distributes."
        )
    counts = np.zeros(len(classes), np.int64)
    for start in range(0, len(codes), _ROWS):  # counting takes 8 bytes a pixel
        rows = slice(start, start + _ROWS)
        counts += np.bincount(codes[rows][inside[rows]], minlength=len(classes))
    total = max(1, int(counts.sum()))
    return {f"area_{c}": f"{n / total:.4f}" for c, n in zip(classes, counts, strict=True) if n}
