"""From probability maps to instances, by the rules of the published post-processing.

Source: Graham et al., "One Model is All You Need", Medical Image Analysis 2023, and its published
inference code, whose results these functions reproduce object for object. All sizes are px.

Everything is done twice, with identical results: by the compiled kernel, and by NumPy and OpenCV
where it is not built.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.model_zoo import instances_compiled, instances_plain, kernel
from cerberus_bench.model_zoo.instance_measures import Measures
from cerberus_bench.model_zoo.pixel_edges import simple_rings
from cerberus_bench.model_zoo.region_rules import GLAND_RULES, LUMEN_RULES, RegionRules
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.machine import usable_cores

MOST_PIXELS = 2**31 - 1
"""Of one map; its sides are shorter than half of that."""
THREAD_PIXELS = 2**20
"""Maps of fewer pixels are done by one thread."""
MIN_CONTOUR_POINTS = 3
"""Objects whose outline has fewer points are left out of the instance table."""

SPARE_IDS = 2**20
"""Ids up to the number of pixels and this are counted as they are."""
MOST_ID, MOST_TYPE = 2**31 - 1, 2**16 - 1

_WAY = instances_compiled if kernel.USED else instances_plain


@dataclass(frozen=True, slots=True)
class InstanceTable:
    """One row an object, in ascending id order."""

    id: NDArray[np.int32]
    box: NDArray[np.int32]
    """(n, 4) y0, x0, y1, x1, half-open, px."""
    area: NDArray[np.int64]
    """(n,) px."""
    centroid: NDArray[np.float64]
    """(n, 2) x, y, px."""
    type: NDArray[np.int32]
    """(n,) majority class inside; 0 without a type map, or where it is all background."""
    type_prob: NDArray[np.float64]
    """(n,) share of the object's pixels that have this class; 0 without a type map."""
    score: NDArray[np.float64]
    """(n,) mean of the score map inside; 0 without one."""
    outline_xy: NDArray[np.int32]
    """(points, 2) x, y of all outer outlines, one behind the other, px."""
    outline_lengths: NDArray[np.int64]
    """(n,) points of each outline."""
    contours: list[NDArray[np.int32]]
    """The same, an array an object: (points, 2) x, y, px; parts of `outline_xy`."""

    def __len__(self) -> int:
        """How many objects there are."""
        return len(self.id)

    @property
    def starts_xy(self) -> NDArray[np.int32]:
        """(n, 2) first point of each outline, the first pixel in raster order of its part, px."""
        first = np.cumsum(self.outline_lengths) - self.outline_lengths
        return np.asarray(self.outline_xy[first], np.int32)


def nuclei_instances(
    prob: NDArray[np.float32],
    *,
    ties: Literal["published", "local"] = "published",
    threads: int | None = None,
) -> NDArray[np.int32]:
    """Nuclei of a probability map, by marker-controlled watershed.

    The components of the mask are flooded one by one, so that any number of threads gives the same
    map, and a map needs no blocks with halos. One thing only reaches beyond a component: where
    pixels of two markers come to one pixel over exactly the same probabilities, as they may in maps
    of few levels, scikit-image, on which the published code rests, takes the order that a heap of
    the whole map happens to have.

    Args:
        prob: (H, W, 2) inner and contour probabilities in 0..1, without NaN.
        ties: "published" takes that order, at ten times the time where there is such a tie;
            "local" takes raster order, so that a nucleus depends on its component alone: for maps
            that are parts of a larger one.
        threads: how many work; one a usable core when None. They change nothing in the result.

    Returns:
        (H, W) label map; ids ascend in raster order of the markers, 0 = background.

    Raises:
        DataError: the map has another shape, or more than 2**31 px; or `ties` is neither.
    """
    if ties not in ("published", "local"):
        raise DataError(f"ties={ties!r} is not known: published or local.")
    inner, contour = _channels(prob)
    labels: NDArray[np.int32] = _WAY.nuclei(
        inner,
        contour,
        published_ties=ties == "published",
        threads=_threads(threads, inner.size),
    )
    return labels


def gland_instances(prob: NDArray[np.float32], scale: float = 1.0) -> NDArray[np.int32]:
    """Glands of a probability map.

    Args:
        prob: (H, W, 2) inner and contour probabilities in 0..1.
        scale: px of this map a px of the network's output; slides are processed at 0.5.

    Returns:
        (H, W) label map, 0 = background. Ids follow the raster order of the objects; one that
        later objects cover wholly is missing.

    Raises:
        DataError: the map has another shape, or more than 2**31 px; or nothing is left of the
            dilation at this scale.
    """
    return _region_instances(prob, scale, GLAND_RULES)


def lumen_instances(prob: NDArray[np.float32], scale: float = 1.0) -> NDArray[np.int32]:
    """Lumina of a probability map, also those outside glands; see `gland_instances`."""
    return _region_instances(prob, scale, LUMEN_RULES)


def lumina_inside_glands(lumen: NDArray[np.int32], gland: NDArray[np.int32]) -> NDArray[np.int32]:
    """Label map of the lumina with every pixel outside glands removed."""
    return np.where(gland > 0, lumen, 0).astype(np.int32, copy=False)


