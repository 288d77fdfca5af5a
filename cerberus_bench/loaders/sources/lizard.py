"""Lizard: nuclei of colon tissue in six classes, on images of five other datasets."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.companions import gather
from cerberus_bench.loaders.fold_table import REPEATED, fold_table
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.instances import from_label_map, look_up
from cerberus_bench.loaders.matlab import label_map, read_matlab
from cerberus_bench.loaders.reader import Listing, SourceImage, SourceRecord, native_record
from cerberus_bench.schema.dataset import (
    DatasetSpec,
    Evidence,
    FaultKind,
    KnownFault,
    Licence,
    Redistribution,
    SourceFile,
)
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import LabelMap
from cerberus_bench.schema.record import Coverage, Instances

CLASSES: Mapping[int | str, str] = {
    1: "neutrophil",
    2: "epithelial",
    3: "lymphocyte",
    4: "plasma",
    5: "eosinophil",
    6: "connective",
}
"""Class codes of Lizard and CoNIC. The README of Lizard calls 5 "Neutrophil", a slip: the paper
(section 3) and CoNIC have eosinophil."""
_REPEATS = "dpath_48"
_REPEAT_NOTE = f"images left out: {REPEATED} repeats {_REPEATS}"

SPEC = DatasetSpec(
    name="lizard",
    version="1.0.0",
    title="Lizard, colonic nuclear instance segmentation and classification",
    tasks=("nuclei",),
    label_maps={"nuclei": LabelMap("nuclei", CLASSES)},
    mpp=0.5,
    organ="colon",
    licence=Licence("CC-BY-NC-SA-4.0", Redistribution.SHARE_ALIKE),
    citation=(
        "Graham et al., Lizard: a large-scale dataset for colonic nuclear instance segmentation"
        " and classification, ICCV Workshops 2021",
    ),
    home="warwick.ac.uk",
    how_to_get="Fill in the form on the Lizard page of the Tissue Image Analytics Centre and put"
    " lizard_images1.zip, lizard_images2.zip and lizard_labels.zip into one folder.",
    group_level="image",
    evidence=Evidence.PUBLIC_CODE,
    files=(
        SourceFile(
            "lizard_images1.zip",
            "d2c4e7c83dff634624c9c14d4a1a0b821d4e9ac41e05e3b36303d8f0c510113d",
        ),
        SourceFile(
            "lizard_images2.zip",
            "9f529f30d9de66587167991a8bf75aaad07ce1d518b72e825c868ac7c33015ed",
        ),
        SourceFile(
            "lizard_labels.zip",
            "79f22ca83ca535682fba340cbc8bb66b74abd1ead4151ffc8593f204fcb97dec",
        ),
    ),
    expected_images={"fold_1": 70, "fold_2": 69, "fold_3": 98},
    notes=(
        "info.csv (names, sources, folds) is verified on real bytes; images and labels rest on"
        " public code.",
        "238 images and 431,913 nuclei are released; the 53 TCGA images of the paper are not.",
        "dpath_58 (fold 2) is the same region as dpath_48 (fold 3) and is left out.",
        "The official folds are kept: the fold table of this suite is made of them.",
        "Groups are patients for images of GlaS, slides for DigestPath, images for CRAG and CoNSeP."
        " For PanNuke the original image is not published, so a PanNuke image that Lizard re-uses"
        " cannot be recognised: leave PanNuke's colon tiles out when testing on Lizard.",
        "Row k of class, bbox and centroid belongs to the nucleus id[k], not to the k-th value of"
        " inst_map; bbox is y1, y2, x1, x2, and the reader counts boxes that do not fit.",
        "Class 5 is eosinophil; the README's second Neutrophil is a slip.",
        "Images are re-sampled from their sources, so equal pixels do not reveal the overlap.",
    ),
    known_faults=(KnownFault(FaultKind.NOTE, _REPEAT_NOTE),),
)

_NAME = r"((?:consep|crag|dpath|glas|pannuke|tcga)_[0-9]+)"
_FILE = re.compile(rf"(?:^|/)(?:Lizard_Images[12]/{_NAME}\.png|Labels/{_NAME}\.mat)$", re.I)
_INFO = "info.csv"
_LEVELS = {"glas": "patient", "dpath": "slide"}
_VARIABLES = ("inst_map", "id", "class", "bbox")
_ODD_BOX = "nuclei whose stored bounding box is not that of their pixels"
_NO_PIXEL = "listed nuclei without a pixel"


@dataclass(frozen=True, slots=True)
class Ancestor:
    """Where an image of Lizard comes from."""

    group: str
    group_level: str
    origin: str
    fold: int


@cache
def ancestors() -> Mapping[str, Ancestor]:
    """Image of Lizard -> where it comes from. The repeated dpath_58 stands with dpath_48."""
    found = {
        row.lizard: Ancestor(
            row.group, _LEVELS.get(row.lizard.partition("_")[0], "image"), row.origin, row.fold
        )
        for row in fold_table()
    }
    return {**found, REPEATED: found[_REPEATS]}


class LizardReader:
    """Reads `Lizard_Images{1,2}/*.png` with `Lizard_Labels/Labels/*.mat` and `info.csv`."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List images that have labels, with the official fold of `info.csv`."""
        matches = tree.match(_FILE)
        if not matches:
            raise DataError(
                f"{tree.root} holds no Lizard_Images1/*.png with Labels/*.mat."
                f" {self.spec.how_to_get}"
            )
        keyed = {
            name: (match[1] or match[2], "image" if match[1] else "labels")
            for name, match in matches.items()
        }
        folds = _folds(tree)
        repeated = [name for name, (record, _) in keyed.items() if record == REPEATED]
        once = {name: key for name, key in keyed.items() if key[0] != REPEATED}
        pairs = gather(tree, once, {"image": ".png", "labels": ".mat"})
        return Listing(
            images=tuple(
                _source_image(record, files, folds, repeated)
                for record, files in pairs.files.items()
            ),
            incomplete=pairs.incomplete,
        )

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one image and its nuclei."""
        pixels, matrix = (tree.read(image.files[kind]) for kind in ("image", "labels"))
        nuclei, notes = read_instances(
            matrix, tree.where(image.files["labels"]), self.spec.label_maps["nuclei"]
        )
        if "repeat" in image.files:
            notes[_REPEAT_NOTE] = 1
        record = native_record(
            self.spec,
            image,
            image=decode_rgb(pixels, tree.where(image.files["image"])),
            coverage={"nuclei": Coverage.FULL},
            instances={"nuclei": nuclei},
            source_sha256=sha256(pixels + matrix).hexdigest(),
        )
        return SourceRecord(record=record, n_objects={"nuclei": len(nuclei.ids)}, notes=notes)


READER = LizardReader()


def read_instances(matrix: bytes, name: str, classes: LabelMap) -> tuple[Instances, dict[str, int]]:
    """Objects of a .mat file in the form of Lizard: `inst_map`, and `id` with `class` beside it.

    Args:
        matrix: bytes of the file.
        name: how to speak of it.
        classes: its class codes.

    Returns:
        The objects, and what is odd about them.

    Raises:
        DataError: the file is damaged, or an object has no class or one that is not known.
    """
    variables = read_matlab(matrix, name, _VARIABLES)
    labels = label_map(variables, "inst_map", name)
    for key in ("id", "class"):
        if key not in variables:
            raise DataError(f"{name} has no {key}; take the file that the source distributes")
    ids, codes = (np.ravel(variables[key]).astype(np.int64) for key in ("id", "class"))
    if len(ids) != len(codes):
        raise DataError(f"{name}: {len(ids)} ids but {len(codes)} classes; it is damaged")
    try:
        table = {int(i): classes.index(int(c)) for i, c in zip(ids, codes, strict=True)}
    except KeyError as error:
        raise DataError(f"{name}: {error} is no class of this dataset") from None
    found = from_label_map(labels, lambda present: look_up(present, table, name, "object"))
    notes = {_NO_PIXEL: len(set(ids.tolist()) - set(found.ids.tolist()))}
    if "bbox" in variables:
        notes[_ODD_BOX] = _odd_boxes(labels, ids, np.asarray(variables["bbox"]))
    return found, {text: n for text, n in notes.items() if n}


def _odd_boxes(labels: NDArray[np.int32], ids: NDArray[np.int64], boxes: NDArray[Any]) -> int:
    """How many (y1, y2, x1, x2) boxes are off by more than a pixel, ends in or out."""
    from scipy.ndimage import find_objects

    slices = find_objects(labels)
    if boxes.shape != (len(ids), 4):
        return len(ids)
    odd = 0
    for i, box in zip(ids.tolist(), boxes.astype(np.int64).tolist(), strict=True):
        window = slices[i - 1] if 0 < i <= len(slices) else None
        if window is not None:
            edges = (edge for axis in window for edge in (axis.start, axis.stop))
            odd += any(abs(edge - stored) > 1 for edge, stored in zip(edges, box, strict=True))
    return odd


def _folds(tree: SourceTree) -> dict[str, int]:
    """Image -> official fold, from `info.csv`.

    Raises:
        DataError: there is not exactly one, or its columns are others.
    """
    names = [name for name in tree.names if PurePosixPath(name).name == _INFO]
    if len(names) != 1:
        raise DataError(
            f"{tree.root} holds {len(names)} files called {_INFO}; one is needed, because it gives"
            " the official folds. It is in lizard_labels.zip."
        )
    rows = list(csv.DictReader(tree.read(names[0]).decode("utf-8-sig", "replace").splitlines()))
    try:
        return {row["Filename"]: int(row["Split"]) for row in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{tree.where(names[0])}: {error}; expected the columns Filename, Source, Split. Take"
            " the file that the source distributes."
        ) from None


def _source_image(
    record: str, files: Mapping[str, str], folds: Mapping[str, int], repeated: list[str]
) -> SourceImage:
    ancestor = ancestors().get(record)
    if ancestor is None or folds.get(record) != ancestor.fold:
        published = f"published is fold {ancestor.fold}" if ancestor else "it was never released"
        raise DataError(
            f"{_INFO} gives {record} the fold {folds.get(record)}, {published}. Take the file that"
            " the source distributes: this suite's folds are made of it."
        )
    extra = {"repeat": repeated[0]} if repeated and record == _REPEATS else {}
    return SourceImage(
        record=record,
        group=ancestor.group,
        group_level=ancestor.group_level,
        origins=(ancestor.origin,),
        official_split=f"fold_{ancestor.fold}",
        files={**files, **extra},
        attributes={"cohort": record.partition("_")[0]},
    )
