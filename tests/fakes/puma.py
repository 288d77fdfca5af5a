"""PUMA: RGBA TIFF with resolution tags, GeoJSON of QuPath with holes and parts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fakes import picture

SHAPE = (60, 60)
RECORDS = ("training_set_metastatic_roi_001", "training_set_primary_roi_002")
TIF, NUCLEI = "01_training_dataset_tif_ROIs", "01_training_dataset_geojson_nuclei"
MPP = 0.226


def square(x: float, y: float, side: float) -> list[list[float]]:
    """A closed ring."""
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]


def feature(label: str, kind: str, coordinates: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": {"objectType": "annotation", "classification": {"name": label}},
    }


FEATURES = (
    feature("nuclei_tumor", "Polygon", [square(10, 10, 12), square(14, 14, 4)]),
    feature("nuclei_melanophage", "MultiPolygon", [[square(30, 10, 5)], [square(40, 10, 5)]]),
    feature("nuclei_endothelium", "Polygon", [square(10, 40, 8)]),
)
"""One with a hole, one of two parts, and a plain one."""


def write(root: Path) -> Path:
    """The second image has no resolution tags."""
    for folder in (TIF, NUCLEI, "01_training_dataset_geojson_tissue"):
        (root / folder).mkdir(parents=True)
    for number, record in enumerate(RECORDS):
        rgba = np.dstack([picture(number, SHAPE), np.full(SHAPE, 255, np.uint8)])
        tags = {"resolution": 25_400 / MPP, "resolution_unit": 2} if number == 0 else {}
        Image.fromarray(rgba).save(root / TIF / f"{record}.tif", **tags)
        write_json(root / NUCLEI / f"{record}_nuclei.geojson")
        write_json(root / "01_training_dataset_geojson_tissue" / f"{record}_tissue.geojson")
    return root


def write_json(path: Path, features: tuple[dict[str, Any], ...] = FEATURES) -> None:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
