"""WSSS4LUAD: a class only where one tissue is named, maps only as shares."""

from pathlib import Path

import numpy as np
import pytest
from fakes import picture
from fakes import wsss4luad as fake
from PIL import Image
from source_helpers import listed, read_all

from cerberus_bench.loaders.sources.wsss4luad import READER
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import Coverage

NORMAL, TUMOUR, STROMA, MIXED = fake.TRAINING


def test_content(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path))
    assert list(records) == [*fake.TRAINING, "test_00", "test_01", "validation_00"]
    assert np.array_equal(records[TUMOUR].record.image, picture(1, fake.SHAPE))
    classes = READER.spec.label_maps["tissue"].space.classes
    assert classes == ("abnormal_epithelium", "stroma")
    assert [records[name].record.tissue for name in fake.TRAINING] == [None, 0, 1, None]
    for name, tissues in ((NORMAL, "normal"), (TUMOUR, "tumor"), (MIXED, "tumor+stroma")):
        assert records[name].record.attributes == {"tissues": tissues}


def test_only_patches_of_one_known_tissue_are_covered(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path))
    covered = {name for name, found in records.items() if found.record.coverage}
    assert covered == {TUMOUR, STROMA}
    assert records[TUMOUR].record.coverage == {"tissue": Coverage.FULL}


def test_maps_are_shares_and_background_does_not_count(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path))
    found = records["validation_00"].record
    assert found.attributes == {"area_tumor": "0.2500", "area_stroma": "0.7500"}
    assert found.valid is not None
    assert found.valid[:, :40].all()
    assert not found.valid[:, 40:].any()
    assert records["test_01"].record.attributes == {}
    assert records["test_01"].record.valid is None


def test_groups_are_slides_where_they_are_told(tmp_path: Path) -> None:
    images = {image.record: image for image in listed(READER, fake.write(tmp_path)).images}
    assert images[NORMAL].group == images[TUMOUR].group == "wsss4luad/1109944"
    assert images[STROMA].group == "wsss4luad/436238"
    assert (images["test_00"].group_level, images[STROMA].group_level) == ("image", "slide")


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.full(fake.SHAPE, 4, np.uint8), "holds the code 4; expected 0 to 3"),
        (np.zeros((9, 9), np.uint8), r"valid mask is \(9, 9\)"),
        (np.zeros((*fake.SHAPE, 3), np.uint8), "has mode RGB"),
    ],
)
def test_maps_that_are_wrong(mask: np.ndarray, message: str, tmp_path: Path) -> None:
    path = fake.write(tmp_path) / "2.validation" / "mask" / "00.png"
    Image.fromarray(mask).save(path)
    with pytest.raises(DataError, match=message):
        read_all(READER, tmp_path)
