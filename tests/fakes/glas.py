"""GlaS: a flat folder of bitmaps and a Grade.csv with CR line ends and blanks before values."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from fakes import blocks, picture

FOLDER = "Warwick QU Dataset (Released 2016_07_08)"
SHAPE = (45, 62)
N_GLANDS = 3
PATIENTS = {
    "train_1": "5",
    "train_2": "2",
    "train_3": "10",
    "train_10": "6",
    "testA_1": "12",
    "testB_1": "2",
    "testB_2": "5",
}
"""All images of the fake dataset -> patient."""
MULTI_PART = ("testB_18", "testB_19")
"""Images whose gland 1 has several parts, here as in the true dataset."""


def write(
    root: Path,
    records: tuple[str, ...] = tuple(PATIENTS),
    patients: Mapping[str, str] = PATIENTS,
) -> Path:
    """Write some of the images; Grade.csv always names all of `patients`."""
    folder = root / FOLDER
    folder.mkdir(parents=True)
    for number, record in enumerate(records):
        Image.fromarray(picture(number, SHAPE)).save(folder / f"{record}.bmp")
        labels = blocks(SHAPE, N_GLANDS).astype(np.uint8)
        if record in MULTI_PART:
            labels[30:36, 30:36] = 1
        Image.fromarray(labels).save(folder / f"{record}_anno.bmp")
    rows = ["name,patient ID, grade (GlaS), grade (Sirinukunwattana et al. 2015)"]
    for record, patient in patients.items():
        rows.append(f"{record},{patient}, malignant, moderately-to-poorly differentated")
    (folder / "Grade.csv").write_bytes("\r".join(rows).encode())
    return root
