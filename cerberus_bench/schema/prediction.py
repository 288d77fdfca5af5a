"""Prediction: what a model says about one record, and the manifest of a folder of predictions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from cerberus_bench.schema.report import STRICT
from cerberus_bench.schema.result import ModelInfo


@dataclass(frozen=True, slots=True)
class PredictedInstances:
    """The predicted objects of one task, on the grid of the record's image."""

    labels: NDArray[np.int32]
    """(H, W) label map, 0 = background."""
    ids: NDArray[np.int64]
    """(n,) ids, ascending."""
    classes: NDArray[np.int64]
    """(n,) one-based index into the model's label space for the task, 0 = none."""
    scores: NDArray[np.float64]
    """(n,) confidence in [0, 1]; 1 where the model gives none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """All that a model predicts for one record; a task that is absent is not predicted."""

    sample_id: str
    instances: Mapping[str, PredictedInstances] = field(default_factory=dict)
    """nuclei, gland, lumen -> objects."""
    boxes: NDArray[np.float32] | None = None
    """(n, 4) signet ring boxes x0 y0 x1 y1, px."""
    box_scores: NDArray[np.float64] | None = None
    tissue: NDArray[np.float64] | None = None
    """(k,) probabilities over the model's tissue label space."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that are predicted."""
        extra = (("tissue", self.tissue), ("signet_ring", self.boxes))
        return (*self.instances, *(name for name, value in extra if value is not None))


class PredictionsManifest(BaseModel):
    """`manifest.json` of a predictions folder."""

    model_config = STRICT

    format: Literal[1] = 1
    model: ModelInfo
    dataset: str
    dataset_version: str
    fingerprint: str
    split: str
    fold: int
    label_spaces: dict[str, list[str]]
    """Task -> classes; its keys are the tasks that are predicted."""
    samples: list[str]
    """Sample ids, in the order of the dataset."""
