"""Data Science Bowl 2018: RGBA images in colour and in grey, one mask a nucleus, a test set."""

from pathlib import Path

import numpy as np
from PIL import Image

from fakes import blocks, picture

SHAPE = (40, 40)
COLOUR = ("a" * 64, "b" * 64)
GREY = "c" * 64
LACKING = "7b38c9173ebe69b4c6ba7e703c0c27f39305d9b2910f46405993d2ea7a963b80"
N_NUCLEI = 4


def write(root: Path) -> Path:
    for number, record in enumerate((*COLOUR, GREY, LACKING)):
        rgb = picture(number, SHAPE)
        if record == GREY:
            rgb = np.repeat(rgb[..., :1], 3, axis=2)
        _write_image(root / "stage1_train" / record, record, rgb)
        for i in range(1, N_NUCLEI + 1):
            mask = np.where(blocks(SHAPE, N_NUCLEI) == i, 255, 0).astype(np.uint8)
            folder = root / "stage1_train" / record / "masks"
            folder.mkdir(exist_ok=True)
            Image.fromarray(mask).save(folder / f"{i:064x}.png")
    _write_image(root / "stage1_test" / ("d" * 64), "d" * 64, picture(9, SHAPE))
    return root


def _write_image(folder: Path, record: str, rgb: np.ndarray) -> None:
    (folder / "images").mkdir(parents=True)
    rgba = np.dstack([rgb, np.full(SHAPE, 255, np.uint8)])
    Image.fromarray(rgba).save(folder / "images" / f"{record}.png")
