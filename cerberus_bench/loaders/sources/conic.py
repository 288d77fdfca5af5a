"""CoNIC 2022: Lizard cut into patches of 256 px, as arrays."""

import csv
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.archive import SourceTree, unique_by_key
from cerberus_bench.loaders.instances import present_ids
from cerberus_bench.loaders.npy import map_npy
from cerberus_bench.loaders.per_tree import PerTree
from cerberus_bench.loaders.reader import Listing, SourceImage, SourceRecord, native_record
from cerberus_bench.loaders.sources.lizard import CLASSES, ancestors
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
    name="conic",
    version="1.0.0",
    title="CoNIC 2022, colon nuclei identification and counting challenge (training set)",
    tasks=("nuclei",),
    label_maps={"nuclei": LabelMap("nuclei", CLASSES)},
    mpp=0.5,
    organ="colon",
    licence=Licence("CC-BY-NC-SA-4.0", Redistribution.SHARE_ALIKE),
    citation=(
        "Graham et al., CoNIC challenge: pushing the frontiers of nuclear detection, segmentation,"
        " classification and counting, Medical Image Analysis 2024",
        "Graham et al., Lizard: a large-scale dataset for colonic nuclear instance segmentation"
        " and classification, ICCV Workshops 2021",
    ),
    home="conic-challenge.grand-challenge.org",
    how_to_get="Join the challenge on its page and put images.npy, labels.npy, counts.csv and"
    " patch_info.csv of the training data into one folder.",
    group_level="image",
    evidence=Evidence.PUBLIC_CODE,
    files=tuple(
        SourceFile(name) for name in ("images.npy", "labels.npy", "counts.csv", "patch_info.csv")
    ),
    expected_images={"all": 4981},
    notes=(
        "Everything is Lizard again: a patch has the group, the origin and the fold of its image.",
        "Patches overlap at the right and bottom edge of their image (the last row and column lie"
        " flush with the border) and so repeat nuclei: sums over patches exceed the 431,913 nuclei"
        " of the images, and a split by patches leaks.",
        "dpath_58 repeats dpath_48; its patches are kept and share the fold of dpath_48.",
        "counts.csv counts nuclei by their pixels in the central 224 of 256 px; the reader counts"
        " again and says where the file differs.",
        "The hidden test set was never released.",
        "The attribute row is the place of a patch in the arrays.",
    ),
)

_FILES = {
    "images": "images.npy",
    "labels": "labels.npy",
    "counts": "counts.csv",
    "info": "patch_info.csv",
}
_NAME = re.compile(r"([a-z]+_[0-9]+)-[0-9]+")
_MARGIN = 16
"""Pixels on each side that counts.csv leaves out."""


