"""NCT-CRC-HE-100K, the same without colour normalisation, and CRC-VAL-HE-7K: tissue patches."""

from collections.abc import Mapping
from functools import partial

from cerberus_bench.loaders.class_folders import CLASS_FOLDER, PatchReader, hashed_role
from cerberus_bench.loaders.reader import SourceImage
from cerberus_bench.schema.dataset import (
    DatasetSpec,
    Evidence,
    Licence,
    Redistribution,
    SourceFile,
)
from cerberus_bench.schema.labels import LabelMap

CLASSES: Mapping[int | str, str] = {
    "BACK": "background",
    "TUM": "abnormal_epithelium",
    "NORM": "normal_epithelium",
    "LYM": "inflammatory_tissue",
    "MUS": "muscle_tissue",
    "STR": "stroma",
    "DEB": "debris",
    "MUC": "mucus",
    "ADI": "adipose",
}
"""Class folders, in the order of the published network's classes."""

_COUNTS_100K = {
    "ADI": 10_407,
    "BACK": 10_566,
    "DEB": 11_512,
    "LYM": 11_557,
    "MUC": 8_896,
    "MUS": 13_536,
    "NORM": 8_763,
    "STR": 10_446,
    "TUM": 14_317,
}
_COUNTS_7K = {
    "ADI": 1_338,
    "BACK": 847,
    "DEB": 339,
    "LYM": 634,
    "MUC": 1_035,
    "MUS": 592,
    "NORM": 741,
    "STR": 421,
    "TUM": 1_233,
}
_SIDE = 224
_NOTES = (
    "Classes are taken from the folder names alone: libraries number them in different orders.",
    "The code in a file name is a hash of the patch, so patients cannot be told apart. Inside the"
    " training set no honest split exists: train on the 100,000, test on CRC-VAL-HE-7K.",
    "Colour and JPEG artefacts differ from class to class, so a model may do well without looking"
    " at tissue.",
    f"Patches should be {_SIDE} x {_SIDE} px; others are counted.",
)


def _spec(
    name: str, folder: str, title: str, part: str, counts: Mapping[str, int], *notes: str
) -> DatasetSpec:
    return DatasetSpec(
        name=name,
        version="1.0.0",
        title=title,
        tasks=("tissue",),
        label_maps={"tissue": LabelMap("tissue", CLASSES)},
        mpp=0.5,
        organ="colon",
        licence=Licence("CC-BY-4.0", Redistribution.YES),
        citation=(
            "Kather, Halama and Marx, 100,000 histological images of human colorectal cancer and"
            " healthy tissue, Zenodo 2018, 10.5281/zenodo.1214456",
            "Kather et al., Predicting survival from colorectal cancer histology slides using deep"
            " learning: a retrospective multicenter study, PLOS Medicine 2019",
        ),
        home="zenodo.org",
        how_to_get=f"Download {folder}.zip from record 1214456 of Zenodo.",
        group_level="image",
        evidence=Evidence.PUBLIC_CODE,
        files=(
            SourceFile(
                f"{folder}.zip",
                urls=(f"https://zenodo.org/records/1214456/files/{folder}.zip",),
            ),
        ),
        expected_images={part: sum(counts.values())},
        notes=(*_NOTES, *notes),
    )


SPEC_100K = _spec(
    "nct_crc_he_100k",
    "NCT-CRC-HE-100K",
    "NCT-CRC-HE-100K, colorectal tissue patches of 86 patients, colour-normalised",
    "train",
    _COUNTS_100K,
    "Macenko-normalised: train on the form without normalisation for a model that meets real"
    " stains.",
    "The role is fixed: train, with one patch in seven, by a hash of its name, as validation."
    " Validation shares patients with train and only serves to choose a model.",
)
SPEC_NONORM = _spec(
    "nct_crc_he_100k_nonorm",
    "NCT-CRC-HE-100K-NONORM",
    "NCT-CRC-HE-100K-NONORM, colorectal tissue patches of 86 patients, stains as they are",
    "train",
    _COUNTS_100K,
    "Not exactly the patches of NCT-CRC-HE-100K. Those of the same name have the same role here"
    " and there, and count as the same image when leaks are looked for.",
    "Validation shares patients with train and only serves to choose a model.",
)
SPEC_7K = _spec(
    "crc_val_he_7k",
    "CRC-VAL-HE-7K",
    "CRC-VAL-HE-7K, colorectal tissue patches of 50 other patients",
    "test",
    _COUNTS_7K,
    "The role is fixed: test.",
    "Names carry TCGA: a model that has seen TCGA colon slides may have seen these patients.",
)


def _train_patch(dataset: str, patch: str, code: str, file: str) -> SourceImage:
    return SourceImage(
        record=patch,
        group=f"{dataset}/{patch}",
        group_level="image",
        origins=(f"{SPEC_100K.name}/{patch}",),
        official_split="train",
        role=hashed_role(patch),
        files={"image": file},
        attributes={CLASS_FOLDER: code},
    )


def _test_patch(patch: str, code: str, file: str) -> SourceImage:
    name = f"{SPEC_7K.name}/{patch}"
    return SourceImage(
        record=patch,
        group=name,
        group_level="image",
        origins=(name,),
        official_split="test",
        role="test",
        files={"image": file},
        attributes={CLASS_FOLDER: code},
    )


READER_100K = PatchReader(
    spec=SPEC_100K,
    folder="NCT-CRC-HE-100K",
    class_counts=_COUNTS_100K,
    side=_SIDE,
    describe=partial(_train_patch, SPEC_100K.name),
)
READER_NONORM = PatchReader(
    spec=SPEC_NONORM,
    folder="NCT-CRC-HE-100K-NONORM",
    class_counts={},  # the two sets are not identical, and these counts are not published
    side=_SIDE,
    describe=partial(_train_patch, SPEC_NONORM.name),
)
READER_7K = PatchReader(
    spec=SPEC_7K,
    folder="CRC-VAL-HE-7K",
    class_counts=_COUNTS_7K,
    side=_SIDE,
    describe=_test_patch,
)
