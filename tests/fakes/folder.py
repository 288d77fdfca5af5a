"""A user's own folder: one scene, written in each format that labels may have."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fakes import picture

SHAPE = (60, 56)
FORMATS = ("png", "tif", "npy", "geojson", "json")
PATIENTS = {"P1_a": "P1", "P1_b": "P1", "P2_a": "P2", "P10_a": "P10"}
"""Image -> patient."""
OBJECTS: tuple[tuple[str, list[list[tuple[int, int]]]], ...] = (
    ("Tumour", [[(4, 6), (14, 6), (14, 18), (4, 18)]]),
    ("Immune", [[(14, 6), (22, 6), (22, 18), (14, 18)]]),
    ("Tumour", [[(30, 30), (50, 30), (50, 36), (36, 36), (36, 50), (30, 50)]]),
    (
        "Stroma",
        [[(10, 36), (26, 36), (26, 56), (10, 56)], [(14, 42), (20, 42), (20, 48), (14, 48)]],
    ),
    ("Artefact", [[(40, 2), (52, 2), (52, 10), (40, 10)]]),
)
"""Class and rings: two that touch, an L, one with a hole, and one to ignore."""
CLASSES = ("Tumour", "Immune", "Stroma", "Artefact")
NODES = {
    "Tumour": "neoplastic",
    "Immune": "inflammatory",
    "Stroma": "connective",
    "Artefact": "ignore",
}


def scene() -> NDArray[np.int32]:
    """The label map, drawn pixel by pixel and not from the rings."""
    labels = np.zeros(SHAPE, np.int32)
    labels[6:18, 4:14] = 1
    labels[6:18, 14:22] = 2
    labels[30:36, 30:50] = labels[30:50, 30:36] = 3
    labels[36:56, 10:26] = 4
    labels[42:48, 14:20] = 0
    labels[2:10, 40:52] = 5
    return labels


def description(form: str = "png", **changes: str) -> str:
    """A dataset.toml; `changes` replace whole sections by their name."""
    is_map = form in ("png", "tif", "npy")
    files = "coco.json" if form == "json" else f"nuclei/{{record}}.{form}"
    sections = {
        "top": 'name = "our-colon"\ntitle = "Our colon"\norgan = "colon"\nmpp = 0.5\n',
        "licence": '[licence]\nid = "LicenseRef-in-house"\n',
        "images": '[images]\nfiles = "images/{record}.png"\ntable = "images.csv"\n'
        'record_column = "image"\nattribute_columns = ["scanner"]\n',
        "groups": '[groups]\nlevel = "patient"\ncolumn = "patient"\n',
        "splits": '[splits]\ncolumn = "part"\n',
        "nuclei": f'[tasks.nuclei]\nfiles = "{files}"\n'
        + ('class_files = "nuclei/{record}.csv"\n' if is_map else "")
        + "".join(["[tasks.nuclei.classes]\n", *(f'{k} = "{v}"\n' for k, v in NODES.items())]),
    }
    return "\n".join({**sections, **changes}.values())


def write(root: Path, form: str = "png", **changes: str) -> Path:
    """Images, a table, labels in one format, and the description."""
    for folder in ("images", "nuclei"):
        (root / folder).mkdir(parents=True)
    rows = ["image,patient,part,scanner"]
    for number, (record, patient) in enumerate(PATIENTS.items()):
        Image.fromarray(picture(number, SHAPE)).save(root / "images" / f"{record}.png")
        rows.append(f"{record},{patient},{'test' if patient == 'P2' else 'train'},S{number % 2}")
        if form != "json":
            _write_labels(root / "nuclei" / f"{record}.{form}")
    (root / "images.csv").write_text("\n".join(rows) + "\n")
    if form == "json":
        (root / "coco.json").write_text(json.dumps(coco()))
    (root / "dataset.toml").write_text(description(form, **changes))
    return root


def _write_labels(path: Path) -> None:
    labels = scene()
    if path.suffix == ".geojson":
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features()}))
        return
    if path.suffix == ".npy":
        np.save(path, np.asfortranarray(labels.astype(np.int64)))
    elif path.suffix == ".tif":
        Image.fromarray(labels.astype(np.uint16)).save(path)
    else:
        Image.fromarray(labels.astype(np.uint8)).save(path)
    rows = [f"{number},{name}" for number, (name, _) in enumerate(OBJECTS, 1)]
    path.with_suffix(".csv").write_text("\n".join(["id,class", *rows]))


def features() -> list[dict[str, Any]]:
    """As QuPath exports them."""
    return [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]] for ring in rings]},
            "properties": {"objectType": "annotation", "classification": {"name": name}},
        }
        for name, rings in OBJECTS
    ]


def coco() -> dict[str, Any]:
    """One file for all images; the object with a hole as run lengths, as polygons have none."""
    images, annotations = [], []
    for image, record in enumerate(PATIENTS, 7):
        images.append(
            {
                "id": image,
                "file_name": f"images/{record}.png",
                "height": SHAPE[0],
                "width": SHAPE[1],
            }
        )
        for number, (name, rings) in enumerate(OBJECTS, 1):
            annotations.append(
                {
                    "id": 100 * image + number,
                    "image_id": image,
                    "category_id": 1 + CLASSES.index(name),
                    "segmentation": [np.ravel(rings[0]).tolist()]
                    if len(rings) == 1
                    else run_lengths(scene() == number),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def run_lengths(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Column by column: pixels outside, inside, outside ..."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat.astype(int), prepend=0, append=int(flat[-1])))
    edges = [0, *changes.tolist(), len(flat)]
    return {"size": list(mask.shape), "counts": np.diff(edges).tolist()}
