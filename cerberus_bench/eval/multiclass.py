"""Panoptic quality of classes: mPQ+ of CoNIC, mPQ and bPQ of PanNuke."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cerberus_bench.eval.matching import match
from cerberus_bench.eval.overlap import ClassOverlap, Float64, Overlap, class_overlap, overlap
from cerberus_bench.eval.pq import (
    Convention,
    PanopticCounts,
    check_convention,
    check_threshold,
    panoptic_counts,
)
from cerberus_bench.schema.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class MulticlassPanopticQuality:
    """Panoptic quality of a set of images, with classes and without."""

    pq: float
    """Binary PQ, classes ignored: mean over images where it is defined."""
    mpq: float
    """Mean over classes; see the convention."""
    per_class: tuple[float, ...]
    """(n_classes,) PQ of class 1, 2, ...; NaN where undefined."""
    counts: Float64
    """(n_classes, 4) tp, fp, fn, sum_iou summed over images."""
    pq_per_image: Float64
    """(n_images,) binary PQ; NaN where undefined."""
    image_counts: Float64
    """(n_images, n_classes, 4) tp, fp, fn, sum_iou."""


def multiclass_panoptic_quality(
    truths: ArrayLike,
    truth_classes: ArrayLike,
    predictions: ArrayLike,
    prediction_classes: ArrayLike,
    n_classes: int = 6,
    convention: Convention = "conic",
    *,
    iou: float = 0.5,
    tissues: Sequence[str] | None = None,
) -> MulticlassPanopticQuality:
    """Panoptic quality per class of a set of images.

    An object of class c is what an id has of pixels of class c: an object of mixed class splits,
    as in CoNIC (Graham et al., CoNIC Challenge, 2023, section 3.3).

    With convention "pannuke", a class (an image) without truth is left out whatever is predicted
    there; classes are averaged in each image, images in each tissue, then tissues (Gamper et al.,
    PanNuke dataset extension, 2020, section 4). With any other, counts are pooled over the images
    per class, then the ratio is formed and classes are averaged (mPQ+): a class on neither side
    is 0 under "conic" and left out otherwise.

    Args:
        truths: (N, H, W) integer label maps.
        truth_classes: (N, H, W) class of each pixel, 1..n_classes; 0 is none.
        predictions: (N, H, W) integer label maps.
        prediction_classes: (N, H, W) class of each pixel.
        n_classes: number of classes.
        convention: see `cerberus_bench.eval.pq.Convention`.
        iou: match threshold.
        tissues: (N,) tissue of each image for "pannuke"; all one tissue by default.

    Raises:
        DataError: shapes differ, a class is above `n_classes`, or see `overlap`.
    """
    check_convention(convention)
    check_threshold(iou)
    stacks = _stacks(truths, truth_classes, predictions, prediction_classes)
    binary, by_class = [], []
    for truth, truth_class, prediction, prediction_class in zip(*stacks, strict=True):
        table = class_overlap(truth, truth_class, prediction, prediction_class, n_classes)
        binary.append(panoptic_counts(table.ids, iou, convention))
        by_class.append(_rows_by_class(table, n_classes, iou, convention))
    return _summarise(binary, np.array(by_class).reshape(-1, n_classes, 4), convention, tissues)


def pannuke_panoptic_quality(
    truths: ArrayLike,
    predictions: ArrayLike,
    n_classes: int = 5,
    *,
    iou: float = 0.5,
    tissues: Sequence[str] | None = None,
) -> MulticlassPanopticQuality:
    """MPQ and bPQ of PanNuke from stacks with one channel a class, which may overlap.

    Gamper et al., PanNuke dataset extension, 2020, section 4. For the binary score channels are
    painted over one another in order, the last on top, as in the authors' code.

    Args:
        truths: (N, H, W, C) label maps, channel c holding the objects of class c + 1; channels
            from `n_classes` on (background) are not read.
        predictions: (N, H, W, C) label maps.
        n_classes: number of classes.
        iou: match threshold.
        tissues: (N,) tissue of each image; all one tissue by default.

    Raises:
        DataError: the stacks do not fit together, or see `overlap`.
    """
    check_threshold(iou)
    truth, prediction = np.asarray(truths), np.asarray(predictions)
    if truth.ndim != 4 or truth.shape != prediction.shape or truth.shape[3] < n_classes:
        raise DataError(
            f"truths are {truth.shape}, predictions {prediction.shape}; expected two (N, H, W, C)"
            f" stacks of one shape with at least {n_classes} channels"
        )
    binary = [
        panoptic_counts(overlap(_paint(t, n_classes), _paint(p, n_classes)), iou, "pannuke")
        for t, p in zip(truth, prediction, strict=True)
    ]
    by_class = [
        [
            counts_row(panoptic_counts(overlap(t[..., c], p[..., c]), iou, "pannuke"))
            for c in range(n_classes)
        ]
        for t, p in zip(truth, prediction, strict=True)
    ]
    rows = np.array(by_class).reshape(-1, n_classes, 4)
    return _summarise(binary, rows, "pannuke", tissues)


def class_counts(
    truth: NDArray[np.integer],
    truth_class: NDArray[np.integer],
    prediction: NDArray[np.integer],
    prediction_class: NDArray[np.integer],
    n_classes: int,
    *,
    iou: float = 0.5,
    convention: Convention = "exact",
) -> Float64:
    """(n_classes, 4) tp, fp, fn, sum_iou of one image; objects split by the class of pixels."""
    table = class_overlap(truth, truth_class, prediction, prediction_class, n_classes)
    return _rows_by_class(table, n_classes, iou, convention)


def counts_row(counts: PanopticCounts) -> tuple[int, int, int, float]:
    """The counts as a row tp, fp, fn, sum_iou."""
    return counts.tp, counts.fp, counts.fn, counts.sum_iou


def counts_of(row: NDArray[np.float64]) -> PanopticCounts:
    """The counts of a row tp, fp, fn, sum_iou."""
    return PanopticCounts(int(row[0]), int(row[1]), int(row[2]), float(row[3]))


def nan_mean(values: Sequence[float] | Float64) -> float:
    """Mean of the defined values; NaN without any."""
    defined = np.asarray(values, np.float64)
    defined = defined[~np.isnan(defined)]
    return float(defined.mean()) if defined.size else float("nan")


def _stacks(
    truths: ArrayLike,
    truth_classes: ArrayLike,
    predictions: ArrayLike,
    prediction_classes: ArrayLike,
) -> list[NDArray[np.integer]]:
    names = ("truths", "truth_classes", "predictions", "prediction_classes")
    given = (truths, truth_classes, predictions, prediction_classes)
    stacks = [np.asarray(stack) for stack in given]
    for name, stack in zip(names, stacks, strict=True):
        if stack.ndim != 3 or stack.shape != stacks[0].shape:
            raise DataError(
                f"{name} has shape {stack.shape}; expected four (N, H, W) stacks of one shape"
                f" (truths: {stacks[0].shape})"
            )
    return stacks


def _rows_by_class(
    table: ClassOverlap, n_classes: int, iou: float, convention: Convention
) -> Float64:
    matches = match(_pairs_of_one_class(table), iou, inclusive=convention == "ge")
    matched_class = table.truth_class[matches.truth]
    tp, n_truth, n_prediction = (
        np.bincount(classes, minlength=n_classes + 1)[1:]
        for classes in (matched_class, table.truth_class, table.prediction_class)
    )
    rows = np.zeros((n_classes, 4))
    rows[:, 0], rows[:, 1], rows[:, 2] = tp, n_prediction - tp, n_truth - tp
    for c in np.flatnonzero(tp):
        rows[c, 3] = matches.iou[matched_class == c + 1].sum()
    return rows


def _pairs_of_one_class(table: ClassOverlap) -> Overlap:
    """The table by class without pairs across classes: matching it matches each class alone."""
    pairs = table.by_class
    same = table.truth_class[pairs.pair_truth] == table.prediction_class[pairs.pair_prediction]
    return Overlap(
        pairs.truth_ids,
        pairs.truth_areas,
        pairs.prediction_ids,
        pairs.prediction_areas,
        pairs.pair_truth[same],
        pairs.pair_prediction[same],
        pairs.intersection[same],
        pairs.void,
        pairs.shape,
    )


def _paint(channels: NDArray[np.integer], n_classes: int) -> NDArray[np.int64]:
    """One label map of all channels, objects numbered anew, later channels on top."""
    painted = np.zeros(channels.shape[:2], np.int64)
    for c in range(n_classes):
        ids, rank = np.unique(channels[..., c], return_inverse=True)
        first = int(painted.max()) + int(len(ids) > 0 and ids[0] > 0)
        where = channels[..., c] > 0
        painted[where] = (rank.reshape(painted.shape) + first)[where]
    return painted


def _summarise(
    binary: list[PanopticCounts],
    by_class: Float64,
    convention: Convention,
    tissues: Sequence[str] | None,
) -> MulticlassPanopticQuality:
    pq_per_image = np.array([counts.quality(convention).pq for counts in binary])
    pooled = by_class.sum(axis=0)
    if convention == "pannuke":
        pq, mpq, per_class = _pannuke(pq_per_image, by_class, tissues)
    else:
        per_class = tuple(counts_of(row).quality(convention).pq for row in pooled)
        pq, mpq = nan_mean(pq_per_image), nan_mean(per_class)
    return MulticlassPanopticQuality(pq, mpq, per_class, pooled, pq_per_image, by_class)


def _pannuke(
    pq_per_image: Float64, by_class: Float64, tissues: Sequence[str] | None
) -> tuple[float, float, tuple[float, ...]]:
    qualities = np.array(
        [[counts_of(row).quality("pannuke").pq for row in rows] for rows in by_class]
    ).reshape(by_class.shape[:2])
    per_image = [nan_mean(row) for row in qualities]
    names = np.asarray(tissues if tissues is not None else [""] * len(per_image))
    if len(names) != len(per_image):
        raise DataError(f"{len(names)} tissues for {len(per_image)} images; give one an image")

    def over_tissues(values: Sequence[float] | Float64) -> float:
        array = np.asarray(values)
        return nan_mean([nan_mean(array[names == name]) for name in np.unique(names)])

    per_class = tuple(nan_mean(column) for column in qualities.T)
    return over_tissues(pq_per_image), over_tissues(per_image), per_class
