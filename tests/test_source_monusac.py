"""MoNuSAC: classes by layer, ambiguous regions, slides for images, patients in two parts."""

from pathlib import Path

import numpy as np
import pytest
from fakes import kumar as fake_kumar
from fakes import monusac as fake
from fakes import picture
from leaks import images_by_record, meet
from source_helpers import class_names, listed, read_all, real

from cerberus_bench.loaders.build import harmonise_source
from cerberus_bench.loaders.images import decode_rgb
from cerberus_bench.loaders.metadata import read_metadata
from cerberus_bench.loaders.sources import kumar, monuseg
from cerberus_bench.loaders.sources.monusac import READER
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import Coverage

FIRST = "train_TCGA-A2-A0ES-01Z-00-DX1_1"
AGAIN = "test_TCGA-A2-A0ES-01Z-00-DX1_1"
SLIDE_ONLY = "test_TCGA-G9-6356-01Z-00-DX1_1"


def test_content(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path))
    assert len(records) == 4
    found = records[FIRST]
    nuclei = found.record.instances["nuclei"]
    assert np.array_equal(found.record.image, picture(0, fake.SHAPE))
    assert class_names(READER, "nuclei", nuclei) == [
        "epithelial",
        "lymphocyte",
        "macrophage",
        "neutrophil",
    ]
    assert nuclei.labels[12, 12] == 1  # the first in the document keeps the overlap
    assert found.n_objects == {"nuclei": 4}
    assert found.record.coverage == {"nuclei": Coverage.FULL}
    assert (found.record.mpp, found.record.attributes["mpp_source"]) == (0.252, "file")
    assert records["train_TCGA-A2-A0ES-01Z-00-DX1_002"].record.image.shape == (*fake.SHAPE, 3)


def test_ambiguous_regions_do_not_count(tmp_path: Path) -> None:
    found = read_all(READER, fake.write(tmp_path))[AGAIN]
    assert found.record.valid is not None
    assert not found.record.valid[25:45, 40:60].any()
    assert int((~found.record.valid).sum()) == 20 * 20
    assert found.record.coverage == {"nuclei": Coverage.PARTIAL}
    assert found.notes == {"ambiguous regions, left out": 1}
    assert found.n_objects == {"nuclei": 4}


def test_slide_stands_in_for_a_missing_image(tmp_path: Path) -> None:
    found = read_all(READER, fake.write(tmp_path))[SLIDE_ONLY]
    assert found.notes["images read from .svs because there is no .tif"] == 1
    difference = found.record.image.astype(int) - picture(3, fake.SHAPE)
    assert abs(difference).mean() < 8  # JPEG


def test_real_slide_is_read_without_a_slide_library() -> None:
    data = real("wsi/CMU-1-Small-Region.svs").read_bytes()
    assert decode_rgb(data, "slide").shape == (2967, 2220, 3)


def test_image_without_any_pixels_is_told(tmp_path: Path) -> None:
    root = fake.write(tmp_path)
    (root / fake.TEST / "TCGA-G9-6356-01Z-00-DX1/TCGA-G9-6356-01Z-00-DX1_1.svs").unlink()
    found = listed(READER, root)
    assert found.incomplete == (f"{SLIDE_ONLY} has no .tif and no .svs",)
    assert len(found.images) == 3


@pytest.mark.parametrize("above", ["", "MoNuSAC", "latest/MoNuSAC 2020"])
def test_parts_are_told_whatever_lies_above(above: str, tmp_path: Path) -> None:
    fake.write(tmp_path / above)
    parts = [image.official_split for image in listed(READER, tmp_path).images]
    assert sorted(str(part) for part in parts) == ["test", "test", "train", "train"]
    (part,) = {i.official_split for i in listed(READER, tmp_path / above / fake.TEST).images}
    assert part == "test"


def test_patient_in_both_parts_is_one_group_and_told(tmp_path: Path) -> None:
    root = fake.write(tmp_path / "source")
    images = images_by_record(listed(READER, root).images)
    assert images[FIRST].group == images[AGAIN].group == "tcga/TCGA-A2-A0ES"
    assert images[FIRST].group_level == "patient"
    harmonise_source(READER, root, tmp_path / "out", allow_partial=True)
    assert read_metadata(tmp_path / "out").official_overlap == {"test": ["tcga/TCGA-A2-A0ES"]}


def test_patient_of_monuseg_meets_it_here(tmp_path: Path) -> None:
    here = images_by_record(listed(READER, fake.write(tmp_path / "monusac")).images)
    root = fake_kumar.write(tmp_path / "monuseg")
    for reader in (monuseg.READER, kumar.READER):
        there = images_by_record(listed(reader, root).images)
        assert meet(here[SLIDE_ONLY], there["TCGA-G9-6356-01Z-00-DX1"])
        assert not meet(here[FIRST], there["TCGA-G9-6356-01Z-00-DX1"])


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("<Annotations><Annotation>", "is no Aperio annotation"),
        (fake.document([("Fibroblast", [(0, 0), (5, 0), (5, 5)])]), "a layer is called 'Fibro"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><Annotations>&b;</Annotations>', "is no Aperio"),
    ],
)
def test_documents_that_are_wrong(document: str, message: str, tmp_path: Path) -> None:
    path = fake.write(tmp_path) / f"{next(iter(fake.RECORDS))}.xml"
    path.write_text(document)
    with pytest.raises(DataError, match=message):
        read_all(READER, tmp_path)
