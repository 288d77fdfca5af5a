"""PanopTILs: outlines classed by the mask, excluded tissue, tiles of the regions of BCSS."""

from pathlib import Path

import numpy as np
import pytest
from fakes import bcss as fake_bcss
from fakes import panoptils as fake
from fakes import picture
from leaks import images_by_record, meet
from PIL import Image
from source_helpers import class_names, listed, read_all

from cerberus_bench.loaders.sources import bcss
from cerberus_bench.loaders.sources.panoptils import READER
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import Coverage

FIRST, OTHER, MANUAL = f"bootstrap_{fake.TILE}", f"bootstrap_{fake.OTHER}", f"manual_{fake.TILE}"


def test_content(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path))
    assert set(records) == {FIRST, OTHER, MANUAL}
    found = records[OTHER]
    nuclei = found.record.instances["nuclei"]
    assert np.array_equal(found.record.image, picture(1, fake.SHAPE))
    assert class_names(READER, "nuclei", nuclei) == [
        "neoplastic",
        "none",  # active stromal: fibroblasts and macrophages
        "plasma",
        "none",  # drawn on background
        "non_neoplastic",
    ]
    assert found.n_objects == {"nuclei": 5}
    assert found.notes == {"nuclei without a class": 2}


def test_excluded_tissue_does_not_count(tmp_path: Path) -> None:
    record = read_all(READER, fake.write(tmp_path))[FIRST].record
    assert record.valid is not None
    assert int((~record.valid).sum()) == fake.EXCLUDED * fake.SHAPE[1]
    assert record.coverage == {"nuclei": Coverage.PARTIAL}


def test_who_drew_the_nuclei_is_told(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path))
    assert records[FIRST].record.attributes == {"nuclei_by": "model"}
    assert records[MANUAL].record.attributes == {"nuclei_by": "people"}
    assert records[MANUAL].record.official_split == "manual"


def test_tile_meets_its_region_and_patient(tmp_path: Path) -> None:
    tiles = images_by_record(listed(READER, fake.write(tmp_path / "panoptils")).images)
    regions = listed(bcss.READER, fake_bcss.write(tmp_path / "bcss")).images
    assert regions[0].origins[0] in tiles[FIRST].origins
    assert meet(tiles[FIRST], regions[0])
    assert meet(tiles[FIRST], tiles[MANUAL])
    assert not meet(tiles[OTHER], regions[0])


def test_masks_and_tables_that_are_wrong(tmp_path: Path) -> None:
    root = fake.write(tmp_path)
    path = root / fake.MANUAL / "masks" / f"{fake.TILE}.png"
    for mask, message in (
        (np.full((*fake.SHAPE, 3), 12, np.uint8), "second channel holds 12"),
        (np.zeros((10, 10, 3), np.uint8), r"is \(10, 10\), its image \(50, 60\)"),
    ):
        Image.fromarray(mask).save(path)
        with pytest.raises(DataError, match=message):
            read_all(READER, root)
    table = root / fake.BOOTSTRAP / "csv" / f"{fake.TILE}.csv"
    table.write_text('coords_x,coords_y\n"1,2,3","1,2"\n')
    with pytest.raises(DataError, match="no lists of as many numbers"):
        read_all(READER, root)
