"""NuInsSeg: vague areas do not count, one slide an organ."""

from pathlib import Path

import numpy as np
import pytest
from fakes import blocks, picture
from fakes import nuinsseg as fake
from source_helpers import listed, read_all

from cerberus_bench.loaders.sources.nuinsseg import READER
from cerberus_bench.schema.record import Coverage

FIRST, SECOND = "human_bladder-human_bladder_01", "human_bladder-human_bladder_02"
MUSCLE = "mouse_muscle_tibia-mouse_muscle_tibia_1"


def test_content(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path))
    assert list(records) == [FIRST, SECOND, MUSCLE]
    found = records[MUSCLE]
    assert np.array_equal(found.record.image, picture(20, fake.SHAPE))
    assert np.array_equal(found.record.instances["nuclei"].labels, blocks(fake.SHAPE, 6))
    assert found.n_objects == {"nuclei": 6}
    assert found.record.attributes == {"species": "mouse"}
    assert found.record.organ == "muscle tibia"
    assert records[FIRST].record.image.shape == (*fake.SHAPE, 3)  # alpha dropped


@pytest.mark.parametrize("folder", ["mask binary", "mask binary_vague"])
def test_vague_areas_do_not_count(folder: str, tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path, folder))
    vague, clear = records[FIRST].record, records[SECOND].record
    assert vague.valid is not None
    assert np.array_equal(vague.valid, fake.vague("01") == 0)
    assert vague.coverage == {"nuclei": Coverage.PARTIAL}
    assert clear.valid is None
    assert clear.coverage == {"nuclei": Coverage.FULL}
    assert records[FIRST].notes == {}


def test_image_without_vague_mask_is_counted(tmp_path: Path) -> None:
    root = fake.write(tmp_path)
    (root / "human bladder/vague areas/mask binary/human_bladder_01.png").unlink()
    found = read_all(READER, root)[FIRST]
    assert found.notes == {"images without a mask of vague areas": 1}
    assert found.record.coverage == {"nuclei": Coverage.FULL}


def test_groups_are_slides_one_an_organ(tmp_path: Path) -> None:
    images = {image.record: image for image in listed(READER, fake.write(tmp_path)).images}
    assert images[FIRST].group == images[SECOND].group == "nuinsseg/human_bladder"
    assert images[MUSCLE].group == "nuinsseg/mouse_muscle_tibia"
    assert {image.group_level for image in images.values()} == {"slide"}
