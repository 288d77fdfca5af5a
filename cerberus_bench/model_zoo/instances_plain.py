"""From probability maps to label maps by NumPy and OpenCV, where there is no compiled kernel."""

import cv2
import numpy as np
from numpy.typing import NDArray

from cerberus_bench.model_zoo.nucleus_rules import MARKER_MIN_AREA, MASK_MIN_AREA
from cerberus_bench.model_zoo.watershed import flood

Probability = NDArray[np.float32]
Labels = NDArray[np.int32]
Mask = NDArray[np.uint8]


def nuclei(
    inner: Probability, contour: Probability, *, published_ties: bool, threads: int
) -> Labels:
    """Label map of the nuclei of two (H, W) maps; one thread works whatever is asked for."""
    if inner.size == 0:
        return np.zeros(inner.shape, np.int32)
    cross = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    eroded = _mask(cv2.erode(_mask(inner + contour > 0.5), cross))
    mask = _drop_small(eroded, MASK_MIN_AREA)
    markers = _drop_small(_mask(inner > 0.5), MARKER_MIN_AREA)
    return flood(inner, _components(_fill_holes(markers)), mask > 0, published_ties).labels


def _mask(values: NDArray[np.bool_] | cv2.typing.MatLike) -> Mask:
    return np.asarray(values, dtype=np.uint8)


def _components(mask: Mask) -> Labels:
    """4-connected components, numbered in raster order."""
    return np.asarray(cv2.connectedComponents(mask, connectivity=4)[1], dtype=np.int32)


def _drop_small(mask: Mask, min_area: int) -> Mask:
    """Remove 4-connected components of fewer than `min_area` px."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    keep = (stats[:, cv2.CC_STAT_AREA] >= min_area).astype(np.uint8)
    keep[0] = 0
    return _mask(keep[labels])


def _fill_holes(mask: Mask) -> Mask:
    """Fill the background that is not 4-connected to the outside of the image."""
    outside = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    cv2.floodFill(outside, None, (0, 0), 2, flags=4)
    return _mask(outside[1:-1, 1:-1] != 2)
