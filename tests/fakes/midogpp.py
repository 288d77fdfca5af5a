"""MIDOG++: TIFF images and a table that looks like COCO but has corners for boxes."""

import json
from pathlib import Path
from typing import Any

from PIL import Image

from fakes import picture

SHAPE = (120, 150)
RECORDS = ("001", "160", "204", "553")
"""160 is one of those never annotated."""
BOXES = (([10, 20, 60, 70], 1), ([80.5, 60.5, 130.5, 110.5], 2))
MPP = 0.23


def write(root: Path) -> Path:
    """The first image says its pixel size."""
    (root / "images").mkdir(parents=True)
    (root / "databases").mkdir()
    for number, record in enumerate(RECORDS):
        tags = {"resolution": 10_000 / MPP, "resolution_unit": 3} if number == 0 else {}
        image = Image.fromarray(picture(number, SHAPE))
        image.save(root / "images" / f"{record}.tiff", **tags)
    (root / "databases" / "MIDOG++.json").write_text(json.dumps(content()))
    return root


def content() -> dict[str, Any]:
    """553 has no annotation, and neither has an image that is not on disk."""
    height, width = SHAPE
    return {
        "images": [
            {"license": 1, "file_name": f"{r}.tiff", "id": int(r), "width": width, "height": height}
            for r in (*RECORDS, "002")
        ],
        "categories": [{"id": 1, "name": "mitotic figure"}, {"id": 2, "name": "not mitotic"}],
        "annotations": [
            {"bbox": box, "category_id": code, "image_id": image, "labels": [code, code], "id": i}
            for image in (1, 204)
            for i, (box, code) in enumerate(BOXES)
        ],
    }
