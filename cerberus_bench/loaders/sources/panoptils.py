"""PanopTILs: nuclei of breast cancer, on tiles of the regions of BCSS."""

import re
from collections.abc import Mapping
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.instances import present_ids
from cerberus_bench.loaders.listing import list_images, source_image
from cerberus_bench.loaders.outlines import Outline, painting_notes
from cerberus_bench.loaders.polygons import rasterise
from cerberus_bench.loaders.reader import Listing, SourceImage, SourceRecord, native_record
from cerberus_bench.loaders.text_files import parse_csv
from cerberus_bench.schema.dataset import (
    DatasetSpec,
    Evidence,
    Licence,
    Redistribution,
    SourceFile,
)
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import IGNORE, LabelMap
from cerberus_bench.schema.record import Coverage, Instances

SPEC = DatasetSpec(
    name="panoptils",
    version="1.0.0",
    title="PanopTILs, nuclei and tissue of breast cancer",
    tasks=("nuclei",),
    label_maps={
        "nuclei": LabelMap(
            "nuclei",
            {
                0: IGNORE,
                1: "neoplastic",
                2: "connective",
                3: IGNORE,
                4: "lymphocyte",
                5: "plasma",
                6: "non_neoplastic",
                7: "other",
                8: IGNORE,
                9: IGNORE,
            },
        )
    },
    mpp=0.25,
    organ="breast",
    licence=Licence("CC0-1.0", Redistribution.YES),
    citation=(
        "Liu, Amgad et al., A panoptic segmentation dataset and deep-learning approach for"
        " explainable scoring of tumor-infiltrating lymphocytes, npj Breast Cancer 2024",
    ),
    home="sites.google.com/view/panoptils",
    how_to_get="Download BootstrapNucleiManualRegions_TCGA and ManualNucleiManualRegions from the"
    " PanopTILs page and unpack them.",
    group_level="patient",
    evidence=Evidence.PUBLIC_CODE,
    files=(
        SourceFile("BootstrapNucleiManualRegions_TCGA.zip"),
        SourceFile("ManualNucleiManualRegions.zip"),
    ),
    expected_images={"bootstrap": 1349},
    notes=(
        "In the part bootstrap nuclei were found and classified by a model trained on NuCLS and"
        " reconciled with the regions of BCSS: they are no manual truth. In the part manual they"
        " were drawn by people.",
        "A nucleus is an outline of the .csv; its class is that of most of its pixels in the second"
        " channel of the mask. Active stromal cells (3) mix fibroblasts and macrophages, so they"
        " have no class here, as unknown (8) ones.",
        "Where the first channel is 0 (exclude) nothing counts. Its map of tissue has no objects"
        " and no patches, so it serves none of the five tasks.",
        "Tiles are cut from the regions of BCSS: the region is an origin, the TCGA patient the"
        " group.",
        "The refined re-release as one parquet file has no names of slides, so patients cannot be"
        " told, and it is not read.",
        "Releases differ in size: 1,349 to 1,709 tiles are stated for the part bootstrap.",
    ),
)

_FILE = re.compile(
    r"(?:^|/)(?:(rgbs)|(csv)|masks)/(TCGA-[^/]+_xmin-[^/]+)\.(?(2)csv|png)$", re.IGNORECASE
)
_MANUAL = re.compile(r"ManualNuclei", re.IGNORECASE)
_REGION = re.compile(r"_xmin-.*$")
_EXCLUDED = 0
_UNCLASSED = "nuclei without a class"


class PanoptilsReader:
    """Reads `rgbs/*.png` with `csv/*.csv` and `masks/*.png` of the same name."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List tiles that have outlines and a mask."""
        keyed = {name: _key(tree, match) for name, match in tree.match(_FILE).items()}
        return list_images(
            tree,
            self.spec,
            keyed,
            {"image": "image", "nuclei": ".csv", "mask": "mask"},
            expected="rgbs/TCGA-*_xmin-*.png with csv/*.csv and masks/*.png",
            describe=_source_image,
        )

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one tile, paint its nuclei, and look up their classes."""
        data = {kind: tree.read(file) for kind, file in sorted(image.files.items())}
        name = tree.where(image.files["nuclei"])
        rgb = decode_rgb(data["image"], tree.where(image.files["image"]))
        mask = decode_rgb(data["mask"], tree.where(image.files["mask"]))
        if mask.shape != rgb.shape:
            raise DataError(
                f"{tree.where(image.files['mask'])} is {mask.shape[:2]}, its image"
                f" {rgb.shape[:2]}. Obtain it again."
            )
        outlines = _outlines(data["nuclei"], name)
        painted = rasterise(outlines, rgb.shape[:2])
        nuclei = _classed(painted.labels, mask[..., 1], tree.where(image.files["mask"]))
        valid = mask[..., 0] != _EXCLUDED
        unclassed = int((nuclei.classes == 0).sum())
        record = native_record(
            self.spec,
            image,
            image=rgb,
            coverage={"nuclei": Coverage.FULL if valid.all() else Coverage.PARTIAL},
            instances={"nuclei": nuclei},
            valid=None if valid.all() else valid,
            source_sha256=sha256(b"".join(data.values())).hexdigest(),
        )
        return SourceRecord(
            record=record,
            n_objects={"nuclei": len(outlines)},
            notes=painting_notes(painted) | ({_UNCLASSED: unclassed} if unclassed else {}),
        )


READER = PanoptilsReader()


def _key(tree: SourceTree, match: re.Match[str]) -> tuple[str, str]:
    part = "manual" if _MANUAL.search(f"{tree.root.name}/{match.string}") else "bootstrap"
    kind = "image" if match[1] else "nuclei" if match[2] else "mask"
    return f"{part}_{match[3]}", kind


def _source_image(record: str, files: Mapping[str, str]) -> SourceImage:
    part, _, tile = record.partition("_")
    return source_image(
        SPEC,
        record,
        files,
        origins=(f"panoptils/{record}", f"bcss/{_REGION.sub('', tile)}"),
        official_split=part,
        attributes={"nuclei_by": "people" if part == "manual" else "model"},
    )


def _outlines(table: bytes, name: str) -> list[Outline]:
    try:
        return [
            np.array(
                list(
                    zip(
                        map(float, row["coords_x"].split(",")),
                        map(float, row["coords_y"].split(",")),
                        strict=True,
                    )
                ),
                np.float64,
            )
            for row in parse_csv(table, name, ("coords_x", "coords_y"))
        ]
    except ValueError as error:
        raise DataError(
            f"{name}: coords_x and coords_y are no lists of as many numbers ({error}). Obtain it"
            " again."
        ) from None


def _classed(labels: NDArray[np.int32], codes: NDArray[np.uint8], name: str) -> Instances:
    """Nuclei, each of the class that most of its pixels have."""
    of_code = SPEC.label_maps["nuclei"]
    if codes.max(initial=0) >= len(of_code.nodes):
        raise DataError(f"{name}: its second channel holds {codes.max()}; expected 0 to 9.")
    ids = present_ids(labels)
    inside = labels > 0
    place = np.searchsorted(ids, labels[inside])
    n = len(of_code.nodes)
    votes = np.bincount(place * n + codes[inside], minlength=len(ids) * n).reshape(-1, n)
    classes = [of_code.index(int(code)) for code in votes.argmax(axis=1)]
    return Instances(labels, ids, np.array(classes, np.int64))
