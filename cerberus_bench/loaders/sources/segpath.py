"""SegPath: patches of many tumours with a mask of what an antibody stained."""

import re
import zlib
from collections.abc import Mapping
from hashlib import sha256

import numpy as np

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.label_files import decode_foreground
from cerberus_bench.loaders.listing import list_images, source_image
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

ANTIBODIES = {
    "panCK_Epithelium": 7412731,
    "aSMA_SmoothMuscle": 7412732,
    "CD235a_RBC": 7412580,
    "CD45RB_Leukocyte": 7412739,
    "CD3CD20_Lymphocyte": 7412529,
    "ERG_Endothelium": 7412512,
    "MIST1_PlasmaCell": 7412500,
    "MNDA_MyeloidCell": 7412690,
}
"""Antibody and cell -> record on Zenodo."""

SPEC = DatasetSpec(
    name="segpath",
    version="1.0.0",
    title="SegPath, patches with masks of immunofluorescence restaining",
    tasks=(),
    label_maps={},
    mpp=0.25,
    organ="multiple",
    licence=Licence("CC-BY-NC-4.0", Redistribution.NO, "as recalled; see the records on Zenodo"),
    citation=(
        "Komura et al., Restaining-based annotation for cancer histology segmentation to overcome"
        " annotation-related limitations among pathologists, Patterns 2023",
    ),
    home="zenodo.org",
    how_to_get="Download the .tar.gz and _fileinfo.csv of the antibodies that you want from Zenodo"
    " and unpack the .tar.gz into the folder.",
    group_level="slide",
    evidence=Evidence.PUBLIC_CODE,
    files=tuple(
        SourceFile(
            f"{name}.tar.gz",
            urls=(f"https://zenodo.org/api/records/{number}/files/{name}.tar.gz/content",),
        )
        for name, number in ANTIBODIES.items()
    ),
    expected_images={"all": 158_687},
    notes=(
        "Serves none of the five tasks: a mask shows where an antibody bound, as one area, without"
        " objects, and cells of other kinds are not marked. The share of the area stands in the"
        " attribute area_positive; the images are of use for prediction.",
        "Masks are noisy: they come from a registered second staining, not from people.",
        "The number after antibody and cell is taken as the slide (recalled, not verified), which"
        " is the group; patients are not published.",
        "The part that <antibody>_fileinfo.csv (plain or gzipped) gives a patch stands in the"
        " attribute part.",
        "40 x; 0.25 microns per pixel is nominal. The number of patches is recalled, not verified.",
    ),
)

_FILE = re.compile(rf"(?:^|/)((?:{'|'.join(ANTIBODIES)})_([^_/]+)_[0-9]+_[0-9]+)_(HE|mask)\.png$")
_INFO = re.compile(r"(?:^|/)[^/]+_fileinfo\.csv$")
_PATCH = re.compile(r"([^/]+)_HE\.png$")
_MAX_INFO_BYTES = 1 << 27


class SegpathReader:
    """Reads `<antibody>_<cell>_<slide>_<x>_<y>_{HE,mask}.png`."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List patches that have a mask."""
        matches = tree.match(_FILE)
        slides = {m[1]: m[2] for m in matches.values()}
        parts = _parts(tree)
        return list_images(
            tree,
            self.spec,
            {n: (m[1], "image" if m[3] == "HE" else "mask") for n, m in matches.items()},
            {"image": "_HE.png", "mask": "_mask.png"},
            expected=f"{next(iter(ANTIBODIES))}_*_HE.png with *_mask.png",
            describe=lambda record, files: _source_image(
                record, slides[record], files, parts.get(record)
            ),
        )

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one patch and the share of it that the antibody stained."""
        pixels, mask = (tree.read(image.files[kind]) for kind in ("image", "mask"))
        name = tree.where(image.files["mask"])
        rgb = decode_rgb(pixels, tree.where(image.files["image"]))
        stained = decode_foreground(mask, name)
        if stained.shape != rgb.shape[:2]:
            raise DataError(f"{name} is {stained.shape}, its image {rgb.shape[:2]}.")
        record = native_record(
            self.spec,
            image,
            image=rgb,
            coverage={},
            objective=40.0,
            source_sha256=sha256(pixels + mask).hexdigest(),
            attributes={**image.attributes, "area_positive": f"{np.mean(stained):.4f}"},
        )
        return SourceRecord(record=record, n_objects={})


READER = SegpathReader()


def _parts(tree: SourceTree) -> dict[str, str]:
    """Patch -> train, val or test, as far as the tables are there."""
    parts = {}
    for file in tree.match(_INFO):
        name = tree.where(file)
        for row in parse_csv(_plain(tree.read(file), name), name, ("filename", "train_val_test")):
            patch = _PATCH.search(row["filename"])
            if patch:
                parts[patch[1]] = row["train_val_test"]
    return parts


def _plain(data: bytes, name: str) -> bytes:
    """The bytes, unpacked where they are gzipped under a plain name."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(data, _MAX_INFO_BYTES)
    except zlib.error as error:
        raise DataError(f"{name} cannot be unpacked ({error}). Obtain it again.") from None
    if not unpacker.eof:
        raise DataError(
            f"{name} is cut short, or larger than {_MAX_INFO_BYTES} bytes. Obtain it again."
        )
    return unpacked


def _source_image(
    record: str, slide: str, files: Mapping[str, str], part: str | None
) -> SourceImage:
    antibody, cell = record.split("_")[:2]
    return source_image(
        SPEC,
        record,
        files,
        group=f"segpath/{antibody}-{slide}",
        group_level=SPEC.group_level,
        attributes={"antibody": antibody, "cell": cell, **({"part": part} if part else {})},
    )
