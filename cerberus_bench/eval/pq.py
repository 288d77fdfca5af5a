"""Panoptic quality of one class or of none.

Kirillov et al., Panoptic Segmentation, 2019, section 4.1; named detection quality (DQ) and
segmentation quality (SQ) in Graham et al., HoVer-Net, 2019.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from cerberus_bench.eval.counts import Counts
from cerberus_bench.eval.matching import match
from cerberus_bench.eval.overlap import Overlap, as_overlap
from cerberus_bench.schema.errors import DataError

Convention = Literal["exact", "hover_net", "conic", "pannuke", "ge"]
"""How a panoptic quality is computed where published implementations differ.

| name | match | DQ denominator | SQ denominator | both empty | truth empty |
| --- | --- | --- | --- | --- | --- |
| exact | IoU > t | as is | as is | NaN | 0 |
| hover_net | IoU > t | as is | + 1e-6 | NaN | 0 |
| conic | IoU > t | + 1e-6 | + 1e-6 | 0 | 0 |
| pannuke | IoU > t | as is | + 1e-6 | NaN | NaN |
| ge | IoU >= t | as is | as is | NaN | 0 |
"""

EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class PanopticQuality:
    """Panoptic quality with its factors and counts. Ratios are in [0, 1], NaN where undefined."""

    dq: float
    """Detection quality, tp / (tp + fp/2 + fn/2): F1 of the matched objects."""
    sq: float
    """Segmentation quality: mean IoU of the matched pairs, 0 where none matched."""
    pq: float
    """dq * sq."""
    tp: int
    fp: int
    fn: int
    sum_iou: float
    """IoU summed over the matched pairs."""


@dataclass(frozen=True, slots=True)
class PanopticCounts(Counts):
    """Counts behind DQ, SQ, PQ and F1."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    sum_iou: float = 0.0

    def quality(self, convention: Convention = "exact") -> PanopticQuality:
        """The ratios of these counts.

        Raises:
            DataError: the convention is not known.
        """
        dq, sq = _ratios(self, check_convention(convention))
        return PanopticQuality(dq, sq, dq * sq, self.tp, self.fp, self.fn, self.sum_iou)


def panoptic_counts(
    table: Overlap, iou: float = 0.5, convention: Convention = "exact"
) -> PanopticCounts:
    """Match the objects of a table and count; the convention only decides > or >=."""
    matches = match(table, iou, inclusive=convention == "ge")
    spared = table.void.copy()
    spared[matches.prediction] = True
    tp = len(matches.iou)
    fp = table.n_prediction - int(np.count_nonzero(spared))
    return PanopticCounts(tp, fp, table.n_truth - tp, float(matches.iou.sum()))


def panoptic_quality(
    truth: ArrayLike | Overlap,
    prediction: ArrayLike | None = None,
    *,
    iou: float = 0.5,
    convention: Convention = "exact",
) -> PanopticQuality:
    """Panoptic quality of one image.

    Args:
        truth: (H, W) integer label map, or the table of both maps.
        prediction: (H, W) integer label map; left out where a table is given.
        iou: match threshold in [0, 1]. Below .5 a pair is no longer unique: objects are assigned
            one to one with the largest total IoU, then the threshold applies.
        convention: see `Convention`.

    Raises:
        DataError: see `overlap`; or the threshold or convention is not known.

    Example: two truth objects, one found with IoU .8, one predicted for nothing:
    tp 1, fp 1, fn 1; dq = 1 / (1 + .5 + .5) = .5, sq = .8, pq = .4.
    """
    check_threshold(iou)
    check_convention(convention)
    table = as_overlap(truth, prediction)
    return panoptic_counts(table, iou, convention).quality(convention)


def check_convention(convention: Convention) -> Convention:
    """Refuse an unknown convention with a DataError."""
    if convention not in get_args(Convention):
        known = ", ".join(get_args(Convention))
        raise DataError(f"convention {convention!r} is not known; choose one of {known}")
    return convention


def check_threshold(iou: float) -> None:
    """Refuse an IoU threshold outside [0, 1] with a DataError."""
    if not 0 <= iou <= 1:
        raise DataError(f"IoU threshold {iou} is not in [0, 1]")


def _ratios(counts: PanopticCounts, convention: Convention) -> tuple[float, float]:
    tp, fp, fn = counts.tp, counts.fp, counts.fn
    undefined = tp + fp + fn == 0 or (convention == "pannuke" and tp + fn == 0)
    if undefined and convention != "conic":
        return float("nan"), float("nan")
    dq_epsilon = EPSILON if convention == "conic" else 0.0
    sq_epsilon = 0.0 if convention in ("exact", "ge") else EPSILON
    dq = tp / (tp + 0.5 * fp + 0.5 * fn + dq_epsilon)
    sq = counts.sum_iou / (tp + sq_epsilon) if tp else 0.0
    return dq, sq
