"""Aggregated Jaccard index, with and without reuse of predictions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cerberus_bench.eval.counts import Counts, ratio
from cerberus_bench.eval.matching import assign
from cerberus_bench.eval.overlap import Float64, Int64, Overlap, as_overlap

EPSILON = 1e-6
"""Added to the union wherever the references choose partners; it decides exact ties as they do."""


@dataclass(frozen=True, slots=True)
class JaccardCounts(Counts):
    """Pixels behind AJI and AJI+."""

    intersection: int = 0
    """px shared by chosen pairs."""
    union: int = 0
    """px in either object of chosen pairs, and of all objects left over."""

    @property
    def index(self) -> float:
        """Intersection over union in [0, 1]; NaN where both maps are empty."""
        return ratio(self.intersection, self.union)


def aji_counts(table: Overlap) -> JaccardCounts:
    """Each truth object takes the prediction of largest IoU, which others may take too."""
    return _aggregate(table, _best_prediction(table))


def aji_plus_counts(table: Overlap) -> JaccardCounts:
    """Truth objects and predictions are paired one to one with the largest total IoU."""
    return _aggregate(table, assign(table.pair_truth, table.pair_prediction, _soft_iou(table)))


def aji(truth: ArrayLike | Overlap, prediction: ArrayLike | None = None) -> float:
    """Aggregated Jaccard index in [0, 1]; NaN where both maps are empty.

    Kumar et al., A Dataset and a Technique for Generalized Nuclear Segmentation for Computational
    Pathology, 2017, as computed by hover_net: a prediction may serve several truth objects, and
    the lowest id wins a tie.

    Args:
        truth: (H, W) integer label map, or the table of both maps.
        prediction: (H, W) integer label map; left out where a table is given.

    Raises:
        DataError: see `overlap`.
    """
    return aji_counts(as_overlap(truth, prediction)).index


def aji_plus(truth: ArrayLike | Overlap, prediction: ArrayLike | None = None) -> float:
    """AJI with one-to-one pairs (AJI+) in [0, 1]; NaN where both maps are empty.

    Graham et al., HoVer-Net, 2019. The assignment maximises the total IoU without a threshold.
    Arguments as in `aji`.
    """
    return aji_plus_counts(as_overlap(truth, prediction)).index


def _soft_iou(table: Overlap) -> Float64:
    return table.intersection / (table.union + EPSILON)


def _best_prediction(table: Overlap) -> Int64:
    """For each truth object that meets a prediction, the row of its best pair."""
    if len(table.intersection) == 0:
        return np.empty(0, np.int64)
    iou = _soft_iou(table)
    first = np.flatnonzero(np.diff(table.pair_truth, prepend=-1))
    best = np.repeat(np.maximum.reduceat(iou, first), np.diff(first, append=len(iou)))
    candidates = np.flatnonzero(iou == best)
    truth = table.pair_truth[candidates]
    return candidates[np.diff(truth, prepend=-1) > 0]


def _aggregate(table: Overlap, rows: Int64) -> JaccardCounts:
    lone_truth = np.ones(table.n_truth, np.bool_)
    lone_truth[table.pair_truth[rows]] = False
    lone_prediction = np.ones(table.n_prediction, np.bool_)
    lone_prediction[table.pair_prediction[rows]] = False
    union = table.union[rows].sum()
    union += table.truth_areas[lone_truth].sum() + table.prediction_areas[lone_prediction].sum()
    return JaccardCounts(int(table.intersection[rows].sum()), int(union))
