"""Drawing on RGB arrays: outlines of label maps, boxes, frames. Nothing is drawn in place."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import check_image

Image = NDArray[np.uint8]
"""(H, W, 3) RGB."""
LabelImage = NDArray[np.integer[Any]]
"""(H, W) ids, 0 = background."""
Colours = str | Mapping[int, str]
"""One `#rrggbb` for all objects, or one an id; an id without a colour is not drawn."""


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue (0..255) of `#rrggbb`.

    Raises:
        DataError: the text is no such colour.
    """
    try:
        red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    except ValueError:
        raise DataError(f"{colour!r} is no colour; write it as #rrggbb") from None
    return red, green, blue


def edges(labels: LabelImage, thickness: int = 1) -> NDArray[np.bool_]:
    """The outermost pixels of every object, `thickness` px deep.

    A pixel is on the edge where a 4-neighbour has another id, so two touching objects get one
    line each. The border of the image is no edge: an object cut by it stays open.

    Args:
        labels: (H, W) ids, 0 = background.
        thickness: depth of the line, px, at least 1.
    """
    across, down = labels[:, 1:] == labels[:, :-1], labels[1:] == labels[:-1]
    edge = np.zeros(labels.shape, bool)
    edge[:, 1:] |= ~across
    edge[:, :-1] |= ~across
    edge[1:] |= ~down
    edge[:-1] |= ~down
    edge &= labels != 0
    for _ in range(thickness - 1):
        inner = edge.copy()
        inner[:, 1:] |= edge[:, :-1] & across
        inner[:, :-1] |= edge[:, 1:] & across
        inner[1:] |= edge[:-1] & down
        inner[:-1] |= edge[1:] & down
        edge = inner
    return edge


def outline(image: Image, labels: LabelImage, colour: Colours, thickness: int = 1) -> Image:
    """The image with the outline of every object.

    Args:
        image: (H, W, 3) uint8.
        labels: (H, W) ids, 0 = background.
        colour: `#rrggbb`, or a colour an id.
        thickness: px, grown into the object.

    Raises:
        DataError: image and labels differ in height or width, or a colour is none.
    """
    _check(image, labels)
    return _paint(image, labels, edges(labels, thickness), colour, opacity=1.0)


def tint(image: Image, labels: LabelImage, colour: Colours, opacity: float = 0.3) -> Image:
    """The image with every object filled, mixed with what lies below.

    Args:
        image: (H, W, 3) uint8.
        labels: (H, W) ids, 0 = background.
        colour: `#rrggbb`, or a colour an id.
        opacity: 0 shows the image only, 1 the colour only.
    """
    _check(image, labels)
    return _paint(image, labels, labels != 0, colour, opacity)


def boxes(
    image: Image,
    corners: NDArray[np.floating[Any]],
    colour: str | list[str],
    thickness: int = 1,
) -> Image:
    """The image with rectangles; parts outside the image are cut off.

    Args:
        image: (H, W, 3) uint8.
        corners: (n, 4) x0 y0 x1 y1, px.
        colour: one for all, or one a box.
        thickness: px, grown inwards.
    """
    check_image(image, "image")
    drawn = image.copy()
    colours = [colour] * len(corners) if isinstance(colour, str) else colour
    limit = np.array([image.shape[1], image.shape[0]] * 2)
    whole = np.clip(np.rint(corners), 0, limit).astype(int).reshape(-1, 4)
    for (x0, y0, x1, y1), one in zip(whole, colours, strict=True):
        drawn[y0:y1, x0:x1] = _framed(image[y0:y1, x0:x1], drawn[y0:y1, x0:x1], one, thickness)
    return drawn


def frame(image: Image, colour: str, thickness: int = 4) -> Image:
    """The image with a border of `thickness` px drawn over its outermost pixels."""
    check_image(image, "image")
    return _framed(image, image, colour, thickness)


def _framed(image: Image, below: Image, colour: str, thickness: int) -> Image:
    inside = np.zeros(image.shape[:2], bool)
    inside[thickness:-thickness, thickness:-thickness] = True
    return np.where(inside[..., None], below, np.array(rgb(colour), np.uint8))


def _check(image: Image, labels: LabelImage) -> None:
    check_image(image, "image")
    if labels.shape != image.shape[:2]:
        raise DataError(
            f"a label map of shape {labels.shape} cannot be drawn on an image of shape"
            f" {image.shape[:2]}; give both on the same grid"
        )


def _paint(
    image: Image, labels: LabelImage, where: NDArray[np.bool_], colour: Colours, opacity: float
) -> Image:
    drawn = image.copy()
    pixels, colours = _colour_pixels(labels, where, colour)
    mixed = opacity * colours + (1 - opacity) * image[pixels]
    drawn[pixels] = np.rint(mixed).astype(np.uint8)
    return drawn


def _colour_pixels(
    labels: LabelImage, where: NDArray[np.bool_], colour: Colours
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    if isinstance(colour, str):
        return where, np.broadcast_to(np.array(rgb(colour), float), (int(where.sum()), 3))
    ids, inverse = np.unique(labels[where], return_inverse=True)
    known = np.array([int(i) in colour for i in ids], bool)
    palette = np.array([rgb(colour.get(int(i), "#000000")) for i in ids], float).reshape(-1, 3)
    shown = where.copy()
    shown[where] = known[inverse]
    return shown, palette[inverse[known[inverse]]]
