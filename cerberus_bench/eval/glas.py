"""Object F1 and object Dice of the GlaS contest.

Sirinukunwattana et al., Gland segmentation in colon histology images: the GlaS challenge contest,
2017, section 4. S is the segmentation (prediction), G the ground truth.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from cerberus_bench.eval.counts import Counts, ratio
from cerberus_bench.eval.f1 import F1Counts
from cerberus_bench.eval.overlap import Float64, Int64, Overlap, as_overlap
from cerberus_bench.schema.errors import DataError

GlasConvention = Literal["exact", "glas"]
"""What an image without any object scores: NaN (exact), or 1, 1 and 0 as in the contest (glas)."""


@dataclass(frozen=True, slots=True)
class ObjectDiceCounts(Counts):
    """Sums behind object Dice. Weights are areas, so sums of images pool over the whole set."""

    truth_sum: float = 0.0
    """Sum over truth objects of area times Dice with their partner, px."""
    truth_area: int = 0
    """px of all truth objects."""
    prediction_sum: float = 0.0
    prediction_area: int = 0

    @property
    def object_dice(self) -> float:
        """Half the area-weighted mean of either side; NaN where both are empty."""
        if not (self.truth_area or self.prediction_area):
            return float("nan")
        sides = (
            (self.truth_sum, self.truth_area),
            (self.prediction_sum, self.prediction_area),
        )
        return 0.5 * sum(ratio(total, area) for total, area in sides if area)


def object_f1_counts(table: Overlap) -> F1Counts:
    """A prediction is a hit if it covers over half of the truth object it overlaps most.

    No two predictions can both do so, hence fn = truth objects - hits.
    """
    rows = partners(table, "prediction")
    covered = 2 * table.intersection[rows] > table.truth_areas[table.pair_truth[rows]]
    spared = table.void.copy()
    spared[table.pair_prediction[rows[covered]]] = True
    tp = int(np.count_nonzero(covered))
    fp = table.n_prediction - int(np.count_nonzero(spared))
    return F1Counts(tp, fp, table.n_truth - tp)


def object_dice_counts(table: Overlap) -> ObjectDiceCounts:
    """Area-weighted Dice of each object with the object of the other side it overlaps most."""
    dice = 2 * table.intersection / (table.union + table.intersection)
    counted = counted_predictions(table)
    return ObjectDiceCounts(
        _weighted(table.truth_areas, table.pair_truth, dice, partners(table, "truth")),
        int(table.truth_areas.sum()),
        _weighted(
            table.prediction_areas, table.pair_prediction, dice, partners(table, "prediction")
        ),
        int(table.prediction_areas[counted].sum()),
    )


def object_f1(
    truth: ArrayLike | Overlap,
    prediction: ArrayLike | None = None,
    *,
    convention: GlasConvention = "exact",
) -> float:
    """F1 of the GlaS contest in [0, 1]; 0 without hits, NaN (glas: 1) where both are empty.

    Args:
        truth: (H, W) integer label map, or the table of both maps.
        prediction: (H, W) integer label map; left out where a table is given.
        convention: see `GlasConvention`.

    Raises:
        DataError: see `overlap`; or the convention is not known.
    """
    table = as_overlap(truth, prediction)
    if glas_empty(table, convention):
        return 1.0
    return object_f1_counts(table).f1


def object_dice(
    truth: ArrayLike | Overlap,
    prediction: ArrayLike | None = None,
    *,
    convention: GlasConvention = "exact",
) -> float:
    """Object Dice of the GlaS contest in [0, 1]; NaN (glas: 1) where both are empty.

    Arguments as in `object_f1`.

    Example: G has objects of 60 and 40 px; S has one of 50 px, all inside the first. Dice of the
    pair is 100/110; ((60 * 100/110 + 40 * 0) / 100 + 50 * 100/110 / 50) / 2 = 8/11.
    """
    table = as_overlap(truth, prediction)
    if glas_empty(table, convention):
        return 1.0
    return object_dice_counts(table).object_dice


def glas_empty(table: Overlap, convention: GlasConvention) -> bool:
    """Whether the contest's value for two empty maps applies.

    Raises:
        DataError: the convention is not known.
    """
    if convention not in ("exact", "glas"):
        raise DataError(f"convention {convention!r} is not known; choose exact or glas")
    return convention == "glas" and table.is_empty


def partners(table: Overlap, side: Literal["truth", "prediction"]) -> Int64:
    """For each object of a side that overlaps any, the row of its pair of largest overlap.

    The smallest id of the other side wins a tie. Rows are in order of the side's objects.
    """
    own, other = table.pair_truth, table.pair_prediction
    if side == "prediction":
        own, other = other, own
    order = np.lexsort((other, -table.intersection, own))
    first = np.diff(own[order], prepend=-1) > 0
    return order[first]


def counted_predictions(table: Overlap) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Predictions that count: those in the ignored region only if they overlap a truth object."""
    overlapping = np.bincount(table.pair_prediction, minlength=table.n_prediction) > 0
    return ~table.void | overlapping


def _weighted(areas: Int64, own: Int64, value: Float64, rows: Int64) -> float:
    return float((areas[own[rows]] * value[rows]).sum())
