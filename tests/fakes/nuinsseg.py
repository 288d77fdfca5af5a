"""NuInsSeg: a folder an organ, 16-bit labels, vague areas under either folder name, some alpha."""

from pathlib import Path

import numpy as np
from PIL import Image

from fakes import blocks, picture

SHAPE = (48, 48)
VAGUE = (slice(30, 40), slice(5, 25))
RECORDS = {
    "human bladder": ("human_bladder_01", "human_bladder_02"),
    "mouse muscle_tibia": ("mouse_muscle_tibia_1",),
}


def write(root: Path, vague_folder: str = "mask binary") -> Path:
    """The second image of the bladder has no vague area, the muscle has no alpha."""
    for organ, stems in RECORDS.items():
        folder = root / organ
        for stem in stems:
            image = picture(len(stem), SHAPE)
            if organ.startswith("human"):
                image = np.dstack([image, np.full(SHAPE, 255, np.uint8)])
            _save(image, folder / "tissue images" / f"{stem}.png")
            labels = blocks(SHAPE, 6).astype(np.uint16)
            _save(labels, folder / "label masks modify" / f"{stem}.tif")
            _save(labels + (labels > 0), folder / "label masks" / f"{stem}.tif")
            _save(vague(stem), folder / "vague areas" / vague_folder / f"{stem}.png")
            (folder / ".DS_Store").write_bytes(b"junk")
    return root


def vague(stem: str) -> np.ndarray:
    values = np.zeros(SHAPE, np.uint8)
    if not stem.endswith("02"):
        values[VAGUE] = 255
    return values


def _save(array: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
