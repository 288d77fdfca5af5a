"""TNBC: alpha dropped, instances by connected parts, patients as groups."""

from pathlib import Path

import numpy as np
import pytest
from fakes import picture
from fakes import tnbc as fake
from PIL import Image
from source_helpers import class_names, listed, read_all

from cerberus_bench.loaders.sources.tnbc import READER
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import Coverage


def test_content(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path))
    assert list(records) == list(fake.RECORDS)  # 2 before 10
    found = records["02_1"]
    nuclei = found.record.instances["nuclei"]
    assert np.array_equal(found.record.image, picture(2, fake.SHAPE))
    assert nuclei.ids.tolist() == [1, 2, 3, 4]  # two squares touch and are one
    assert np.array_equal(nuclei.labels > 0, fake.mask() > 0)
    assert nuclei.labels[4, 3] == nuclei.labels[4, 14]
    assert class_names(READER, "nuclei", nuclei) == ["cell"] * 4
    assert found.n_objects == {"nuclei": 4}
    assert found.record.coverage == {"nuclei": Coverage.FULL}
    assert (found.record.organ, found.record.mpp) == ("breast", 0.25)


def test_groups_are_patients(tmp_path: Path) -> None:
    images = {image.record: image for image in listed(READER, fake.write(tmp_path)).images}
    assert images["01_1"].group == images["01_2"].group == "tnbc/patient-01"
    assert images["02_1"].group == "tnbc/patient-02"
    assert images["01_1"].group_level == "patient"
    assert images["01_1"].origins == ("tnbc/01_1",)


def test_later_version_has_brain(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path, later=True))
    assert len(records) == 5
    brain = records[fake.BRAIN].record
    assert (brain.organ, brain.official_split) == ("brain", "brain")


@pytest.mark.parametrize("mode", ["1", "RGB", "RGBA", "LA"])
def test_masks_of_any_mode(mode: str, tmp_path: Path) -> None:
    path = fake.write(tmp_path) / "TNBC_NucleiSegmentation" / "GT_01" / "01_1.png"
    Image.fromarray(fake.mask()).convert(mode).save(path)
    found = read_all(READER, tmp_path)["01_1"]
    assert np.array_equal(found.record.instances["nuclei"].labels > 0, fake.mask() > 0)


def test_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    path = fake.write(tmp_path) / "TNBC_NucleiSegmentation" / "GT_01" / "01_1.png"
    Image.new("L", (10, 10)).save(path)
    with pytest.raises(DataError, match=r"tnbc/01_1: the nuclei label map is \(10, 10\)"):
        read_all(READER, tmp_path)
