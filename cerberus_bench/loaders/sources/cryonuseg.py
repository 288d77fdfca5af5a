"""CryoNuSeg: nuclei of frozen sections of ten organs, marked up three times."""

import re
from collections.abc import Mapping
from hashlib import sha256

import numpy as np

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.instances import from_label_map, present_ids
from cerberus_bench.loaders.label_files import decode_codes
from cerberus_bench.loaders.listing import list_images, source_image
from cerberus_bench.loaders.reader import Listing, SourceImage, SourceRecord, native_record
from cerberus_bench.schema.dataset import (
    DatasetSpec,
    Evidence,
    Licence,
    Redistribution,
    SourceFile,
)
from cerberus_bench.schema.labels import LabelMap
from cerberus_bench.schema.record import Coverage

SPEC = DatasetSpec(
    name="cryonuseg",
    version="1.0.0",
    title="CryoNuSeg, nuclei of cryosectioned tissue of ten organs",
    tasks=("nuclei",),
    label_maps={"nuclei": LabelMap("nuclei", {"nucleus": "cell"})},
    mpp=0.25,
    organ="multiple",
    licence=Licence(
        "CC-BY-NC-SA-4.0", Redistribution.SHARE_ALIKE, "as recalled; see the page on Kaggle"
    ),
    citation=(
        "Mahbod et al., CryoNuSeg: a dataset for nuclei instance segmentation of cryosectioned"
        " H&E-stained histological images, Computers in Biology and Medicine 2021",
    ),
    home="kaggle.com",
    how_to_get="Download ipateam/segmentation-of-nuclei-in-cryosectioned-he-images from Kaggle.",
    group_level="patient",
    evidence=Evidence.PUBLIC_CODE,
    files=(SourceFile("segmentation-of-nuclei-in-cryosectioned-he-images.zip"),),
    expected_images={"all": 30},
    expected_objects={"nuclei": 7596},
    notes=(
        "The truth is annotator 1, first round. The second round of the same biologist and"
        " annotator 2 (a bioinformatician) lie in folders inside a folder of the same name; how"
        " many nuclei they drew stands in the attributes nuclei_second_round and"
        " nuclei_annotator_2, for the difference between raters.",
        "'label masks modify' is read: in 'label masks' the overlap of two nuclei has an id of its"
        " own.",
        "Each image is of a patient of its own (README of the source). The TCGA patients are not"
        " in the file names, so images of them in other datasets cannot be recognised.",
        "Frozen sections at 40 x; 0.25 microns per pixel is nominal. Nuclei have no classes.",
        "The count of 7,596 nuclei is recalled, not verified; the reader counts.",
    ),
)

_ROUNDS = {
    "annotator 1 (biologist)": "labels",
    "annotator 1 (biologist second round of manual marks up)": "second_round",
    "annotator 2 (bioinformatician)": "annotator_2",
}
_FILE = re.compile(r"(?:^|/)(?:(tissue images)|([^/]+)/label masks modify)/([^/]+)\.tiff?$", re.I)
_ORGAN = re.compile(r"Human_([A-Za-z]+)_[0-9]+")


class CryonusegReader:
    """Reads `tissue images/*.tif` with `Annotator 1 (biologist)/label masks modify/*.tif`."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List images that have the labels of annotator 1."""
        keyed = {
            name: (match[3], kind)
            for name, match in tree.match(_FILE).items()
            if (kind := "image" if match[1] else _ROUNDS.get(match[2].lower()))
        }
        has_labels = any(kind == "labels" for _, kind in keyed.values())
        return list_images(
            tree,
            self.spec,
            keyed if has_labels else {},
            {"image": "tissue image", "labels": "label mask"},
            expected="tissue images/*.tif with Annotator 1 (biologist)/label masks modify/*.tif",
            describe=_source_image,
        )

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one image and its nuclei; count those of the other raters."""
        pixels, labels = (tree.read(image.files[kind]) for kind in ("image", "labels"))
        nuclei = from_label_map(
            decode_codes(labels, tree.where(image.files["labels"])), np.ones_like
        )
        counts = {
            f"nuclei_{kind}": str(_count(tree, image.files[kind]))
            for kind in ("second_round", "annotator_2")
            if kind in image.files
        }
        organ = _ORGAN.fullmatch(image.record)
        record = native_record(
            self.spec,
            image,
            image=decode_rgb(pixels, tree.where(image.files["image"])),
            coverage={"nuclei": Coverage.FULL},
            instances={"nuclei": nuclei},
            organ=organ[1] if organ else self.spec.organ,
            objective=40.0,
            source_sha256=sha256(pixels + labels).hexdigest(),
            attributes={**image.attributes, **counts},
        )
        return SourceRecord(record=record, n_objects={"nuclei": len(nuclei.ids)})


READER = CryonusegReader()


def _source_image(record: str, files: Mapping[str, str]) -> SourceImage:
    known = {"group_level": SPEC.group_level, "attributes": {"preparation": "frozen"}}
    return source_image(SPEC, record, files, **known)


def _count(tree: SourceTree, file: str) -> int:
    return len(present_ids(decode_codes(tree.read(file), tree.where(file))))
