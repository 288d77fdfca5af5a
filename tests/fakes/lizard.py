"""Lizard: images in two folders, labels in a third, with rows that are not in the order of ids."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from cerberus_bench.loaders.fold_table import fold_table
from fakes import blocks, picture

SHAPE = (60, 44)
CLASSES = (1, 2, 3, 4, 5, 6, 2)
"""Class of the nuclei 1 to 7."""
RECORDS = ("consep_11", "crag_38", "dpath_48", "dpath_58", "glas_56", "pannuke_1")
README = "inst_map, id, class, bbox, centroid. 1: Neutrophil ... 5: Neutrophil, 6: Connective"


def write(root: Path, records: tuple[str, ...] = RECORDS, *, kaggle: bool = False) -> Path:
    """Write some images; info.csv always names all 238. Kaggle's copy has folders in folders."""
    folders = ("Lizard_Images1", "Lizard_Images2", "Lizard_Labels")
    places = [root / name.lower() / name if kaggle else root / name for name in folders]
    for place in (*places, places[2] / "Labels"):
        place.mkdir(parents=True)
    for number, record in enumerate(records):
        place = places[record.startswith(("dpath", "pannuke"))]
        Image.fromarray(picture(number, SHAPE)).save(place / f"{record}.png")
        savemat(places[2] / "Labels" / f"{record}.mat", labels())
        if kaggle:
            (root / "overlay").mkdir(exist_ok=True)
            Image.fromarray(picture(number, SHAPE)).save(root / "overlay" / f"{record}.png")
    (places[2] / "README.txt").write_text(README)
    write_info(places[2] / "info.csv")
    return root


def labels(order: tuple[int, ...] = (7, 3, 1, 2, 6, 5, 4)) -> dict[str, np.ndarray]:
    """Row k of class, bbox and centroid belongs to nucleus `order[k]`."""
    inst_map = blocks(SHAPE, len(CLASSES))
    boxes = []
    for i in order:
        y, x = np.nonzero(inst_map == i)
        boxes.append([y.min(), y.max() + 1, x.min(), x.max() + 1])
    array = np.array(boxes)
    return {
        "inst_map": inst_map,
        "id": np.array(order)[:, None],
        "class": np.array([CLASSES[i - 1] for i in order])[:, None],
        "bbox": array,
        "centroid": np.stack([array[:, 2:].mean(1), array[:, :2].mean(1)], axis=1),
    }


def write_info(path: Path) -> None:
    """The true names, sources and folds, with the repeated region."""
    rows = [
        (row.lizard, "None" if "pannuke" in row.lizard else row.origin.partition("/")[2], row.fold)
        for row in fold_table()
    ]
    repeated = next(source for name, source, _ in rows if name == "dpath_48")
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("Filename", "Source", "Split"))
        writer.writerows([*rows, ("dpath_58", f"{repeated}_1", 2)])
