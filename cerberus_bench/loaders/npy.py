"""Large .npy arrays, mapped from disk so that memory holds only the rows that are read."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.per_tree import PerTree
from cerberus_bench.schema.errors import DataError

MAX_NPY_BYTES = 1 << 32
"""Largest array that is taken out of a zip; one in a folder may be larger."""


def _map(tree: SourceTree, name: str) -> NDArray[Any]:
    path = Path(tree.where(name))
    if path.is_file():
        return _map_path(path, tree.where(name))
    # a member of a zip cannot be mapped, so it is written once to a file that the map keeps alive
    with tempfile.TemporaryDirectory(prefix="cerberus-bench-") as folder:
        copy = Path(folder, "array.npy")
        copy.write_bytes(tree.read(name, limit=MAX_NPY_BYTES))
        return _map_path(copy, tree.where(name))


def _map_path(path: Path, name: str) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it is a zip of arrays")
    except (ValueError, OSError, EOFError, OverflowError) as error:
        raise DataError(
            f"{name} is no plain .npy array ({error}). It is damaged, cut short or pickled: obtain"
            " it again."
        ) from None
    return array


map_npy = PerTree(_map)
"""`map_npy(tree, name)`: the array of an .npy file, read-only, opened once for each tree.

Never unpickles.

Raises:
    DataError: the file is damaged, cut short, or holds Python objects.
"""
