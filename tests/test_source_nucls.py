"""NuCLS: outlines are instances, boxes are left out, and patients meet those of BCSS."""

from pathlib import Path

import numpy as np
import pytest
from fakes import bcss as fake_bcss
from fakes import nucls as fake
from fakes import picture
from leaks import meet
from source_helpers import class_names, listed, read_all

from cerberus_bench.loaders.sources import bcss
from cerberus_bench.loaders.sources.nucls import READER
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import Coverage

FIRST, SECOND = fake.RECORDS


def test_content(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path, masks=False))
    assert list(records) == list(fake.RECORDS)
    found = records[SECOND]
    nuclei = found.record.instances["nuclei"]
    assert np.array_equal(found.record.image, picture(1, fake.SHAPE))
    assert nuclei.ids.tolist() == [1, 2, 3]
    assert class_names(READER, "nuclei", nuclei) == ["neoplastic", "mitotic", "none"]
    assert nuclei.labels[5, 5] == nuclei.labels[14, 14] == 1
    assert nuclei.labels[15, 15] == 0
    assert found.n_objects == {"nuclei": 5}
    assert (found.record.mpp, found.record.attributes) == (0.2, {})


def test_boxes_without_an_outline_do_not_count(tmp_path: Path) -> None:
    found = read_all(READER, fake.write(tmp_path, masks=False))[FIRST]
    expected = np.ones(fake.SHAPE, bool)
    expected[10:25, 25:40] = False
    expected[10:15, 25:30] = True  # an outlined nucleus lies there
    expected[30:40, 45:55] = False
    assert found.record.valid is not None
    assert np.array_equal(found.record.valid, expected)
    assert found.record.coverage == {"nuclei": Coverage.PARTIAL}
    assert found.notes == {"nuclei with a box only, left out of the valid mask": 2}


def test_field_without_boxes_counts_as_a_whole(tmp_path: Path) -> None:
    path = fake.write(tmp_path, masks=False) / "NuCLS" / "csv" / f"{FIRST}.csv"
    fake.write_table(path, fake.ROWS[:2])
    record = read_all(READER, tmp_path)[FIRST].record
    assert (record.valid, record.coverage) == (None, {"nuclei": Coverage.FULL})


def test_pixels_outside_the_field_do_not_count(tmp_path: Path) -> None:
    record = read_all(READER, fake.write(tmp_path))[FIRST].record
    assert record.valid is not None
    assert not record.valid[-5:].any()
    assert record.valid[:10].all()


def test_folds_of_the_source_are_told(tmp_path: Path) -> None:
    images = listed(READER, fake.write(tmp_path, splits=True)).images
    assert [image.attributes for image in images] == [{}, {"official_fold": "2"}]


def test_patient_meets_bcss(tmp_path: Path) -> None:
    here = listed(READER, fake.write(tmp_path / "nucls")).images
    there = listed(bcss.READER, fake_bcss.write(tmp_path / "bcss")).images
    assert here[0].group == "tcga/TCGA-A2-A0SX"
    assert meet(here[0], there[0])
    assert not meet(here[1], there[0])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tumor", "tumour", "a nucleus is called 'tumour'"),
        ("polyline", "circle", "of type 'circle'"),
        ("coords_y", "y", "has no column coords_y"),
        ('"5,15,15,5"', '"5,15,x,5"', "a coordinate is no number"),
        ('"5,15,15,5"', '"5,15,5"', "an outline has"),
        ("rectangle,25", "rectangle,nan", "a coordinate is no number"),
    ],
)
def test_tables_that_are_wrong(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = fake.write(tmp_path) / "NuCLS" / "csv" / f"{FIRST}.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read_all(READER, tmp_path)
