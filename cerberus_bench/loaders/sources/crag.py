"""CRAG: glands of colorectal adenocarcinoma."""

import re
from collections.abc import Mapping
from hashlib import sha256

import numpy as np

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.companions import gather
from cerberus_bench.loaders.images import decode_rgb, decode_single_channel
from cerberus_bench.loaders.instances import from_label_map
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
    name="crag",
    version="1.0.0",
    title="CRAG v2, colorectal adenocarcinoma gland dataset",
    tasks=("gland",),
    label_maps={"gland": LabelMap("gland", {"gland": "gland"})},
    mpp=0.55,
    organ="colon",
    licence=Licence(
        "LicenseRef-CRAG-research-only",
        Redistribution.NO,
        "for research, with citation of the paper; no right to redistribute is granted",
    ),
    citation=(
        "Graham et al., MILD-Net: minimal information loss dilated network for gland instance"
        " segmentation in colon histology images, Medical Image Analysis 2019",
    ),
    home="warwick.ac.uk",
    how_to_get="Ask for CRAG (version 2) on the MILD-Net page of the Tissue Image Analytics Centre"
    " and unpack it.",
    group_level="image",
    evidence=Evidence.PUBLIC_CODE,
    files=(SourceFile("CRAG_v2.zip"),),
    expected_images={"train": 173, "test": 40},
    expected_objects={"gland": 3209},
    official_leaks={
        "test": "no patient list is published for the 38 slides of the 213 images, so whether"
        " train and test share patients cannot be checked"
    },
    notes=(
        "The pixel size is uncertain: 0.55 is that of the scanner (Omnyx VL120, 0.275 at 40 x) at"
        " 20 x; others take 0.5. The attribute mpp_source says spec.",
        "The folder of labels is Annotation or Annotations, after README and copies.",
        "Version 1 has five annotations without an image in the test part; those beyond the"
        " published numbers are passed over.",
        "Neither grade nor surface epithelium is annotated: the label space is gland alone.",
        "3,209 glands and sides of 1509 to 1516 px are recalled, not verified; the reader counts.",
        "Lizard re-uses 64 images, 24 of them from the test part.",
    ),
)

_FILE = re.compile(
    r"(?:^|/)(train|test)/(?:Images/(\1_[0-9]+)|Annotations?/(\1_[0-9]+))\.png$", re.IGNORECASE
)
_SIDES = range(1509, 1517)
_ODD_SIDE = f"images with a side outside {_SIDES.start} to {_SIDES.stop - 1} px"


class CragReader:
    """Reads `{train,test}/{Images,Annotation}/*.png`."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List images that have an annotation."""
        keyed = {name: _key(match) for name, match in tree.match(_FILE).items()}
        published = {name: key for name, key in keyed.items() if _is_published(key[0])}
        if not published:
            raise DataError(
                f"{tree.root} holds no train/Images/train_N.png with train/Annotation/train_N.png."
                f" {self.spec.how_to_get}"
            )
        pairs = gather(tree, published, {"image": "image", "labels": "annotation"})
        parts = list(self.spec.expected_images)
        images = [_source_image(record, files) for record, files in pairs.files.items()]
        images.sort(key=lambda image: parts.index(image.official_split or ""))
        return Listing(images=tuple(images), incomplete=pairs.incomplete)

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one image and its gland ids."""
        pixels, annotation = (tree.read(image.files[kind]) for kind in ("image", "labels"))
        labels = decode_single_channel(annotation, tree.where(image.files["labels"]))
        glands = from_label_map(labels, np.ones_like)
        rgb = decode_rgb(pixels, tree.where(image.files["image"]))
        record = native_record(
            self.spec,
            image,
            image=rgb,
            coverage={"gland": Coverage.FULL},
            instances={"gland": glands},
            source_sha256=sha256(pixels + annotation).hexdigest(),
        )
        is_odd = any(side not in _SIDES for side in rgb.shape[:2])
        return SourceRecord(
            record=record,
            n_objects={"gland": len(glands.ids)},
            notes={_ODD_SIDE: 1} if is_odd else {},
        )


READER = CragReader()


def _key(match: re.Match[str]) -> tuple[str, str]:
    _, image, labels = match.groups()
    return (image or labels).lower(), "image" if image else "labels"


def _is_published(record: str) -> bool:
    part, _, number = record.partition("_")
    return 1 <= int(number) <= SPEC.expected_images[part]


def _source_image(record: str, files: Mapping[str, str]) -> SourceImage:
    origin = f"crag/{record}"
    return SourceImage(
        record=record,
        group=origin,
        group_level=SPEC.group_level,
        origins=(origin,),
        official_split=record.partition("_")[0],
        files=files,
        attributes={"mpp_source": "spec"},
    )
