"""Scores against plain baselines: one loop a pair, `numpy.unique`, scipy's Hausdorff distance."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import directed_hausdorff

from benchmarks.timing import Row, median_ms
from cerberus_bench.eval import (
    aji,
    aji_plus,
    dice,
    f1,
    object_hausdorff,
    overlap,
    panoptic_quality,
)
from cerberus_bench.eval.glas import partners

Labels = NDArray[np.int32]


def rows() -> Iterator[Row]:
    truth, prediction = discs(1000, 800, 9.0, seed=0)
    yield _panoptic(truth, prediction)
    yield _table(truth, prediction)
    yield _all_scores(truth, prediction)
    yield _hausdorff(*discs(600, 12, 55.0, seed=1))


def discs(size: int, n: int, radius: float, seed: int) -> tuple[Labels, Labels]:
    """Truth of n discs and a prediction of the same discs, moved and scaled a little."""
    rng = np.random.default_rng(seed)
    truth, prediction = np.zeros((2, size, size), np.int32)
    for number in range(1, n + 1):
        centre, r = rng.uniform(0, size, 2), radius * rng.uniform(0.6, 1.2)
        _paint(truth, centre, r, number)
        _paint(prediction, centre + rng.normal(0, r / 6, 2), r * rng.uniform(0.85, 1.15), number)
    return truth, prediction


def _paint(labels: Labels, centre: NDArray[np.float64], radius: float, number: int) -> None:
    (y0, x0), (y1, x1) = (np.clip(centre + s * radius, 0, len(labels)).astype(int) for s in (-1, 1))
    y, x = np.ogrid[y0:y1, x0:x1]
    inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
    labels[y0:y1, x0:x1][inside] = number


def loop_pq(truth: Labels, prediction: Labels) -> float:
    """Panoptic quality as most repositories write it: masks of the whole image, one by one."""
    masks = {int(p): prediction == p for p in np.unique(prediction)[1:]}
    ids = np.unique(truth)[1:]
    ious = []
    for t in ids:
        mask = truth == t
        for p in np.unique(prediction[mask]):
            if p:
                iou = (mask & masks[int(p)]).sum() / (mask | masks[int(p)]).sum()
                ious += [iou] if iou > 0.5 else []
    return float(2 * np.sum(ious) / (len(ids) + len(masks)))


def unique_pairs(truth: Labels, prediction: Labels) -> int:
    """The number of overlapping pairs by sorting all pixels."""
    pairs = np.unique(truth.astype(np.int64) << 32 | prediction)
    return int(((pairs >> 32 > 0) & (pairs & 0xFFFFFFFF > 0)).sum())


def _panoptic(truth: Labels, prediction: Labels) -> Row:
    ours, theirs = panoptic_quality(truth, prediction).pq, loop_pq(truth, prediction)
    times = median_ms(
        lambda: panoptic_quality(truth, prediction), lambda: loop_pq(truth, prediction)
    )
    return Row("PQ, 1000 x 1000", times[0], "a loop a pair", times[1], f"{abs(ours - theirs):.0e}")


def _table(truth: Labels, prediction: Labels) -> Row:
    times = median_ms(lambda: overlap(truth, prediction), lambda: unique_pairs(truth, prediction))
    same = len(overlap(truth, prediction).pair_truth) == unique_pairs(truth, prediction)
    return Row("overlap table, 1000 x 1000", times[0], "numpy.unique", times[1], str(same))


def _all_scores(truth: Labels, prediction: Labels) -> Row:
    def everything() -> None:
        table = overlap(truth, prediction)
        for score in (dice, aji, aji_plus, panoptic_quality):
            score(table)
        for level in range(50, 100, 5):
            f1(table, iou=level / 100)

    (ms,) = median_ms(everything)
    return Row("Dice, AJI, AJI+, PQ, F1 at ten levels", ms, "none", None, "")


def loop_hausdorff(truth: Labels, prediction: Labels) -> float:
    """GlaS object Hausdorff of maps whose objects all overlap, by scipy on each pair."""
    table = overlap(truth, prediction)
    total = 0.0
    for side, areas in (("truth", table.truth_areas), ("prediction", table.prediction_areas)):
        for i, pair in enumerate(partners(table, side)):
            t, p = table.pair_truth[pair], table.pair_prediction[pair]
            a = np.argwhere(truth == table.truth_ids[t])
            b = np.argwhere(prediction == table.prediction_ids[p])
            distance = max(directed_hausdorff(a, b)[0], directed_hausdorff(b, a)[0])
            total += distance * areas[i] / areas.sum()
    return total / 2


def _hausdorff(truth: Labels, prediction: Labels) -> Row:
    ours, theirs = object_hausdorff(truth, prediction), loop_hausdorff(truth, prediction)
    times = median_ms(
        lambda: object_hausdorff(truth, prediction), lambda: loop_hausdorff(truth, prediction)
    )
    name = "scipy directed_hausdorff"
    return Row("object Hausdorff, 600 x 600", *times[:1], name, times[1], f"{ours - theirs:.0e}")
