"""MoNuSeg 2018: nuclei of several organs as polygons, without classes."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath

from cerberus_bench.loaders.aperio import microns_per_pixel, outlines
from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.listing import list_images, source_image
from cerberus_bench.loaders.markup import parse_xml
from cerberus_bench.loaders.outlines import SKIPPED, paint
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
from cerberus_bench.schema.labels import LabelMap
from cerberus_bench.schema.record import Coverage

SPEC = DatasetSpec(
    name="monuseg",
    version="1.0.0",
    title="MoNuSeg 2018, multi-organ nucleus segmentation challenge",
    tasks=("nuclei",),
    label_maps={"nuclei": LabelMap("nuclei", {"nucleus": "cell"})},
    mpp=0.25,
    organ="multiple",
    licence=Licence("CC-BY-NC-SA-4.0", Redistribution.SHARE_ALIKE),
    citation=(
        "Kumar et al., A dataset and a technique for generalized nuclear segmentation for"
        " computational pathology, IEEE Transactions on Medical Imaging 2017",
        "Kumar et al., A multi-organ nucleus segmentation challenge, IEEE Transactions on Medical"
        " Imaging 2020",
    ),
    home="monuseg.grand-challenge.org",
    how_to_get="Obtain 'MoNuSeg 2018 Training Data.zip' and MoNuSegTestData.zip from the"
    " challenge's page; a folder that holds both zips will do.",
    group_level="patient",
    evidence=Evidence.REAL_BYTES,
    files=(SourceFile("MoNuSeg 2018 Training Data.zip"), SourceFile("MoNuSegTestData.zip")),
    expected_images={"train": 30, "test": 14},
    notes=(
        "Polygons are painted once, at native resolution: pixel centres inside by the even-odd"
        " rule, the first in document order keeps shared pixels.",
        "MicronsPerPixel varies (0.2456 to 0.2527) and is absent in some files: then the"
        " attribute mpp_source says spec.",
        "Vertices reach from -2.9 to 1002.1 and are cut at the border; a few regions have fewer"
        " than three points and are skipped.",
        "Nuclei have no classes.",
        "An image is of the test part if its folder or its name says so: the flat test zip, or the"
        " folder in it, may be given alone.",
    ),
    known_faults=(KnownFault(FaultKind.NOTE, SKIPPED),),
)

TEST_IMAGES = frozenset(
    (
        *("TCGA-2Z-A9J9-01A-01-TS1", "TCGA-44-2665-01B-06-BS6", "TCGA-69-7764-01A-01-TS1"),
        *("TCGA-A6-6782-01A-01-BS1", "TCGA-AC-A2FO-01A-01-TS1", "TCGA-AO-A0J2-01A-01-BSA"),
        *("TCGA-CU-A0YN-01A-02-BSB", "TCGA-EJ-A46H-01A-03-TSC", "TCGA-FG-A4MU-01B-01-TS1"),
        *("TCGA-GL-6846-01A-01-BS1", "TCGA-HC-7209-01A-01-TS1", "TCGA-HT-8564-01Z-00-DX1"),
        *("TCGA-IZ-8196-01A-01-BS1", "TCGA-ZF-A9R5-01A-01-TS1"),
    )
)
"""The 14 test images, as several public loaders list them."""

_TEST_FOLDER = re.compile(r"(?<![a-z])test|monuseg.*test", re.IGNORECASE)
_FILE = re.compile(r"(?:^|/)(TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}[^/]*)\.(tiff?|xml)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MonusegReader:
    """Reads `Tissue Images/*.tif` with `Annotations/*.xml`, and the flat test folder."""

    spec: DatasetSpec
    part_of: Callable[[str, str], str | None]
    """(image, its file) -> official part; None for an image of another dataset."""

    def find(self, tree: SourceTree) -> Listing:
        """List images that have an annotation.

        The patient is the first three fields of the TCGA barcode, named `tcga/...` because other
        datasets have images of the same patients.
        """
        keyed = {name: _key(match) for name, match in tree.match(_FILE).items()}
        mine = {name: key for name, key in keyed.items() if self.part_of(key[0], name)}
        return list_images(
            tree,
            self.spec,
            mine,
            {"image": ".tif", "labels": ".xml"},
            expected=f"TCGA-*.tif with TCGA-*.xml of {self.spec.name}",
            describe=self._describe,
        )

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one image and paint its polygons."""
        pixels, document = (tree.read(image.files[kind]) for kind in ("image", "labels"))
        name = tree.where(image.files["labels"])
        root = parse_xml(document, name, "Aperio annotation")
        rgb = decode_rgb(pixels, tree.where(image.files["image"]))
        polygons = outlines(root, name)
        nuclei, notes = paint(polygons, [1] * len(polygons), rgb.shape[:2])
        mpp = microns_per_pixel(root)
        record = native_record(
            self.spec,
            image,
            image=rgb,
            mpp=mpp or self.spec.mpp,
            coverage={"nuclei": Coverage.FULL},
            instances={"nuclei": nuclei},
            source_sha256=sha256(pixels + document).hexdigest(),
            attributes={"mpp_source": "file" if mpp else "spec"},
        )
        return SourceRecord(record=record, n_objects={"nuclei": len(polygons)}, notes=notes)

    def _describe(self, record: str, files: Mapping[str, str]) -> SourceImage:
        part = self.part_of(record, files["image"])
        return source_image(
            self.spec, record, files, origins=(f"monuseg/{record}",), official_split=part
        )


def _part(record: str, file: str) -> str:
    """Test for a file below a folder that is called so, and for the published test images."""
    folders = PurePosixPath(file).parts[:-1]
    is_test = any(_TEST_FOLDER.search(folder) for folder in folders) or record in TEST_IMAGES
    return "test" if is_test else "train"


READER = MonusegReader(SPEC, _part)


def _key(match: re.Match[str]) -> tuple[str, str]:
    return match[1], "labels" if match[2].lower() == "xml" else "image"
