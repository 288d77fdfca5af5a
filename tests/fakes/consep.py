"""CoNSeP: RGBA images and .mat labels, with all seven types or only the merged four."""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from fakes import blocks, picture

SHAPE = (80, 80)
TYPES = (1, 2, 3, 4, 5, 6, 7)
MERGED = (1, 2, 3, 3, 4, 4, 4)
CLASSES = ("other", "inflammatory", *["epithelial"] * 2, *["connective"] * 3)


def write(root: Path, records: tuple[str, ...] = ("train_1", "train_2", "test_1")) -> Path:
    """Images of seven nuclei. train_2 has the merged types, with its ids in another order."""
    for number, record in enumerate(records):
        part = root / "CoNSeP" / record.partition("_")[0].capitalize()
        for name in ("Images", "Labels", "Overlay"):
            (part / name).mkdir(parents=True, exist_ok=True)
        rgba = np.dstack([picture(number, SHAPE), np.full(SHAPE, 255, np.uint8)])
        Image.fromarray(rgba).save(part / "Images" / f"{record}.png")
        Image.fromarray(rgba).save(part / "Overlay" / f"{record}.png")
        savemat(part / "Labels" / f"{record}.mat", _labels(merged=record == "train_2"))
    return root


def _labels(*, merged: bool) -> dict[str, np.ndarray]:
    ids = np.arange(1, 8)
    labels = blocks(SHAPE, len(ids))
    centroids = np.zeros((len(ids), 2))
    if not merged:
        type_map = np.where(labels, labels, 0).astype(float)
        return {
            "inst_map": labels.astype(float),
            "type_map": type_map,
            "inst_type": np.array(TYPES, float)[:, None],
            "inst_centroid": centroids,
        }
    backwards = ids[::-1]
    return {
        "inst_map": labels,
        "type_map_merged4": labels.astype(np.uint8),
        "inst_id": backwards[:, None].astype(np.int32),
        "inst_type_merged4": np.array([MERGED[i - 1] for i in backwards], np.int64)[:, None],
        "inst_centroid": centroids,
    }
