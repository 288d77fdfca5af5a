"""How far two predictions of one image agree; neither is the truth."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.eval.counts import Counts, ratio
from cerberus_bench.eval.dice import DiceCounts, dice_counts
from cerberus_bench.eval.matching import assign, match
from cerberus_bench.eval.overlap import overlap
from cerberus_bench.eval.pq import PanopticCounts, panoptic_counts
from cerberus_bench.schema.boxes import as_boxes, box_iou
from cerberus_bench.schema.prediction import PredictedInstances


@dataclass(frozen=True, slots=True)
class AgreementCounts(Counts):
    """Counts behind the agreement of two predictions of one task."""

    panoptic: PanopticCounts = field(default_factory=PanopticCounts)
    dice: DiceCounts = field(default_factory=DiceCounts)
    same_class: int = 0
    """Matched objects that both give the same class."""

    @property
    def classes(self) -> float:
        """Share of the matched objects that both give the same class; NaN where none matched."""
        return ratio(self.same_class, self.panoptic.tp)


def agreement(first: PredictedInstances, second: PredictedInstances) -> AgreementCounts:
    """Match the objects of two predictions of the same image by IoU > 0.5 and count."""
    table = overlap(first.labels, second.labels)
    matched = match(table)
    ids = table.truth_ids[matched.truth], table.prediction_ids[matched.prediction]
    classes = [
        side.classes[np.searchsorted(side.ids, found)]
        for side, found in zip((first, second), ids, strict=True)
    ]
    same_class = int(np.count_nonzero(classes[0] == classes[1]))
    return AgreementCounts(panoptic_counts(table), dice_counts(table), same_class)


def box_agreement(first: NDArray[np.floating], second: NDArray[np.floating]) -> AgreementCounts:
    """Match the boxes (n, 4) x0 y0 x1 y1 of two predictions by IoU > 0.5 and count.

    Boxes have no pixels to count and no classes: matched ones count as of the same.
    """
    one, other = as_boxes(first, "boxes"), as_boxes(second, "boxes")
    iou = box_iou(one, other)
    left, right = np.nonzero(iou > 0.5)
    matched = iou[left, right][assign(left, right, iou[left, right])]
    tp = len(matched)
    counts = PanopticCounts(tp, len(other) - tp, len(one) - tp, float(matched.sum()))
    return AgreementCounts(counts, same_class=tp)
