"""NuInsSeg: nuclei of 31 human and mouse organs, with areas in which nobody can tell."""

import re
from collections.abc import Mapping
from hashlib import sha256

import numpy as np

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.instances import from_label_map
from cerberus_bench.loaders.label_files import decode_codes, decode_foreground
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
    name="nuinsseg",
    version="1.0.0",
    title="NuInsSeg, nuclei of 31 human and mouse organs",
    tasks=("nuclei",),
    label_maps={"nuclei": LabelMap("nuclei", {"nucleus": "cell"})},
    mpp=0.25,
    organ="multiple",
    licence=Licence("CC-BY-4.0", Redistribution.YES),
    citation=(
        "Mahbod et al., NuInsSeg: a fully annotated dataset for nuclei instance segmentation in"
        " H&E-stained histological images, Scientific Data 2024",
    ),
    home="zenodo.org",
    how_to_get="Download NuInsSeg.zip (record 10518968) from Zenodo, or ipateam/nuinsseg from"
    " Kaggle.",
    group_level="slide",
    evidence=Evidence.PUBLIC_CODE,
    files=(
        SourceFile(
            "NuInsSeg.zip",
            urls=("https://zenodo.org/api/records/10518968/files/NuInsSeg.zip/content",),
        ),
    ),
    expected_images={"all": 665},
    expected_objects={"nuclei": 30_698},
    official_leaks={
        "five folds": "the folds of the source's repository mix images of one slide; they are not"
        " offered here"
    },
    notes=(
        "One slide an organ (31 slides, README of the source): the organ's folder is the group.",
        "Vague areas, where no expert can tell, are left out of the valid mask: coverage is"
        " partial where there are any. An image without a mask of vague areas is valid as a whole,"
        " and counted.",
        "'label masks modify' is read: in 'label masks' the overlap of two nuclei has an id of its"
        " own.",
        "Some PNG have an alpha channel; it is dropped.",
        "40 x; 0.25 microns per pixel is nominal, the scanner's own is not stated. Nuclei have no"
        " classes.",
        "Counts (665 images, 30,698 nuclei) are recalled, not verified; the reader counts.",
    ),
)

_FILE = re.compile(
    r"(?:^|/)((?:human|mouse) [^/]+)/"
    r"(?:(tissue images)|(label masks modify)|vague areas/(mask binary)[^/]*)/"
    r"([^/]+)\.(?:png|tiff?)$",
    re.IGNORECASE,
)
_NO_VAGUE = "images without a mask of vague areas"


class NuinssegReader:
    """Reads `<organ>/{tissue images/*.png,label masks modify/*.tif,vague areas/mask binary*}`."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List images that have labels."""
        keyed = {name: _key(match) for name, match in tree.match(_FILE).items()}
        return list_images(
            tree,
            self.spec,
            keyed,
            {"image": "tissue image", "labels": "label mask"},
            expected="human bladder/tissue images/*.png with label masks modify/*.tif",
            describe=_source_image,
        )

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one image, its nuclei, and where they are not to be judged."""
        data = {kind: tree.read(file) for kind, file in sorted(image.files.items())}
        where = {kind: tree.where(file) for kind, file in image.files.items()}
        nuclei = from_label_map(decode_codes(data["labels"], where["labels"]), np.ones_like)
        vague = decode_foreground(data["vague"], where["vague"]) if "vague" in data else None
        is_partial = vague is not None and bool(vague.any())
        species, _, organ = image.attributes["tissue"].partition(" ")
        record = native_record(
            self.spec,
            image,
            image=decode_rgb(data["image"], where["image"]),
            coverage={"nuclei": Coverage.PARTIAL if is_partial else Coverage.FULL},
            instances={"nuclei": nuclei},
            valid=~vague if vague is not None and is_partial else None,
            organ=organ,
            objective=40.0,
            source_sha256=sha256(b"".join(data.values())).hexdigest(),
            attributes={"species": species},
        )
        return SourceRecord(
            record=record,
            n_objects={"nuclei": len(nuclei.ids)},
            notes={} if vague is not None else {_NO_VAGUE: 1},
        )


READER = NuinssegReader()


def _key(match: re.Match[str]) -> tuple[str, str]:
    tissue, image, labels, _, stem = match.groups()
    kind = "image" if image else "labels" if labels else "vague"
    return f"{tissue.lower().replace(' ', '_')}-{stem}", kind


def _source_image(record: str, files: Mapping[str, str]) -> SourceImage:
    tissue = record.partition("-")[0]
    return source_image(
        SPEC,
        record,
        files,
        group=f"nuinsseg/{tissue}",
        group_level=SPEC.group_level,
        attributes={"tissue": tissue.replace("_", " ")},
    )
