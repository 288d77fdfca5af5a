"""The best and the worst images of a task, kept while scores stream by."""

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(order=True)
class _Kept(Generic[T]):
    key: float
    number: int
    item: T = field(compare=False)


class BestAndWorst(Generic[T]):
    """Holds at most `k` best and `k` worst items by score, whatever passes by."""

    def __init__(self, k: int) -> None:
        self._k = k
        self._best: list[_Kept[T]] = []
        self._worst: list[_Kept[T]] = []
        self._seen = 0

    def offer(self, score: float, item: T) -> None:
        """Keep the item if it is among the best or the worst; undefined scores are passed over."""
        if math.isnan(score):
            return
        self._seen += 1
        for heap, sign in ((self._best, 1.0), (self._worst, -1.0)):
            heapq.heappush(heap, _Kept(sign * score, -self._seen, item))
            if len(heap) > self._k:
                heapq.heappop(heap)

    def best(self) -> Iterator[tuple[float, T]]:
        """(score, item), best first."""
        return ((kept.key, kept.item) for kept in sorted(self._best, reverse=True))

    def worst(self) -> Iterator[tuple[float, T]]:
        """(score, item), worst first; items that are among the best are left out."""
        best = {kept.number for kept in self._best}
        ordered = sorted(self._worst, reverse=True)
        return ((-kept.key, kept.item) for kept in ordered if kept.number not in best)
