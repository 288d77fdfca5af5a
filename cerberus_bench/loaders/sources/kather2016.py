"""Kather 2016: textures of colorectal cancer, 5,000 tissue patches of ten slides."""

import re
from collections.abc import Mapping

from cerberus_bench.loaders.class_folders import CLASS_FOLDER, PatchReader
from cerberus_bench.loaders.reader import SourceImage
from cerberus_bench.schema.dataset import (
    DatasetSpec,
    Evidence,
    Licence,
    Redistribution,
    SourceFile,
)
from cerberus_bench.schema.labels import IGNORE, LabelMap

CLASSES: Mapping[int | str, str] = {
    "01_TUMOR": "abnormal_epithelium",
    "02_STROMA": "stroma",
    "03_COMPLEX": IGNORE,
    "04_LYMPHO": "inflammatory_tissue",
    "05_DEBRIS": "debris",
    "06_MUCOSA": "normal_epithelium",
    "07_ADIPOSE": "adipose",
    "08_EMPTY": "background",
}
_FILE = "Kather_texture_2016_image_tiles_5000.zip"

SPEC = DatasetSpec(
    name="kather2016",
    version="1.0.0",
    title="Kather 2016, collection of textures in colorectal cancer histology",
    tasks=("tissue",),
    label_maps={"tissue": LabelMap("tissue", CLASSES)},
    mpp=0.495,
    organ="colon",
    licence=Licence("CC-BY-4.0", Redistribution.YES),
    citation=(
        "Kather et al., Multi-class texture analysis in colorectal cancer histology, Scientific"
        " Reports 2016",
    ),
    home="zenodo.org",
    how_to_get=f"Download {_FILE} from record 53169 of Zenodo.",
    group_level="slide",
    evidence=Evidence.PUBLIC_CODE,
    files=(SourceFile(_FILE, urls=(f"https://zenodo.org/records/53169/files/{_FILE}",)),),
    expected_images={"all": 5000},
    notes=(
        "Patches are grouped by the CRC-Prim-HE-NN of their name, ten in all; letters and _copy"
        " behind it make no other group. Patches without it form one group together.",
        "03_COMPLEX, stroma with single tumour or immune cells, is a mixture that no class of the"
        " ontology stands for: its patches carry no label.",
        "02_STROMA includes smooth muscle, 05_DEBRIS includes mucus: a model that tells them apart"
        " is scored without its classes muscle and mucus.",
        "0.495 microns per pixel, 150 x 150 px (other sizes are counted), 625 patches a class.",
    ),
)

_SLIDE = re.compile(r"CRC-Prim-HE-[0-9]+")


def _describe(patch: str, code: str, file: str) -> SourceImage:
    slide = _SLIDE.search(patch)
    record = f"{code}_{patch}"
    return SourceImage(
        record=record,
        group=f"kather2016/{slide[0] if slide else 'unknown'}",
        group_level=SPEC.group_level,
        origins=(f"kather2016/{record}",),
        files={"image": file},
        attributes={CLASS_FOLDER: code},
    )


READER = PatchReader(
    spec=SPEC,
    folder=None,
    class_counts=dict.fromkeys(map(str, CLASSES), 625),
    side=150,
    describe=_describe,
)
