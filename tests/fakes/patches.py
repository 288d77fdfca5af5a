"""Patch sources: one folder a class, tif files named by hash or by slide."""

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from fakes import picture

CLASSES = ("ADI", "BACK", "DEB", "LYM", "MUC", "MUS", "NORM", "STR", "TUM")
KATHER_CLASSES = (
    *("01_TUMOR", "02_STROMA", "03_COMPLEX", "04_LYMPHO"),
    *("05_DEBRIS", "06_MUCOSA", "07_ADIPOSE", "08_EMPTY"),
)
KATHER_NAMES = (
    "1A11_CRC-Prim-HE-07_022.tif_Row_601_Col_151",
    "10647_CRC-Prim-HE-10c.tif_Row_1_Col_1",
    "18548_CRC-Prim-HE-10_025.tif_Row_901_Col_151",
)


def code(cls: str, number: int) -> str:
    """Eight letters, as the hash in a file name."""
    digest = hashlib.sha256(f"{cls}{number}".encode()).digest()
    return "".join(chr(ord("A") + byte % 26) for byte in digest[:8])


def write_nct(root: Path, name: str = "NCT-CRC-HE-100K", n: int = 2, side: int = 224) -> Path:
    """`n` patches a class."""
    infix = "TCGA-" if name == "CRC-VAL-HE-7K" else ""
    for c, cls in enumerate(CLASSES):
        folder = root / name / cls
        folder.mkdir(parents=True)
        for number in range(n):
            # one tile of colour a class, so that a wrong class would show
            image = np.full((side, side, 3), 20 * c + number, np.uint8)
            Image.fromarray(image).save(folder / f"{cls}-{infix}{code(cls, number)}.tif")
    return root


def write_kather(root: Path, *, nested: bool = False) -> Path:
    """Three patches a class, of two slides; Kaggle's copy has the folder twice."""
    top = root / "Kather_texture_2016_image_tiles_5000"
    top = top / top.name if nested else top
    for c, cls in enumerate(KATHER_CLASSES):
        (top / cls).mkdir(parents=True)
        for number, name in enumerate(KATHER_NAMES):
            image = picture(10 * c + number, (150, 150))
            Image.fromarray(image).save(top / cls / f"{name}.tif", compression="tiff_lzw")
    return root
