"""F1, precision and recall of matched objects."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cerberus_bench.eval.counts import Counts, ratio
from cerberus_bench.eval.overlap import Overlap, as_overlap
from cerberus_bench.eval.pq import check_threshold, panoptic_counts


@dataclass(frozen=True, slots=True)
class F1Score:
    """F1 with its parts; ratios in [0, 1], NaN where undefined."""

    f1: float
    precision: float
    recall: float
    tp: int
    fp: int
    fn: int


@dataclass(frozen=True, slots=True)
class F1Counts(Counts):
    """True positives, false positives and false negatives."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    @property
    def f1(self) -> float:
        """2 tp / (2 tp + fp + fn); NaN where there is nothing on either side."""
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def precision(self) -> float:
        """Tp / (tp + fp); NaN where nothing is predicted."""
        return ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Tp / (tp + fn); NaN where the truth is empty."""
        return ratio(self.tp, self.tp + self.fn)

    def score(self) -> F1Score:
        """The ratios of these counts."""
        return F1Score(self.f1, self.precision, self.recall, self.tp, self.fp, self.fn)


def f1_counts(table: Overlap, iou: float = 0.5) -> F1Counts:
    """Count matched objects as `panoptic_quality` does."""
    counts = panoptic_counts(table, iou)
    return F1Counts(counts.tp, counts.fp, counts.fn)


def f1_counts_at(table: Overlap, thresholds: tuple[float, ...]) -> tuple[F1Counts, ...]:
    """Counts at several thresholds, all of at least .5, for little more than the price of one."""
    values = table.iou
    if (len(thresholds) and min(thresholds) < 0.5) or table.void.any():
        return tuple(f1_counts(table, threshold) for threshold in thresholds)
    hits = [int(np.count_nonzero(values > threshold)) for threshold in thresholds]
    return tuple(F1Counts(tp, table.n_prediction - tp, table.n_truth - tp) for tp in hits)


def f1(
    truth: ArrayLike | Overlap, prediction: ArrayLike | None = None, *, iou: float = 0.5
) -> F1Score:
    """F1 of the objects matched at IoU > `iou`; equal to DQ.

    Args:
        truth: (H, W) integer label map, or the table of both maps.
        prediction: (H, W) integer label map; left out where a table is given.
        iou: match threshold in [0, 1], as in `panoptic_quality`.

    Raises:
        DataError: see `overlap`; or the threshold is not in [0, 1].
    """
    check_threshold(iou)
    return f1_counts(as_overlap(truth, prediction), iou).score()
