"""Dice of the foreground, and the per-overlap variant known as DICE2."""

from dataclasses import dataclass

from numpy.typing import ArrayLike

from cerberus_bench.eval.counts import Counts, ratio
from cerberus_bench.eval.overlap import Overlap, as_overlap


@dataclass(frozen=True, slots=True)
class DiceCounts(Counts):
    """Pixels behind Dice = 2 I / (|T| + |P|) and Jaccard = I / (|T| + |P| - I)."""

    intersection: int = 0
    """px that are foreground in both maps."""
    total: int = 0
    """px of foreground in truth plus px of foreground in prediction."""

    @property
    def dice(self) -> float:
        """Dice in [0, 1]; NaN where both maps are empty."""
        return ratio(2 * self.intersection, self.total)

    @property
    def jaccard(self) -> float:
        """Intersection over union of the foreground in [0, 1]; NaN where both are empty."""
        return ratio(self.intersection, self.total - self.intersection)


def dice_counts(table: Overlap) -> DiceCounts:
    """Pixel counts of the foreground of both maps."""
    total = table.truth_areas.sum() + table.prediction_areas.sum()
    return DiceCounts(int(table.intersection.sum()), int(total))


def dice2_counts(table: Overlap) -> DiceCounts:
    """Pixel counts summed over every overlapping pair, matched or not."""
    inside = int(table.intersection.sum())
    return DiceCounts(inside, int(table.union.sum()) + inside)


def dice(truth: ArrayLike | Overlap, prediction: ArrayLike | None = None) -> float:
    """Dice of the foreground in [0, 1]; NaN where both maps are empty.

    Args:
        truth: (H, W) integer label map, or the table of both maps.
        prediction: (H, W) integer label map; left out where a table is given.

    Raises:
        DataError: see `overlap`.

    Example (3 of 4 truth pixels and 3 of 5 predicted pixels are shared): 2 * 3 / (4 + 5) = 2/3.
    """
    return dice_counts(as_overlap(truth, prediction)).dice


def dice2(truth: ArrayLike | Overlap, prediction: ArrayLike | None = None) -> float:
    """DICE2: 2 sum I / sum (|t| + |p|) over overlapping pairs; objects that meet none do not count.

    NaN where no objects overlap. Source: Vu et al., Methods for segmentation and classification
    of digital microscopy tissue images, 2019, in the form of hover_net's get_fast_dice_2.
    """
    return dice2_counts(as_overlap(truth, prediction)).dice
