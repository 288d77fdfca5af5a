"""MIDOG++: boxes by their corners, images never annotated, and what may be judged."""

import json
from pathlib import Path

import numpy as np
import pytest
from fakes import midogpp as fake
from fakes import picture
from source_helpers import listed, read_all

from cerberus_bench.loaders.sources.midogpp import READER
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import Coverage

TABLE = "databases/MIDOG++.json"


def test_content(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path))
    assert list(records) == ["001", "204", "553"]  # 160 was never annotated
    found = records["204"]
    assert np.array_equal(found.record.image, picture(2, fake.SHAPE))
    assert found.record.points is not None
    assert found.record.points.tolist() == [[35, 45], [105.5, 85.5]]
    assert found.record.point_classes is not None
    assert found.record.point_classes.tolist() == [1, 0]
    assert READER.spec.label_maps["nuclei"].space.classes == ("mitotic",)
    assert found.n_objects == {"nuclei": 2}
    assert found.notes == {}
    assert found.record.attributes == {
        "tumour": "lung carcinoma",
        "species": "canine",
        "mpp_source": "spec",
    }


def test_only_what_was_marked_may_be_judged(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path))
    valid = records["001"].record.valid
    assert valid is not None
    assert valid[20:70, 10:60].all()
    assert int(valid.sum()) == 2 * 50 * 50
    assert records["001"].record.coverage == {"nuclei": Coverage.PARTIAL}
    empty = records["553"].record
    assert empty.points is not None
    assert empty.points.shape == (0, 2)
    assert empty.valid is not None
    assert not empty.valid.any()


def test_pixel_size_is_that_of_the_tags(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path))
    assert records["001"].record.mpp == pytest.approx(fake.MPP, rel=1e-4)
    assert records["001"].record.attributes["mpp_source"] == "file"
    assert records["553"].record.mpp == 0.25


def test_boxes_of_width_and_height_are_told(tmp_path: Path) -> None:
    path = fake.write(tmp_path) / TABLE
    content = fake.content()
    content["annotations"][0]["bbox"] = [10, 20, 50, 50]
    path.write_text(json.dumps(content))
    notes = read_all(READER, tmp_path)["001"].notes
    assert notes == {"boxes that are not 50 x 50 px": 1}


def test_image_that_the_table_does_not_have_is_told(tmp_path: Path) -> None:
    root = fake.write(tmp_path)
    (root / "images" / "001.tiff").rename(root / "images" / "007.tiff")
    found = listed(READER, root)
    assert found.incomplete == ("007 is not in the .json",)
    assert [image.record for image in found.images] == ["204", "553"]


def test_tables_that_are_wrong(tmp_path: Path) -> None:
    path = fake.write(tmp_path) / TABLE
    content = fake.content()
    wrong_size = json.dumps(content).replace('"width": 150', '"width": 151')
    for text, message in (
        (wrong_size, r"is \(120, 150\).*says \(120, 151\)"),
        (json.dumps(content).replace('"category_id": 2', '"category_id": 3'), "expected images"),
        ("[]", "expected images, and annotations"),
        ('{"images": [', "is no JSON"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            read_all(READER, tmp_path)
    (tmp_path / "MIDOG.json").write_text("{}")
    with pytest.raises(DataError, match=r"holds 2 files MIDOG\*.json; one is needed"):
        listed(READER, tmp_path)
