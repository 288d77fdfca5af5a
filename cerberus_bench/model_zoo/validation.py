"""How good maps and boxes are on the validation split: counts of pixels, then ratios.

These scores choose the weights and follow the training; the scores that are reported come from
the eval wing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cerberus_bench.model_zoo.batches import Batch, BatchMaker, ValidationPlan
from cerberus_bench.model_zoo.boxes import BOX, KNOWN, centre_boxes, find_boxes
from cerberus_bench.model_zoo.cerberus import Cerberus
from cerberus_bench.model_zoo.heads import activate
from cerberus_bench.model_zoo.losses import Sums, sums_of
from cerberus_bench.model_zoo.objective import Objective
from cerberus_bench.model_zoo.samples import PATCH
from cerberus_bench.model_zoo.targets import IGNORED, ClassCodes
from cerberus_bench.schema.boxes import hits
from cerberus_bench.schema.model import BOX_STRIDE

LEAST_SCORE = 0.05
"""Least likely box that is looked at."""
HIT_IOU = 0.3
"""Overlap at which a box hits, as in the scores of the eval wing."""


@dataclass(frozen=True, slots=True)
class Validation:
    """Losses and scores of one look at the validation split."""

    losses: Mapping[str, float]
    """Output -> loss."""
    scores: Mapping[str, float]
    """Output -> mean Dice (for patches: F1) over its classes that occur, background left out; for
    boxes F1 at the best threshold."""

    @property
    def score(self) -> float:
        """Mean over the outputs: what chooses the weights."""
        return sum(self.scores.values()) / len(self.scores)


def validate(
    model: Cerberus,
    objective: Objective,
    plan: ValidationPlan,
    maker: BatchMaker,
    codes: Mapping[str, ClassCodes],
) -> Validation:
    """Run a network over the validation windows; outputs without truth there are left out."""
    single = {
        name: torch.from_numpy(table.single).to(objective.device) for name, table in codes.items()
    }
    sums: dict[str, Sums] = {}
    confusion: dict[str, Tensor] = {}
    boxes = BoxTally()
    model.eval()
    with torch.inference_mode():
        for batch in plan.batches(maker):
            logits = objective.logits(model, batch)
            for name, new in objective.sums(logits, batch).items():
                sums[name] = _added(name, sums[name], new) if name in sums else new
            for name, values in logits.items():
                if name == BOX:
                    boxes.add(activate(name, values), batch.targets[name])
                    continue
                counts = _confusion(name, values, batch, single.get(name))
                confusion[name] = confusion[name] + counts if name in confusion else counts
    taught = {name: value for name, value in sums.items() if value.weight > 0}
    scores = {
        name: boxes.best_f1() if name == BOX else _mean_dice(name, confusion[name])
        for name in taught
    }
    return Validation(
        {name: value.loss().item() for name, value in taught.items()},
        {name: score for name, score in scores.items() if not math.isnan(score)},
    )


def _added(output: str, a: Sums, b: Sums) -> Sums:
    return sums_of(output, a.flat() + b.flat())


class BoxTally:
    """Boxes found in windows: how likely each is, and whether it hits a true one."""

    def __init__(self) -> None:
        self._scores = [np.empty(0)]
        self._hits = [np.empty(0, np.bool_)]
        self._n_truth = 0

    def add(self, found: Tensor, target: Tensor) -> None:
        """Match the boxes of some windows.

        A box that hits none, where background is not known, is neither right nor wrong.

        Args:
            found: (N, 5, h, w) as `heads.activate` gives it.
            target: (N, 8, h, w) of `boxes.box_target`.
        """
        for grid, truth in zip(
            found.permute(0, 2, 3, 1).cpu().numpy(), target.numpy(), strict=True
        ):
            rows, columns = truth.shape[1:]
            boxes, scores = find_boxes(grid, (rows * BOX_STRIDE, columns * BOX_STRIDE), LEAST_SCORE)
            true = centre_boxes(truth)
            hit = hits(true.astype(np.float64), boxes.astype(np.float64), scores, HIT_IOU)
            x, y = ((boxes[:, :2] + boxes[:, 2:]) / 2 + 0.5).astype(np.int64).T // BOX_STRIDE
            counts = hit | (truth[KNOWN, y, x] > 0)
            self._scores.append(scores[counts])
            self._hits.append(hit[counts])
            self._n_truth += len(true)

    def best_f1(self) -> float:
        """F1 at the threshold where it is highest; NaN without any true box."""
        if not self._n_truth:
            return math.nan
        scores, hit = np.concatenate(self._scores), np.concatenate(self._hits)
        order = np.argsort(-scores, kind="stable")
        n_found = np.arange(1, len(order) + 1)
        f1 = 2 * np.cumsum(hit[order]) / (n_found + self._n_truth)
        # boxes of equal score come together
        last = np.diff(scores[order], append=-1) != 0
        return float(f1[last].max(initial=0))


def _confusion(name: str, logits: Tensor, batch: Batch, single: Tensor | None) -> Tensor:
    """(channels, channels) counts of truth (rows) and prediction, where the class is known."""
    channels = logits.shape[1]
    predicted = logits.argmax(1)
    raw = (batch.patch_codes if name == PATCH else batch.targets[name]).to(logits.device).long()
    truth = raw.masked_fill(raw == IGNORED, -1) if single is None else single[raw]
    known = truth >= 0
    pairs = truth[known] * channels + predicted[known]
    return torch.bincount(pairs, minlength=channels**2).view(channels, channels)


def _mean_dice(name: str, confusion: Tensor) -> float:
    """Mean of 2 tp / (truth + predicted) over the classes that occur; NaN where none does."""
    counts = confusion.double()
    truth, predicted = counts.sum(1), counts.sum(0)
    occurs = truth > 0
    if name != PATCH:
        occurs[0] = False
    dice = 2 * counts.diagonal()[occurs] / (truth + predicted)[occurs]
    return float(dice.mean())
