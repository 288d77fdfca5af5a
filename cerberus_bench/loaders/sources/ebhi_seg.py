"""EBHI-Seg: colorectal biopsies in six stages, each image with a mask of its epithelium."""

import re
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.class_folders import CLASS_FOLDER, short_classes, tissue_index
from cerberus_bench.loaders.companions import gather
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.masks import decode_brightness
from cerberus_bench.loaders.reader import Listing, SourceImage, SourceRecord, native_record
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

CLASSES: Mapping[int | str, str] = {
    "Normal": "normal_epithelium",
    "Polyp": IGNORE,
    "Low-grade IN": "abnormal_epithelium",
    "High-grade IN": "abnormal_epithelium",
    "Serrated adenoma": "abnormal_epithelium",
    "Adenocarcinoma": "abnormal_epithelium",
}
_COUNTS = {
    "Normal": 76,
    "Polyp": 474,
    "Low-grade IN": 639,
    "High-grade IN": 186,
    "Serrated adenoma": 58,
    "Adenocarcinoma": 795,
}

SPEC = DatasetSpec(
    name="ebhi_seg",
    version="1.0.0",
    title="EBHI-Seg, enteroscope biopsy images in six stages with masks",
    tasks=("tissue",),
    label_maps={"tissue": LabelMap("tissue", CLASSES)},
    mpp=0.5,
    organ="colon",
    licence=Licence(
        "CC-BY-4.0",
        Redistribution.NO,
        "as secondary sources state; not verified, so pixels are not published",
    ),
    citation=(
        "Shi et al., EBHI-Seg: a novel enteroscope biopsy histopathological hematoxylin and eosin"
        " image dataset for image segmentation tasks, Frontiers in Medicine 2023",
    ),
    home="figshare.com",
    how_to_get="Download EBHI-SEG.rar from item 21540159 of figshare and unpack it.",
    group_level="patient",
    evidence=Evidence.PUBLIC_CODE,
    files=(SourceFile("EBHI-SEG.rar"),),
    expected_images={"all": sum(_COUNTS.values())},
    notes=(
        "4,456 files are 2,228 images and 2,228 masks.",
        "The pixel size is not published (400 x, 224 px). 0.5 is a placeholder under which"
        " harmonising to 0.5 leaves pixels alone; scores that depend on scale mean little. The"
        " attribute mpp_source says assumed.",
        "A mask marks the epithelium of the named stage, one region for all glands: it has no gland"
        " instances. It serves as the part of the patch for which its tissue class holds"
        " (`valid`), so coverage is partial.",
        "Normal is normal epithelium; intraepithelial neoplasia, serrated adenoma and"
        " adenocarcinoma are abnormal; Polyp, without atypia and yet not normal, carries no label."
        " The stage stays in the attribute class.",
        "Masks are cut at 128. Groups are the case numbers of the file names (GT2012149-3-400-002),"
        " taken for patients; one case may show several stages.",
    ),
)

_FILE = re.compile(
    rf"(?:^|/)({'|'.join(map(str, CLASSES))})/(image|label)/([^/]+)\.png$", re.IGNORECASE
)
_FOLDERS = {str(name).lower(): str(name) for name in CLASSES}
_CASE = re.compile(r"GT[0-9]+", re.IGNORECASE)
_THRESHOLD = 128


class EbhiSegReader:
    """Reads `<stage>/{image,label}/*.png`."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List images that have a mask; says of which stages there are less than published."""
        matches = tree.match(_FILE)
        if not matches:
            raise DataError(
                f"{tree.root} holds no Normal/image/*.png with Normal/label/*.png."
                f" {self.spec.how_to_get}"
            )
        stages = {name: _FOLDERS[match[1].lower()] for name, match in matches.items()}
        keyed = {
            name: (f"{_slug(stages[name])}_{match[3]}", match[2].lower())
            for name, match in matches.items()
        }
        found = gather(tree, keyed, {"image": "image", "label": "mask"})
        images = tuple(
            _source_image(record, stages[files["image"]], files)
            for record, files in found.files.items()
        )
        counts = Counter(image.attributes[CLASS_FOLDER] for image in images)
        return Listing(
            images=images, incomplete=(*found.incomplete, *short_classes(counts, _COUNTS))
        )

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one image and its mask."""
        pixels, mask = (tree.read(image.files[kind]) for kind in ("image", "label"))
        epithelium = decode_brightness(mask, tree.where(image.files["label"])) >= _THRESHOLD
        tissue = tissue_index(self.spec.label_maps["tissue"], image.attributes[CLASS_FOLDER])
        record = native_record(
            self.spec,
            image,
            image=decode_rgb(pixels, tree.where(image.files["image"])),
            coverage={} if tissue is None else {"tissue": Coverage.PARTIAL},
            tissue=tissue,
            valid=epithelium,
            objective=40.0,
            source_sha256=sha256(pixels + mask).hexdigest(),
        )
        return SourceRecord(
            record=record,
            n_objects={"tissue": 1},
            notes={} if epithelium.any() else {"masks without a pixel": 1},
        )


READER = EbhiSegReader()


def _slug(stage: str) -> str:
    return stage.lower().replace(" ", "-")


def _source_image(record: str, stage: str, files: Mapping[str, str]) -> SourceImage:
    case = _CASE.search(record)
    return SourceImage(
        record=record,
        group=f"ebhi_seg/{case[0].upper() if case else 'unknown'}",
        group_level=SPEC.group_level,
        origins=(f"ebhi_seg/{record}",),
        files=files,
        attributes={CLASS_FOLDER: stage, "mpp_source": "assumed"},
    )
