"""CoNSeP: nuclei of colorectal adenocarcinoma in seven classes, or the merged four."""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.companions import gather
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.instances import from_label_map, look_up
from cerberus_bench.loaders.matlab import label_map, read_matlab
from cerberus_bench.loaders.reader import Listing, SourceImage, SourceRecord, native_record
from cerberus_bench.schema.dataset import (
    DatasetSpec,
    Evidence,
    Licence,
    Redistribution,
    SourceFile,
)
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import LabelMap
from cerberus_bench.schema.record import Coverage, Instances

SPEC = DatasetSpec(
    name="consep",
    version="1.0.0",
    title="CoNSeP, colorectal nuclear segmentation and phenotypes",
    tasks=("nuclei",),
    label_maps={
        "nuclei": LabelMap(
            "nuclei",
            {
                "1": "other",
                "2": "inflammatory",
                "3": "epithelial",
                "4": "epithelial",
                "5": "connective",
                "6": "connective",
                "7": "connective",
                "merged 1": "other",
                "merged 2": "inflammatory",
                "merged 3": "epithelial",
                "merged 4": "connective",
            },
        )
    },
    mpp=0.25,
    organ="colon",
    licence=Licence(
        "LicenseRef-CoNSeP-unclear",
        Redistribution.NO,
        "no licence stands on the data; secondary sources state Apache-2.0",
    ),
    citation=(
        "Graham et al., HoVer-Net: simultaneous segmentation and classification of nuclei in"
        " multi-tissue histology images, Medical Image Analysis 2019",
    ),
    home="warwick.ac.uk",
    how_to_get="Obtain consep_dataset.zip from the Tissue Image Analytics Centre.",
    group_level="image",
    evidence=Evidence.REAL_BYTES,
    files=(SourceFile("consep_dataset.zip"),),
    expected_images={"train": 27, "test": 14},
    expected_objects={"nuclei": 24_332},
    official_leaks={
        "test": "no patient list is published for the 16 patients of the 41 images, so whether"
        " train and test share patients cannot be checked"
    },
    notes=(
        "Seven classes (3 healthy and 4 malignant epithelial, 5 fibroblast, 6 muscle,"
        " 7 endothelial) are merged as in the paper, so that a source with the merged types only"
        " gives the same label space.",
        "Images are RGBA in the original; alpha is dropped.",
        "The README of the source says 24,319 nuclei; the label maps hold 24,332.",
    ),
)

_FILE = re.compile(
    r"(?:^|/)(train|test)/(?:images/(\1_[0-9]+)\.png|labels/(\1_[0-9]+)\.mat)$", re.IGNORECASE
)
_FORMS = (("inst_type", ""), ("inst_type_merged4", "merged "))
"""Variable of the class of each instance -> how its codes are called in the label map."""
_VARIABLES = ("inst_map", "inst_id", *(variable for variable, _ in _FORMS))


class ConsepReader:
    """Reads `{Train,Test}/{Images/*.png,Labels/*.mat}`."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List images that have labels."""
        keyed = {name: _key(match) for name, match in tree.match(_FILE).items()}
        if not keyed:
            raise DataError(
                f"{tree.root} holds no Train/Images/train_N.png with Train/Labels/train_N.mat."
                f" {self.spec.how_to_get}"
            )
        pairs = gather(tree, keyed, {"image": ".png", "labels": ".mat"})
        return Listing(
            images=tuple(_source_image(record, files) for record, files in pairs.files.items()),
            incomplete=pairs.incomplete,
        )

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one image and its nuclei."""
        pixels, matrix = (tree.read(image.files[kind]) for kind in ("image", "labels"))
        nuclei = _read_nuclei(matrix, tree.where(image.files["labels"]))
        record = native_record(
            self.spec,
            image,
            image=decode_rgb(pixels, tree.where(image.files["image"])),
            coverage={"nuclei": Coverage.FULL},
            instances={"nuclei": nuclei},
            source_sha256=sha256(pixels + matrix).hexdigest(),
        )
        return SourceRecord(record=record, n_objects={"nuclei": len(nuclei.ids)})


READER = ConsepReader()


def _key(match: re.Match[str]) -> tuple[str, str]:
    _, image, labels = match.groups()
    return (image or labels).lower(), "image" if image else "labels"


def _source_image(record: str, files: Mapping[str, str]) -> SourceImage:
    origin = f"consep/{record}"
    return SourceImage(
        record=record,
        group=origin,
        group_level=SPEC.group_level,
        origins=(origin,),
        official_split=record.partition("_")[0],
        files=files,
    )


def _read_nuclei(matrix: bytes, name: str) -> Instances:
    variables = read_matlab(matrix, name, _VARIABLES)
    labels = label_map(variables, "inst_map", name)
    classes = _classes(variables, name)
    if "inst_id" in variables:
        ids = np.ravel(variables["inst_id"])
    else:  # the original lists its types in the order of the ids
        ids = np.unique(labels[labels != 0])
    if len(ids) != len(classes):
        raise DataError(f"{name}: {len(ids)} nuclei but {len(classes)} classes; it is damaged")
    table = {int(i): int(c) for i, c in zip(ids, classes, strict=True)}
    return from_label_map(labels, lambda present: look_up(present, table, name, "nucleus"))


def _classes(variables: dict[str, Any], name: str) -> NDArray[np.int64]:
    """One-based class index of each listed nucleus, from whichever form of types is there."""
    codes_of = SPEC.label_maps["nuclei"]
    for variable, prefix in _FORMS:
        if variable in variables:
            codes = np.ravel(variables[variable]).astype(np.int64)
            try:
                return np.array([codes_of.index(f"{prefix}{code}") for code in codes], np.int64)
            except KeyError as error:
                raise DataError(
                    f"{name}: {variable} holds the class {error}, which the dataset does not have"
                ) from None
    raise DataError(f"{name} has neither {' nor '.join(variable for variable, _ in _FORMS)}")
