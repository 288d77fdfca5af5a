"""EBHI-Seg: a folder a stage, in it images and masks of the same name."""

from pathlib import Path

import numpy as np
from PIL import Image

from fakes import picture

SHAPE = (64, 64)
STAGES = ("Adenocarcinoma", "High-grade IN", "Low-grade IN", "Normal", "Polyp", "Serrated adenoma")
NAMES = ("GT2012149-1-400-001", "GT2012149-3-400-002")
"""Both of one case; every stage has them, so names repeat between the folders."""
EPITHELIUM = (slice(8, 40), slice(16, 64))


def write(root: Path) -> Path:
    """Two images a stage; masks in two modes."""
    for s, stage in enumerate(STAGES):
        folder = root / "EBHI-SEG" / stage
        for kind in ("image", "label"):
            (folder / kind).mkdir(parents=True)
        for number, name in enumerate(NAMES):
            Image.fromarray(picture(10 * s + number, SHAPE)).save(folder / "image" / f"{name}.png")
            mask = np.zeros(SHAPE, np.uint8)
            mask[EPITHELIUM] = 255
            picture_of_mask = Image.fromarray(mask).convert("RGB" if number else "1")
            picture_of_mask.save(folder / "label" / f"{name}.png")
    return root
