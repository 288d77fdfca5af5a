"""What four challenges print for a set of images, by their names.

Each protocol is a choice of convention and averaging that the challenge made; the same scores
under other choices are in `cerberus_bench.eval`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cerberus_bench.eval.aji import aji
from cerberus_bench.eval.f1 import F1Counts
from cerberus_bench.eval.glas import (
    ObjectDiceCounts,
    object_dice,
    object_dice_counts,
    object_f1,
    object_f1_counts,
)
from cerberus_bench.eval.hausdorff import HausdorffCounts, hausdorff_counts, object_hausdorff
from cerberus_bench.eval.multiclass import multiclass_panoptic_quality, pannuke_panoptic_quality
from cerberus_bench.eval.overlap import overlap
from cerberus_bench.schema.errors import DataError

Scores = dict[str, float]


def official_scores(protocol: str, truths: Any, predictions: Any, **more: Any) -> Scores:
    """Scores of a set of images as a challenge defines them.

    Args:
        protocol: a name of `PROTOCOLS`; its function says what else it takes.
        truths: label maps of the truth.
        predictions: label maps of the prediction, in the same order.
        **more: what the protocol needs besides.

    Raises:
        DataError: there is no such protocol, or the maps do not fit together.
    """
    if protocol not in PROTOCOLS:
        raise DataError(f"no protocol is called {protocol!r}. Choose from: {', '.join(PROTOCOLS)}.")
    if len(truths) != len(predictions):
        raise DataError(f"{len(truths)} label maps of truth, {len(predictions)} of predictions")
    return PROTOCOLS[protocol](truths, predictions, **more)


def glas_official(truths: Sequence[ArrayLike], predictions: Sequence[ArrayLike]) -> Scores:
    """F1, object Dice and object Hausdorff (native px) of the GlaS contest.

    The contest's page weights by area over all objects of the set (`f1`, `object_dice`,
    `object_hausdorff`); its MATLAB functions score one image, whose means are `..._image_mean`
    with 1, 1 and 0 for an image without any object (Sirinukunwattana et al. 2017, section 4).

    Args:
        truths: (H, W) integer label maps.
        predictions: (H, W) integer label maps.
    """
    f1, dice, distance = F1Counts(), ObjectDiceCounts(), HausdorffCounts()
    images = []
    for t, p in zip(truths, predictions, strict=True):
        table = overlap(t, p)
        truth, prediction = np.asarray(t), np.asarray(p)
        f1 = f1 + object_f1_counts(table)
        dice = dice + object_dice_counts(table)
        distance = distance + hausdorff_counts(truth, prediction, table)
        images.append(
            (
                object_f1(table, convention="glas"),
                object_dice(table, convention="glas"),
                object_hausdorff(truth, prediction, convention="glas"),
            )
        )
    pooled = {
        "f1": f1.f1,
        "object_dice": dice.object_dice,
        "object_hausdorff": distance.object_hausdorff,
    }
    means = np.mean(np.array(images).reshape(-1, 3), axis=0).tolist() if images else [np.nan] * 3
    return pooled | {f"{name}_image_mean": mean for name, mean in zip(pooled, means, strict=True)}


def conic(
    truths: ArrayLike,
    predictions: ArrayLike,
    *,
    truth_classes: ArrayLike,
    prediction_classes: ArrayLike,
    truth_counts: ArrayLike | None = None,
    prediction_counts: ArrayLike | None = None,
) -> Scores:
    """PQ, mPQ+ and, where counts are given, R2 of the CoNIC challenge (Graham et al. 2023).

    Args:
        truths: (N, H, W) label maps.
        predictions: (N, H, W) label maps.
        truth_classes: (N, H, W) class of each pixel, 1 to 6.
        prediction_classes: (N, H, W) class of each pixel.
        truth_counts: (N, 6) nuclei of each class, the challenge's in the central 224 px.
        prediction_counts: (N, 6) likewise.
    """
    found = multiclass_panoptic_quality(
        truths, truth_classes, predictions, prediction_classes, n_classes=6, convention="conic"
    )
    scores = {"pq": found.pq, "mpq+": found.mpq}
    if truth_counts is not None and prediction_counts is not None:
        from sklearn.metrics import r2_score

        sides = [np.asarray(c, float) for c in (truth_counts, prediction_counts)]
        by_class = r2_score(*sides, multioutput="raw_values")
        scores["r2"] = float(np.mean(by_class))
    return scores


def pannuke(
    truths: ArrayLike, predictions: ArrayLike, *, tissues: Sequence[str] | None = None
) -> Scores:
    """MPQ and bPQ of PanNuke (Gamper et al. 2020), means of the tissues' means.

    Args:
        truths: (N, H, W, 5) label maps, a channel a class.
        predictions: (N, H, W, 5) label maps.
        tissues: (N,) tissue of each image; one tissue when None.
    """
    found = pannuke_panoptic_quality(truths, predictions, tissues=tissues)
    return {"mpq": found.mpq, "bpq": found.pq}


def monuseg(truths: Sequence[ArrayLike], predictions: Sequence[ArrayLike]) -> Scores:
    """Mean of the images' AJI, as MoNuSeg ranks by (Kumar et al., IEEE TMI 2020).

    Args:
        truths: (H, W) label maps.
        predictions: (H, W) label maps. An image without any object on either side is left out.
    """
    values = [aji(t, p) for t, p in zip(truths, predictions, strict=True)]
    defined = [value for value in values if not np.isnan(value)]
    return {"aji": float(np.mean(defined)) if defined else float("nan")}


PROTOCOLS: Mapping[str, Callable[..., Scores]] = {
    "glas-official": glas_official,
    "conic": conic,
    "pannuke": pannuke,
    "monuseg": monuseg,
}
"""Protocol -> its scores."""
