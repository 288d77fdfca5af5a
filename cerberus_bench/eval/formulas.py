"""The ratios of the protocol, over columns of counts.

A formula takes sums under their names and returns ratios of the same shape, so that one formula
serves a pooled set (scalars), every image of it (n_images,) and every resample (n_resamples,).
A suffix picks one class: the columns of class c are called `tp/c`, `fp/c` and so on.
"""

from collections.abc import Callable, Mapping

import numpy as np

from cerberus_bench.eval.classification import CALIBRATION_BINS
from cerberus_bench.eval.overlap import Float64
from cerberus_bench.eval.pq import EPSILON

Columns = Mapping[str, Float64]
Formula = Callable[[Columns, str], Float64]

THRESHOLDS = tuple(round(0.5 + 0.05 * k, 2) for k in range(10))
"""IoU .5, .55, ... .95."""


def at(name: str, threshold: float) -> str:
    """Column of a count at an IoU threshold; the plain name at .5."""
    return name if threshold == 0.5 else f"{name}_{round(100 * threshold)}"


def divide(numerator: Float64, denominator: Float64) -> Float64:
    """The quotient, NaN (undefined) where the denominator is 0."""
    quotient = np.full(np.broadcast(numerator, denominator).shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=np.asarray(denominator) != 0)
    return quotient


def mean_of_defined(values: Float64) -> Float64:
    """Mean over the first axis without NaN; NaN where nothing is defined."""
    defined = ~np.isnan(values)
    return divide(np.where(defined, values, 0.0).sum(axis=0), defined.sum(axis=0))


def dice(c: Columns, suffix: str) -> Float64:
    """2 I / (|T| + |P|)."""
    return divide(2 * c["dice_intersection" + suffix], c["dice_total" + suffix])


def aji(c: Columns, suffix: str) -> Float64:
    """Aggregated Jaccard index."""
    return divide(c["aji_intersection" + suffix], c["aji_union" + suffix])


def aji_plus(c: Columns, suffix: str) -> Float64:
    """Aggregated Jaccard index, one to one."""
    return divide(c["aji_plus_intersection" + suffix], c["aji_plus_union" + suffix])


def f1(c: Columns, suffix: str) -> Float64:
    """2 tp / (2 tp + fp + fn); also DQ."""
    return _f1(c, "", suffix)


def sq(c: Columns, suffix: str) -> Float64:
    """Mean IoU of matched pairs; 0 where none matched, NaN where there is no object."""
    tp = c["tp" + suffix]
    quality = np.where(tp > 0, divide(c["sum_iou" + suffix], tp), 0.0)
    return np.where(np.isnan(f1(c, suffix)), np.nan, quality)


def pq(c: Columns, suffix: str) -> Float64:
    """DQ * SQ."""
    return f1(c, suffix) * sq(c, suffix)


def pannuke_pq(c: Columns, suffix: str) -> Float64:
    """PQ with 1e-6 in SQ, NaN where the truth has no object."""
    tp = c["tp" + suffix]
    quality = f1(c, suffix) * c["sum_iou" + suffix] / (tp + EPSILON)
    return np.where(tp + c["fn" + suffix] > 0, quality, np.nan)


def f1_50_95(c: Columns, suffix: str) -> Float64:
    """Mean F1 over the thresholds .5, .55, ... .95."""
    levels = [
        divide(2 * c[at("tp", t) + suffix], _objects(c, at("", t) + suffix)) for t in THRESHOLDS
    ]
    return np.asarray(np.mean(levels, axis=0))


def object_f1(c: Columns, suffix: str) -> Float64:
    """F1 of the GlaS contest."""
    return _f1(c, "object_", suffix)


def object_dice(c: Columns, suffix: str) -> Float64:
    """Half the area-weighted mean Dice of either side; an empty side counts 0."""
    sides = [
        divide(c[f"object_dice_{side}{suffix}"], c[f"object_area_{side}{suffix}"])
        for side in ("truth", "prediction")
    ]
    value = 0.5 * sum(np.nan_to_num(side) for side in sides)
    return np.where(np.isnan(sides).all(axis=0), np.nan, value)


def object_hausdorff_um(c: Columns, suffix: str) -> Float64:
    """Area-weighted Hausdorff distance in um over images with objects on both sides."""
    return _hausdorff(c, "um", suffix)


def object_hausdorff_px(c: Columns, suffix: str) -> Float64:
    """The same in pixels of the source image."""
    return _hausdorff(c, "px", suffix)


def detection_f1(c: Columns, suffix: str) -> Float64:
    """F_d: F1 of centroids."""
    return _f1(c, "detection_", suffix)


def classification_f1(c: Columns, suffix: str) -> Float64:
    """F_c of Graham et al., HoVer-Net, 2019, section 4.2, weights 2, 2, 1, 1."""
    twice_tp = 2 * c["centroid_tp" + suffix]
    confused = c["centroid_fp_matched" + suffix] + c["centroid_fn_matched" + suffix]
    missed = c["centroid_fp_lone" + suffix] + c["centroid_fn_lone" + suffix]
    return divide(twice_tp, twice_tp + 2 * confused + missed)


def r2(c: Columns, suffix: str) -> Float64:
    """Coefficient of determination of counts an image; NaN where the true count never varies."""
    images, true = c["images" + suffix], c["count_truth" + suffix]
    spread = c["count_truth_squared" + suffix] - divide(true**2, images)
    return 1 - divide(c["count_error_squared" + suffix], np.where(spread > 0, spread, 0.0))


def recall(c: Columns, suffix: str) -> Float64:
    """Tp / (tp + fn)."""
    return divide(c["tp" + suffix], c["tp" + suffix] + c["fn" + suffix])


def accuracy(c: Columns, suffix: str) -> Float64:
    """Share of patches that are right."""
    return divide(c["correct" + suffix], c["n_truth" + suffix])


def calibration_error(c: Columns, suffix: str) -> Float64:
    """Expected calibration error over equal bins of confidence."""
    gaps = [
        np.abs(c[f"confidence_{b}{suffix}"] - c[f"right_{b}{suffix}"])
        for b in range(CALIBRATION_BINS)
    ]
    return divide(np.sum(gaps, axis=0), c["n_truth" + suffix])


def false_positive_score(c: Columns, suffix: str) -> Float64:
    """max(100 - mean false positives on a negative image, 0), from DigestPath."""
    mean = divide(c["negative_fp" + suffix], c["negative_images" + suffix])
    return np.maximum(100 - mean, 0.0)


def _f1(c: Columns, prefix: str, suffix: str) -> Float64:
    twice_tp = 2 * c[f"{prefix}tp{suffix}"]
    return divide(twice_tp, twice_tp + c[f"{prefix}fp{suffix}"] + c[f"{prefix}fn{suffix}"])


def _objects(c: Columns, suffix: str) -> Float64:
    """2 tp + fp + fn at a threshold."""
    return 2 * c["tp" + suffix] + c["fp" + suffix] + c["fn" + suffix]


def _hausdorff(c: Columns, unit: str, suffix: str) -> Float64:
    sides = [
        divide(c[f"hausdorff_{unit}_{side}{suffix}"], c[f"hausdorff_area_{side}{suffix}"])
        for side in ("truth", "prediction")
    ]
    return 0.5 * (sides[0] + sides[1])
