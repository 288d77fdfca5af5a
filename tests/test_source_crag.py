"""CRAG: both names of the annotations, version 1, and the images that Lizard re-uses."""

from pathlib import Path

import numpy as np
import pytest
from fakes import crag as fake
from PIL import Image
from source_helpers import fold_of, listed, read_all

from cerberus_bench.loaders.sources.crag import READER
from cerberus_bench.schema.errors import DataError


@pytest.mark.parametrize("labels", ["Annotation", "Annotations"])
def test_content(labels: str, tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path, labels=labels))
    assert list(records) == list(fake.RECORDS)
    found = records["test_34"]
    assert found.record.instances["gland"].ids.tolist() == [1, 2, 3, 4, 5]
    assert found.record.instances["gland"].classes.tolist() == [1] * 5
    assert found.n_objects == {"gland": 5}
    assert (found.record.mpp, found.record.attributes) == (0.55, {"mpp_source": "spec"})
    assert (found.record.group, found.record.official_split) == ("crag/test_34", "test")
    assert found.notes == {"images with a side outside 1509 to 1516 px": 1}


def test_sides_as_recalled_are_not_noted(tmp_path: Path) -> None:
    part = fake.write(tmp_path) / "CRAG" / "train"
    Image.fromarray(np.zeros((1516, 1509, 3), np.uint8)).save(part / "Images" / "train_1.png")
    Image.fromarray(np.ones((1516, 1509), np.uint8)).save(part / "Annotation" / "train_1.png")
    assert read_all(READER, tmp_path)["train_1"].notes == {}


def test_annotations_of_version_1_without_an_image_are_passed_over(tmp_path: Path) -> None:
    found = listed(READER, fake.write(tmp_path, version=1))
    assert len(found.images) == 5
    assert found.incomplete == ()


def test_lizard_decides_the_fold_of_what_it_re_uses(tmp_path: Path) -> None:
    folds = fold_of(READER, fake.write(tmp_path))
    assert (folds["train_1"], folds["test_34"]) == (2, 3)  # crag_38 and crag_30 of info.csv


def test_annotation_in_colour_is_refused(tmp_path: Path) -> None:
    path = fake.write(tmp_path) / "CRAG" / "train" / "Annotation" / "train_1.png"
    Image.open(path).convert("RGBA").save(path)
    with pytest.raises(DataError, match=r"train_1.png has mode RGBA"):
        read_all(READER, tmp_path)
