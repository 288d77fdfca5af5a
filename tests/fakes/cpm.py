"""CPM-15 with text masks, two of them exchanged, and CPM-17 with .mat files."""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from fakes import blocks, picture

SHAPES = {"image01": (44, 50), "image04": (40, 60), "image05": (52, 36), "image08": (30, 30)}
N_NUCLEI = {"image01": 5, "image04": 6, "image05": 4, "image08": 3}


def write15(root: Path, *, exchanged: bool = True, matlab: bool = False) -> Path:
    """RGBA images, masks as text (or .mat), and pictures of the masks."""
    folder = root / "cpm15"
    folder.mkdir(parents=True)
    owner = {record: record for record in SHAPES}
    if exchanged:
        owner |= {"image04": "image05", "image05": "image04"}
    for number, (record, shape) in enumerate(SHAPES.items()):
        rgba = np.dstack([picture(number, shape), np.full(shape, 255, np.uint8)])
        Image.fromarray(rgba).save(folder / f"{record}.png")
        Image.fromarray(rgba).save(folder / f"{record}_poly.png")
        labels = blocks(SHAPES[owner[record]], N_NUCLEI[owner[record]])
        if matlab:
            savemat(folder / f"{record}.mat", {"inst_map": labels})
        else:
            (folder / f"{record}_mask.txt").write_text(text_mask(labels))
    return root


def text_mask(labels: np.ndarray) -> str:
    """Width and height, then one id a line, row by row."""
    height, width = labels.shape
    return f"{width} {height}\n" + "\n".join(map(str, labels.ravel().tolist())) + "\n"


def write17(root: Path) -> Path:
    """Train and test number their images alike."""
    for part, n in (("train", 2), ("test", 1)):
        for number in range(n):
            for kind in ("Images", "Labels"):
                (root / "cpm17" / part / kind).mkdir(parents=True, exist_ok=True)
            stem = f"image_{number:02}"
            image = Image.fromarray(picture(10 * n + number, (40, 40)))
            image.save(root / "cpm17" / part / "Images" / f"{stem}.png")
            inst_map = blocks((40, 40), 4).astype(float)
            savemat(root / "cpm17" / part / "Labels" / f"{stem}.mat", {"inst_map": inst_map})
    return root
