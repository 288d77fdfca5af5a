"""The same as `instances_compiled` by NumPy and OpenCV, where there is no compiled kernel.

One thread works whatever is asked for.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cerberus_bench.model_zoo.instance_measures import Measures
from cerberus_bench.model_zoo.nucleus_rules import MARKER_MIN_AREA, MASK_MIN_AREA
from cerberus_bench.model_zoo.pixel_edges import follow_edges
from cerberus_bench.model_zoo.region_rules import Box, RegionRules, growing_box
from cerberus_bench.model_zoo.watershed import flood

Values = NDArray[np.float32]
Labels = NDArray[np.int32]
Types = NDArray[np.uint16]
Mask = NDArray[np.uint8]


def nuclei(inner: Values, contour: Values, *, published_ties: bool, threads: int) -> Labels:
    """Label map of the nuclei of two (H, W) maps."""
    if inner.size == 0:
        return np.zeros(inner.shape, np.int32)
    cross = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    eroded = _mask(cv2.erode(_mask(inner + contour > 0.5), cross))
    mask = _drop_small(eroded, MASK_MIN_AREA)
    markers = _drop_small(_mask(inner > 0.5), MARKER_MIN_AREA)
    return flood(inner, _components(_fill_holes(markers)), mask > 0, published_ties).labels


def regions(inner: Values, contour: Values, *, rules: RegionRules, scale: float) -> Labels:
    """Label map of the glands or lumina of two (H, W) maps."""
    kernel = rules.kernel(scale)
    grown = np.zeros(inner.shape, np.int32)
    if inner.size == 0:
        return grown
    foreground = _mask(rules.foreground(inner, contour))
    components = _components(_drop_small(foreground, rules.min_area_at(scale)))
    for i, box in enumerate(_boxes(components), start=1):
        window = growing_box(box, kernel, components.shape)
        one = _mask(cv2.dilate(_mask(components[window] == i), kernel))
        grown[window][_fill_holes(one) > 0] = i
    return grown


def measure(
    labels: Labels, types: Types | None, values: Values | None, *, threads: int
) -> Measures:
    """Measure the objects of a label map; see `instances_compiled.measure`."""
    ids, dense = _dense_labels(labels)
    n, ys_xs = len(ids), np.nonzero(dense)
    owner = dense[ys_xs] - 1
    boxes = _boxes(dense)
    outlines = [_outline(dense[box] == i, box) for i, box in enumerate(boxes, start=1)]
    area = np.bincount(owner, minlength=n)
    type_, type_count = _majority(owner, None if types is None else types[ys_xs], n)
    return Measures(
        id=ids,
        box=np.array([(y.start, x.start, y.stop, x.stop) for y, x in boxes], np.int32).reshape(
            n, 4
        ),
        area=area,
        xy_sum=np.stack([_sums(owner, axis, n).astype(np.int64) for axis in ys_xs[::-1]], axis=1),
        type=type_,
        type_count=type_count,
        value_sum=np.zeros(n) if values is None else _sums(owner, values[ys_xs], n),
        outline_xy=np.concatenate([np.zeros((0, 2), np.int32), *outlines]),
        outline_lengths=np.array([len(xy) for xy in outlines], np.int64),
    )


def edges(labels: Labels, starts_xy: Labels) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Outlines along the edges of pixels; see `instances_compiled.edges`."""
    framed = np.pad(labels, 1)
    outlines = [_edges(framed, x, y) for x, y in starts_xy.tolist()]
    corners = np.concatenate([np.zeros((0, 2), np.int32), *outlines])
    return corners, np.array([len(xy) for xy in outlines], np.int64)


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


def _dense_labels(labels: Labels) -> tuple[Labels, Labels]:
    """Ascending ids present, and the map with the i-th of them replaced by i + 1."""
    present = np.bincount(labels.ravel(), minlength=1) > 0
    present[0] = False
    rank = np.cumsum(present, dtype=np.int32)
    rank[~present] = 0
    return np.flatnonzero(present).astype(np.int32), rank[labels]


def _boxes(labels: Labels) -> list[Box]:
    """Half-open box of each id 1..n, all of which are present."""
    n = int(labels.max(initial=0))
    return [(rows, columns) for rows, columns in ndimage.find_objects(labels, n)] if n else []


def _sums(
    owner: NDArray[np.integer], values: NDArray[np.floating] | NDArray[np.integer], n: int
) -> NDArray[np.float64]:
    """Sum of values a pixel over the pixels of each object; exact for coordinates."""
    return np.bincount(owner, weights=values.astype(np.float64), minlength=n).astype(np.float64)


def _outline(mask: NDArray[np.bool_], box: Box) -> NDArray[np.int32]:
    contours, _ = cv2.findContours(_mask(mask), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    offset = np.array((box[1].start, box[0].start), dtype=np.int32)
    return np.asarray(contours[0].reshape(-1, 2) + offset, dtype=np.int32)


def _edges(framed: Labels, x: int, y: int) -> NDArray[np.int32]:
    """Outline from one start, on a map with a frame of background."""
    height, width = framed.shape
    own = framed[y + 1, x + 1] if 0 <= x < width - 2 and 0 <= y < height - 2 else 0
    if own == 0 or framed[y, x + 1] == own:
        raise ValueError("a start is no uppermost pixel of an object")
    return follow_edges(lambda u, v: bool(framed[v + 1, u + 1] == own), (x, y))


def _majority(
    owner: NDArray[np.int32], types: Types | None, n: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Most frequent class of each object, and how many pixels have it."""
    best, count = np.zeros(n, np.int32), np.zeros(n, np.int64)
    if types is None:
        return best, count
    pairs, counts = np.unique(owner.astype(np.int64) << 16 | types, return_counts=True)
    owners, classes = pairs >> 16, pairs & 0xFFFF
    # From least to most wanted, so that the last one stays: background, then by count, then class.
    order = np.lexsort((-classes, counts, classes > 0))
    best[owners[order]] = classes[order]
    count[owners[order]] = counts[order]
    return best, count