def instance_table(
    labels: NDArray[np.integer],
    type_map: NDArray[np.integer] | None = None,
    score_map: NDArray[np.float32] | None = None,
    *,
    threads: int | None = None,
) -> InstanceTable:
    """Measure every object of a label map.

    An object's class is the most frequent one inside it, the second most frequent where that is
    background; of equally frequent ones the lower. Its outline is the one that OpenCV lists first:
    of an object in several 8-connected parts, that of the part whose first pixel in raster order
    comes last, parts in holes of others aside. Objects whose outline has fewer than three points
    are left out.

    Args:
        labels: (H, W) label map of ids from 0 to 2**31 - 1; 0 = background.
        type_map: (H, W) class of every pixel, 0 to 65,535, 0 = background; None leaves types 0.
        score_map: (H, W) score of every pixel; None leaves scores 0.
        threads: how many work; one a usable core when None. They change nothing in the result.

    Raises:
        DataError: ids or classes are out of range, the maps differ in shape, or have more than
            2**31 px.
    """
    _check_labels(labels)
    for name, other in (("type", type_map), ("score", score_map)):
        if other is not None and other.shape != labels.shape:
            raise DataError(
                f"the label map is {labels.shape} and its {name} map {other.shape}. "
                "Both must have the same height and width."
            )
    ids, dense = _compact(labels)
    found: Measures = _WAY.measure(
        dense,
        None if type_map is None else _compact_types(type_map),
        None if score_map is None else score_map.astype(np.float32, copy=False),
        threads=_threads(threads, labels.size),
    )
    return _table(found if ids is None else found._replace(id=ids))


def pixel_outlines(
    labels: NDArray[np.integer], starts_xy: NDArray[np.integer]
) -> list[NDArray[np.float64]]:
    """Outlines of objects along the edges of their pixels, as simple polygons.

    The polygon holds the centres of the pixels of one 8-connected part and of its holes, which are
    filled, and of no others. Its area is their number; where pixels touch at a corner only, they
    are joined there by 1/32 px more, so that the ring does not touch itself.

    Args:
        labels: (H, W) label map; see `instance_table`.
        starts_xy: (n, 2) x, y of the first pixel in raster order of the part, px; those of
            `InstanceTable.starts_xy` give the parts that its contours go around.

    Returns:
        (vertices, 2) x, y each, px, clockwise as seen on the screen, not closed. They count from
        the corner of the map: the centre of its first pixel is (0.5, 0.5).

    Raises:
        DataError: ids are out of range, or the map has more than 2**31 px.
        ValueError: a start is background or outside the map, or its own object is above it.
    """
    _check_labels(labels)
    corners, lengths = _WAY.edges(_compact(labels)[1], starts_xy.astype(np.int32, copy=False))
    vertices, lengths = simple_rings(corners, lengths)
    return [vertices[a:b] for a, b in pairwise([0, *np.cumsum(lengths).tolist()])]


def _channels(prob: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if prob.ndim != 3 or prob.shape[2] != 2:
        raise DataError(
            f"expected a probability map of shape (H, W, 2), inner and contour, got {prob.shape}. "
            "Take channels 1 and 2 of the softmax and move them last."
        )
    _check_size(prob.shape[:2])
    prob = prob.astype(np.float32, copy=False)
    return prob[..., 0], prob[..., 1]


def _check_labels(labels: NDArray[np.integer]) -> None:
    if labels.ndim != 2:
        raise DataError(f"expected a label map of shape (H, W), got {labels.shape}.")
    _check_size(labels.shape)


def _check_size(shape: tuple[int, ...]) -> None:
    if shape[0] * shape[1] > MOST_PIXELS or max(shape) >= MOST_PIXELS // 2:
        raise DataError(f"a map of {shape} px is too large. Cut it into parts with some overlap.")


def _threads(threads: int | None, n_pixels: int) -> int:
    if threads is not None:
        return threads
    if n_pixels < THREAD_PIXELS:
        return 1
    return usable_cores()


def _region_instances(
    prob: NDArray[np.float32], scale: float, rules: RegionRules
) -> NDArray[np.int32]:
    inner, contour = _channels(prob)
    labels: NDArray[np.int32] = _WAY.regions(inner, contour, rules=rules, scale=scale)
    return labels


def _compact(labels: NDArray[np.integer]) -> tuple[NDArray[np.int32] | None, NDArray[np.int32]]:
    """The map in 32 bits; ids that exceed the number of pixels by far are replaced by their ranks.

    Returns:
        The ids that ranks stand for, if any do, and the map.
    """
    low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    if low < 0 or high > MOST_ID:
        raise DataError(
            f"the label map holds id {low if low < 0 else high}; ids are whole numbers from 0 to "
            "2**31 - 1. Number the objects anew."
        )
    if high <= labels.size + SPARE_IDS:
        return None, labels.astype(np.int32, copy=False)
    present, rank = np.unique(labels, return_inverse=True)
    first = int(present[0] != 0)
    return present[1 - first :].astype(np.int32), (rank + first).astype(np.int32)


def _compact_types(type_map: NDArray[np.integer]) -> NDArray[np.uint16]:
    low, high = (int(type_map.min()), int(type_map.max())) if type_map.size else (0, 0)
    if low < 0 or high > MOST_TYPE:
        raise DataError(
            f"the type map holds class {low if low < 0 else high}; classes are whole numbers from "
            f"0 to {MOST_TYPE}."
        )
    return type_map.astype(np.uint16, copy=False)


def _table(found: Measures) -> InstanceTable:
    kept = found.outline_lengths >= MIN_CONTOUR_POINTS
    xy, lengths = found.outline_xy, found.outline_lengths
    if not kept.all():
        xy, lengths = xy[np.repeat(kept, lengths)], lengths[kept]
    area = found.area[kept]
    return InstanceTable(
        id=found.id[kept],
        box=found.box[kept],
        area=area,
        centroid=found.xy_sum[kept] / area[:, None],
        type=found.type[kept],
        type_prob=found.type_count[kept] / (area + 1e-6),
        score=found.value_sum[kept] / area,
        outline_xy=xy,
        outline_lengths=lengths,
        contours=[xy[a:b] for a, b in pairwise([0, *np.cumsum(lengths).tolist()])],
    )
