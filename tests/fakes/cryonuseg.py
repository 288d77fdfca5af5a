"""CryoNuSeg: three sets of labels, two of them in a folder inside a folder of the same name."""

from pathlib import Path

import numpy as np
from PIL import Image

from fakes import blocks, picture

SHAPE = (48, 48)
RECORDS = ("Human_AdrenalGland_01", "Human_Larynx_02", "Human_Thymus_10")
FIRST = "Annotator 1 (biologist)"
SECOND = "Annotator 1 (biologist second round of manual marks up)"
OTHER = "Annotator 2 (bioinformatician)"
N_NUCLEI = {FIRST: 6, SECOND: 5, f"{SECOND}/{SECOND}": 5, f"{OTHER}/{OTHER}": 4}


def write(root: Path) -> Path:
    (root / "tissue images").mkdir(parents=True)
    for number, record in enumerate(RECORDS):
        Image.fromarray(picture(number, SHAPE)).save(root / "tissue images" / f"{record}.tif")
        for rater in (FIRST, f"{SECOND}/{SECOND}", f"{OTHER}/{OTHER}"):
            labels = blocks(SHAPE, N_NUCLEI[rater]).astype(np.uint16)
            _save(labels, root / rater / "label masks modify" / f"{record}.tif")
            labels[4, 4] = 999  # the overlap of two nuclei
            _save(labels, root / rater / "label masks" / f"{record}.tif")
    return root


def _save(labels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(path)
