"""OCELOT: cells of six organs marked by points."""

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.listing import list_images, source_image
from cerberus_bench.loaders.reader import Listing, SourceImage, SourceRecord, native_record
from cerberus_bench.loaders.tcga import group_of
from cerberus_bench.loaders.text_files import parse_json
from cerberus_bench.schema.dataset import (
    DatasetSpec,
    Evidence,
    Licence,
    Redistribution,
    SourceFile,
)
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import IGNORE, LabelMap
from cerberus_bench.schema.record import Coverage

SPEC = DatasetSpec(
    name="ocelot",
    version="1.0.0",
    title="OCELOT 2023, cells of six organs (version 1.0.1)",
    tasks=("nuclei",),
    label_maps={"nuclei": LabelMap("nuclei", {1: IGNORE, 2: "neoplastic"})},
    mpp=0.2,
    organ="multiple",
    licence=Licence("CC-BY-NC-4.0", Redistribution.NO, "see the terms on Zenodo"),
    citation=(
        "Ryu et al., OCELOT: overlapped cell on tissue dataset for histopathology, CVPR 2023",
    ),
    home="zenodo.org",
    how_to_get="Accept the terms on Zenodo (record 8417503) and download ocelot2023_v1.0.1.zip.",
    group_level="patient",
    evidence=Evidence.PUBLIC_CODE,
    files=(
        SourceFile(
            "ocelot2023_v1.0.1.zip",
            sha256="74f46b79e3c4076ca0012d403629ab1e1e412591faf79a910d4d8bdd92c47920",
            urls=("https://zenodo.org/records/8417503/files/ocelot2023_v1.0.1.zip",),
        ),
    ),
    expected_images={"train": 400, "val": 137, "test": 126},
    notes=(
        "Cells are points. 2 is a tumour cell; 1 is any other cell, lymphocyte as well as normal"
        " epithelium, which is no class of the ontology: those points have none.",
        "A point has no outline, so the dataset serves detection only.",
        "The larger images around the cells, with a map of cancer area (1 background, 2 cancer, 255"
        " unknown), have no objects and no patches: they serve none of the five tasks and are not"
        " read.",
        "Patient (TCGA barcode of the slide), organ and pixel size are those of metadata.json.",
        "Kidney, endometrium, bladder, prostate, stomach and head and neck: no colon.",
        "Points outside the image are moved to its border and counted.",
    ),
)

_FILE = re.compile(
    r"(?:^|/)(?:(images)|annotations)/(train|val|test)/cell/([0-9]+)\.(?(1)jpe?g|csv)$"
)
_METADATA = "metadata.json"
_CLIPPED = "points moved to the border of the image"


class OcelotReader:
    """Reads `images/*/cell/NNN.jpg` with `annotations/*/cell/NNN.csv` and `metadata.json`."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List cell patches that have annotations."""
        matches = tree.match(_FILE)
        parts = {m[3]: m[2] for m in matches.values()}
        metadata = _metadata(tree) if matches else ("", {})
        return list_images(
            tree,
            self.spec,
            {n: (m[3], "image" if m[1] else "cells") for n, m in matches.items()},
            {"image": ".jpg", "cells": ".csv"},
            expected="images/train/cell/*.jpg with annotations/train/cell/*.csv",
            describe=lambda record, files: _source_image(record, parts[record], files, metadata),
        )

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one patch and its points."""
        pixels, table = (tree.read(image.files[kind]) for kind in ("image", "cells"))
        rgb = decode_rgb(pixels, tree.where(image.files["image"]))
        points, classes = _cells(table, tree.where(image.files["cells"]))
        inside = np.clip(points, 0, np.array(rgb.shape[1::-1], np.float32) - 1)
        n_moved = int((inside != points).any(axis=1).sum())
        mpp = float(image.attributes["mpp"])
        record = native_record(
            self.spec,
            image,
            image=rgb,
            mpp=mpp,
            coverage={"nuclei": Coverage.FULL},
            points=inside,
            point_classes=classes,
            organ=image.attributes["organ"],
            source_sha256=sha256(pixels + table).hexdigest(),
            attributes={"slide": image.attributes["slide"]},
        )
        return SourceRecord(
            record=record,
            n_objects={"nuclei": len(points)},
            notes={_CLIPPED: n_moved} if n_moved else {},
        )


READER = OcelotReader()


def _metadata(tree: SourceTree) -> tuple[str, Mapping[str, Any]]:
    """The file and its entries, patch by patch."""
    names = [name for name in tree.names if PurePosixPath(name).name == _METADATA]
    if len(names) != 1:
        raise DataError(
            f"{tree.root} holds {len(names)} files called {_METADATA}; one is needed, because it"
            f" names the slides. {SPEC.how_to_get}"
        )
    name = tree.where(names[0])
    content = parse_json(tree.read(names[0]), name)
    pairs = content.get("sample_pairs") if isinstance(content, dict) else None
    if not isinstance(pairs, dict):
        raise DataError(f"{name} has no sample_pairs. Take the file that the source distributes.")
    return name, pairs


def _source_image(
    record: str, part: str, files: Mapping[str, str], metadata: tuple[str, Mapping[str, Any]]
) -> SourceImage:
    name, pairs = metadata
    try:
        pair = pairs[record]
        slide, organ = str(pair["slide_name"]), str(pair["organ"])
        mpp = float(pair["cell"]["resized_mpp_x"])
        if not 0.05 < mpp < 5:
            raise ValueError(f"{mpp} microns per pixel")
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{name} says nothing usable of patch {record} ({error!r}). Take the file that the"
            " source distributes."
        ) from None
    group, level = group_of(slide, f"ocelot/{slide}")
    return source_image(
        SPEC,
        record,
        files,
        group=group,
        group_level=level if level == "patient" else "slide",
        official_split=part,
        attributes={"slide": slide, "organ": organ, "mpp": f"{mpp:.6g}"},
    )


def _cells(table: bytes, name: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(n, 2) x y and (n,) class indices of lines of x, y, code. No lines, no cells."""
    of_code = SPEC.label_maps["nuclei"]
    try:
        rows = [
            [int(value) for value in line.split(",")]
            for line in table.decode("utf-8-sig", "replace").splitlines()
            if line.strip()
        ]
        cells = np.array(rows, np.int64).reshape(-1, 3)
        classes = np.array([of_code.index(int(code)) for code in cells[:, 2]], np.int64)
    except (ValueError, KeyError) as error:
        raise DataError(
            f"{name}: expected lines of x, y and 1 or 2 ({error}). It is damaged or cut short:"
            " obtain it again."
        ) from None
    return cells[:, :2].astype(np.float32), classes
