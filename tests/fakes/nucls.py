"""NuCLS: fields with outlines and boxes in one table, and masks that draw both alike."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from fakes import picture

SHAPE = (50, 60)
RECORDS = (
    "TCGA-A2-A0SX-DX1_id-5ea4095addda5f8398977ebc_left-7053_top-53967_bottom-54231_right-7311",
    "TCGA-S3-AA15-DX1_id-5ea40b17ddda5f839899849a_left-69243_top-41106_bottom-41400_right-69527",
)
HEADER = ("raw_classification", "main_classification", "super_classification", "type")
HEADER = (*HEADER, "xmin", "ymin", "xmax", "ymax", "coords_x", "coords_y")
ROWS = (
    ("tumor", "polyline", (5, 5, 15, 15)),
    ("mitotic_figure", "polyline", (20, 5, 30, 15)),
    ("lymphocyte", "rectangle", (25, 10, 40, 25)),
    ("unlabeled", "polyline", (5, 25, 15, 35)),
    ("plasma_cell", "rectangle", (45, 30, 55, 40)),
)
"""Class, type, and box of each nucleus; the first box overlaps the second outline."""


def write(root: Path, *, masks: bool = True, splits: bool = False) -> Path:
    for number, record in enumerate(RECORDS):
        for folder in ("rgb", "csv", "mask", "visualization"):
            (root / "NuCLS" / folder).mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(picture(number, SHAPE))
        image.save(root / "NuCLS" / "rgb" / f"{record}.png")
        image.save(root / "NuCLS" / "visualization" / f"{record}.png")
        write_table(root / "NuCLS" / "csv" / f"{record}.csv")
        if masks:
            Image.fromarray(mask()).save(root / "NuCLS" / "mask" / f"{record}.png")
    if splits:
        (root / "train_test_splits").mkdir()
        table = "fold_2_test.csv", ",slide_name,hospital,type,fold\n0,TCGA-S3-AA15-DX1,S3,test,2\n"
        (root / "train_test_splits" / table[0]).write_text(table[1])
    return root


def write_table(path: Path, rows: tuple[tuple[str, str, tuple[int, ...]], ...] = ROWS) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerow(("fov_basic", "", "", "rectangle", 0, 0, *SHAPE[::-1], "", ""))
        for label, kind, (x0, y0, x1, y1) in rows:
            outline = (f"{x0},{x1},{x1},{x0}", f"{y0},{y0},{y1},{y1}")
            coords = outline if kind == "polyline" else ("", "")
            writer.writerow((label, "", "", kind, x0, y0, x1, y1, *coords))


def mask() -> np.ndarray:
    """Class codes with 253 in the field; the last 5 rows lie outside it."""
    channels = np.zeros((*SHAPE, 3), np.uint8)
    channels[:-5, :, 0] = 253
    return channels
