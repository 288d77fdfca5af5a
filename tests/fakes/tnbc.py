"""TNBC: RGBA images and binary masks, in a folder a slide; brain in the later version."""

from pathlib import Path

import numpy as np
from PIL import Image

from fakes import blocks, picture

SHAPE = (40, 40)
RECORDS = ("01_1", "01_2", "02_1", "11_10")
BRAIN = "12_1"
N_NUCLEI = 5


def write(root: Path, *, later: bool = False) -> Path:
    """Version 1, or the later one with brain."""
    top = root / ("TNBC_and_Brain_dataset" if later else "TNBC_NucleiSegmentation")
    for number, record in enumerate((*RECORDS, BRAIN) if later else RECORDS):
        slide = record.partition("_")[0]
        rgba = np.dstack([picture(number, SHAPE), np.full(SHAPE, 255, np.uint8)])
        for kind, array in (("Slide", rgba), ("GT", mask())):
            folder = top / f"{kind}_{slide}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(folder / f"{record}.png")
    (top / ".DS_Store").write_bytes(b"junk")
    return root


def mask() -> np.ndarray:
    """255 in five squares, of which the first two are joined by a bridge."""
    values = np.where(blocks(SHAPE, N_NUCLEI) > 0, 255, 0).astype(np.uint8)
    values[4, 8:12] = 255
    return values
