"""What a run is at a moment: weights, their average, optimiser, counters; and how it is kept."""

import math
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import torch
from torch import Tensor, nn

from cerberus_bench.model_zoo.cerberus import Cerberus
from cerberus_bench.model_zoo.recipe import Optimiser, Schedule
from cerberus_bench.schema.errors import DataError

EMA_WARMUP = 10
"""The average starts as the mean of the last few steps, and slows down to its decay."""


@dataclass(slots=True)
class TrainingState:
    """A run between two steps."""

    model: Cerberus
    average: Cerberus
    """Moving average of the weights and batch statistics."""
    optimiser: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    """Time spent by the runs so far."""
    validations: int = 0
    best_score: float = -1.0
    best_step: int = 0

    def save(self, path: Path, identity: str) -> None:
        """Write a checkpoint; it appears under its name only when it is complete."""
        temporary = path.with_name(f".{path.name}.{uuid4().hex}")
        content = {
            "identity": identity,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "counters": {
                "step": self.step,
                "seconds": self.seconds,
                "validations": self.validations,
                "best_score": self.best_score,
                "best_step": self.best_step,
            },
        }
        try:
            torch.save(content, temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def load(self, path: Path, identity: str) -> None:
        """Go back to a checkpoint.

        Raises:
            DataError: it is missing, or of a run with another recipe, model, seed or data.
        """
        if not path.is_file():
            raise DataError(f"{path}: there is no checkpoint to resume. Start without --resume.")
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content["identity"] != identity:
            raise DataError(
                f"{path}: this checkpoint is of a run with another recipe, model, seed or data."
                " Resume with what it was started with, or train into another folder."
            )
        self.model.load_state_dict(content["model"])
        self.average.load_state_dict(content["average"])
        self.optimiser.load_state_dict(content["optimiser"])
        for name, value in content["counters"].items():
            setattr(self, name, value)

    @torch.no_grad()
    def update_average(self, decay: float) -> None:
        """Move the average towards the weights."""
        keep = min(decay, (1 + self.step) / (EMA_WARMUP + self.step))
        averaged: list[Tensor] = []
        current: list[Tensor] = []
        pairs = zip(
            self.average.state_dict().values(), self.model.state_dict().values(), strict=True
        )
        for ours, theirs in pairs:
            if ours.is_floating_point():
                averaged.append(ours)
                current.append(theirs)
            else:
                ours.copy_(theirs)
        torch._foreach_lerp_(averaged, current, 1 - keep)


def make_optimiser(model: nn.Module, recipe: Optimiser) -> torch.optim.Optimizer:
    """Adam or AdamW; biases and normalisation are not decayed."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    kind = torch.optim.AdamW if recipe.name == "adamw" else torch.optim.Adam
    return kind(groups, lr=recipe.learning_rate, betas=recipe.betas)


def learning_rate(recipe: Optimiser, schedule: Schedule, fraction: float) -> float:
    """Learning rate at a fraction in [0, 1] of the run."""
    peak = recipe.learning_rate
    if fraction < schedule.warmup:
        return peak * max(fraction / schedule.warmup, 0.01)
    if schedule.shape == "steps":
        return float(peak * 0.1 ** sum(fraction >= drop for drop in schedule.drops))
    place = (fraction - schedule.warmup) / max(1 - schedule.warmup, 1e-9)
    floor = schedule.final
    return peak * (floor + (1 - floor) * (1 + math.cos(math.pi * min(place, 1))) / 2)
