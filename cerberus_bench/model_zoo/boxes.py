"""Boxes on the grid of a box output: what it is taught, and what is read from it.

A centre is a peak of a map, and around it the network gives the distances to the four sides.
Source: Liu et al., "Training-Time-Friendly Network for Real-Time Object Detection", AAAI 2020,
section 3, after Zhou et al., "Objects as Points", arXiv 1904.07850. Boxes are x0 y0 x1 y1, px, and
pixel centres are whole numbers: an image reaches from -0.5 to its side less 0.5.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from cerberus_bench.schema.boxes import box_iou
from cerberus_bench.schema.model import BOX_STRIDE
from cerberus_bench.schema.tasks import SIGNET_RING

Boxes = NDArray[np.float32]

BOX = f"{SIGNET_RING.name}.box"
"""The output that this module is about."""

HEAT, WEIGHT, KNOWN, OPEN = 0, 5, 6, 7
"""Channels of a target: centres, weight of the distances, where background is known, where not."""
DISTANCES = slice(1, 5)
"""Channels of the distances to left, top, right and bottom, px, in a target and in an output."""
TARGET_CHANNELS = 8
SIGMA = 0.54 / 6
"""Deviation of the Gaussian of a centre, relative to the side of its box (Liu et al., 2020)."""
LEAST_SIGMA = 0.3
"""Of the smallest boxes, in cells of the grid."""
NEAR = 0.1
"""Height of the Gaussian from which on a cell learns the distances to the sides."""
LEAST_DISTANCE_PX = 0.5

SCORE_THRESHOLD = 0.3
"""Least probability of a centre that is reported (Zhou et al., 2019)."""
SAME_OBJECT_IOU = 0.5
"""Of two boxes that overlap more, only the likelier is kept."""


def box_target(boxes: Boxes, known: NDArray[np.bool_], *, is_open: bool) -> NDArray[np.float32]:
    """Target of a window.

    Each box makes a Gaussian that is 1 in the cell of its centre; where several meet, the higher
    one rules. In a window of which not every object is boxed (`is_open`), background is known only
    inside the boxes, which hold one object each.

    Args:
        boxes: (n, 4), px of the window; those whose centre lies outside teach their flank only.
        known: (H, W) where annotations count, px of the window.
        is_open: not every object is boxed.

    Returns:
        (8, H / 4, W / 4); see the channels above. Background is known at no place and open at no
        place where annotations do not count.
    """
    rows, columns = (side // BOX_STRIDE for side in known.shape)
    target = np.zeros((TARGET_CHANNELS, rows, columns), np.float32)
    counts = known.reshape(rows, BOX_STRIDE, columns, BOX_STRIDE).all(axis=(1, 3))
    x, y = (_cell_centres(n) for n in (columns, rows))
    boxes = boxes[(boxes[:, 2:] > -0.5).all(1) & (boxes[:, :2] < known.shape[::-1]).all(1)]
    if len(boxes):
        high = _gaussians(boxes[:, 1::2], rows)[:, :, None]
        heat = high * _gaussians(boxes[:, 0::2], columns)[:, None, :]
        owner = boxes[heat.argmax(0)]
        target[HEAT] = heat.max(0)
        x0, y0, x1, y1 = np.moveaxis(owner, -1, 0)
        sides = np.stack([x - x0, y[:, None] - y0, x1 - x, y1 - y[:, None]])
        target[DISTANCES] = np.maximum(sides, LEAST_DISTANCE_PX)
    inside = _within(boxes[:, 1::2], y).T @ _within(boxes[:, 0::2], x)
    target[WEIGHT] = np.where(counts & (target[HEAT] >= NEAR), target[HEAT], 0)
    target[KNOWN] = counts & inside if is_open else counts
    target[OPEN] = counts & ~inside if is_open else 0
    return target


def centre_boxes(target: NDArray[np.float32]) -> Boxes:
    """(n, 4) boxes of a target whose centre lies in it and counts."""
    rows, columns = np.nonzero((target[HEAT] == 1) & (target[WEIGHT] > 0))
    return _boxes_at(rows, columns, target[DISTANCES, rows, columns])


def find_boxes(
    found: NDArray[np.float32], shape: tuple[int, int], threshold: float = SCORE_THRESHOLD
) -> tuple[Boxes, NDArray[np.float64]]:
    """Boxes at the local maxima of the centres, without those that a likelier one overlaps.

    Args:
        found: (h, w, 5) as `heads.activate` gives it, the channels last.
        shape: (H, W) of the image, px; boxes are cut at its border.
        threshold: least probability of a centre.

    Returns:
        (n, 4) boxes, the likeliest first, and their (n,) probabilities.
    """
    heat = np.ascontiguousarray(found[..., HEAT])
    peaks = (heat >= threshold) & (heat == cv2.dilate(heat, np.ones((3, 3), np.uint8)))
    rows, columns = np.nonzero(peaks)
    boxes = _boxes_at(rows, columns, found[rows, columns, DISTANCES].T)
    limits = np.array([shape[1], shape[0]] * 2, np.float32) - np.float32(0.5)
    boxes = np.clip(boxes, np.float32(-0.5), limits)
    scores = heat[rows, columns].astype(np.float64)
    here = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(1))
    order = here[np.argsort(-scores[here], kind="stable")]
    kept = order[suppress(boxes[order], SAME_OBJECT_IOU)]
    return boxes[kept], scores[kept]


def suppress(boxes: Boxes, iou: float) -> NDArray[np.intp]:
    """Greedy non-maximum suppression.

    Args:
        boxes: (n, 4), the likeliest first.
        iou: a box that overlaps a kept one before it by more is dropped.

    Returns:
        Rows of the boxes that are kept, ascending.
    """
    left, kept = np.arange(len(boxes)), []
    wide = boxes.astype(np.float64)
    while len(left):
        first, rest = left[0], left[1:]
        kept.append(first)
        left = rest[box_iou(wide[first : first + 1], wide[rest])[0] <= iou]
    return np.array(kept, np.intp)


def _cell_centres(n: int) -> NDArray[np.float32]:
    """(n,) centres of the grid's cells along an axis, px."""
    return (np.arange(n, dtype=np.float32) + 0.5) * BOX_STRIDE - 0.5


def _gaussians(spans: Boxes, n: int) -> NDArray[np.float32]:
    """(boxes, n) Gaussian of each span (start, stop; px) over the n cells of an axis."""
    cell = np.floor((spans.mean(1, keepdims=True) + 0.5) / BOX_STRIDE)
    sigma = np.maximum(SIGMA * np.diff(spans) / BOX_STRIDE, LEAST_SIGMA)
    heights: NDArray[np.float32] = np.exp(-((np.arange(n) - cell) ** 2) / (2 * sigma**2))
    return heights.astype(np.float32)


def _within(spans: Boxes, places: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(boxes, n) which of n places along an axis lie in each span."""
    return (places >= spans[:, :1]) & (places <= spans[:, 1:])


def _boxes_at(
    rows: NDArray[np.intp], columns: NDArray[np.intp], distances: NDArray[np.float32]
) -> Boxes:
    """(n, 4) boxes around cells of the grid, from their (4, n) distances."""
    x, y = ((index + 0.5) * BOX_STRIDE - 0.5 for index in (columns, rows))
    left, top, right, bottom = distances
    return np.stack([x - left, y - top, x + right, y + bottom], axis=1).astype(np.float32)
