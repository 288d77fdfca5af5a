"""GlaS: a flat folder of bitmaps and a Grade.csv with CR line ends and blanks before values."""

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


def write(root: Path, records: tuple[str, ...] = tuple(PATIENTS)) -> Path:
    """Write some of the images; Grade.csv always names all."""
    folder = root / FOLDER
    folder.mkdir(parents=True)
    for number, record in enumerate(records):
        Image.fromarray(picture(number, SHAPE)).save(folder / f"{record}.bmp")
        labels = blocks(SHAPE, N_GLANDS).astype(np.uint8)
        Image.fromarray(labels).save(folder / f"{record}_anno.bmp")
    rows = ["name,patient ID, grade (GlaS), grade (Sirinukunwattana et al. 2015)"]
    for record, patient in PATIENTS.items():
        rows.append(f"{record},{patient}, malignant, moderately-to-poorly differentated")
    (folder / "Grade.csv").write_bytes("\r".join(rows).encode())
    return root
