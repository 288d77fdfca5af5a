"""F1 of detected points within a radius of true points."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cerberus_bench.eval.f1 import F1Counts
from cerberus_bench.eval.matching import assign
from cerberus_bench.eval.overlap import Float64, Int64
from cerberus_bench.schema.errors import DataError

PointMatch = Literal["gated", "hover_net"]
"""gated: among pairs within the radius, most pairs, then the smallest total distance.
hover_net: the assignment of all points of smallest total distance, then the radius."""


@dataclass(frozen=True, slots=True, eq=False)
class DetectionF1:
    """F1 of points; ratios in [0, 1], NaN where undefined."""

    f1: float
    precision: float
    recall: float
    tp: int
    fp: int
    fn: int
    pairs: Int64
    """(tp, 2) row of the truth and row of the prediction, in order of truth."""


def detection_f1(
    truth_xy: ArrayLike,
    prediction_xy: ArrayLike,
    radius: float,
    match: PointMatch = "gated",
) -> DetectionF1:
    """F1 of points matched one to one within a radius.

    Args:
        truth_xy: (n, 2) true points.
        prediction_xy: (m, 2) predicted points, in the same unit.
        radius: largest distance of a match, inclusive. Usual for nuclei: 3 um, which is 12 px at
            0.25 and 6 px at 0.5 um per px.
        match: see `PointMatch`; "hover_net" reproduces published F_d (Graham et al., HoVer-Net,
            2019, section 4.2).

    Raises:
        DataError: points are not (n, 2) and finite, the radius is negative, or the match unknown.
    """
    truth, prediction = _points(truth_xy, "truth_xy"), _points(prediction_xy, "prediction_xy")
    pairs = match_points(truth, prediction, radius, match)
    tp = len(pairs)
    score = F1Counts(tp, len(prediction) - tp, len(truth) - tp).score()
    return DetectionF1(score.f1, score.precision, score.recall, tp, score.fp, score.fn, pairs)


def match_points(
    truth: Float64, prediction: Float64, radius: float, match: PointMatch = "gated"
) -> Int64:
    """(tp, 2) matched rows of truth and prediction, in order of truth. See `detection_f1`."""
    if not radius >= 0:
        raise DataError(f"radius {radius} is negative or no number")
    if match not in ("gated", "hover_net"):
        raise DataError(f"match {match!r} is not known; choose gated or hover_net")
    if len(truth) == 0 or len(prediction) == 0:
        return np.empty((0, 2), np.int64)
    if match == "hover_net":
        return _assign_then_gate(truth, prediction, radius)
    return _gate_then_assign(truth, prediction, radius)


def _gate_then_assign(truth: Float64, prediction: Float64, radius: float) -> Int64:
    from scipy.spatial import KDTree

    # The tree rounds its own way at the rim: ask a little wider, then compare distances here.
    near = KDTree(truth).sparse_distance_matrix(
        KDTree(prediction), radius * (1 + 1e-9), output_type="ndarray"
    )
    left, right = near["i"].astype(np.int64), near["j"].astype(np.int64)
    distance = np.sqrt(((truth[left] - prediction[right]) ** 2).sum(axis=1))
    within = distance <= radius
    left, right, distance = left[within], right[within], distance[within]
    # A constant gain a pair that exceeds any total of distances makes the number of pairs come
    # first.
    gain = radius * (min(len(truth), len(prediction)) + 1) + 1 - distance
    rows = assign(left, right, gain)
    pairs = np.stack([left[rows], right[rows]], axis=1)
    return pairs[np.argsort(pairs[:, 0])]


def _assign_then_gate(truth: Float64, prediction: Float64, radius: float) -> Int64:
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    distance = cdist(truth, prediction)
    left, right = linear_sum_assignment(distance)
    within = distance[left, right] <= radius
    return np.stack([left[within], right[within]], axis=1).astype(np.int64)


def _points(points: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(points, np.float64)
    if array.size == 0:
        return np.empty((0, 2))
    if array.ndim != 2 or array.shape[1] != 2 or not np.isfinite(array).all():
        raise DataError(f"{name} has shape {array.shape}; expected finite points of shape (n, 2)")
    return array
