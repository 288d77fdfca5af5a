"""Flooding from markers without the compiled kernel, whose results these are; slow.

_kernel_flood.c describes the order in which pixels are flooded, and when it leaves a tie. Here the
whole map is flooded at once, which gives every component what it gets alone.
"""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int32]
Cost = NDArray[np.float32]

UNREACHED = -1
"""A pixel of the mask that has no label yet."""


class Flooded(NamedTuple):
    """What a flood gives."""

    labels: Labels
    """(H, W); 0 outside the mask and where no marker lies in a component."""
    ties: bool
    """Whether another order of equal marker pixels might have given other labels."""


def flood(inner: Cost, markers: Labels, mask: NDArray[np.bool_], published_ties: bool) -> Flooded:
    """Watershed of minus the inner probability from markers, inside a mask.

    Args:
        inner: (H, W) float32, without NaN inside the mask.
        markers: (H, W) labels, 0 = none.
        mask: (H, W).
        published_ties: where equal marker pixels might come in another order, take that of
            scikit-image's heap of the whole map; otherwise it is their raster order.
    """
    cost = np.pad(-inner, 1)
    start = np.pad(np.where(mask & (markers == 0), np.int32(UNREACHED), markers * mask), 1)
    labels, ties = _flood_in_raster_order(cost, start.copy())
    if ties and published_ties:
        labels = _flood_in_heap_order(cost, start)
    labels[labels == UNREACHED] = 0
    return Flooded(labels[1:-1, 1:-1].copy(), ties)


def _flood_in_raster_order(cost: Cost, labels: Labels) -> tuple[Labels, bool]:
    """Flood a padded map; equal marker pixels come in raster order."""
    places = np.flatnonzero(_open_markers(labels))
    queue = [(float(cost.flat[at]), time, int(at), 0) for time, at in enumerate(places)]
    heapify(queue)
    time, this_round, ties = len(queue), 0, False
    last: tuple[float, int] | None = None
    given: set[int] = set()
    cost_at, label_at, around = cost.ravel().data, labels.ravel().data, _around(cost)
    while queue:
        least, _, at, parent_round = heappop(queue)
        if (least, parent_round) != last:
            last = least, parent_round
            this_round += 1
            given = set()
        for beside in (at + step for step in around):
            if label_at[beside] == UNREACHED:
                label_at[beside] = label_at[at]
                given.add(beside)
                heappush(queue, (max(cost_at[beside], least), time, beside, this_round))
                time += 1
            elif beside in given:
                ties |= label_at[beside] != label_at[at]
    return labels, ties


def _flood_in_heap_order(cost: Cost, labels: Labels) -> Labels:
    """Flood a padded map; equal marker pixels come as the layout of a binary heap gives them."""
    cost_at, label_at, around = cost.ravel().data, labels.ravel().data, _around(cost)
    heap = _Heap()
    for at in np.flatnonzero(labels > 0).tolist():
        heap.push((cost_at[at], 0), at)
    time = 0
    for (least, _), at in heap.pop_all():
        for beside in (at + step for step in around):
            if label_at[beside] == UNREACHED:
                label_at[beside] = label_at[at]
                time += 1
                heap.push((max(cost_at[beside], least), time), beside)
    return labels


def _around(padded: Cost) -> tuple[int, int, int, int]:
    """Steps in a flat padded map to the pixels above, left, right and below."""
    return -padded.shape[1], -1, 1, padded.shape[1]


def _open_markers(labels: Labels) -> NDArray[np.bool_]:
    """Marker pixels of a padded map beside one without a label."""
    unreached = labels == UNREACHED
    beside = np.zeros_like(unreached)
    beside[1:-1, 1:-1] = unreached[:-2, 1:-1] | unreached[2:, 1:-1]
    beside[1:-1, 1:-1] |= unreached[1:-1, :-2] | unreached[1:-1, 2:]
    opened: NDArray[np.bool_] = beside & (labels > 0)
    return opened


class _Heap:
    """A binary heap whose equal items come in the order of scikit-image's."""

    def __init__(self) -> None:
        self._keys: list[tuple[float, int]] = []
        self._places: list[int] = []

    def push(self, key: tuple[float, int], place: int) -> None:
        keys, places = self._keys, self._places
        i = len(keys)
        keys.append(key)
        places.append(place)
        while i and key < keys[parent := (i - 1) // 2]:
            keys[i], places[i] = keys[parent], places[parent]
            i = parent
        keys[i], places[i] = key, place

    def pop_all(self) -> Iterator[tuple[tuple[float, int], int]]:
        """Items, also those pushed meanwhile, smallest first."""
        while self._keys:
            key, place = self._keys.pop(), self._places.pop()
            if self._keys:
                first = self._keys[0], self._places[0]
                self._sink(key, place)
                key, place = first
            yield key, place

    def _sink(self, key: tuple[float, int], place: int) -> None:
        """Put an item in the place of the first, below smaller ones, left ones first."""
        keys, places = self._keys, self._places
        i, n = 0, len(keys)
        while (child := 2 * i + 1) < n:
            child += child + 1 < n and keys[child + 1] < keys[child]
            if key <= keys[child]:
                break
            keys[i], places[i] = keys[child], places[child]
            i = child
        keys[i], places[i] = key, place
