"""Things that are made once for an open source and dropped with it."""

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from cerberus_bench.loaders.archive import SourceTree

T = TypeVar("T")


class PerTree(Generic[T]):
    """Remembers what a function makes of a file of a tree, as long as the tree lives.

    Threads that ask at the same time wait for the one that makes it.
    """

    def __init__(self, make: Callable[[SourceTree, str], T]) -> None:
        self._make = make
        self._lock = Lock()
        self._made: WeakKeyDictionary[SourceTree, dict[str, T]] = WeakKeyDictionary()

    def __call__(self, tree: SourceTree, name: str) -> T:
        """What is made of the file `name`; made at the first call."""
        with self._lock:
            made = self._made.setdefault(tree, {})
            if name not in made:
                made[name] = self._make(tree, name)
            return made[name]
