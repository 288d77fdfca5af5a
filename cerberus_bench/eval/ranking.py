"""Scores that rank items, over resampled images: AUROC, average precision, FROC."""

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.eval.formulas import divide
from cerberus_bench.eval.froc import RATES, FrocImage
from cerberus_bench.eval.overlap import Bool, Float64

CHUNK = 500_000
"""Numbers held at a time while resampling: what stays in a cache."""


def weighted_auroc(positive: Bool, score: Float64, weights: Float64) -> Float64:
    """(B,) AUROC under B weightings of n items; NaN where one kind has no weight.

    Args:
        positive: (n,).
        score: (n,).
        weights: (B, n).
    """
    ranked = _Ranked(positive, score, weights)
    below, up_to = (every - own for every, own in zip(ranked.all, ranked.positive, strict=True))
    wins = (ranked.own * (below + up_to)).sum(axis=1) / 2
    return divide(wins, ranked.positive_total * (ranked.total - ranked.positive_total))


def weighted_average_precision(positive: Bool, score: Float64, weights: Float64) -> Float64:
    """(B,) average precision under B weightings; NaN without positive weight. See above."""
    ranked = _Ranked(positive, score, weights)
    called = ranked.total[:, None] - ranked.all[0]
    found = ranked.positive_total[:, None] - ranked.positive[0]
    precision = np.nan_to_num(divide(found, called))
    return divide((ranked.own * precision).sum(axis=1), ranked.positive_total)


def weighted_froc(images: list[FrocImage], weights: Float64) -> Float64:
    """(B,) exact FROC under B weightings of n images; NaN without truth or negative images.

    Args:
        images: n matched images.
        weights: (B, n).
    """
    n_truth = weights @ np.array([image.n_truth for image in images], np.float64)
    n_negative = weights @ np.array([image.negative for image in images], np.float64)
    owner = np.repeat(np.arange(len(images)), [len(image.scores) for image in images])
    hit = np.concatenate([image.hit for image in images])
    wrong = ~hit & np.array([image.negative for image in images], np.bool_)[owner]
    order, first = _ranks(-np.concatenate([image.scores for image in images]))
    found, false = (
        _running(np.where(kind[order], weights[:, owner[order]], 0.0), first)
        for kind in (hit, wrong)
    )
    recalls = []
    for rate in RATES:
        last = (false <= rate * n_negative[:, None]).sum(axis=1) - 1
        recalls.append(divide(np.take_along_axis(found, last[:, None], axis=1)[:, 0], n_truth))
    return np.where(n_negative > 0, np.mean(recalls, axis=0), np.nan)


class _Ranked:
    """Weights below each positive item in order of score, of all items and of positive ones.

    `all` and `positive` are two of (B, n_positive): below its score, and up to its score.
    """

    def __init__(self, positive: Bool, score: Float64, weights: Float64) -> None:
        order = np.argsort(score, kind="stable")
        score, weights = score[order], np.take(weights, order, axis=1)
        mine = np.flatnonzero(positive[order])
        ends = np.stack([np.searchsorted(score, score[mine], side) for side in ("left", "right")])
        self.own = np.take(weights, mine, axis=1)
        running, own_running = _from_zero(weights), _from_zero(self.own)
        self.total, self.positive_total = running[:, -1], own_running[:, -1]
        self.all = [np.take(running, end, axis=1) for end in ends]
        self.positive = [np.take(own_running, np.searchsorted(mine, end), axis=1) for end in ends]


def _ranks(score: Float64) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Order of ascending score, and where in it each distinct score begins."""
    order = np.argsort(score, kind="stable")
    return order, np.flatnonzero(np.diff(score[order], prepend=-np.inf))


def _running(weights: Float64, first: NDArray[np.intp]) -> Float64:
    """(B, d + 1) running sums after each distinct score, 0 before the first."""
    if not len(first):
        return np.zeros((len(weights), 1))
    return _from_zero(np.add.reduceat(weights, first, axis=1))


def _from_zero(weights: Float64) -> Float64:
    """(B, n + 1) running sums, the first 0."""
    sums = np.zeros((len(weights), weights.shape[1] + 1))
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums
