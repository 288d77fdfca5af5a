"""WSSS4LUAD: patches that say in their name what is in them, images with a palette for a map."""

from pathlib import Path

import numpy as np
from PIL import Image

from fakes import picture

SHAPE = (40, 50)
TRAINING = {
    "1109944-30032-31530": (0, 0, 1),
    "1109944-30032-31700": (1, 0, 0),
    "436238-21989-63021": (0, 1, 0),
    "436238-22000-63021": (1, 1, 0),
}


def write(root: Path) -> Path:
    """One image of the test part has no map."""
    for number, (record, marks) in enumerate(TRAINING.items()):
        folder = root / "1.training"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(number, SHAPE)).save(folder / f"{record}-{list(marks)}.png")
    for number, (part, name, has_mask) in enumerate(
        (("2.validation", "00", True), ("3.testing", "00", True), ("3.testing", "01", False))
    ):
        for kind in ("img", "mask", "background-mask"):
            (root / part / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(10 + number, SHAPE)).save(root / part / "img" / f"{name}.png")
        mask().save(root / part / "background-mask" / f"{name}.png")
        if has_mask:
            mask().save(root / part / "mask" / f"{name}.png")
    return root


def mask() -> Image.Image:
    """10 columns of tumour, 30 of stroma, 10 of background, as indices of a palette."""
    codes = np.zeros(SHAPE, np.uint8)
    codes[:, 10:40], codes[:, 40:] = 1, 3
    image = Image.new("P", SHAPE[::-1])
    image.frombytes(codes.tobytes())
    image.putpalette([0, 64, 128, 64, 128, 0, 243, 152, 0, 255, 255, 255])
    return image
