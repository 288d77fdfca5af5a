"""OCELOT: patches with points in tables without a header, and what metadata.json says of them."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from fakes import picture

SHAPE = (64, 64)
TOP = "ocelot2023_v1.0.1"
RECORDS = {"001": "train", "002": "train", "401": "val", "538": "test"}
CELLS = "10,12,1\n40,30,2\n63,63,2\n"


def write(root: Path) -> Path:
    """The second patch has no cells."""
    pairs = {}
    for number, (record, part) in enumerate(RECORDS.items()):
        for kind in ("cell", "tissue"):
            for top in ("images", "annotations"):
                (root / TOP / top / part / kind).mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(picture(number, SHAPE))
            image.save(root / TOP / "images" / part / kind / f"{record}.jpg", quality=95)
        (root / TOP / "annotations" / part / "cell" / f"{record}.csv").write_text(
            "" if record == "002" else CELLS
        )
        mask = Image.fromarray(np.full(SHAPE, 2, np.uint8))
        mask.save(root / TOP / "annotations" / part / "tissue" / f"{record}.png")
        pairs[record] = {
            "slide_name": f"TCGA-GV-A3{number // 2:02}-01Z-00-DX1.7A2E",
            "organ": "bladder",
            "mpp_x": 0.2277,
            "patch_x_offset": 0.5,
            "cell": {"x_start": 1, "resized_mpp_x": 0.2},
            "tissue": {"x_start": 1, "resized_mpp_x": 0.8},
        }
    (root / TOP / "metadata.json").write_text(json.dumps({"sample_pairs": pairs}))
    return root
