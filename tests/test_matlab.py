"""MATLAB files: what is read, and what would fill the memory is refused before it does."""

import io
import struct
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from cerberus_bench.loaders import matlab
from cerberus_bench.loaders.matlab import label_map, read_matlab
from cerberus_bench.schema.errors import DataError

LABELS = np.arange(3000, dtype=np.int32).reshape(50, 60)
MIB = 1 << 20


def mat(variables: dict[str, Any], **how: Any) -> bytes:
    file = io.BytesIO()
    savemat(file, variables, **how)
    return file.getvalue()


def header(order: str = "<") -> bytes:
    return b"MATLAB 5.0".ljust(124) + struct.pack(f"{order}HH", 0x0100, 0x4D49)


def element(packed: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}II", 15, len(packed)) + packed


def deflated_zeros(n_mib: int) -> bytes:
    """So many MiB of zeros, never whole in memory."""
    packer = zlib.compressobj(1)
    parts = [packer.compress(bytes(MIB)) for _ in range(n_mib)]
    return b"".join(parts) + packer.flush()


@pytest.mark.parametrize(
    "how", [{"do_compression": True}, {"do_compression": False}, {"format": "4"}]
)
def test_files_of_all_versions_are_read(how: dict[str, Any]) -> None:
    data = mat({"inst_map": LABELS, "other": np.ones(5)}, **how)
    found = read_matlab(data, "x.mat", ("inst_map",))
    assert np.array_equal(label_map(found, "inst_map", "x.mat"), LABELS)
    assert "other" not in found


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_bomb_is_refused_without_unpacking_it_into_memory(
    order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matlab, "MAX_UNPACKED_BYTES", 64 * MIB)
    bomb = header(order) + element(deflated_zeros(65), order)
    assert len(bomb) < MIB
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"x.mat unpacks to more than 64 MiB from [\d,]+ bytes"):
            read_matlab(bomb, "x.mat", ("inst_map",))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * MIB


def test_elements_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    data = mat(dict.fromkeys("abcd", LABELS), do_compression=True)
    monkeypatch.setattr(matlab, "MAX_UNPACKED_BYTES", 4 * LABELS.nbytes - 1)
    with pytest.raises(DataError, match="unpacks to more than"):
        read_matlab(data, "x.mat", ("a",))
    monkeypatch.setattr(matlab, "MAX_UNPACKED_BYTES", 4 * (LABELS.nbytes + 100))
    assert set("a") <= set(read_matlab(data, "x.mat", ("a",)))


def padded(kind: int, body: bytes) -> bytes:
    return struct.pack("<II", kind, len(body)) + body + bytes(-len(body) % 8)


def claim(matlab_class: int, shape: tuple[int, int]) -> bytes:
    """A file of 200 bytes with a variable that claims a class and a shape, and holds nothing."""
    parts = [(6, struct.pack("<II", matlab_class, 0)), (5, struct.pack("<ii", *shape))]
    body = b"".join(padded(*part) for part in (*parts, (1, b"inst_map")))
    return header() + padded(14, body)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (claim(1, (30_000, 30_000)), "inst_map is of the MATLAB class cell"),
        (claim(2, (30_000, 30_000)), "inst_map is of the MATLAB class struct"),
        (claim(6, (30_000, 30_000)), r"inst_map claims the shape \(30000, 30000\)"),
        (mat({"inst_map": "text"}), "inst_map is of the MATLAB class char"),
    ],
)
def test_a_header_is_not_taken_at_its_word(data: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_matlab(data, "x.mat", ("inst_map",))
    assert "inst_map" not in read_matlab(data, "x.mat", ("other",))


def test_damaged_files_are_named() -> None:
    whole = mat({"inst_map": LABELS}, do_compression=True)
    for data in (b"", b"PK", whole[:60], whole[:-40], header() + element(b"not deflated")):
        with pytest.raises(DataError, match=r"x.mat is no readable .mat file"):
            read_matlab(data, "x.mat", ("inst_map",))
    with pytest.raises(DataError, match="has no type_map"):
        label_map(read_matlab(whole, "x.mat", ("type_map",)), "type_map", "x.mat")
