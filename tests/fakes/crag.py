"""CRAG: images, annotations under either name, overlays, and the left-overs of version 1."""

from pathlib import Path

import numpy as np
from PIL import Image

from fakes import blocks, picture

SHAPE = (44, 62)
N_GLANDS = 5
RECORDS = ("train_1", "train_2", "train_10", "test_1", "test_34")


def write(root: Path, *, labels: str = "Annotation", version: int = 2) -> Path:
    """Write a few images; version 1 has annotations without an image."""
    for number, record in enumerate(RECORDS):
        part = root / "CRAG" / record.partition("_")[0]
        for name in ("Images", labels, "Overlay"):
            (part / name).mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(picture(number, SHAPE))
        image.save(part / "Images" / f"{record}.png")
        image.save(part / "Overlay" / f"{record}.png")
        annotation = Image.fromarray(blocks(SHAPE, N_GLANDS).astype(np.uint8))
        annotation.save(part / labels / f"{record}.png")
        if version == 1 and part.name == "test":
            annotation.save(part / labels / "test_41.png")
    return root
