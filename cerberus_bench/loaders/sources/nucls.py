"""NuCLS: nuclei of breast cancer, half of them outlined, the other half only boxed."""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.listing import list_images, source_image
from cerberus_bench.loaders.outlines import Outline, box_outline, covered, paint
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
from cerberus_bench.schema.record import Coverage

SPEC = DatasetSpec(
    name="nucls",
    version="1.0.0",
    title="NuCLS, nuclei of breast cancer (corrected single-rater set)",
    tasks=("nuclei",),
    label_maps={
        "nuclei": LabelMap(
            "nuclei",
            {
                "tumor": "neoplastic",
                "fibroblast": "fibroblast",
                "lymphocyte": "lymphocyte",
                "plasma_cell": "plasma",
                "macrophage": "macrophage",
                "mitotic_figure": "mitotic",
                "vascular_endothelium": "endothelial",
                "myoepithelium": "non_neoplastic",
                "apoptotic_body": "dead",
                "neutrophil": "neutrophil",
                "ductal_epithelium": "non_neoplastic",
                "eosinophil": "eosinophil",
                "unlabeled": IGNORE,
            },
        )
    },
    mpp=0.2,
    organ="breast",
    licence=Licence("CC0-1.0", Redistribution.YES),
    citation=(
        "Amgad et al., NuCLS: a scalable crowdsourcing approach and dataset for nucleus"
        " classification and segmentation in breast cancer, GigaScience 2022",
    ),
    home="sites.google.com/view/nucls",
    how_to_get="Download the corrected single-rater dataset (folders rgb, csv and mask) from the"
    " NuCLS page.",
    group_level="patient",
    evidence=Evidence.PUBLIC_CODE,
    files=(SourceFile("rgb"), SourceFile("csv"), SourceFile("mask")),
    expected_images={"all": 1744},
    notes=(
        "Nuclei of type polyline have an outline and are instances. Those of type rectangle have a"
        " box only: the box is left out of the valid mask (where no outlined nucleus lies in it),"
        " so that nothing found there is right or wrong; coverage is then partial.",
        "Classes are those of raw_classification; unlabeled nuclei have none. The mask files draw"
        " boxes and outlines alike, so nuclei are taken from the .csv; of the mask only its zeros"
        " are used, pixels outside the field of view, which do not count.",
        "Fields lie in the regions of BCSS and PanopTILs, of the same patients: the group is the"
        " TCGA patient.",
        "The folds of the source (by hospital) stand in the attribute official_fold where its"
        " fold_N_test.csv are there.",
        "The number of fields, 1,744, is recalled, not verified.",
    ),
)

_FILE = re.compile(
    r"(?:^|/)(?:(rgbs?)|(csv)|(masks?))/((TCGA-[^/]+)_id-[^/]+)\.(?(2)csv|png)$", re.IGNORECASE
)
_FOLD = re.compile(r"(?:^|/)fold_([0-9]+)_test\.csv$")
_COLUMNS = ("raw_classification", "type", "xmin", "ymin", "xmax", "ymax", "coords_x", "coords_y")
_BOX_ONLY = "nuclei with a box only, left out of the valid mask"


class NuclsReader:
    """Reads `rgb/*.png` with `csv/*.csv` (and `mask/*.png`) of the same name."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List fields that have annotations."""
        keyed = {
            name: (match[4], "image" if match[1] else "nuclei" if match[2] else "mask")
            for name, match in tree.match(_FILE).items()
        }
        folds = _folds(tree)
        return list_images(
            tree,
            self.spec,
            keyed,
            {"image": "image", "nuclei": ".csv"},
            expected="rgb/TCGA-*_id-*.png with csv/TCGA-*_id-*.csv",
            describe=lambda record, files: _source_image(record, files, folds),
        )

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one field, paint its outlined nuclei, and leave out the boxed ones."""
        data = {kind: tree.read(file) for kind, file in sorted(image.files.items())}
        name = tree.where(image.files["nuclei"])
        rgb = decode_rgb(data["image"], tree.where(image.files["image"]))
        drawn, boxed = _by_type(parse_csv(data["nuclei"], name, _COLUMNS), name)
        nuclei, notes = paint(
            [_outline(row, name) for row in drawn],
            [_class(row["raw_classification"], name) for row in drawn],
            rgb.shape[:2],
        )
        left_out = covered([_box(row, name) for row in boxed], rgb.shape[:2])
        valid = ~left_out | (nuclei.labels > 0)
        if "mask" in image.files:
            valid &= _field(data["mask"], tree.where(image.files["mask"]), rgb.shape[:2])
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
            n_objects={"nuclei": len(drawn) + len(boxed)},
            notes=notes | ({_BOX_ONLY: len(boxed)} if boxed else {}),
        )


READER = NuclsReader()


def _folds(tree: SourceTree) -> dict[str, str]:
    """Slide -> fold of the source that tests it, as far as the files are there."""
    return {
        row["slide_name"]: match[1]
        for name, match in tree.match(_FOLD).items()
        for row in parse_csv(tree.read(name), tree.where(name), ("slide_name",))
    }


def _source_image(record: str, files: Mapping[str, str], folds: Mapping[str, str]) -> SourceImage:
    fold = folds.get(record.partition("_id-")[0])
    return source_image(SPEC, record, files, attributes={"official_fold": fold} if fold else {})


def _by_type(
    rows: Sequence[dict[str, str]], name: str
) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Nuclei with an outline, and those with a box only. A row of the field itself is none."""
    nuclei = [row for row in rows if not row["raw_classification"].startswith("fov")]
    odd = {row["type"] for row in nuclei} - {"polyline", "rectangle"}
    if odd:
        raise DataError(
            f"{name}: a nucleus is of type {min(odd)!r}; expected polyline or rectangle. It is"
            " damaged or cut short: obtain it again."
        )
    drawn = [row for row in nuclei if row["type"] == "polyline"]
    return drawn, [row for row in nuclei if row["type"] == "rectangle"]


def _outline(row: Mapping[str, str], name: str) -> Outline:
    xs, ys = (_numbers(row[axis].split(","), name) for axis in ("coords_x", "coords_y"))
    if len(xs) != len(ys):
        raise DataError(f"{name}: an outline has {len(xs)} x and {len(ys)} y. Obtain it again.")
    return np.stack([xs, ys], axis=1)


def _box(row: Mapping[str, str], name: str) -> Outline:
    x0, y0, x1, y1 = _numbers([row[side] for side in ("xmin", "ymin", "xmax", "ymax")], name)
    return box_outline(x0, y0, x1, y1)


def _numbers(texts: Sequence[str], name: str) -> NDArray[np.float64]:
    try:
        numbers = np.array([float(text) for text in texts])
        if not np.isfinite(numbers).all():
            raise ValueError(f"{numbers.tolist()}")
    except ValueError as error:
        raise DataError(f"{name}: a coordinate is no number ({error}). Obtain it again.") from None
    return numbers


def _class(label: str, name: str) -> int:
    try:
        return SPEC.label_maps["nuclei"].index(label)
    except KeyError:
        raise DataError(
            f"{name}: a nucleus is called {label!r}, which is none of the 13 classes of the source"
        ) from None


def _field(mask: bytes, name: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(H, W) pixels in the field of view: the first channel, a class or the field, is not 0."""
    codes = decode_rgb(mask, name)[..., 0]
    if codes.shape != shape:
        raise DataError(f"{name} is {codes.shape}, its image {shape}. Obtain it again.")
    field: NDArray[np.bool_] = codes > 0
    return field
