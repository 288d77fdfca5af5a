"""The scores once more: one mask an object, every pair compared, no cleverness.

Slow and obvious on purpose. Tests compare the package with it on random maps.
"""

import math
from itertools import permutations

import numpy as np
from scipy.optimize import linear_sum_assignment

NAN = float("nan")


def masks(labels):
    return {int(i): labels == i for i in np.unique(labels) if i > 0}


def pair_table(truth, prediction):
    """Intersection and union of every pair, and the masks of both sides."""
    t, p = masks(truth), masks(prediction)
    inter = np.array([[(a & b).sum() for b in p.values()] for a in t.values()])
    union = np.array([[(a | b).sum() for b in p.values()] for a in t.values()])
    shape = (len(t), len(p))
    return inter.reshape(shape), union.reshape(shape), list(t.values()), list(p.values())


def dice(truth, prediction):
    a, b = truth > 0, prediction > 0
    total = a.sum() + b.sum()
    return 2 * (a & b).sum() / total if total else NAN


def dice2(truth, prediction):
    inter, union, _, _ = pair_table(truth, prediction)
    meet = inter > 0
    return 2 * inter[meet].sum() / (inter + union)[meet].sum() if meet.any() else NAN


def _aggregate(inter, union, t, p, pairs):
    i = sum(inter[a, b] for a, b in pairs)
    u = sum(union[a, b] for a, b in pairs)
    u += sum(mask.sum() for k, mask in enumerate(t) if k not in {a for a, _ in pairs})
    u += sum(mask.sum() for k, mask in enumerate(p) if k not in {b for _, b in pairs})
    return i / u if u else NAN


def aji(truth, prediction):
    inter, union, t, p = pair_table(truth, prediction)
    pairs = []
    for a in range(len(t)):
        soft = [inter[a, b] / (union[a, b] + 1e-6) for b in range(len(p))]
        if soft and max(soft) > 0:
            pairs.append((a, soft.index(max(soft))))
    return _aggregate(inter, union, t, p, pairs)


def aji_plus_options(truth, prediction):
    """The AJI+ of every best assignment: several where assignments tie."""
    inter, union, t, p = pair_table(truth, prediction)
    if not (t and p):
        return [_aggregate(inter, union, t, p, [])]
    gain = inter / (union + 1e-6)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    best = gain[rows, columns].sum()
    options = []
    small = len(t) <= len(p)
    for choice in permutations(range(max(len(t), len(p))), min(len(t), len(p))):
        pairs = [(a, b) if small else (b, a) for a, b in enumerate(choice)]
        if math.isclose(sum(gain[pair] for pair in pairs), best, rel_tol=1e-12):
            kept = [pair for pair in pairs if inter[pair] > 0]
            options.append(_aggregate(inter, union, t, p, kept))
    return options


def matched_ious(truth, prediction, threshold):
    """IoUs of the matched pairs at IoU > threshold."""
    inter, union, t, p = pair_table(truth, prediction)
    if not (t and p):
        return [], len(t), len(p)
    iou = inter / union
    if threshold >= 0.5:
        return [float(v) for v in iou[iou > threshold]], len(t), len(p)
    rows, columns = linear_sum_assignment(iou, maximize=True)
    values = iou[rows, columns]
    return [float(v) for v in values[values > threshold]], len(t), len(p)


def panoptic(truth, prediction, threshold=0.5, dq_eps=0.0, sq_eps=0.0):
    ious, n, m = matched_ious(truth, prediction, threshold)
    if n + m == 0:
        return NAN, NAN, NAN, 0, 0, 0
    tp = len(ious)
    dq = tp / (0.5 * (n + m) + dq_eps)
    sq = sum(ious) / (tp + sq_eps) if tp else 0.0
    return dq, sq, dq * sq, tp, m - tp, n - tp


def object_f1(truth, prediction):
    inter, _, t, p = pair_table(truth, prediction)
    if not (t or p):
        return NAN
    hits = 0
    for b in range(len(p)):
        column = [inter[a, b] for a in range(len(t))]
        if column and max(column) > 0:
            a = column.index(max(column))
            hits += inter[a, b] / t[a].sum() > 0.5
    precision = hits / len(p) if p else 0
    recall = hits / len(t) if t else 0
    return 2 * precision * recall / (precision + recall) if hits else 0.0


def object_dice(truth, prediction):
    inter, _, t, p = pair_table(truth, prediction)
    if not (t or p):
        return NAN
    return 0.5 * (_dice_side(t, p, inter) + _dice_side(p, t, inter.T))


def _dice_side(own, other, inter):
    total = sum(mask.sum() for mask in own)
    value = 0.0
    for k, mask in enumerate(own):
        row = list(inter[k])
        if row and max(row) > 0:
            j = row.index(max(row))
            value += mask.sum() / total * 2 * row[j] / (mask.sum() + other[j].sum())
    return value


def hausdorff(a, b):
    pa, pb = np.argwhere(a).astype(float), np.argwhere(b).astype(float)
    d = np.sqrt(((pa[:, None] - pb[None]) ** 2).sum(axis=2))
    return max(d.min(axis=1).max(), d.min(axis=0).max())


def object_hausdorff(truth, prediction):
    inter, _, t, p = pair_table(truth, prediction)
    if not (t or p):
        return NAN
    if not (t and p):
        return math.inf
    return 0.5 * (_hausdorff_side(t, p, inter) + _hausdorff_side(p, t, inter.T))


def _hausdorff_side(own, other, inter):
    total = sum(mask.sum() for mask in own)
    value = 0.0
    for k, mask in enumerate(own):
        row = list(inter[k])
        if max(row) > 0:
            distance = hausdorff(mask, other[row.index(max(row))])
        else:
            distance = min(hausdorff(mask, candidate) for candidate in other)
        value += mask.sum() / total * distance
    return value


def gated_best(truth, prediction, radius):
    """Most pairs within the radius, and the smallest total distance among these."""
    n, m = len(truth), len(prediction)
    best = (0, 0.0)
    small, large = (truth, prediction) if n <= m else (prediction, truth)
    for choice in permutations(range(len(large)), len(small)):
        distances = [math.dist(small[k], large[j]) for k, j in enumerate(choice)]
        within = [d for d in distances if d <= radius]
        best = min(best, (-len(within), sum(within)))
    return -best[0], best[1]
