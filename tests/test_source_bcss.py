"""BCSS: no task, but regions, institutes, and patients that other datasets share."""

from pathlib import Path

import numpy as np
import pytest
from fakes import bcss as fake
from fakes import picture
from PIL import Image
from source_helpers import listed, read_all

from cerberus_bench.loaders.sources.bcss import READER
from cerberus_bench.loaders.tcga import group_of
from cerberus_bench.schema.errors import DataError

TRAIN, _, TEST = fake.RECORDS
FOLDER = "0_Public-data-Amgad2019_0.25MPP"


def test_content(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path))
    assert {name: found.record.official_split for name, found in records.items()} == fake.RECORDS
    found = records[TRAIN]
    assert np.array_equal(found.record.image, picture(0, fake.SHAPE))
    assert found.record.attributes == {
        "stain": "normalised",
        "area_tumor": "0.6000",
        "area_stroma": "0.4000",
    }
    assert found.notes == {"pixels outside the region of interest": 400}


def test_serves_no_task_and_outside_does_not_count(tmp_path: Path) -> None:
    assert READER.spec.tasks == ()
    for found in read_all(READER, fake.write(tmp_path)).values():
        assert found.record.coverage == {}
        assert (found.record.instances, found.record.tissue) == ({}, None)
        assert found.record.valid is not None
        assert np.array_equal(found.record.valid, fake.mask() > 0)


def test_pixel_size_is_that_of_the_name(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path))
    assert (records[TRAIN].record.mpp, records[TEST].record.mpp) == (0.25, 0.23)


def test_folder_of_the_script_is_not_normalised(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path, "images"))
    assert records[TRAIN].record.attributes["stain"] == "as scanned"


def test_groups_are_patients(tmp_path: Path) -> None:
    image = listed(READER, fake.write(tmp_path)).images[0]
    assert (image.group, image.group_level) == ("tcga/TCGA-A2-A0SX", "patient")
    assert image.origins == (f"bcss/{TRAIN}",)


def test_regions_beyond_the_bound_of_other_images_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)  # a region has 2400
    assert len(read_all(READER, fake.write(tmp_path))) == 3
    monkeypatch.setattr("cerberus_bench.loaders.large_images.MAX_PIXELS", 2000)
    with pytest.raises(DataError, match="larger than any image expected here"):
        read_all(READER, tmp_path)


def test_patient_is_that_of_a_test_image_of_monuseg(tmp_path: Path) -> None:
    image = listed(READER, fake.write(tmp_path)).images[1]
    assert image.group == group_of("TCGA-AO-A0J2-01A-01-BSA", "")[0]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.full(fake.SHAPE, 22, np.uint8), "holds the code 22; expected 0 to 21"),
        (np.ones((9, 9), np.uint8), r"valid mask is \(9, 9\)"),
        (np.ones((*fake.SHAPE, 3), np.uint8), "has mode RGB; expected L or P"),
    ],
)
def test_masks_that_are_wrong(mask: np.ndarray, message: str, tmp_path: Path) -> None:
    path = fake.write(tmp_path) / FOLDER / "masks" / f"{TRAIN}.png"
    Image.fromarray(mask).save(path)
    with pytest.raises(DataError, match=message):
        read_all(READER, tmp_path)
