"""MATLAB files of annotations."""

import io
import math
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.instances import as_ids
from cerberus_bench.schema.errors import DataError

MAX_UNPACKED_BYTES = 512 << 20
"""All variables of a file, unpacked; the label maps of the datasets here take 1 to 50 MB."""
_HEADER_BYTES, _TAG_BYTES = 128, 8
_COMPRESSED = 15
"""Type of an element that holds another one, deflated."""
_STEP_BYTES = 1 << 20
_NUMBERS = frozenset(
    ("double", "single", "logical", *(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)))
)
"""Classes of arrays; cells and structs take room for what they only claim to hold."""
_LARGEST_NUMBER = 8
"""Bytes."""


def read_matlab(data: bytes, name: str, variables: Sequence[str]) -> dict[str, Any]:
    """The named variables of a .mat file, arrays of numbers, as far as they are there.

    Raises:
        DataError: the bytes are no .mat file of version 4 to 7.2, are damaged, unpack to more than
            `MAX_UNPACKED_BYTES`, or a variable is no array of numbers or claims to be larger.
    """
    from scipy.io import loadmat, whosmat

    _check_unpacked(data, name)
    file: Any = io.BytesIO(data)  # scipy's stubs know paths only
    try:
        present = whosmat(file)  # of headers alone
        _check_variables([one for one in present if one[0] in variables], name)
        file.seek(0)
        return dict(loadmat(file, variable_names=tuple(variables)))
    except DataError:
        raise
    except Exception as error:  # the parser has no error of its own: damaged bytes raise anything
        raise DataError(
            f"{name} is no readable .mat file ({error}). It is damaged or cut short: obtain it"
            " again."
        ) from None


def _check_variables(present: Iterable[tuple[str, tuple[int, ...], str]], name: str) -> None:
    """Refuse what the parser would make room for on the word of a header."""
    for variable, shape, kind in present:
        if kind not in _NUMBERS:
            raise DataError(
                f"{name}: {variable} is of the MATLAB class {kind}; expected an array of numbers."
                " Take the file that the source distributes."
            )
        if math.prod(shape) * _LARGEST_NUMBER > MAX_UNPACKED_BYTES:
            raise DataError(
                f"{name}: {variable} claims the shape {shape}, too large for a label map. Take the"
                " file that the source distributes."
            )


def _check_unpacked(data: bytes, name: str) -> None:
    """Refuse a file whose elements unpack to too much, without keeping what they unpack to.

    Source: MathWorks, MAT-File Format, "Level 5 MAT-File Format": a header of 128 bytes that ends
    in the order of bytes, then elements with a tag of type and number of bytes each.
    """
    if len(data) < _HEADER_BYTES or 0 in data[:4]:
        return  # version 4, which packs nothing, or no .mat file, as the parser will say
    tag = struct.Struct("<II" if data[126:128] == b"IM" else ">II")
    elements = memoryview(data)[_HEADER_BYTES:]
    total = 0
    while len(elements) >= _TAG_BYTES:
        kind, n_bytes = tag.unpack_from(elements)
        body, elements = elements[_TAG_BYTES:][:n_bytes], elements[_TAG_BYTES + n_bytes :]
        total += _unpacked_bytes(body) if kind == _COMPRESSED else len(body)
        if total > MAX_UNPACKED_BYTES:
            raise DataError(
                f"{name} unpacks to more than {MAX_UNPACKED_BYTES >> 20} MiB from"
                f" {len(data):,} bytes, so it holds no label map. Take the file that the source"
                " distributes."
            )


def _unpacked_bytes(packed: memoryview) -> int:
    """How much a deflated element unpacks to; stops counting past the bound."""
    unpacker, n_bytes, rest = zlib.decompressobj(), 0, bytes(packed)
    try:
        while rest and n_bytes <= MAX_UNPACKED_BYTES:
            n_bytes += len(unpacker.decompress(rest, _STEP_BYTES))
            rest = unpacker.unconsumed_tail
    except zlib.error:
        pass  # damaged: the parser says so
    return n_bytes


def label_map(variables: dict[str, Any], key: str, name: str) -> NDArray[np.int32]:
    """A variable that is an (H, W) map of ids, whatever number type it is stored in.

    Raises:
        DataError: the variable is not there, or is no map of non-negative whole numbers.
    """
    if key not in variables:
        raise DataError(f"{name} has no {key}; take the .mat file that the source distributes")
    return as_ids(np.asarray(variables[key]), f"{name}: {key}")
