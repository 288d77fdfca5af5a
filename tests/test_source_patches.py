"""Tissue patches: classes by folder name, fixed roles, slides, and names that must not be mixed."""

import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from fakes import patches as fake
from PIL import Image
from source_helpers import listed, read_all

from cerberus_bench.loaders.build import harmonise_source
from cerberus_bench.loaders.harmonise import harmonise
from cerberus_bench.loaders.sources import kather2016, nct_crc_he
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import Coverage
from cerberus_bench.schema.tasks import TISSUE

NCT, NONORM, VAL = nct_crc_he.READER_100K, nct_crc_he.READER_NONORM, nct_crc_he.READER_7K
KATHER = kather2016.READER
READERS = {"NCT-CRC-HE-100K": NCT, "NCT-CRC-HE-100K-NONORM": NONORM, "CRC-VAL-HE-7K": VAL}
MEANING = {
    "ADI": "adipose",
    "BACK": "background",
    "DEB": "debris",
    "LYM": "inflammatory_tissue",
    "MUC": "mucus",
    "MUS": "muscle_tissue",
    "NORM": "normal_epithelium",
    "STR": "stroma",
    "TUM": "abnormal_epithelium",
}


# NCT-CRC-HE and CRC-VAL-HE ----------------------------------------------------------------------


@pytest.mark.parametrize("name", READERS)
def test_class_is_that_of_the_folder(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    records = read_all(reader, fake.write_nct(tmp_path, name))
    assert len(records) == 18
    assert reader.spec.label_spaces["tissue"] == TISSUE.labels  # the order of the network
    for record_name, found in records.items():
        record, folder = found.record, record_name.partition("-")[0]
        assert record.tissue is not None
        assert TISSUE.labels.classes[record.tissue] == MEANING[folder]
        assert record.image[0, 0, 0] // 20 == fake.CLASSES.index(folder)
        assert record.image.shape == (224, 224, 3)
        assert record.attributes == {"class": folder}
        assert record.coverage == {"tissue": Coverage.FULL}
        assert found.notes == {}


def test_forms_of_the_set_are_not_mixed_up(tmp_path: Path) -> None:
    for name in READERS:
        fake.write_nct(tmp_path, name, n=1)
    for name, reader in READERS.items():
        images = listed(reader, tmp_path).images
        assert len(images) == 9
        assert all(f"{name}/" in image.files["image"] for image in images)


def test_folder_itself_and_zip_without_top_folder_are_known_by_their_name(tmp_path: Path) -> None:
    root = fake.write_nct(tmp_path, n=1) / "NCT-CRC-HE-100K"
    assert len(listed(NCT, root).images) == 9
    with pytest.raises(DataError, match=r"holds no NCT-CRC-HE-100K-NONORM/BACK/\*\.tif"):
        listed(NONORM, root)
    archive = tmp_path / "zip" / "NCT-CRC-HE-100K-NONORM.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as out:
        for path in sorted(root.rglob("*.tif")):
            out.write(path, path.relative_to(root))
    assert len(listed(NONORM, archive).images) == len(listed(NONORM, archive.parent).images) == 9


def test_roles_are_fixed_and_the_same_in_both_forms(tmp_path: Path) -> None:
    roles = {}
    for name in ("NCT-CRC-HE-100K", "NCT-CRC-HE-100K-NONORM"):
        images = listed(READERS[name], fake.write_nct(tmp_path, name, n=12, side=4)).images
        roles[name] = {image.record: image.role for image in images}
        assert {image.official_split for image in images} == {"train"}
        assert {origin for image in images for origin in image.origins} == {
            f"nct_crc_he_100k/{image.record}" for image in images
        }
    first, second = roles.values()
    assert first == second
    counts = Counter(first.values())
    assert counts.keys() == {"train", "validation"}
    assert 8 <= counts["validation"] <= 23  # one seventh of 108 is 15
    test = listed(VAL, fake.write_nct(tmp_path, "CRC-VAL-HE-7K")).images
    assert {(image.role, image.official_split) for image in test} == {("test", "test")}


def test_fixed_roles_are_the_splits_of_the_folder(tmp_path: Path) -> None:
    source = fake.write_nct(tmp_path / "source", "CRC-VAL-HE-7K", n=1, side=8)
    summary = harmonise_source(VAL, source, tmp_path / "out", allow_partial=True)
    assert summary.splits == {"test": 9}
    assert summary.objects == {"tissue": {"test": 9}}
    assert summary.notes == {"patches that are not 224 x 224 px": 9}


def test_short_classes_are_named(tmp_path: Path) -> None:
    root = fake.write_nct(tmp_path, "CRC-VAL-HE-7K")
    sentences = listed(VAL, root).incomplete
    assert len(sentences) == 9
    assert sentences[0] == "ADI holds 2 of 1338 images"
    assert listed(NONORM, fake.write_nct(tmp_path, "NCT-CRC-HE-100K-NONORM")).incomplete == ()


def test_published_counts_add_up() -> None:
    assert (NCT.spec.n_images, VAL.spec.n_images) == (100_000, 7_180)


# Kather 2016 ------------------------------------------------------------------------------------


@pytest.mark.parametrize("nested", [False, True])
def test_kather_content(nested: bool, tmp_path: Path) -> None:
    records = read_all(KATHER, fake.write_kather(tmp_path, nested=nested))
    assert len(records) == 24
    classes = KATHER.spec.label_spaces["tissue"].classes
    named = {}
    for found in records.values():
        tissue = found.record.tissue
        named[found.record.attributes["class"]] = None if tissue is None else classes[tissue]
    assert named == {
        "01_TUMOR": "abnormal_epithelium",
        "02_STROMA": "stroma",
        "03_COMPLEX": None,
        "04_LYMPHO": "inflammatory_tissue",
        "05_DEBRIS": "debris",
        "06_MUCOSA": "normal_epithelium",
        "07_ADIPOSE": "adipose",
        "08_EMPTY": "background",
    }


def test_kather_mixture_is_covered_by_no_task(tmp_path: Path) -> None:
    for found in read_all(KATHER, fake.write_kather(tmp_path)).values():
        is_mixture = found.record.attributes["class"] == "03_COMPLEX"
        assert found.record.covers("tissue") is not is_mixture
        assert found.n_objects == {"tissue": 1}


def test_kather_groups_are_slides_whatever_follows_their_number(tmp_path: Path) -> None:
    images = listed(KATHER, fake.write_kather(tmp_path)).images
    groups = Counter(image.group for image in images)
    assert groups == {"kather2016/CRC-Prim-HE-07": 8, "kather2016/CRC-Prim-HE-10": 16}
    assert {image.group_level for image in images} == {"slide"}


def test_kather_patches_without_a_slide_stay_together(tmp_path: Path) -> None:
    folder = fake.write_kather(tmp_path) / "Kather_texture_2016_image_tiles_5000" / "08_EMPTY"
    for name in ("a", "b"):
        Image.fromarray(np.zeros((150, 150, 3), np.uint8)).save(folder / f"{name}.tif")
    groups = [image.group for image in listed(KATHER, tmp_path).images]
    assert groups.count("kather2016/unknown") == 2


def test_kather_is_brought_from_its_own_scale(tmp_path: Path) -> None:
    found = next(iter(read_all(KATHER, fake.write_kather(tmp_path)).values()))
    assert found.record.mpp == 0.495
    (patch,) = harmonise(found.record, 0.5)
    assert patch.image.shape == (148, 148, 3)  # 150 x 0.495 / 0.5 = 148.5
    assert patch.mpp == 0.5
