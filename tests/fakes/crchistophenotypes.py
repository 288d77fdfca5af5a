"""CRCHistoPhenotypes: bitmaps twice, points in several number types, empty classes."""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from fakes import picture

SIDE = 100
DETECTIONS = np.array([[10.25, 20.5], [30, 40], [60, 70.125], [90, 15], [100, 0.15], [50, 50]])
"""x y; the fifth lies on the rim, in coordinates that reach from 0.15 to the side."""
POINTS = {
    "epithelial": np.array([[10.25, 20.5], [100, 0.15]]),
    "fibroblast": np.array([[32.0, 41.5]]),
    "inflammatory": np.array([[60, 70.125]]),
    "others": np.zeros((0, 2)),
}
"""The fibroblast lies 2.5 px from its detection."""
CLASSES = ("epithelial", "fibroblast", "inflammatory", "none", "epithelial", "none")
"""Of the detections."""
RECORDS = ("img1", "img2", "img10")


def write(root: Path) -> Path:
    """Three images; the points of img2 are whole, so they are stored as uint8."""
    top = root / "CRCHistoPhenotypes_2016_04_28"
    for number, record in enumerate(RECORDS):
        image = Image.fromarray(picture(number, (SIDE, SIDE)))
        for part in ("Detection", "Classification"):
            (top / part / record).mkdir(parents=True)
            image.save(top / part / record / f"{record}.bmp")
        save(top / "Detection" / record / f"{record}_detection.mat", DETECTIONS, record)
        for name, points in POINTS.items():
            save(top / "Classification" / record / f"{record}_{name}.mat", points, record)
    (top / "Readme.txt").write_text("nuclear coordinates in .mat")
    return root


def save(path: Path, points: np.ndarray, record: str) -> None:
    """Empty lists are uint8 of shape (0, 2); whole numbers take the smallest type."""
    is_whole = record == "img2" or not points.size
    savemat(path, {"detection": np.round(points).astype(np.uint8) if is_whole else points})
