"""Arrays in .npy files: large ones mapped from disk, small ones from bytes. Never unpickled."""

import io
import math
import tempfile
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.per_tree import PerTree
from cerberus_bench.schema.errors import DataError

_DAMAGED = (
    ValueError,
    KeyError,
    TypeError,
    OverflowError,
    SyntaxError,
    TokenError,
    EOFError,
    OSError,
)
"""What NumPy's parser of headers raises on what is no header."""
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
    except _DAMAGED as error:
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


def read_npy(data: bytes, name: str) -> NDArray[Any]:
    """The array of an .npy file, read-only, on the bytes themselves.

    Raises:
        DataError: it is no .npy file, holds Python objects, or less than its header promises.
    """
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, is_fortran, dtype = header(stream)
        if dtype.hasobject:
            raise ValueError("it holds Python objects")
        values = np.frombuffer(data, dtype, math.prod(shape), stream.tell())
        array: NDArray[Any] = values.reshape(shape, order="F" if is_fortran else "C")
    except _DAMAGED as error:
        raise DataError(
            f"{name} is no plain .npy array ({error}). Save it again with"
            " numpy.save(file, array, allow_pickle=False)."
        ) from None
    return array
