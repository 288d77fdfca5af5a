"""TNBC: nuclei of triple negative breast cancer, and in a later version of brain."""

import re
from collections.abc import Mapping
from hashlib import sha256

import numpy as np

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.instances import from_label_map
from cerberus_bench.loaders.label_files import decode_foreground, label_parts
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
    name="tnbc",
    version="1.0.0",
    title="TNBC, nuclei of triple negative breast cancer",
    tasks=("nuclei",),
    label_maps={"nuclei": LabelMap("nuclei", {"nucleus": "cell"})},
    mpp=0.25,
    organ="breast",
    licence=Licence("CC-BY-4.0", Redistribution.YES),
    citation=(
        "Naylor et al., Segmentation of nuclei in histopathology images by deep regression of the"
        " distance map, IEEE Transactions on Medical Imaging 2019",
    ),
    home="zenodo.org",
    how_to_get="Download TNBC_NucleiSegmentation.zip (record 1175282) or"
    " TNBC_and_Brain_dataset.zip (record 3552674) from Zenodo.",
    group_level="patient",
    evidence=Evidence.PUBLIC_CODE,
    files=(
        SourceFile(
            "TNBC_NucleiSegmentation.zip",
            sha256="da708c3a988f4ad4b9bbb9283b387faf703f0bc0e5e689927306bd27ea13a57f",
            urls=("https://zenodo.org/records/1175282/files/TNBC_NucleiSegmentation.zip",),
        ),
    ),
    expected_images={"breast": 50},
    expected_objects={"nuclei": 4022},
    notes=(
        "Slide_NN is a patient, so it is the group.",
        "Slides 12 to 14, which only the later version has, are brain: part brain.",
        "Images are RGBA; alpha is dropped.",
        "Masks are binary: a nucleus is a connected part, and nuclei that touch without a gap are"
        " one. So the count may fall below the 4,022 of the paper (recalled, not verified).",
        "Nuclei have no classes. 40 x; 0.25 microns per pixel is nominal.",
    ),
)

_FILE = re.compile(r"(?:^|/)(Slide|GT)_([0-9]{2})/(\2_[0-9]+)\.png$", re.IGNORECASE)
_FIRST_BRAIN = 12


class TnbcReader:
    """Reads `Slide_NN/NN_k.png` with `GT_NN/NN_k.png`."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List images that have a mask."""
        keyed = {
            name: (match[3], "image" if match[1].lower() == "slide" else "labels")
            for name, match in tree.match(_FILE).items()
        }
        return list_images(
            tree,
            self.spec,
            keyed,
            {"image": "image", "labels": "mask"},
            expected="Slide_NN/NN_k.png with GT_NN/NN_k.png",
            describe=_source_image,
        )

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one image and the connected parts of its mask."""
        pixels, mask = (tree.read(image.files[kind]) for kind in ("image", "labels"))
        foreground = decode_foreground(mask, tree.where(image.files["labels"]))
        nuclei = from_label_map(label_parts(foreground), np.ones_like)
        record = native_record(
            self.spec,
            image,
            image=decode_rgb(pixels, tree.where(image.files["image"])),
            coverage={"nuclei": Coverage.FULL},
            instances={"nuclei": nuclei},
            organ=image.official_split,
            objective=40.0,
            source_sha256=sha256(pixels + mask).hexdigest(),
        )
        return SourceRecord(record=record, n_objects={"nuclei": len(nuclei.ids)})


READER = TnbcReader()


def _source_image(record: str, files: Mapping[str, str]) -> SourceImage:
    patient = record.partition("_")[0]
    return source_image(
        SPEC,
        record,
        files,
        group=f"tnbc/patient-{patient}",
        group_level=SPEC.group_level,
        official_split="brain" if int(patient) >= _FIRST_BRAIN else "breast",
    )
