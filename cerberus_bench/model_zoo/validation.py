"""How good the maps are on the validation split: counts of pixels, then ratios.

These scores choose the weights and follow the training; the scores that are reported come from
the eval wing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cerberus_bench.model_zoo.batches import Batch, BatchMaker, ValidationPlan
from cerberus_bench.model_zoo.cerberus import Cerberus
from cerberus_bench.model_zoo.losses import LossSums
from cerberus_bench.model_zoo.objective import Objective
from cerberus_bench.model_zoo.samples import PATCH
from cerberus_bench.model_zoo.targets import IGNORED, ClassCodes


@dataclass(frozen=True, slots=True)
class Validation:
    """Losses and scores of one look at the validation split."""

    losses: Mapping[str, float]
    """Output -> loss."""
    scores: Mapping[str, float]
    """Output -> mean Dice (for patches: F1) over its classes that occur, background left out."""

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
    sums: dict[str, LossSums] = {}
    confusion: dict[str, Tensor] = {}
    model.eval()
    with torch.inference_mode():
        for batch in plan.batches(maker):
            logits = objective.logits(model, batch)
            for name, new in objective.sums(logits, batch).items():
                sums[name] = _added(sums[name], new) if name in sums else new
            for name, values in logits.items():
                counts = _confusion(name, values, batch, single.get(name))
                confusion[name] = confusion[name] + counts if name in confusion else counts
    taught = {name: value for name, value in sums.items() if value.weight > 0}
    scores = {name: _mean_dice(name, confusion[name]) for name in taught}
    return Validation(
        {name: value.loss().item() for name, value in taught.items()},
        {name: score for name, score in scores.items() if not math.isnan(score)},
    )


def _added(a: LossSums, b: LossSums) -> LossSums:
    def both(x: Tensor | None, y: Tensor | None) -> Tensor | None:
        return None if x is None or y is None else x + y

    return LossSums(
        a.cross_entropy + b.cross_entropy,
        a.weight + b.weight,
        both(a.overlap, b.overlap),
        both(a.size, b.size),
        both(a.truth, b.truth),
    )


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
