"""How workflows say how far they are, without knowing a terminal."""

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T", covariant=True)

Progress = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and what was just done."""


class Countable(Protocol[T]):
    """Items of known number."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[T]: ...


def tracked(items: Countable[T], what: str, progress: Progress | None) -> Iterator[T]:
    """Yield the items and report each one when it is done."""
    for done, item in enumerate(items, 1):
        yield item
        if progress:
            progress(done, len(items), what)
