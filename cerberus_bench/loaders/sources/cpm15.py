"""CPM-15: nuclei of brain tumours, with masks as text, two of them exchanged."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.instances import from_label_map
from cerberus_bench.loaders.listing import list_images, source_image
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
from cerberus_bench.schema.record import MAX_INSTANCES, Coverage

LICENCE = Licence(
    "LicenseRef-CPM-none",
    Redistribution.NO,
    "no licence is stated; the images are of TCGA and TCIA",
)
CITATION = (
    "Vu et al., Methods for segmentation and classification of digital microscopy tissue images,"
    " Frontiers in Bioengineering and Biotechnology 2019",
)
HOW_TO_GET = (
    "Take {name} from the folder of datasets that the authors of HoVer-Net share (README of"
    " vqdang/hover_net)."
)
LEAK = "the TCGA patients of the images are not published, so shared patients cannot be found"
_SWAPPED = "masks read from the file of the other image, by their size"

SPEC = DatasetSpec(
    name="cpm15",
    version="1.0.0",
    title="CPM-15, digital pathology segmentation challenge of MICCAI 2015 (training set)",
    tasks=("nuclei",),
    label_maps={"nuclei": LabelMap("nuclei", {"nucleus": "cell"})},
    mpp=0.25,
    organ="brain",
    licence=LICENCE,
    citation=CITATION,
    home="github.com",
    how_to_get=HOW_TO_GET.format(name="cpm15"),
    group_level="image",
    evidence=Evidence.PUBLIC_CODE,
    files=(SourceFile("cpm15.zip"),),
    expected_images={"all": 15},
    expected_objects={"nuclei": 2905},
    notes=(
        "The mask files of image04 and image05 are exchanged in the copy that is around (863 x 597"
        " and 623 x 493 px): a mask that has the size of the other image is read with that one, and"
        " both are counted; the attribute mask_of names the image whose file it is.",
        "Images 01 to 07 are at 20 x, taken as 0.5 microns per pixel, 08 to 15 at 40 x, 0.25"
        " (README of the source).",
        "A mask is text: width, height, then one id a pixel, row by row. A copy with .mat files"
        " (inst_map) is read as well.",
        "imageNN_poly.png are pictures of the masks, no images. Images are RGBA; alpha is dropped.",
        f"Groups are images: {LEAK}.",
        "Nuclei have no classes.",
    ),
    known_faults=(KnownFault(FaultKind.NOTE, _SWAPPED),),
)

_FILE = re.compile(
    r"(?:^|(?<!overlay)/)(image[0-9]{2})(?:(\.png)|_mask\.txt|\.mat)$", re.IGNORECASE
)
_EXCHANGED = {"image04": "image05", "image05": "image04"}
_LAST_20X = 7
_MAX_MASK_BYTES = 64 << 20
_MAX_DIGITS = 12


class Cpm15Reader:
    """Reads `imageNN.png` with `imageNN_mask.txt` (or `.mat`)."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List images that have a mask."""
        keyed = {
            name: (match[1].lower(), "image" if match[2] else "labels")
            for name, match in tree.match(_FILE).items()
        }
        listing = list_images(
            tree,
            self.spec,
            keyed,
            {"image": ".png", "labels": "mask"},
            expected="imageNN.png with imageNN_mask.txt",
            describe=partial(source_image, self.spec),
        )
        files = {image.record: image.files for image in listing.images}
        images = (replace(image, files=_with_exchanged(image, files)) for image in listing.images)
        return replace(listing, images=tuple(images))

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one image and its mask, or the mask that fits it."""
        pixels = tree.read(image.files["image"])
        rgb = decode_rgb(pixels, tree.where(image.files["image"]))
        file = image.files["labels"]
        data = tree.read(file, _MAX_MASK_BYTES)
        labels = _labels(data, tree.where(file))
        is_swapped = False
        if labels.shape != rgb.shape[:2] and "exchanged" in image.files:
            file = image.files["exchanged"]
            other = tree.read(file, _MAX_MASK_BYTES)
            candidate = _labels(other, tree.where(file))
            is_swapped = candidate.shape == rgb.shape[:2]
            data, labels = (other, candidate) if is_swapped else (data, labels)
        nuclei = from_label_map(labels, np.ones_like)
        objective, mpp = (20.0, 0.5) if int(image.record[-2:]) <= _LAST_20X else (40.0, 0.25)
        record = native_record(
            self.spec,
            image,
            image=rgb,
            mpp=mpp,
            coverage={"nuclei": Coverage.FULL},
            instances={"nuclei": nuclei},
            objective=objective,
            attributes={"mask_of": _EXCHANGED[image.record]} if is_swapped else {},
            source_sha256=sha256(pixels + data).hexdigest(),
        )
        return SourceRecord(
            record=record,
            n_objects={"nuclei": len(nuclei.ids)},
            notes={_SWAPPED: 1} if is_swapped else {},
        )


READER = Cpm15Reader()


def _with_exchanged(
    image: SourceImage, files: Mapping[str, Mapping[str, str]]
) -> Mapping[str, str]:
    """The files of an image, and the mask that may be exchanged with its own."""
    partner = files.get(_EXCHANGED.get(image.record, ""))
    return {**image.files, **({"exchanged": partner["labels"]} if partner else {})}


def _labels(data: bytes, name: str) -> NDArray[np.int32]:
    if name.lower().endswith(".mat"):
        return label_map(read_matlab(data, name, ("inst_map",)), "inst_map", name)
    return parse_text_mask(data, name)


def parse_text_mask(data: bytes, name: str) -> NDArray[np.int32]:
    """(H, W) ids of a text of width, height and one id a pixel, row by row.

    Raises:
        DataError: it holds anything else, or another number of pixels than it says.
    """
    try:
        tokens = data.split()
        if max(map(len, tokens), default=0) > _MAX_DIGITS:
            raise ValueError(f"a word of more than {_MAX_DIGITS} characters")
        values = np.array(tokens, np.bytes_).astype(np.int64)
    except (ValueError, OverflowError) as error:
        raise DataError(
            f"{name} holds something that is no whole number ({error}). Obtain it again."
        ) from None
    width, height = values[:2] if len(values) >= 2 else (0, 0)
    ids = values[2:]
    if len(ids) != width * height or width < 1 or ids.min() < 0 or ids.max() > MAX_INSTANCES:
        raise DataError(
            f"{name} says {width} x {height} px and holds {len(ids)} ids, or ids beyond 0 to"
            f" {MAX_INSTANCES}. It is damaged or cut short: obtain it again."
        )
    return ids.reshape(height, width).astype(np.int32)
