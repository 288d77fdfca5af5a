"""SegPath: no task, slides as groups, tables that are gzipped under a plain name."""

from pathlib import Path

import numpy as np
import pytest
from fakes import picture
from fakes import segpath as fake
from source_helpers import listed, read_all

from cerberus_bench.loaders.sources.segpath import READER
from cerberus_bench.schema.errors import DataError


@pytest.mark.parametrize("gzipped", [True, False])
def test_content(gzipped: bool, tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path, gzipped=gzipped))
    assert list(records) == list(fake.RECORDS)
    found = records[fake.RECORDS[0]]
    assert np.array_equal(found.record.image, picture(0, fake.SHAPE))
    assert found.record.attributes == {
        "antibody": "CD3CD20",
        "cell": "Lymphocyte",
        "part": "val",
        "area_positive": "0.1250",
    }
    assert "part" not in records[fake.RECORDS[1]].record.attributes


def test_serves_no_task(tmp_path: Path) -> None:
    assert READER.spec.tasks == ()
    for found in read_all(READER, fake.write(tmp_path)).values():
        record = found.record
        assert (record.coverage, record.instances, record.tissue) == ({}, {}, None)
        assert found.n_objects == {}


def test_groups_are_slides(tmp_path: Path) -> None:
    images = listed(READER, fake.write(tmp_path)).images
    assert [image.group for image in images] == [
        "segpath/CD3CD20-001",
        "segpath/CD3CD20-001",
        "segpath/panCK-107",
    ]
    assert {image.group_level for image in images} == {"slide"}


def test_table_that_is_wrong(tmp_path: Path) -> None:
    path = fake.write(tmp_path) / "CD3CD20_fileinfo.csv"
    packed = path.read_bytes()
    for data, message in (
        (packed[: len(packed) // 2], "is cut short"),
        (packed[:12] + bytes(20), "cannot be unpacked|is cut short"),
        (b"filename,split\n", "has no column train_val_test"),
    ):
        path.write_bytes(data)
        with pytest.raises(DataError, match=rf"CD3CD20_fileinfo.csv ({message})"):
            listed(READER, tmp_path)
