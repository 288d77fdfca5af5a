"""How workflows say how far they are, without knowing a terminal."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """Wraps an iterable; the command line draws a bar, Python users see nothing by default."""

    def __call__(self, items: Iterable[T], total: int, what: str) -> Iterator[T]:
        """Yield the items of a step called `what`, `total` of them."""
        ...


def silent(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Yield the items and say nothing."""
    yield from items
