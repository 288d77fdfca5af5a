"""Ground truth: one connected, visible region an id, numbered without gaps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.phantom.geometry import components, renumbering
from cerberus_bench.loaders.phantom.paint import Blob
from cerberus_bench.loaders.phantom.units import Labels

SMALLEST_NUCLEUS_PX = 14
"""Nuclei with a smaller visible part stay painted but carry no label."""

VISIBLE_SHARE = 0.35
"""Nuclei of which less of the ellipse is visible stay painted but carry no label."""

_FRAME_PX = 6.0
_ELLIPSE = 3.1415926


def tidy_nuclei(
    labels: Labels, classes: Sequence[int], nuclei: Sequence[Blob], lobed: frozenset[int]
) -> tuple[Labels, NDArray[np.int64]]:
    """Nuclei that a careful annotator would mark, renumbered 1 .. n, and their classes (n,).

    Keeps the largest 8-connected part of each id, and drops what is smaller than
    `SMALLEST_NUCLEUS_PX` or mostly covered (`VISIBLE_SHARE`), unless it is cut by the frame.

    Args:
        labels: painted ids, (H, W) int32.
        classes: class of each id; entry 0 is background.
        nuclei: the blobs that were painted.
        lobed: classes whose nucleus is painted in several blobs, to which the visible share of one
            ellipse does not apply.
    """
    labels = _largest_parts(labels, len(classes))
    sizes = np.bincount(labels.ravel(), minlength=len(classes))
    keep = sizes >= SMALLEST_NUCLEUS_PX
    keep[0] = False
    for blob in nuclei:
        if blob.label > 0 and classes[blob.label] not in lobed and _is_whole(blob, labels.shape[0]):
            area = _ELLIPSE * blob.a * blob.b
            keep[blob.label] &= bool(sizes[blob.label] >= VISIBLE_SHARE * area)
    kept = np.asarray(classes, np.int64)[keep]
    return renumbering(keep)[labels], kept


def drop_small(labels: Labels, smallest: int) -> Labels:
    """Labels of at least `smallest` px, renumbered 1 .. n."""
    sizes = np.bincount(labels.ravel())
    keep = sizes >= smallest
    keep[0] = False
    return renumbering(keep)[labels]


def _largest_parts(labels: Labels, ids: int) -> Labels:
    parts = components(labels, connectivity=2)
    count = int(parts.max(initial=0)) + 1
    size = np.bincount(parts.ravel(), minlength=count)
    owner = np.zeros(count, np.int64)
    owner[parts.ravel()] = labels.ravel()
    rank = size * count - np.arange(count)
    best = np.zeros(ids, np.int64)
    np.maximum.at(best, owner, rank)
    keep = best[owner] == rank
    keep[owner == 0] = False
    return np.where(keep[parts], labels, 0).astype(np.int32)


def _is_whole(blob: Blob, size: int) -> bool:
    far = size - _FRAME_PX
    return _FRAME_PX < blob.x < far and _FRAME_PX < blob.y < far
