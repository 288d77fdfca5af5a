"""The same pass over two label maps in plain C, compiled with the kernel's own flags."""

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SOURCE = Path(__file__).with_name("plain_pass.c")
FLAGS = ("-O3", "-std=c11")
"""Those of the kernel in setup.py."""

Int64 = NDArray[np.int64]
Pairs = tuple[Int64, Int64]
"""Packed pairs of ids, truth << 32 | prediction, and how many pixels each has."""
PlainPass = Callable[[NDArray[np.int32], NDArray[np.int32]], Pairs]


def plain_pass() -> PlainPass | None:
    """Compile the pass; None where there is no C compiler.

    Returns:
        A function of two int32 maps in C order that gives its hash table as it is, with empty
        slots; see `filled`.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    library = Path(tempfile.mkdtemp(prefix="plain-pass-")) / "plain_pass.so"
    command = [compiler, *FLAGS, "-shared", "-fPIC", "-o", str(library), str(SOURCE)]
    subprocess.run(command, check=True)
    function = ctypes.CDLL(str(library)).plain_pass
    function.restype = ctypes.c_int64

    def run(truth: NDArray[np.int32], prediction: NDArray[np.int32]) -> Pairs:
        capacity = 1 << (4 * (int(truth.max()) + int(prediction.max()) + 1)).bit_length()
        keys, counts = np.empty(capacity, np.int64), np.empty(capacity, np.int64)
        pointers = (a.ctypes.data_as(ctypes.c_void_p) for a in (truth, prediction))
        tables = (a.ctypes.data_as(ctypes.c_void_p) for a in (keys, counts))
        size, slots = ctypes.c_int64(truth.size), ctypes.c_int64(capacity)
        function(*pointers, size, *tables, slots)
        return keys, counts

    return run


def filled(keys: Int64, counts: Int64) -> Pairs:
    """The pairs of a hash table, in order, background included; a key there is one too large."""
    some = np.flatnonzero(keys)
    order = some[np.argsort(keys[some])]
    return keys[order] - 1, counts[order]
