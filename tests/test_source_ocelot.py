"""OCELOT: points of two classes, one of which is none; patients of metadata.json."""

import json
from pathlib import Path

import numpy as np
import pytest
from fakes import ocelot as fake
from fakes import picture
from source_helpers import listed, read_all

from cerberus_bench.loaders.sources.ocelot import READER
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import Coverage

CELLS = f"{fake.TOP}/annotations/train/cell/001.csv"
METADATA = f"{fake.TOP}/metadata.json"


def test_content(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path))
    assert {name: found.record.official_split for name, found in records.items()} == fake.RECORDS
    found = records["401"]
    assert abs(found.record.image.astype(int) - picture(2, fake.SHAPE)).mean() < 8  # JPEG
    assert found.record.points is not None
    assert found.record.points.tolist() == [[10, 12], [40, 30], [63, 63]]
    assert found.record.point_classes is not None
    assert found.record.point_classes.tolist() == [0, 1, 1]
    assert READER.spec.label_maps["nuclei"].space.classes == ("neoplastic",)
    assert found.record.coverage == {"nuclei": Coverage.FULL}
    assert found.record.instances == {}
    assert found.n_objects == {"nuclei": 3}
    assert (found.record.organ, found.record.mpp) == ("bladder", 0.2)


def test_patch_without_cells_has_no_points(tmp_path: Path) -> None:
    found = read_all(READER, fake.write(tmp_path))["002"]
    assert found.record.points is not None
    assert found.record.points.shape == (0, 2)
    assert found.record.coverage == {"nuclei": Coverage.FULL}


def test_groups_are_patients(tmp_path: Path) -> None:
    groups = [image.group for image in listed(READER, fake.write(tmp_path)).images]
    assert groups == ["tcga/TCGA-GV-A300"] * 2 + ["tcga/TCGA-GV-A301"] * 2


def test_points_outside_are_moved_and_counted(tmp_path: Path) -> None:
    (fake.write(tmp_path) / CELLS).write_text("64,10,2\n-3,5,1\n")
    found = read_all(READER, tmp_path)["001"]
    assert found.record.points is not None
    assert np.array_equal(found.record.points, [[63, 10], [0, 5]])
    assert found.notes == {"points moved to the border of the image": 2}


@pytest.mark.parametrize("text", ["10,12\n", "10,12,3\n", "x,y,class\n10,12,1\n", "10,12,\n"])
def test_tables_that_are_wrong(text: str, tmp_path: Path) -> None:
    (fake.write(tmp_path) / CELLS).write_text(text)
    with pytest.raises(DataError, match=r"001.csv: expected lines of x, y and 1 or 2"):
        read_all(READER, tmp_path)


def test_metadata_is_needed(tmp_path: Path) -> None:
    path = fake.write(tmp_path) / METADATA
    content = json.loads(path.read_text())
    content["sample_pairs"]["002"]["cell"] = {}
    for text, message in (
        (json.dumps(content), "says nothing usable of patch 002"),
        ("[]", "has no sample_pairs"),
        ('{"sample', "is no JSON"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=rf"metadata.json {message}"):
            listed(READER, tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"holds 0 files called metadata.json; one is needed"):
        listed(READER, tmp_path)
