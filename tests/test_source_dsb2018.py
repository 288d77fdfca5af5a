"""Data Science Bowl 2018: colour images only, a nucleus a file."""

from pathlib import Path

import numpy as np
import pytest
from fakes import blocks, picture
from fakes import dsb2018 as fake
from PIL import Image
from source_helpers import listed, read_all

from cerberus_bench.loaders.sources.dsb2018 import READER
from cerberus_bench.schema.dataset import Evidence
from cerberus_bench.schema.errors import DataError


def masks_of(root: Path, record: str) -> Path:
    return root / "stage1_train" / record / "masks"


def test_content(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path))
    # neither the grey image nor the one whose nuclei are not annotated, nor the test set
    assert list(records) == list(fake.COLOUR)
    found = records[fake.COLOUR[1]]
    assert np.array_equal(found.record.image, picture(1, fake.SHAPE))
    assert np.array_equal(found.record.instances["nuclei"].labels, blocks(fake.SHAPE, 4))
    assert found.n_objects == {"nuclei": 4}
    assert found.notes == {}
    assert found.record.attributes == {"mpp_source": "unknown"}
    assert READER.spec.evidence is Evidence.UNVERIFIED


def test_overlap_goes_to_the_first_and_is_counted(tmp_path: Path) -> None:
    root = fake.write(tmp_path)
    wide = np.where(blocks(fake.SHAPE, 4) == 1, 255, 0).astype(np.uint8)
    wide[2:4, 8:15] = 255  # reaches 3 columns into nucleus 2
    Image.fromarray(wide).save(masks_of(root, fake.COLOUR[0]) / f"{1:064x}.png")
    found = read_all(READER, root)[fake.COLOUR[0]]
    assert found.notes == {"pixels of two nuclei, given to the first": 6}
    assert found.record.instances["nuclei"].labels[2, 13] == 1


def test_image_without_masks_is_told(tmp_path: Path) -> None:
    root = fake.write(tmp_path)
    for path in masks_of(root, fake.COLOUR[0]).iterdir():
        path.unlink()
    found = listed(READER, root)
    assert found.incomplete == (f"{fake.COLOUR[0]} has no masks",)
    assert [image.record for image in found.images] == [fake.COLOUR[1]]


def test_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    path = masks_of(fake.write(tmp_path), fake.COLOUR[0]) / f"{2:064x}.png"
    Image.new("L", (5, 5)).save(path)
    with pytest.raises(DataError, match=rf"{path.name} is \(5, 5\), its image \(40, 40\)"):
        read_all(READER, tmp_path)
