"""From probability maps to label maps, and from those to tables, by the compiled kernel.

_kernel.h names its parts. Maps may have any memory order; any number of threads gives the same.
"""

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.model_zoo import kernel
from cerberus_bench.model_zoo.instance_measures import Measures
from cerberus_bench.model_zoo.nucleus_rules import MARKER_MIN_AREA, MASK_MIN_AREA
from cerberus_bench.model_zoo.region_rules import RegionRules

Values = NDArray[np.float32]
Labels = NDArray[np.int32]
Types = NDArray[np.uint16]


def nuclei(inner: Values, contour: Values, *, published_ties: bool, threads: int) -> Labels:
    """Label map of the nuclei of two (H, W) maps."""
    labels = np.zeros(inner.shape, np.int32)
    kernel.compiled.nuclei(
        inner, contour, labels, MASK_MIN_AREA, MARKER_MIN_AREA, published_ties, threads
    )
    return labels


def regions(inner: Values, contour: Values, *, rules: RegionRules, scale: float) -> Labels:
    """Label map of the glands or lumina of two (H, W) maps."""
    labels = np.zeros(inner.shape, np.int32)
    kernel.compiled.regions(
        inner, contour, labels, rules.kernel(scale), rules.threshold, rules.min_area_at(scale)
    )
    return labels


def measure(
    labels: Labels, types: Types | None, values: Values | None, *, threads: int
) -> Measures:
    """Measure the objects of a label map.

    Args:
        labels: (H, W) with ids from 0 to a million above the number of pixels.
        types: (H, W) class of every pixel; None leaves types and their counts 0.
        values: (H, W); None leaves their sums 0.
        threads: how many work.
    """
    found = kernel.compiled.objects(
        np.ascontiguousarray(labels),
        None if types is None else np.ascontiguousarray(types),
        values,
        threads,
    )
    ids, boxes, areas, x_sums, y_sums, kinds, kind_counts, value_sums, lengths, points = found
    return Measures(
        id=np.frombuffer(ids, np.int32),
        box=np.frombuffer(boxes, np.int32).reshape(-1, 4),
        area=np.frombuffer(areas, np.int64),
        xy_sum=np.stack([np.frombuffer(sums, np.int64) for sums in (x_sums, y_sums)], axis=1),
        type=np.frombuffer(kinds, np.int32),
        type_count=np.frombuffer(kind_counts, np.int64),
        value_sum=np.frombuffer(value_sums, np.float64),
        outline_xy=np.frombuffer(points, np.int32).reshape(-1, 2),
        outline_lengths=np.frombuffer(lengths, np.int64),
    )


def edges(labels: Labels, starts_xy: Labels) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Outlines along the edges of pixels; see `pixel_edges.follow_edges`.

    Args:
        labels: (H, W).
        starts_xy: (n, 2) a pixel of each object, with none of it above.

    Returns:
        (corners, 2) x, y of all outlines, and (n,) how many each has.

    Raises:
        ValueError: a start is not as it should be.
    """
    lengths, corners = kernel.compiled.edges(
        np.ascontiguousarray(labels), np.ascontiguousarray(starts_xy)
    )
    return np.frombuffer(corners, np.int32).reshape(-1, 2), np.frombuffer(lengths, np.int64)
