"""PanopTILs: tiles of the regions of BCSS, outlines in a table, classes in a mask."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from fakes import picture

SHAPE = (50, 60)
BOOTSTRAP = "BootstrapNucleiManualRegions_TCGA/tcga"
MANUAL = "ManualNucleiManualRegions"
TILE = "TCGA-A2-A0SX-DX1_xmin53791_ymin56683_MPP-0.2500_xmin-0_ymin-1024_xmax-1024_ymax-2048"
OTHER = "TCGA-S3-AA15-DX1_xmin55486_ymin28926_MPP-0.2500_xmin-0_ymin-0_xmax-1024_ymax-1024"
NUCLEI = (((5, 5), 1), ((20, 5), 3), ((35, 5), 5), ((5, 20), 9), ((20, 20), 6))
"""Upper left corner of a square of 10 px, and code."""
EXCLUDED = 8
"""Rows at the lower edge."""


def write(root: Path) -> Path:
    for number, (top, tile) in enumerate(((BOOTSTRAP, TILE), (BOOTSTRAP, OTHER), (MANUAL, TILE))):
        for folder in ("rgbs", "csv", "masks"):
            (root / top / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(number, SHAPE)).save(root / top / "rgbs" / f"{tile}.png")
        Image.fromarray(mask()).save(root / top / "masks" / f"{tile}.png")
        with (root / top / "csv" / f"{tile}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("", "coords_x", "coords_y"))
            for i, ((x, y), _) in enumerate(NUCLEI):
                xs, ys = (x, x + 10, x + 10, x), (y, y, y + 10, y + 10)
                writer.writerow((i, ",".join(map(str, xs)), ",".join(map(str, ys))))
    return root


def mask() -> np.ndarray:
    """Tissue, nuclei (9 = none), and edges; the class of a nucleus fills it but for a corner."""
    channels = np.zeros((*SHAPE, 3), np.uint8)
    channels[:-EXCLUDED, :, 0] = 1
    channels[..., 1] = 9
    for (x, y), code in NUCLEI:
        channels[y : y + 10, x : x + 10, 1] = code
        channels[y : y + 3, x : x + 3, 1] = 7
    return channels