class ConicReader:
    """Reads `images.npy` and `labels.npy` row by row; they are never in memory as a whole."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List the patches of `patch_info.csv`."""
        files = self._files(tree)
        patches = [row.get("patch_info") or "" for row in _rows(tree, files["info"])]
        rows = {
            "patch_info.csv": len(patches),
            "counts.csv": len(_counts(tree, files["counts"])),
            "labels.npy": _length(tree, files["labels"]),
        }
        n = _length(tree, files["images"])
        for name, found in rows.items():
            if found != n:
                raise DataError(
                    f"{tree.root}: images.npy holds {n} patches, {name} {found}. Take the files of"
                    " one release."
                )
        return Listing(
            images=tuple(_source_image(patch, row, files) for row, patch in enumerate(patches))
        )

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Take one patch out of the arrays."""
        row = int(image.attributes["row"])
        pixels = np.array(map_npy(tree, image.files["images"])[row])
        labels = np.array(map_npy(tree, image.files["labels"])[row])
        name = f"{tree.where(image.files['labels'])}, row {row}"
        if labels.ndim != 3 or labels.shape[2] != 2 or labels.dtype.kind not in "ui":
            raise DataError(
                f"{name}: expected whole numbers of shape (H, W, 2), got {labels.dtype} of"
                f" {labels.shape}. Take the file that the source distributes."
            )
        ids, classes = labels[..., 0].astype(np.int32), labels[..., 1].astype(np.int64)
        nuclei, n_mixed = _nuclei(ids, classes, name)
        stated = _counts(tree, image.files["counts"])[row]
        notes = {
            "nuclei with pixels of more than one class": n_mixed,
            "patches of which counts.csv says otherwise": int(
                not np.array_equal(_central_counts(ids, classes), stated)
            ),
        }
        record = native_record(
            self.spec,
            image,
            image=pixels,
            coverage={"nuclei": Coverage.FULL},
            instances={"nuclei": nuclei},
            source_sha256=sha256(pixels.tobytes() + labels.tobytes()).hexdigest(),
        )
        return SourceRecord(
            record=record,
            n_objects={"nuclei": len(nuclei.ids)},
            notes={text: n for text, n in notes.items() if n},
        )

    def _files(self, tree: SourceTree) -> dict[str, str]:
        keyed = ((PurePosixPath(name).name, name) for name in tree.names)
        wanted = set(_FILES.values())
        found = unique_by_key(tree, ((key, name) for key, name in keyed if key in wanted))
        for file in _FILES.values():
            if file not in found:
                raise DataError(f"{tree.root} holds no {file}. {self.spec.how_to_get}")
        return {kind: found[file] for kind, file in _FILES.items()}


READER = ConicReader()


def _length(tree: SourceTree, name: str) -> int:
    return next(iter(map_npy(tree, name).shape), 0)


def _rows(tree: SourceTree, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(tree.read(name).decode("utf-8-sig", "replace").splitlines()))


def _read_counts(tree: SourceTree, name: str) -> NDArray[np.int64]:
    """(n, 6) nuclei of each class, in the order of the class codes."""
    try:
        counts = [[int(row[c]) for c in CLASSES.values()] for row in _rows(tree, name)]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{tree.where(name)}: {error}; expected one column of numbers for each of"
            f" {', '.join(CLASSES.values())}. Take the file that the source distributes."
        ) from None
    return np.array(counts, np.int64).reshape(-1, len(CLASSES))


_counts = PerTree(_read_counts)


def _source_image(patch: str, row: int, files: Mapping[str, str]) -> SourceImage:
    match = _NAME.fullmatch(patch)
    ancestor = ancestors().get(match[1]) if match else None
    if match is None or ancestor is None:
        raise DataError(
            f"patch_info.csv, row {row}: {patch!r} is no patch of an image of Lizard. Take the file"
            " that the source distributes."
        )
    return SourceImage(
        record=patch,
        group=ancestor.group,
        group_level=ancestor.group_level,
        origins=(ancestor.origin,),
        files=files,
        attributes={"row": str(row), "cohort": patch.partition("_")[0]},
    )


def _nuclei(ids: NDArray[np.int32], classes: NDArray[np.int64], name: str) -> tuple[Instances, int]:
    """Nuclei of a patch, each of the class that most of its pixels have; and how many are mixed."""
    n = len(CLASSES) + 1
    if classes.min(initial=0) < 0 or classes.max(initial=0) >= n or ids.min(initial=0) < 0:
        raise DataError(f"{name}: a negative id, or a class beyond {n - 1}. The file is damaged.")
    present = present_ids(ids)
    place = np.searchsorted(present, ids[ids > 0])
    votes = np.bincount(place * n + classes[ids > 0], minlength=len(present) * n).reshape(-1, n)
    n_mixed = int(np.sum(np.count_nonzero(votes, axis=1) > 1))
    return Instances(ids, present, votes.argmax(axis=1).astype(np.int64)), n_mixed


def _central_counts(ids: NDArray[np.int32], classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Nuclei of each class with a pixel of that class in the centre."""
    centre = (slice(_MARGIN, -_MARGIN),) * 2
    return np.array(
        [len(present_ids(ids[centre] * (classes[centre] == code))) for code in range(1, 7)],
        np.int64,
    )
