"""How far two predictions of one image agree; neither is the truth."""

from dataclasses import dataclass, field

import numpy as np

from cerberus_bench.eval.counts import Counts, ratio
from cerberus_bench.eval.dice import DiceCounts, dice_counts
from cerberus_bench.eval.matching import match
from cerberus_bench.eval.overlap import overlap
from cerberus_bench.eval.pq import PanopticCounts, panoptic_counts
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
