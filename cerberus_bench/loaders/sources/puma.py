"""PUMA: nuclei of melanoma as GeoJSON."""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.geojson import outline_of, parse_features, property_of
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.label_files import tiff_mpp
from cerberus_bench.loaders.listing import list_images, source_image
from cerberus_bench.loaders.outlines import paint
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
    name="puma",
    version="1.0.0",
    title="PUMA, nuclei and tissue of advanced melanoma (training set)",
    tasks=("nuclei",),
    label_maps={
        "nuclei": LabelMap(
            "nuclei",
            {
                "nuclei_tumor": "neoplastic",
                "nuclei_stroma": "connective",
                "nuclei_plasma_cell": "plasma",
                "nuclei_histiocyte": "macrophage",
                "nuclei_lymphocyte": "lymphocyte",
                "nuclei_melanophage": "macrophage",
                "nuclei_neutrophil": "neutrophil",
                "nuclei_endothelium": "connective",
                "nuclei_epithelium": "non_neoplastic",
                "nuclei_apoptosis": "dead",
            },
        )
    },
    mpp=0.226,
    organ="skin",
    licence=Licence(
        "LicenseRef-PUMA-unclear",
        Redistribution.NO,
        "CC0 as recalled; look at the record on Zenodo before you publish anything",
    ),
    citation=(
        "Schuiveling et al., A novel dataset for nuclei and tissue segmentation in melanoma with"
        " baseline nuclei segmentation and tissue segmentation benchmarks, GigaScience 2025",
    ),
    home="zenodo.org",
    how_to_get="Download 01_training_dataset_tif_ROIs.zip and"
    " 01_training_dataset_geojson_nuclei.zip (record 15050523) from Zenodo into one folder.",
    group_level="image",
    evidence=Evidence.PUBLIC_CODE,
    files=(
        SourceFile(
            "01_training_dataset_tif_ROIs.zip",
            urls=("https://zenodo.org/records/15050523/files/01_training_dataset_tif_ROIs.zip",),
        ),
        SourceFile(
            "01_training_dataset_geojson_nuclei.zip",
            urls=(
                "https://zenodo.org/records/15050523/files/01_training_dataset_geojson_nuclei.zip",
            ),
        ),
    ),
    expected_images={"all": 204},
    notes=(
        "Outlines were proposed by a model and corrected by a pathologist.",
        "Coordinates are pixels of the image. Code that stretches them to the image (by the bounds"
        " of all outlines) moves every nucleus.",
        "An outline may have holes or several parts: they are one nucleus.",
        "The tumour is melanocytic; it stands as neoplastic, which the ontology counts as"
        " epithelial, as PanNuke does for skin. Histiocytes and melanophages are macrophages,"
        " endothelium is connective.",
        "The outlines of tissue (second annotation zip) have no gland or lumen and no patches:"
        " they serve none of the five tasks and are not read.",
        "Images are RGBA; alpha is dropped. The pixel size is that of the TIFF tags, 0.226 microns"
        " where they say nothing (attribute mpp_source).",
        "Patients are not published; whether a patient has several regions is not known.",
        "The number of regions, 204, is that of another's code.",
    ),
)

_FILE = re.compile(
    r"(?:^|/)(training_set_(metastatic|primary)_roi_[0-9]+)(?:(\.tiff?)|_nuclei\.geojson)$", re.I
)


class PumaReader:
    """Reads `training_set_*_roi_NNN.tif` with `training_set_*_roi_NNN_nuclei.geojson`."""

    spec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        """List regions that have outlines of nuclei."""
        keyed = {
            name: (match[1].lower(), "image" if match[3] else "nuclei")
            for name, match in tree.match(_FILE).items()
        }
        return list_images(
            tree,
            self.spec,
            keyed,
            {"image": ".tif", "nuclei": "_nuclei.geojson"},
            expected="training_set_*_roi_NNN.tif with *_nuclei.geojson",
            describe=_source_image,
        )

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        """Decode one region and paint its nuclei."""
        pixels, document = (tree.read(image.files[kind]) for kind in ("image", "nuclei"))
        name = tree.where(image.files["nuclei"])
        rgb = decode_rgb(pixels, tree.where(image.files["image"]))
        features = parse_features(document, name)
        nuclei, notes = paint(
            [outline_of(feature, name, "a nucleus") for feature in features],
            [_class(feature, name) for feature in features],
            rgb.shape[:2],
        )
        mpp = tiff_mpp(pixels)
        record = native_record(
            self.spec,
            image,
            image=rgb,
            mpp=mpp or self.spec.mpp,
            coverage={"nuclei": Coverage.FULL},
            instances={"nuclei": nuclei},
            objective=40.0,
            source_sha256=sha256(pixels + document).hexdigest(),
            attributes={**image.attributes, "mpp_source": "file" if mpp else "spec"},
        )
        return SourceRecord(record=record, n_objects={"nuclei": len(features)}, notes=notes)


READER = PumaReader()


def _source_image(record: str, files: Mapping[str, str]) -> SourceImage:
    lesion = "metastatic" if "metastatic" in record else "primary"
    return source_image(SPEC, record, files, attributes={"lesion": lesion})


def _class(feature: Mapping[str, Any], name: str) -> int:
    label = str(property_of(feature, "classification.name"))
    try:
        return SPEC.label_maps["nuclei"].index(label)
    except KeyError:
        raise DataError(
            f"{name}: a nucleus is called {label!r}, which is none of the ten classes of the source"
        ) from None
