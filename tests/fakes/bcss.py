"""BCSS: images and maps of tissue of the same name, of a train and a test institute."""

from pathlib import Path

import numpy as np
from PIL import Image

from fakes import picture

SHAPE = (40, 60)
RECORDS = {
    "TCGA-A2-A0SX-DX1_xmin53791_ymin56683_MPP-0.2500": "train",
    "TCGA-AO-A0J2-DX1_xmin33561_ymin14515_MPP-0.2500": "train",
    "TCGA-E2-A574-DX1_xmin54962_ymin47475_MPP-0.2300": "test",
}


def write(root: Path, folder: str = "0_Public-data-Amgad2019_0.25MPP/rgbs_colorNormalized") -> Path:
    images = root / folder
    masks = images.parent / "masks"
    images.mkdir(parents=True)
    masks.mkdir(parents=True)
    for number, record in enumerate(RECORDS):
        Image.fromarray(picture(number, SHAPE)).save(images / f"{record}.png")
        Image.fromarray(mask()).save(masks / f"{record}.png")
    return root


def mask() -> np.ndarray:
    """10 columns outside, 30 of tumour, 20 of stroma."""
    codes = np.zeros(SHAPE, np.uint8)
    codes[:, 10:40], codes[:, 40:] = 1, 2
    return codes
