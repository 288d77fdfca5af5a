"""Small sources in the true layout of the real ones, quirks included. One module a source."""

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def picture(seed: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Smooth-ish random RGB."""
    rng = np.random.default_rng(seed)
    height, width = shape
    coarse = rng.integers(60, 240, (-(-height // 8), -(-width // 8), 3), dtype=np.uint8)
    return np.ascontiguousarray(np.kron(coarse, np.ones((8, 8, 1), np.uint8))[:height, :width])


def blocks(shape: tuple[int, int], n: int) -> NDArray[np.int32]:
    """A label map of n separate squares of 6 px, ids 1 to n, in rows."""
    labels = np.zeros(shape, np.int32)
    per_row = shape[1] // 10
    for i in range(n):
        y, x = 2 + 10 * (i // per_row), 2 + 10 * (i % per_row)
        labels[y : y + 6, x : x + 6] = i + 1
    assert len(np.unique(labels)) == n + 1, "the image is too small for so many"
    return labels


def zipped(folder: Path, archive: Path, compression: int = zipfile.ZIP_BZIP2) -> Path:
    """A zip of a folder, with the junk that file browsers add."""
    with zipfile.ZipFile(archive, "w", compression) as out:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            out.write(path, name)
            if path.is_file():
                out.writestr(f"__MACOSX/{path.parent.name}/._{path.name}", b"junk")
        out.writestr(f"{next(folder.iterdir()).name}/.DS_Store", b"junk")
    return archive
