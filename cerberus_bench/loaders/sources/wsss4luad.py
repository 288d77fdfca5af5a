"""WSSS4LUAD: patches of lung adenocarcinoma with the tissues that are in them."""

import re
from collections.abc import Mapping
from hashlib import sha256

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.class_folders import tissue_index
from cerberus_bench.loaders.companions import gather
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.label_files import area_shares, decode_codes
from cerberus_bench.loaders.listing import nothing_found, source_image
from cerberus_bench.loaders.reader import Listing, SourceImage, SourceRecord, native_record
from cerberus_bench.schema.dataset import (
    DatasetSpec,
    Evidence,
    Licence,
    Redistribution,
    SourceFile,
)
from cerberus_bench.schema.labels import IGNORE, LabelMap
from cerberus_bench.schema.record import Coverage

TISSUES = ("tumor", "stroma", "normal")
"""In the order of the marks in a file name, and of the codes of a mask."""
_CODES = (*TISSUES, "background")
BACKGROUND = _CODES.index("background")

SPEC = DatasetSpec(
    name="wsss4luad",
    version="1.0.0",
    title="WSSS4LUAD, tissue of lung adenocarcinoma",
    tasks=("tissue",),
    label_maps={
        "tissue": LabelMap(
            "tissue", {"tumor": "abnormal_epithelium", "stroma": "stroma", "normal": IGNORE}
        )
    },
    mpp=1.0,
    organ="lung",
    licence=Licence(
        "LicenseRef-WSSS4LUAD-challenge",
        Redistribution.NO,
        "given to participants of the challenge; a mirror states CC BY 4.0",
    ),
    citation=(
        "Han et al., WSSS4LUAD: grand challenge on weakly-supervised tissue semantic segmentation"
        " for lung adenocarcinoma, arXiv 2204.06455",
    ),
    home="wsss4luad.grand-challenge.org",
    how_to_get="Ask for the data by e-mail as the challenge's page says, and unpack 1.training,"
    " 2.validation and 3.testing into one folder.",
    group_level="slide",
    evidence=Evidence.PUBLIC_CODE,
    files=(SourceFile("WSSS4LUAD.zip"),),
    expected_images={"train": 10_091, "validation": 40, "test": 80},
    official_leaks=dict.fromkeys(
        ("validation", "test"),
        "the slides of its images are not published, so whether they are those of the training"
        " patches cannot be checked",
    ),
    notes=(
        "The name of a training patch says which of tumor, stroma and normal are in it. Only a"
        " patch of one tissue has a class: of a mixed one no single class is true. normal is"
        " alveoli and vessels of lung, which the ontology does not have, so it has none either.",
        "Images of the validation and test part have a map of tissue, which serves none of the five"
        " tasks; the shares stand in the attributes (area_tumor ...), and background (3) does not"
        " count. Some test images have no map.",
        "The first number of a training patch is taken as its slide (recalled, not verified).",
        "10 x; 1.0 microns per pixel is nominal, and patches differ in size.",
        "The numbers of validation and test images are recalled, not verified.",
    ),
)

_PATCH = re.compile(r"(?:^|/)(([0-9]+)-[^/]*)-\[([01]), ?([01]), ?([01])\]\.png$")
_MAPPED = re.compile(r"(?:^|/)(?:[23]\.)?(validation|testing)/(img|mask)/([^/]+)\.png$")
_PARTS = {"validation": "validation", "testing": "test"}


class Wsss4luadReader:
    """Reads `1.training/*-[a, b, c].png` and `{2.validation,3.testing}/{img,mask}/*.png`."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List the training patches, then the images of the other parts."""
        patches = tree.match(_PATCH)
        mapped = tree.match(_MAPPED)
        if not patches and not mapped:
            raise nothing_found(
                tree, self.spec, "1.training/*-[1, 0, 0].png and no 2.validation/img/*.png"
            )
        found = gather(tree, {n: (m[1], "image") for n, m in patches.items()}, {"image": "image"})
        named = {files["image"]: record for record, files in found.files.items()}
        keyed = {
            name: (f"{_PARTS[m[1]]}_{m[3]}", "image" if m[2] == "img" else "mask")
            for name, m in mapped.items()
        }
        others = gather(tree, keyed, {"image": "image"})
        lacking = [
            record
            for record, files in others.files.items()
            if record.startswith("validation") and "mask" not in files
        ]
        return Listing(
            images=(
                *(_patch(named[name], name, patches[name]) for name in sorted(named)),
                *(_other(r, files) for r, files in others.files.items() if r not in lacking),
            ),
            incomplete=(*others.incomplete, *(f"{record} has no mask" for record in lacking)),
        )

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one patch with its class, or one image with its map."""
        pixels = tree.read(image.files["image"])
        rgb = decode_rgb(pixels, tree.where(image.files["image"]))
        mask = tree.read(image.files["mask"]) if "mask" in image.files else b""
        valid, shares = None, {}
        if mask:
            name = tree.where(image.files["mask"])
            codes = decode_codes(mask, name)
            valid = codes != BACKGROUND
            shares = area_shares(codes, _CODES, valid, name)
        label = image.attributes.get("tissues", "")
        known = label in self.spec.label_maps["tissue"].nodes
        tissue = tissue_index(self.spec.label_maps["tissue"], label) if known else None
        record = native_record(
            self.spec,
            image,
            image=rgb,
            coverage={} if tissue is None else {"tissue": Coverage.FULL},
            tissue=tissue,
            valid=valid,
            objective=10.0,
            source_sha256=sha256(pixels + mask).hexdigest(),
            attributes={**image.attributes, **shares},
        )
        return SourceRecord(record=record, n_objects={"tissue": int(label != "")})


READER = Wsss4luadReader()


def _patch(record: str, file: str, match: re.Match[str]) -> SourceImage:
    marks = match.group(3, 4, 5)
    tissues = [tissue for tissue, mark in zip(TISSUES, marks, strict=True) if mark == "1"]
    return source_image(
        SPEC,
        record,
        {"image": file},
        group=f"wsss4luad/{match[2]}",
        group_level=SPEC.group_level,
        official_split="train",
        attributes={"tissues": "+".join(tissues)},
    )


def _other(record: str, files: Mapping[str, str]) -> SourceImage:
    return source_image(SPEC, record, files, official_split=record.partition("_")[0])
