"""MoNuSAC 2020: nuclei of four organs as polygons, in four classes."""

import re
from collections.abc import Mapping
from hashlib import sha256

from cerberus_bench.loaders.aperio import layers, microns_per_pixel
from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.companions import gather
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.listing import nothing_found, source_image
from cerberus_bench.loaders.markup import parse_xml
from cerberus_bench.loaders.outlines import covered, paint
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
from cerberus_bench.schema.record import Coverage

SPEC = DatasetSpec(
    name="monusac",
    version="1.0.0",
    title="MoNuSAC 2020, multi-organ nuclei segmentation and classification challenge",
    tasks=("nuclei",),
    label_maps={
        "nuclei": LabelMap(
            "nuclei",
            {
                "Epithelial": "epithelial",
                "Lymphocyte": "lymphocyte",
                "Macrophage": "macrophage",
                "Neutrophil": "neutrophil",
            },
        )
    },
    mpp=0.25,
    organ="lung, prostate, kidney and breast",
    licence=Licence("CC-BY-NC-SA-4.0", Redistribution.SHARE_ALIKE),
    citation=(
        "Verma et al., MoNuSAC2020: a multi-organ nuclei segmentation and classification challenge,"
        " IEEE Transactions on Medical Imaging 2021",
    ),
    home="monusac-2020.grand-challenge.org",
    how_to_get="Obtain MoNuSAC_images_and_annotations.zip and 'MoNuSAC Testing Data and"
    " Annotations.zip' from the challenge's page; a folder that holds both zips will do.",
    group_level="patient",
    evidence=Evidence.PUBLIC_CODE,
    files=(
        SourceFile(
            "MoNuSAC_images_and_annotations.zip",
            sha256="5b7cbeb34817a8f880d3fddc28391e48d3329a91bf3adcbd131ea149a725cd92",
        ),
        SourceFile(
            "MoNuSAC Testing Data and Annotations.zip",
            sha256="bcbc38f6bf8b149230c90c29f3428cc7b2b76f8acd7766ce9fc908fc896c2674",
        ),
    ),
    expected_images={"train": 209, "test": 85},
    known_faults=tuple(
        KnownFault(
            FaultKind.OFFICIAL_LEAK,
            f"patient {patient} of the test part is in the training part as well",
            record="test",
            other=f"tcga/{patient}",
        )
        for patient in ("TCGA-A2-A0ES", "TCGA-MP-A4T7")
    ),
    official_leaks={
        "test": "patients TCGA-A2-A0ES and TCGA-MP-A4T7 are in train and in test; TCGA-G9-6356 is"
        " in test and in the training part of MoNuSeg and Kumar"
    },
    notes=(
        "The patient is the first three fields of the TCGA barcode, named as in the other datasets"
        " with images of TCGA, so that they share a fold.",
        "Regions called Ambiguous (test part) are no nuclei: they are left out of the valid mask,"
        " and coverage is partial there.",
        "An image without a .tif is read from the .svs beside it, and counted.",
        "Some .tif are RGBA; alpha is dropped.",
        "MicronsPerPixel of the .xml is used where it is stated, else 0.25 (attribute mpp_source).",
        "The number in a file name is unique within a patient of a part only, so records are called"
        " train_... and test_....",
    ),
)

AMBIGUOUS = "Ambiguous"
_FILE = re.compile(r"(?:^|/)(TCGA-[^/]+)/(\1[^/]*)\.(tiff?|svs|xml)$", re.IGNORECASE)
_TEST = re.compile(r"(?:^|/)[^/]*MoNuSAC[^/]*test", re.IGNORECASE)
_EXPECTED = "MoNuSAC_images_and_annotations/TCGA-*/TCGA-*.tif with TCGA-*.xml"
_KINDS = {"tif": "image", "tiff": "image", "svs": "slide", "xml": "labels"}
_FROM_SLIDE = "images read from .svs because there is no .tif"


class MonusacReader:
    """Reads `MoNuSAC*/<patient>/<patient>_k.{tif,svs,xml}`."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List images, or slides in their place, that have an annotation."""
        keyed = {name: _key(tree, match) for name, match in tree.match(_FILE).items()}
        if not keyed:
            raise nothing_found(tree, self.spec, _EXPECTED)
        pairs = gather(tree, keyed, {"labels": ".xml"})
        readable = {r: files for r, files in pairs.files.items() if _pixels(files)}
        return Listing(
            images=tuple(_source_image(record, files) for record, files in readable.items()),
            incomplete=(
                *pairs.incomplete,
                *(f"{r} has no .tif and no .svs" for r in pairs.files if r not in readable),
            ),
        )

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one image, paint its nuclei, and leave out what is ambiguous."""
        file = _pixels(image.files)
        pixels, document = tree.read(file), tree.read(image.files["labels"])
        name = tree.where(image.files["labels"])
        root = parse_xml(document, name, "Aperio annotation")
        rgb = decode_rgb(pixels, tree.where(file))
        regions = layers(root, name)
        drawn = [(label, outline) for label, outline in regions if label != AMBIGUOUS]
        nuclei, notes = paint(
            [outline for _, outline in drawn],
            [_class(label, name) for label, _ in drawn],
            rgb.shape[:2],
        )
        unclear = [outline for label, outline in regions if label == AMBIGUOUS]
        notes |= {"ambiguous regions, left out": len(unclear)} if unclear else {}
        notes |= {_FROM_SLIDE: 1} if "image" not in image.files else {}
        mpp = microns_per_pixel(root)
        record = native_record(
            self.spec,
            image,
            image=rgb,
            mpp=mpp or self.spec.mpp,
            coverage={"nuclei": Coverage.PARTIAL if unclear else Coverage.FULL},
            instances={"nuclei": nuclei},
            valid=~covered(unclear, rgb.shape[:2]) if unclear else None,
            objective=40.0,
            source_sha256=sha256(pixels + document).hexdigest(),
            attributes={"mpp_source": "file" if mpp else "spec"},
        )
        return SourceRecord(record=record, n_objects={"nuclei": len(drawn)}, notes=notes)


READER = MonusacReader()


def _key(tree: SourceTree, match: re.Match[str]) -> tuple[str, str]:
    _, record, suffix = match.groups()
    part = "test" if _TEST.search(f"{tree.root.name}/{match.string}") else "train"
    return f"{part}_{record}", _KINDS[suffix.lower()]


def _pixels(files: Mapping[str, str]) -> str:
    return files.get("image") or files.get("slide") or ""


def _source_image(record: str, files: Mapping[str, str]) -> SourceImage:
    return source_image(SPEC, record, files, official_split=record.partition("_")[0])


def _class(label: str, name: str) -> int:
    try:
        return SPEC.label_maps["nuclei"].index(label)
    except KeyError:
        known = ", ".join(str(code) for code in SPEC.label_maps["nuclei"].nodes)
        raise DataError(
            f"{name}: a layer is called {label!r}; expected {known} or {AMBIGUOUS}. Take the file"
            " that the source distributes."
        ) from None
