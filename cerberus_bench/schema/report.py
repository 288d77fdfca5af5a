"""Score and ScoreReport: numbers with the counts behind them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

STRICT = ConfigDict(strict=True, extra="forbid", frozen=True)

Count = Annotated[int, Field(ge=0, le=2**53)]
"""A number of things; a float64 holds it exactly."""
Whole = Annotated[int, Field(ge=-(2**53), le=2**53)]
Averaging = Literal["pooled", "image_mean"]


class Score(BaseModel):
    """One printed number. `value` is None where it is undefined; nothing is ever NaN."""

    model_config = STRICT

    task: str
    metric: str
    """For example pq, dq, sq, dice, aji, aji_plus, f1, object_f1, object_dice, object_hausdorff."""
    class_name: str | None = None
    """Ontology node of the class scored, None for all."""
    convention: str
    """exact, hover_net, conic, pannuke, glas, ge."""
    averaging: Averaging
    unit: str | None = None
    """um or px for lengths; None for ratios."""
    headline: bool = False
    value: FiniteFloat | None
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    """Percentile bootstrap interval (95 %) over groups."""
    n_images: Count
    n_groups: Count
    n_objects: Count
    """Objects in the truth (patches for tissue)."""
    n_undefined: Count = 0
    """Images left out of an image mean because the value is undefined there."""
    n_infinite: Count = 0
    """Images left out of a mean of distances because one side is empty."""
    counts: dict[str, FiniteFloat | Annotated[int, Field(ge=-(2**53), le=2**53)]] = Field(
        default_factory=dict
    )
    """The sums over images that the pooled value is made of."""


class ScoredPartition(BaseModel):
    """The classes at which a model and a dataset were compared in one task."""

    model_config = STRICT

    classes: list[str]
    truth_only: list[str]
    prediction_only: list[str]
    n_truth_excluded: Count = 0
    """Truth objects of classes that the model cannot express."""
    n_prediction_excluded: Count = 0


class ScoreReport(BaseModel):
    """All scores of one model on one split of one dataset."""

    model_config = STRICT

    protocol_version: int
    scores: list[Score]
    not_predicted: list[str]
    """Tasks annotated in the data that the model does not predict."""
    not_annotated: list[str]
    """Tasks that the model predicts and the data does not annotate."""
    partitions: dict[str, ScoredPartition]
    n_images: Count
    n_groups: Count
    seed: int
    """Seed of the bootstrap."""
    n_resamples: Count

    def score(
        self,
        task: str,
        metric: str,
        *,
        averaging: str = "pooled",
        convention: str | None = None,
        class_name: str | None = None,
        unit: str | None = None,
    ) -> Score:
        """The score that fits; `convention` and `unit` None match any.

        Raises:
            KeyError: no score fits.
        """
        for score in self.scores:
            if (
                score.task == task
                and score.metric == metric
                and score.averaging == averaging
                and score.class_name == class_name
                and convention in (None, score.convention)
                and unit in (None, score.unit)
            ):
                return score
        raise KeyError((task, metric, averaging, convention, class_name, unit))
