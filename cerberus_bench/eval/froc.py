"""Free-response ROC of the DigestPath signet ring task.

Da et al., DigestPath: a benchmark dataset with challenge review for the pathological detection
and segmentation of digestive-system, 2022. The contest names no IoU; .3 is that of the public
re-implementation nuclei_cells_det. False positives are counted on negative images only, since
positive images are not annotated in full.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from cerberus_bench.eval.counts import ratio
from cerberus_bench.eval.f1 import F1Counts
from cerberus_bench.eval.overlap import Bool, Float64
from cerberus_bench.schema.boxes import as_boxes, hits
from cerberus_bench.schema.errors import DataError

RATES = (1, 2, 4, 8, 16, 32)
"""False positives per negative image at which recall is read."""

FrocMethod = Literal["exact", "grid"]
"""exact: at each rate the largest recall of any threshold with no more false positives.
grid: as nuclei_cells_det, mean recall over the thresholds 0, .001, ... 1 at which the mean number
of false positives, rounded down, is one of the rates; recall at .5 where none is."""


@dataclass(frozen=True, slots=True, eq=False)
class FrocImage:
    """One image: its truth count and, for each predicted box, its score and whether it hits."""

    n_truth: int
    scores: Float64
    hit: Bool
    negative: bool
    """Whether false positives count here."""


@dataclass(frozen=True, slots=True)
class Froc:
    """Scores of a set of images; NaN where undefined."""

    froc: float
    """Mean recall over `RATES`; NaN without truth or without negative images."""
    recall_at: tuple[float, ...]
    """Recall at each of `RATES` (exact)."""
    recall: float
    """Recall of all boxes, whatever their score."""
    false_positives_per_image: float
    """Mean number of boxes on a negative image."""
    fps: float
    """max(100 - false_positives_per_image, 0), as in the contest."""
    f1: float
    """F1 of all boxes over all images."""
    tp: int
    fp: int
    fn: int
    n_negative: int
    """Number of negative images."""


def froc(
    truths: Sequence[ArrayLike],
    predictions: Sequence[ArrayLike],
    scores: Sequence[ArrayLike],
    *,
    iou: float = 0.3,
    negative: Sequence[bool] | None = None,
    method: FrocMethod = "exact",
) -> Froc:
    """FROC of boxes over a set of images.

    Args:
        truths: for each image (n, 4) boxes x0 y0 x1 y1, px; x1 and y1 lie outside.
        predictions: for each image (m, 4) boxes.
        scores: for each image (m,) confidences in [0, 1].
        iou: a prediction hits at IoU >= this.
        negative: for each image whether its false positives count; by default those without
            truth boxes.
        method: see `FrocMethod`.

    Raises:
        DataError: the sequences differ in length, or boxes and scores do.
    """
    if not len(truths) == len(predictions) == len(scores):
        raise DataError(
            f"{len(truths)} images of truth, {len(predictions)} of predictions,"
            f" {len(scores)} of scores; give one of each an image"
        )
    flags = negative if negative is not None else [np.size(boxes) == 0 for boxes in truths]
    cases = zip(truths, predictions, scores, flags, strict=True)
    return froc_of([froc_image(*case, iou=iou) for case in cases], method)


def froc_image(
    truth: ArrayLike, prediction: ArrayLike, scores: ArrayLike, negative: bool, *, iou: float = 0.3
) -> FrocImage:
    """Match the boxes of one image. Arguments as in `froc`.

    Raises:
        DataError: boxes and scores differ in number, or a score is not in [0, 1].
    """
    truth, prediction = as_boxes(truth, "truth boxes"), as_boxes(prediction, "predicted boxes")
    scores = np.asarray(scores, np.float64).reshape(-1)
    if len(scores) != len(prediction):
        raise DataError(f"{len(prediction)} predicted boxes but {len(scores)} scores")
    if scores.size and not (scores.min() >= 0 and scores.max() <= 1):
        raise DataError(f"scores go from {scores.min()} to {scores.max()}; expected 0 to 1")
    hit = hits(truth, prediction, scores, iou)
    return FrocImage(len(truth), scores, hit, bool(negative))


def froc_of(images: Sequence[FrocImage], method: FrocMethod = "exact") -> Froc:
    """The scores of matched images.

    Raises:
        DataError: the method is not known.
    """
    if method not in ("exact", "grid"):
        raise DataError(f"method {method!r} is not known; choose exact or grid")
    n_truth = sum(image.n_truth for image in images)
    n_negative = sum(image.negative for image in images)
    scores = np.concatenate([image.scores for image in images]) if images else np.empty(0)
    hit = np.concatenate([image.hit for image in images]) if images else np.empty(0, np.bool_)
    negative = np.repeat([i.negative for i in images], [len(i.scores) for i in images])
    negative = negative.astype(np.bool_)
    found = F1Counts(int(hit.sum()), int((~hit).sum()), n_truth - int(hit.sum()))
    wrong = ratio(int((negative & ~hit).sum()), n_negative)
    if n_truth and n_negative:
        recall_at = _recall_at(scores, hit, negative, n_truth, n_negative)
    else:
        recall_at = (float("nan"),) * len(RATES)
    value = float(np.mean(recall_at))
    if method == "grid" and n_truth and n_negative:
        value = _grid(scores, hit, negative, n_truth, n_negative)
    return Froc(
        value,
        recall_at,
        found.recall,
        wrong,
        max(100 - wrong, 0.0) if n_negative else float("nan"),
        found.f1,
        found.tp,
        found.fp,
        found.fn,
        n_negative,
    )


def _recall_at(
    scores: Float64, hit: Bool, negative: Bool, n_truth: int, n_negative: int
) -> tuple[float, ...]:
    """Recall at each rate, read after each distinct score since equal scores enter together."""
    order = np.argsort(-scores, kind="stable")
    last = np.diff(scores[order], append=-np.inf) != 0
    found = np.concatenate([[0], np.cumsum(hit[order])[last]])
    wrong = np.concatenate([[0], np.cumsum((negative & ~hit)[order])[last]])
    # Both only grow, so the largest recall is at the last threshold within the rate.
    return tuple(
        float(found[np.flatnonzero(wrong <= rate * n_negative)[-1]] / n_truth) for rate in RATES
    )


def _grid(scores: Float64, hit: Bool, negative: Bool, n_truth: int, n_negative: int) -> float:
    thresholds = np.arange(1001) / 1000
    kept = scores[None, :] >= thresholds[:, None]
    recall = (kept & hit).sum(axis=1) / n_truth
    wrong = (kept & negative & ~hit).sum(axis=1) // n_negative
    read = np.isin(wrong, RATES)
    return float(recall[read].mean()) if read.any() else float(recall[500])
