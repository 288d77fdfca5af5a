"""CRCHistoPhenotypes: nuclei of colorectal adenocarcinoma as points, most of them with a class."""

import re
from collections.abc import Mapping
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.companions import gather
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.matlab import read_matlab
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

CLASSES: Mapping[int | str, str] = {
    "epithelial": "epithelial",
    "fibroblast": "fibroblast",
    "inflammatory": "inflammatory",
    "others": "other",
}

_MOVED = "points of a class moved to the nearest detection"
_CLIPPED = "points clipped to the image"

SPEC = DatasetSpec(
    name="crchistophenotypes",
    version="1.0.0",
    title="CRCHistoPhenotypes, labelled cell nuclei of colorectal adenocarcinoma",
    tasks=("nuclei",),
    label_maps={"nuclei": LabelMap("nuclei", CLASSES)},
    mpp=0.55,
    organ="colon",
    licence=Licence(
        "LicenseRef-CRCHistoPhenotypes-research-only",
        Redistribution.NO,
        "research only; no right to redistribute is granted",
    ),
    citation=(
        "Sirinukunwattana et al., Locality sensitive deep learning for detection and"
        " classification of nuclei in routine colon cancer histology images, IEEE Transactions on"
        " Medical Imaging 2016",
    ),
    home="warwick.ac.uk",
    how_to_get="Obtain CRCHistoPhenotypes_2016_04_28.zip from the Tissue Image Analytics Centre.",
    group_level="image",
    evidence=Evidence.REAL_BYTES,
    files=(SourceFile("CRCHistoPhenotypes_2016_04_28.zip"),),
    expected_images={"all": 100},
    expected_objects={"nuclei": 29_756},
    notes=(
        "Points only, no outlines. The origin of the coordinates is not stated (0.15 to 500.0 on"
        " 500 px, so neither 0 to 499 nor 1 to 500): they are taken as they are, pixel centres at"
        " whole numbers, and clipped to the image.",
        "A point of a class is the detection it coincides with; 82 of the 22,444 coincide with"
        " none and take the nearest free one within 12 px, or else stand for themselves."
        " Detections without a class have class 0.",
        "Coordinates are float64 or, where they happen to be whole, uint8 or uint16; 68 of the"
        " class files are empty.",
        "0.55 microns per pixel (20 x) is recalled, not verified. No list of the nine patients is"
        " published, so images of one patient cannot be kept together.",
    ),
    known_faults=(KnownFault(FaultKind.NOTE, _MOVED), KnownFault(FaultKind.NOTE, _CLIPPED)),
)

_FILE = re.compile(
    r"(?:^|/)(?:Detection/(img[0-9]+)/\1(?:\.(bmp)|_(detection)\.mat)"
    rf"|Classification/(img[0-9]+)/\4_({'|'.join(map(str, CLASSES))})\.mat)$"
)
_VARIABLE = "detection"
_MAX_DISTANCE = 12.0
"""How far a point of a class may lie from its detection, px: about the diameter of a nucleus."""


class CrcHistoPhenotypesReader:
    """Reads `Detection/imgN/{imgN.bmp,imgN_detection.mat}` and `Classification/imgN/*.mat`."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List images that have detections and all four classes."""
        keyed = {
            name: (match[1] or match[4], match[3] or match[5] or "image")
            for name, match in tree.match(_FILE).items()
        }
        if not keyed:
            raise DataError(
                f"{tree.root} holds no Detection/imgN/imgN.bmp with imgN_detection.mat."
                f" {self.spec.how_to_get}"
            )
        kinds = (_VARIABLE, *map(str, CLASSES))
        found = gather(tree, keyed, {"image": ".bmp"} | {kind: f"_{kind}.mat" for kind in kinds})
        return Listing(
            images=tuple(_source_image(record, files) for record, files in found.files.items()),
            incomplete=found.incomplete,
        )

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one image and its points."""
        data = {kind: tree.read(name) for kind, name in sorted(image.files.items())}
        rgb = decode_rgb(data["image"], tree.where(image.files["image"]))
        stored = {
            kind: _points(matrix, tree.where(image.files[kind]))
            for kind, matrix in data.items()
            if kind != "image"
        }
        detections = stored.pop(_VARIABLE)
        classified = np.concatenate([stored[str(name)] for name in CLASSES])
        sizes = [len(stored[str(name)]) for name in CLASSES]
        classes = np.repeat(np.arange(1, len(CLASSES) + 1), sizes)
        points, point_classes, notes = _join(detections, classified, classes)
        last = np.array(rgb.shape[1::-1]) - 1.0
        notes[_CLIPPED] = int(np.any((points < 0) | (points > last), 1).sum())
        record = native_record(
            self.spec,
            image,
            image=rgb,
            coverage={"nuclei": Coverage.FULL},
            points=np.clip(points, 0, last).astype(np.float32),
            point_classes=point_classes,
            objective=20.0,
            source_sha256=sha256(b"".join(data.values())).hexdigest(),
        )
        return SourceRecord(
            record=record,
            n_objects={"nuclei": len(detections)},
            notes={text: n for text, n in notes.items() if n},
        )


READER = CrcHistoPhenotypesReader()


def _source_image(record: str, files: Mapping[str, str]) -> SourceImage:
    origin = f"crchistophenotypes/{record}"
    return SourceImage(
        record=record,
        group=origin,
        group_level=SPEC.group_level,
        origins=(origin,),
        files=files,
    )


def _points(matrix: bytes, name: str) -> NDArray[np.float64]:
    """(n, 2) x y of one file, whatever number type they are stored in."""
    variables = read_matlab(matrix, name, (_VARIABLE,))
    stored = np.asarray(variables.get(_VARIABLE, np.zeros(1)))
    if stored.size and (stored.ndim != 2 or stored.shape[1] != 2 or stored.dtype.kind not in "iuf"):
        raise DataError(
            f"{name}: {_VARIABLE} is no list of x and y, but {stored.dtype} of {stored.shape}. Take"
            " the file that the source distributes."
        )
    points: NDArray[np.float64] = stored.astype(np.float64).reshape(-1, 2)
    if not np.isfinite(points).all():
        raise DataError(f"{name} holds a coordinate that is no finite number. It is damaged.")
    return points


def _join(
    detections: NDArray[np.float64], classified: NDArray[np.float64], classes: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], dict[str, int]]:
    """Give detections the class of the point that lies on them, one to one, nearest pairs first.

    Returns:
        Points, their classes (0 = none), and what was met: how often.
    """
    of_detection = np.zeros(len(detections), np.int64)
    pending = np.ones(len(classified), bool)
    distance = np.linalg.norm(classified[:, None] - detections[None], axis=2)
    rows, columns = np.nonzero(distance <= _MAX_DISTANCE)
    n_moved = 0
    for pair in np.argsort(distance[rows, columns], kind="stable"):
        row, column = rows[pair], columns[pair]
        if pending[row] and not of_detection[column]:
            of_detection[column] = classes[row]
            pending[row] = False
            n_moved += bool(distance[row, column])
    notes = {
        "points with a class": len(classified),
        _MOVED: n_moved,
        "points of a class without a detection, kept": int(pending.sum()),
    }
    points = np.concatenate([detections, classified[pending]])
    return points, np.concatenate([of_detection, classes[pending]]), notes
