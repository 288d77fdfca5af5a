"""From counts of images to a score: its value, and its value in any resample of groups."""

from collections.abc import Callable, Mapping

import numpy as np

from cerberus_bench.eval.classification import auroc, average_precision
from cerberus_bench.eval.coco import coco_ap
from cerberus_bench.eval.formulas import Columns, divide, mean_of_defined
from cerberus_bench.eval.froc import FrocImage, froc_image, froc_of
from cerberus_bench.eval.image_counts import ImageCounts
from cerberus_bench.eval.intervals import Estimate
from cerberus_bench.eval.overlap import Float64
from cerberus_bench.eval.protocol import (
    SIGNET_RING_IOU,
    Definition,
    Ranking,
    Scope,
    suffix_of,
)
from cerberus_bench.eval.ranking import (
    CHUNK,
    weighted_auroc,
    weighted_average_precision,
    weighted_froc,
)
from cerberus_bench.schema.report import Averaging


def value_of(
    definition: Definition, columns: Columns, classes: tuple[str, ...], class_name: str | None
) -> Float64:
    """The score of each row of columns, or of plain sums."""
    if definition.scope is Scope.CLASS_MEAN:
        each = [definition.formula(columns, suffix_of(name)) for name in classes]
        return mean_of_defined(np.array(each))
    return definition.formula(columns, suffix_of(class_name))


def columns_of(
    definition: Definition, classes: tuple[str, ...], class_name: str | None
) -> tuple[str, ...]:
    """Full names of the columns that a score needs."""
    names = classes if definition.scope is Scope.CLASS_MEAN else (class_name,)
    return tuple(column + suffix_of(name) for name in names for column in definition.columns)


def estimate(
    definition: Definition, counts: ImageCounts, averaging: Averaging, class_name: str | None = None
) -> Estimate:
    """A score made of counts, pooled or as a mean over images."""
    if averaging == "pooled":
        return _pooled(definition, counts, class_name)
    values = image_values(definition, counts, class_name)
    return _image_mean(values, strata_of(definition, counts), counts)


def image_values(
    definition: Definition, counts: ImageCounts, class_name: str | None = None
) -> Float64:
    """(n_images,) the score of each image alone; NaN where undefined."""
    columns = _columns(definition, counts, class_name)
    return value_of(definition, columns, counts.classes, class_name)


def strata_of(definition: Definition, counts: ImageCounts) -> tuple[str, ...]:
    """(n_images,) within which image means are taken first: tissues, or all of the set."""
    return counts.organs if definition.by_tissue else ("",) * len(counts)


def ranking_estimate(
    ranking: Ranking,
    counts: ImageCounts,
    class_name: str | None = None,
    known: dict[tuple[str, str], Estimate] | None = None,
) -> Estimate:
    """A score that ranks patches or boxes, pooled.

    Args:
        ranking: which.
        counts: of the images.
        class_name: class, or None for a mean over classes or a score of all.
        known: estimates of single classes made before from the same counts, and where to keep new
            ones: a mean over classes and the classes themselves need the same resamples.
    """
    if ranking.metric == "froc":
        return _froc(counts)
    if ranking.metric == "coco_ap":
        return _coco_ap(counts)
    classes = counts.classes if class_name is None else (class_name,)
    known = {} if known is None else known
    for name in classes:
        if (ranking.metric, name) not in known:
            known[ranking.metric, name] = _patch_ranking(ranking.metric, counts, name)
    each = [known[ranking.metric, name] for name in classes]
    if class_name is not None:
        return each[0]
    value = float(mean_of_defined(np.array([one.value for one in each])))

    def resample(draws: Float64) -> Float64:
        return mean_of_defined(np.array([one.resample(draws) for one in each]))

    return Estimate(value, resample)


def _columns(definition: Definition, counts: ImageCounts, class_name: str | None) -> Columns:
    names = columns_of(definition, counts.classes, class_name)
    return {name: counts.columns[name] for name in names}


def _pooled(definition: Definition, counts: ImageCounts, class_name: str | None) -> Estimate:
    columns = _columns(definition, counts, class_name)
    by_group = {name: counts.by_group(values) for name, values in columns.items()}

    def score(sums: Mapping[str, Float64]) -> Float64:
        return value_of(definition, sums, counts.classes, class_name)

    def resample(draws: Float64) -> Float64:
        return score({name: draws @ sums for name, sums in by_group.items()})

    return Estimate(float(score({name: v.sum() for name, v in columns.items()})), resample)


def _image_mean(values: Float64, strata: tuple[str, ...], counts: ImageCounts) -> Estimate:
    """Mean of the defined values in each stratum, then over strata where there is any."""
    defined = ~np.isnan(values)
    names = np.array(strata)
    inside = np.array([names == name for name in sorted(set(strata))]) & defined
    sums, numbers = np.where(inside, values, 0.0), inside.astype(np.float64)
    value = float(mean_of_defined(divide(sums.sum(axis=1), numbers.sum(axis=1))))
    group_sums, group_numbers = counts.by_group(sums.T), counts.by_group(numbers.T)

    def resample(draws: Float64) -> Float64:
        return mean_of_defined(divide(draws @ group_sums, draws @ group_numbers).T)

    return Estimate(value, resample)


def _by_chunk(
    counts: ImageCounts, n_items: int, score: Callable[[Float64], Float64]
) -> Callable[[Float64], Float64]:
    """Turn draws of groups into weights of images, some resamples at a time."""
    index, step = counts.group_index, max(1, CHUNK // max(1, n_items))

    def resample(draws: Float64) -> Float64:
        starts = range(0, len(draws), step)
        return np.concatenate([score(np.take(draws[i : i + step], index, axis=1)) for i in starts])

    return resample


def _patch_ranking(metric: str, counts: ImageCounts, class_name: str) -> Estimate:
    exact, weighted = {
        "auroc": (auroc, weighted_auroc),
        "average_precision": (average_precision, weighted_average_precision),
    }[metric]
    positive = counts.columns[f"n_truth/{class_name}"] > 0
    score = counts.columns[f"p/{class_name}"]
    value = float(exact(positive.astype(np.int64), np.stack([1 - score, score], axis=1))[1])
    resample = _by_chunk(counts, len(counts), lambda weights: weighted(positive, score, weights))
    return Estimate(value, _remember_last(resample))


def _remember_last(resample: Callable[[Float64], Float64]) -> Callable[[Float64], Float64]:
    """Resample once for the same draws, however often they are asked for."""
    last: list[tuple[Float64, Float64]] = []

    def remembered(draws: Float64) -> Float64:
        if not last or last[0][0] is not draws:
            last[:] = [(draws, resample(draws))]
        return last[0][1]

    return remembered


def _froc(counts: ImageCounts) -> Estimate:
    images = froc_images(counts)
    n_items = sum(len(image.scores) for image in images)
    return Estimate(
        froc_of(images).froc,
        _by_chunk(counts, n_items, lambda weights: weighted_froc(images, weights)),
    )


def froc_images(counts: ImageCounts) -> list[FrocImage]:
    """The matched boxes of each image."""
    return [
        froc_image(boxes.truth, boxes.prediction, boxes.scores, bool(negative), iou=SIGNET_RING_IOU)
        for boxes, negative in zip(counts.boxes, counts.columns["negative_images"], strict=True)
    ]


def _coco_ap(counts: ImageCounts) -> Estimate:
    """The value alone: matching anew in every resample would take minutes."""
    lists = zip(*((b.truth, b.prediction, b.scores) for b in counts.boxes), strict=True)
    value = coco_ap(*lists).ap
    return Estimate(value, lambda draws: np.full(len(draws), np.nan))
