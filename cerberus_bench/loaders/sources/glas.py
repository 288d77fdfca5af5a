"""GlaS (Warwick-QU): glands of colorectal tissue, with patient and grade."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath

import numpy as np

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.companions import gather
from cerberus_bench.loaders.images import decode_rgb, decode_single_channel
from cerberus_bench.loaders.instances import from_label_map
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
from cerberus_bench.schema.record import Coverage

SPEC = DatasetSpec(
    name="glas",
    version="1.0.0",
    title="GlaS (Warwick-QU), MICCAI 2015 Gland Segmentation Challenge",
    tasks=("gland",),
    label_maps={"gland": LabelMap("gland", {"gland": "gland"})},
    mpp=0.62005,
    organ="colon",
    licence=Licence(
        "LicenseRef-GlaS-research-only",
        Redistribution.NO,
        "research only, no commercial use; no right to redistribute is granted",
    ),
    citation=(
        "Sirinukunwattana et al., Gland segmentation in colon histology images: the GlaS challenge"
        " contest, Medical Image Analysis 2017",
        "Sirinukunwattana, Snead and Rajpoot, A stochastic polygons model for glandular structures"
        " in colon histology images, IEEE Transactions on Medical Imaging 2015",
    ),
    home="warwick.ac.uk",
    how_to_get="Accept the terms on the GlaS page of the Tissue Image Analytics Centre and save"
    " warwick_qu_dataset_released_2016_07_08.zip.",
    group_level="patient",
    evidence=Evidence.REAL_BYTES,
    files=(SourceFile("warwick_qu_dataset_released_2016_07_08.zip"),),
    expected_images={"train": 85, "testA": 60, "testB": 20},
    expected_objects={"gland": 1530},
    official_leaks={
        "testA": "shares patients with the official training part (patient column of Grade.csv)",
        "testB": "all five patients (1, 2, 3, 5, 7) are also in the official training part",
    },
    notes=(
        "0.62005 microns per pixel, so an image grows by 1.24 on the way to 0.5.",
        "Grade.csv has CR line ends and a blank before names and values.",
        "train_*.bmp also matches the annotations, train_*_anno.bmp.",
        "Surface epithelium is not annotated: the label space is gland alone.",
        "15 glands consist of more than one connected component; they stay one instance.",
        "The grade is one of the whole image, so it is an attribute and no class.",
    ),
    known_faults=(
        *(
            KnownFault(
                FaultKind.OFFICIAL_LEAK,
                f"patient {patient} of testB is in the official training part as well",
                record="testB",
                other=f"glas/patient-{patient}",
            )
            for patient in (1, 2, 3, 5, 7)
        ),
        *(
            KnownFault(
                FaultKind.MULTI_PART,
                f"gland 1 of {record} has several parts that do not touch",
                record=record,
                task="gland",
            )
            for record in ("testB_18", "testB_19")
        ),
    ),
)

_IMAGE = re.compile(r"(?:^|/)((train|testA|testB)_[0-9]+)(_anno)?\.bmp$", re.IGNORECASE)
_GRADES = "Grade.csv"
_PARTS = {part.lower(): part for part in SPEC.expected_images}


@dataclass(frozen=True, slots=True)
class GradeRow:
    """What Grade.csv says of an image."""

    patient: str
    grade: str
    """benign or malignant."""
    grade_detail: str
    """healthy, adenomatous, moderately differentiated ..., spelled as in the file."""


def parse_grades(data: bytes) -> dict[str, GradeRow]:
    """Grade.csv as image -> row.

    Raises:
        DataError: the columns are not those of the distributed file.
    """
    text = data.decode("utf-8-sig", errors="replace")
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if row]
    if not rows or [name.lower() for name in rows[0][:2]] != ["name", "patient id"]:
        header = rows[0] if rows else "nothing"
        raise DataError(
            f"{_GRADES} begins with {header}; expected name, patient ID and two grades. Take the"
            " file that the source distributes."
        )
    short = [row for row in rows if len(row) < 4]
    if short:
        raise DataError(f"{_GRADES}: the row {short[0]} has fewer than 4 columns")
    return {row[0]: GradeRow(*row[1:4]) for row in rows[1:]}


class GlasReader:
    """Reads the flat folder of bitmaps."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List images that have an annotation, with patient and grade from Grade.csv."""
        keyed = {name: _key(match) for name, match in tree.match(_IMAGE).items()}
        if not keyed:
            raise DataError(
                f"{tree.root} holds no train_N.bmp, testA_N.bmp or testB_N.bmp."
                f" {self.spec.how_to_get}"
            )
        pairs = gather(tree, keyed, {"image": ".bmp", "labels": "_anno.bmp"})
        grades = self._grades(tree)
        return Listing(
            images=tuple(
                _source_image(record, files, grades) for record, files in pairs.files.items()
            ),
            incomplete=pairs.incomplete,
            official_groups=_official_groups(grades),
        )

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one image and its gland ids."""
        pixels, annotation = (tree.read(image.files[kind]) for kind in ("image", "labels"))
        labels = decode_single_channel(annotation, tree.where(image.files["labels"]))
        glands = from_label_map(labels, lambda ids: np.ones(len(ids), np.int64))
        record = native_record(
            self.spec,
            image,
            image=decode_rgb(pixels, tree.where(image.files["image"])),
            coverage={"gland": Coverage.FULL},
            instances={"gland": glands},
            source_sha256=sha256(pixels + annotation).hexdigest(),
        )
        return SourceRecord(record=record, n_objects={"gland": len(glands.ids)})

    @staticmethod
    def _grades(tree: SourceTree) -> dict[str, GradeRow]:
        names = [name for name in tree.names if PurePosixPath(name).name == _GRADES]
        if len(names) != 1:
            raise DataError(
                f"{tree.root} holds {len(names)} files called {_GRADES}; one is needed, because it"
                " says which images come from the same patient. It is in the zip of the source."
            )
        return parse_grades(tree.read(names[0]))


READER = GlasReader()


def _key(match: re.Match[str]) -> tuple[str, str]:
    record, part, is_annotation = match.groups()
    record = record.replace(part, _PARTS[part.lower()])
    return record, "labels" if is_annotation else "image"


def _source_image(
    record: str, files: Mapping[str, str], grades: Mapping[str, GradeRow]
) -> SourceImage:
    if record not in grades:
        raise DataError(
            f"{_GRADES} does not name {record}, so its patient is unknown. Take the file that the"
            " source distributes."
        )
    row = grades[record]
    return SourceImage(
        record=record,
        group=f"glas/patient-{row.patient}",
        group_level=SPEC.group_level,
        origins=(f"glas/{record}",),
        official_split=record.partition("_")[0],
        files=files,
        attributes={"grade": row.grade, "grade_detail": row.grade_detail},
    )


def _official_groups(grades: Mapping[str, GradeRow]) -> dict[str, tuple[str, ...]]:
    groups: dict[str, set[str]] = {}
    for record, row in grades.items():
        groups.setdefault(record.partition("_")[0], set()).add(f"glas/patient-{row.patient}")
    return {part: tuple(sorted(members)) for part, members in groups.items()}
