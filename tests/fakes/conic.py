"""CoNIC: two arrays and two tables; patches that overlap, and classes drawn pixel by pixel."""

import csv
from pathlib import Path

import numpy as np

from fakes import blocks, picture

SHAPE = (64, 64)
PATCHES = ("consep_11-0000", "consep_11-0001", "dpath_48-0000", "dpath_58-0000", "glas_56-0000")
CLASSES = ("neutrophil", "epithelial", "lymphocyte", "plasma", "eosinophil", "connective")
N_NUCLEI = 12
"""Nucleus i has class (i - 1) % 6 + 1."""
CENTRAL = (0, 1, 1, 1, 1, 0)
"""Nuclei of each class that reach into the centre, 16 px from every side."""


def write(root: Path, patches: tuple[str, ...] = PATCHES) -> Path:
    """The four files in a folder called data."""
    folder = root / "data"
    folder.mkdir(parents=True)
    np.save(folder / "images.npy", np.stack([picture(i, SHAPE) for i in range(len(patches))]))
    np.save(folder / "labels.npy", np.stack([labels() for _ in patches]))
    write_table(folder / "patch_info.csv", ("patch_info",), [(patch,) for patch in patches])
    write_table(folder / "counts.csv", CLASSES, [CENTRAL for _ in patches])
    return root


def labels() -> np.ndarray:
    """(H, W, 2) uint16: ids, and the class of each pixel."""
    ids = blocks(SHAPE, N_NUCLEI)
    classes = np.where(ids > 0, (ids - 1) % len(CLASSES) + 1, 0)
    return np.dstack([ids, classes]).astype(np.uint16)


def write_table(path: Path, header: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
