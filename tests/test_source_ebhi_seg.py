"""EBHI-Seg: a stage for a tissue class, and a mask that is no gland."""

from pathlib import Path

import numpy as np
from fakes import ebhi_seg as fake
from PIL import Image
from source_helpers import listed, read_all

from cerberus_bench.loaders.harmonise import harmonise
from cerberus_bench.loaders.sources.ebhi_seg import READER
from cerberus_bench.schema.record import Coverage


def test_content(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path))
    classes = READER.spec.label_spaces["tissue"].classes
    assert len(records) == 12
    named = {}
    for found in records.values():
        record = found.record
        named[record.attributes["class"]] = (
            None if record.tissue is None else classes[record.tissue]
        )
        assert found.notes == {}
    assert named == {
        "Normal": "normal_epithelium",
        "Polyp": None,
        "Low-grade IN": "abnormal_epithelium",
        "High-grade IN": "abnormal_epithelium",
        "Serrated adenoma": "abnormal_epithelium",
        "Adenocarcinoma": "abnormal_epithelium",
    }


def test_mask_is_where_the_class_holds_and_no_gland(tmp_path: Path) -> None:
    for name, found in read_all(READER, fake.write(tmp_path)).items():
        record = found.record
        expected = np.zeros(fake.SHAPE, bool)
        expected[fake.EPITHELIUM] = True
        assert record.valid is not None
        assert np.array_equal(record.valid, expected)
        assert not record.instances
        assert record.coverage == ({} if "polyp" in name else {"tissue": Coverage.PARTIAL})


def test_harmonising_leaves_pixels_of_unknown_scale_alone(tmp_path: Path) -> None:
    found = read_all(READER, fake.write(tmp_path))["normal_GT2012149-1-400-001"]
    (patch,) = harmonise(found.record, 0.5)
    assert np.array_equal(patch.image, found.record.image)
    assert patch.attributes["mpp_source"] == "assumed"


def test_groups_are_cases_over_blocks_and_stages(tmp_path: Path) -> None:
    images = listed(READER, fake.write(tmp_path)).images
    assert {image.group for image in images} == {"ebhi_seg/GT2012149"}
    assert len({image.record for image in images}) == 12


def test_counts_of_the_stages(tmp_path: Path) -> None:
    assert READER.spec.n_images == 2228
    sentences = listed(READER, fake.write(tmp_path)).incomplete
    assert "Serrated adenoma holds 2 of 58 images" in sentences


def test_empty_mask_is_told(tmp_path: Path) -> None:
    root = fake.write(tmp_path)
    path = root / "EBHI-SEG" / "Normal" / "label" / f"{fake.NAMES[0]}.png"
    Image.new("L", fake.SHAPE).save(path)
    found = read_all(READER, root)[f"normal_{fake.NAMES[0]}"]
    assert found.notes == {"masks without a pixel": 1}
