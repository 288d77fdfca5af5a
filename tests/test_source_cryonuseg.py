"""CryoNuSeg: the first round is the truth, the other raters are counted."""

from pathlib import Path

import numpy as np
import pytest
from fakes import blocks, picture
from fakes import cryonuseg as fake
from PIL import Image
from source_helpers import listed, read_all

from cerberus_bench.loaders.sources.cryonuseg import READER
from cerberus_bench.schema.errors import DataError


def test_content(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path))
    assert list(records) == list(fake.RECORDS)
    found = records["Human_Larynx_02"]
    nuclei = found.record.instances["nuclei"]
    assert np.array_equal(found.record.image, picture(1, fake.SHAPE))
    assert np.array_equal(nuclei.labels, blocks(fake.SHAPE, 6))  # not the set with id 999
    assert found.n_objects == {"nuclei": 6}
    assert found.record.organ == "Larynx"
    assert found.record.attributes == {
        "preparation": "frozen",
        "nuclei_second_round": "5",
        "nuclei_annotator_2": "4",
    }


def test_every_image_is_a_patient(tmp_path: Path) -> None:
    images = listed(READER, fake.write(tmp_path)).images
    assert len({image.group for image in images}) == 3
    assert {image.group_level for image in images} == {"patient"}


def test_other_raters_need_not_be_there(tmp_path: Path) -> None:
    root = fake.write(tmp_path)
    for rater in (fake.SECOND, fake.OTHER):
        for path in (root / rater).rglob("*.tif"):
            path.unlink()
    found = read_all(READER, root)["Human_Larynx_02"]
    assert found.record.attributes == {"preparation": "frozen"}


def test_other_raters_are_not_the_truth(tmp_path: Path) -> None:
    root = fake.write(tmp_path)
    for path in (root / fake.FIRST).rglob("*.tif"):
        path.unlink()
    with pytest.raises(DataError, match=r"Annotator 1 \(biologist\)"):
        listed(READER, root)


def test_coloured_labels_are_refused(tmp_path: Path) -> None:
    path = fake.write(tmp_path) / fake.FIRST / "label masks modify" / "Human_Larynx_02.tif"
    Image.new("RGB", fake.SHAPE).save(path)
    with pytest.raises(DataError, match=r"Human_Larynx_02.tif has mode RGB; expected one channel"):
        read_all(READER, tmp_path)
