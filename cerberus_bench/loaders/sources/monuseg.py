"""MoNuSeg 2018: nuclei of several organs as polygons, without classes."""

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.companions import gather
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.instances import from_label_map
from cerberus_bench.loaders.polygons import Rasterised, rasterise
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
    ),
)

_FILE = re.compile(r"(?:^|/)(TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}[^/]*)\.(tiff?|xml)$", re.IGNORECASE)
_PATIENT = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}")


class MonusegReader:
    """Reads `Tissue Images/*.tif` with `Annotations/*.xml`, and the flat test folder."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List images that have an annotation; one from a path with `test` in it is a test image.

        The patient is the first three fields of the TCGA barcode, named `tcga/...` because other
        datasets have images of the same patients.
        """
        keyed = {name: _key(match) for name, match in tree.match(_FILE).items()}
        if not keyed:
            raise DataError(
                f"{tree.root} holds no TCGA-*.tif with TCGA-*.xml. {self.spec.how_to_get}"
            )
        pairs = gather(tree, keyed, {"image": ".tif", "labels": ".xml"})
        return Listing(
            images=tuple(_source_image(record, files) for record, files in pairs.files.items()),
            incomplete=pairs.incomplete,
        )

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one image and paint its polygons."""
        pixels, document = (tree.read(image.files[kind]) for kind in ("image", "labels"))
        name = tree.where(image.files["labels"])
        root = _parse(document, name)
        rgb = decode_rgb(pixels, tree.where(image.files["image"]))
        polygons = _polygons(root, name)
        painted = rasterise(polygons, rgb.shape[:2])
        mpp = _mpp(root)
        record = native_record(
            self.spec,
            image,
            image=rgb,
            mpp=mpp or self.spec.mpp,
            coverage={"nuclei": Coverage.FULL},
            instances={"nuclei": from_label_map(painted.labels, np.ones_like)},
            source_sha256=sha256(pixels + document).hexdigest(),
            attributes={"mpp_source": "file" if mpp else "spec"},
        )
        return SourceRecord(
            record=record, n_objects={"nuclei": len(polygons)}, notes=_notes(painted)
        )


READER = MonusegReader()


def _key(match: re.Match[str]) -> tuple[str, str]:
    return match[1], "labels" if match[2].lower() == "xml" else "image"


def _source_image(record: str, files: Mapping[str, str]) -> SourceImage:
    patient = _PATIENT.match(record.upper())
    folders = PurePosixPath(files["image"]).parts[:-1]
    return SourceImage(
        record=record,
        group=f"tcga/{patient[0] if patient else record}",
        group_level=SPEC.group_level,
        origins=(f"monuseg/{record}",),
        official_split="test" if any("test" in part.lower() for part in folders) else "train",
        files=files,
    )


def _parse(document: bytes, name: str) -> Element:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(document)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise DataError(
            f"{name} is no Aperio annotation ({error}). It is damaged or was changed: obtain it"
            " again."
        ) from None
    return root


def _mpp(root: Element) -> float | None:
    """Microns per pixel as the file states it, None where it does not."""
    try:
        mpp = float(root.get("MicronsPerPixel", ""))
    except ValueError:
        return None
    return mpp if 0.01 < mpp < 100 else None


def _polygons(root: Element, name: str) -> list[NDArray[np.float64]]:
    try:
        return [
            np.array(
                [(float(v.attrib["X"]), float(v.attrib["Y"])) for v in region.iter("Vertex")],
                np.float64,
            ).reshape(-1, 2)
            for region in root.iter("Region")
        ]
    except (KeyError, ValueError) as error:
        raise DataError(f"{name}: a vertex has no numeric X and Y ({error})") from None


def _notes(painted: Rasterised) -> dict[str, int]:
    notes = {
        "polygons of fewer than three points, skipped": painted.n_skipped,
        "polygons cut at the border of the image": painted.n_clipped,
        "polygons hidden by earlier ones or without a pixel": painted.n_hidden,
    }
    return {text: n for text, n in notes.items() if n}
