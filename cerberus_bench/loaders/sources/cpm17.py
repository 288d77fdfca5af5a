"""CPM-17: nuclei of brain, lung and head and neck tumours."""

import re
from collections.abc import Mapping
from hashlib import sha256

import numpy as np

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.instances import from_label_map
from cerberus_bench.loaders.listing import list_images, source_image
from cerberus_bench.loaders.matlab import label_map, read_matlab
from cerberus_bench.loaders.reader import Listing, SourceImage, SourceRecord, native_record
from cerberus_bench.loaders.sources.cpm15 import CITATION, HOW_TO_GET, LEAK, LICENCE
from cerberus_bench.schema.dataset import DatasetSpec, Evidence, SourceFile
from cerberus_bench.schema.labels import LabelMap
from cerberus_bench.schema.record import Coverage

SPEC = DatasetSpec(
    name="cpm17",
    version="1.0.0",
    title="CPM-17, digital pathology segmentation challenge of MICCAI 2017",
    tasks=("nuclei",),
    label_maps={"nuclei": LabelMap("nuclei", {"nucleus": "cell"})},
    mpp=0.25,
    organ="brain, lung, head and neck",
    licence=LICENCE,
    citation=CITATION,
    home="github.com",
    how_to_get=HOW_TO_GET.format(name="cpm17"),
    group_level="image",
    evidence=Evidence.PUBLIC_CODE,
    files=(SourceFile("cpm17.zip"),),
    expected_images={"train": 32, "test": 32},
    expected_objects={"nuclei": 7570},
    official_leaks={"test": LEAK},
    notes=(
        f"Groups are images: {LEAK}.",
        "Images are at 20 x and 40 x, and which is which is not told: 0.25 microns per pixel is"
        " taken for all (attribute mpp_source says spec).",
        "Train and test number their images alike, so records are called train_... and test_....",
        "Nuclei have no classes. The count of 7,570 is recalled, not verified; the reader counts.",
    ),
)

_FILE = re.compile(
    r"(?:^|/)(train|test)/(?:(Images)|Labels)/([^/]+)\.(?(2)png|mat)$", re.IGNORECASE
)


class Cpm17Reader:
    """Reads `{train,test}/{Images/*.png,Labels/*.mat}`."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List images that have labels."""
        keyed = {
            name: (f"{match[1].lower()}_{match[3]}", "image" if match[2] else "labels")
            for name, match in tree.match(_FILE).items()
            if "cpm17" in name.lower() or match[3].lower().startswith("image_")
        }
        return list_images(
            tree,
            self.spec,
            keyed,
            {"image": ".png", "labels": ".mat"},
            expected="cpm17/train/Images/image_NN.png with train/Labels/image_NN.mat",
            describe=_source_image,
        )

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one image and its nuclei."""
        pixels, matrix = (tree.read(image.files[kind]) for kind in ("image", "labels"))
        name = tree.where(image.files["labels"])
        labels = label_map(read_matlab(matrix, name, ("inst_map",)), "inst_map", name)
        nuclei = from_label_map(labels, np.ones_like)
        record = native_record(
            self.spec,
            image,
            image=decode_rgb(pixels, tree.where(image.files["image"])),
            coverage={"nuclei": Coverage.FULL},
            instances={"nuclei": nuclei},
            source_sha256=sha256(pixels + matrix).hexdigest(),
        )
        return SourceRecord(record=record, n_objects={"nuclei": len(nuclei.ids)})


READER = Cpm17Reader()


def _source_image(record: str, files: Mapping[str, str]) -> SourceImage:
    part = record.partition("_")[0]
    known = {"official_split": part, "attributes": {"mpp_source": "spec"}}
    return source_image(SPEC, record, files, **known)
