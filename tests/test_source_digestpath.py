"""DigestPath: incomplete boxes, lossy masks, and slides shared with Lizard."""

from pathlib import Path

import numpy as np
import pytest
from fakes import digestpath as fake
from PIL import Image
from source_helpers import fold_of, listed, read_all

from cerberus_bench.loaders.harmonise import harmonise
from cerberus_bench.loaders.sources import digestpath_signet, digestpath_tissue
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import Coverage

SIGNET, TISSUE = digestpath_signet.READER, digestpath_tissue.READER


# signet ring cells ------------------------------------------------------------------------------


def test_signet_content(tmp_path: Path) -> None:
    records = read_all(SIGNET, fake.write_signet(tmp_path))
    assert sorted(records) == sorted([*fake.POSITIVE, *fake.NEGATIVE])
    found = records[fake.POSITIVE[0]]
    assert found.record.signet_ring is not None
    assert found.record.signet_ring.tolist() == [[10, 12, 22, 26], [60, 50, 79.5, 70]]
    assert found.n_objects == {"signet_ring": 3}
    assert found.notes == {
        "boxes cut at the border of the image": 1,
        "boxes without an area in the image, left out": 1,
        "objects called 'other', left out": 1,
    }
    assert (found.record.mpp, found.record.objective) == (0.25, 40.0)


def test_signet_coverage_is_partial_where_cells_are_and_full_where_none_is(tmp_path: Path) -> None:
    records = read_all(SIGNET, fake.write_signet(tmp_path))
    positive, negative = (records[name].record for name in (fake.POSITIVE[0], fake.NEGATIVE[0]))
    assert positive.coverage == {"signet_ring": Coverage.PARTIAL}
    assert negative.coverage == {"signet_ring": Coverage.FULL}
    assert negative.signet_ring is not None
    assert negative.signet_ring.shape == (0, 4)
    assert (positive.official_split, negative.official_split) == ("positive", "negative")


def test_signet_groups_are_slides(tmp_path: Path) -> None:
    images = listed(SIGNET, fake.write_signet(tmp_path)).images
    assert {image.group for image in images} == {
        "digestpath/2018_64982_1-3_2019-02-25 21_57_36",
        "digestpath/D20190481111_2019-06-10 09_22_49",
    }
    assert {image.group_level for image in images} == {"slide"}
    assert images[0].origins == (f"digestpath/{images[0].record}",)


def test_negative_image_with_boxes_is_not_trusted_to_be_complete(tmp_path: Path) -> None:
    root = fake.write_signet(tmp_path)
    folder = root / "Signet_ring_cell_dataset" / "sig-train-neg"
    (folder / f"{fake.NEGATIVE[0]}.xml").write_text(fake.voc(fake.BOXES[:1]))
    record = read_all(SIGNET, root)[fake.NEGATIVE[0]].record
    assert record.coverage == {"signet_ring": Coverage.PARTIAL}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("<annotation><object>", "is no Pascal VOC annotation"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>', "is no Pascal VOC"),
        (fake.voc(size=(10, 10)), "is for an image of 10 x 10 px, the one beside it has 72 x 80"),
        (fake.voc((("ring_cell_cancer", 1, 2, "far", 4),)), "'far'.*expected xmin"),
        (fake.voc((("ring_cell_cancer", 1, 2, "nan", 4),)), "a box has the corners"),
        (
            "<annotation><object><name>ring_cell_cancer</name></object></annotation>",
            "an object has no bndbox",
        ),
    ],
)
def test_signet_document_that_is_wrong(document: str, message: str, tmp_path: Path) -> None:
    root = fake.write_signet(tmp_path, document)
    with pytest.raises(DataError, match=rf"\.xml.*{message}"):
        read_all(SIGNET, root)


# colonoscopy tissue -----------------------------------------------------------------------------


def test_lesion_of_a_lossy_mask_is_cut_at_128(tmp_path: Path) -> None:
    records = read_all(TISSUE, fake.write_tissue(tmp_path))
    record = records[fake.TISSUE_POSITIVE[0]].record
    stored = tmp_path / "Colonoscopy_tissue_segment_dataset" / "tissue-train-pos-v1"
    values = np.array(Image.open(stored / f"{record.record}_mask.jpg"))
    assert len(np.unique(values)) > 2  # so literal values would be wrong
    assert record.valid is not None
    assert np.array_equal(record.valid, fake.mask() > 0)
    assert record.attributes == {"lesion_fraction": f"{40 * 40 / (72 * 80):.4f}"}


def test_tissue_serves_no_task(tmp_path: Path) -> None:
    assert TISSUE.spec.tasks == ()
    for found in read_all(TISSUE, fake.write_tissue(tmp_path)).values():
        assert found.record.coverage == {}
        assert found.record.tissue is None
        assert not found.record.instances
        assert found.n_objects == {}


def test_negative_images_have_no_lesion(tmp_path: Path) -> None:
    found = read_all(TISSUE, fake.write_tissue(tmp_path))[fake.TISSUE_NEGATIVE[0]]
    assert found.record.valid is not None
    assert not found.record.valid.any()
    assert (found.notes, found.record.official_split) == ({}, "negative")


def test_lesion_survives_cutting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cerberus_bench.loaders.harmonise.MAX_SIDE", 40)
    found = read_all(TISSUE, fake.write_tissue(tmp_path))[fake.TISSUE_POSITIVE[0]]
    cuts = harmonise(found.record, 0.5)
    assert len(cuts) == 4
    assert sum(int(cut.valid.sum()) for cut in cuts if cut.valid is not None) == 1600


def test_grey_and_empty_masks_are_told(tmp_path: Path) -> None:
    root = fake.write_tissue(tmp_path)
    folder = root / "Colonoscopy_tissue_segment_dataset" / "tissue-train-pos-v1"
    grey = Image.fromarray(np.full(fake.SHAPE, 100, np.uint8))
    grey.save(folder / f"{fake.TISSUE_POSITIVE[0]}_mask.jpg")
    assert read_all(TISSUE, root)[fake.TISSUE_POSITIVE[0]].notes == {
        "mask pixels from 64 to 191": 72 * 80,
        "positive images without a lesion": 1,
    }


def test_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    root = fake.write_tissue(tmp_path)
    folder = root / "Colonoscopy_tissue_segment_dataset" / "tissue-train-pos-v1"
    Image.new("L", (10, 10)).save(folder / f"{fake.TISSUE_POSITIVE[0]}_mask.jpg")
    with pytest.raises(DataError, match=r"valid mask is \(10, 10\)"):
        read_all(TISSUE, root)


def test_images_and_slides_of_lizard_share_its_fold(tmp_path: Path) -> None:
    root = fake.write_tissue(tmp_path)
    images = {image.record: image for image in listed(TISSUE, root).images}
    re_used, same_slide = fake.TISSUE_POSITIVE
    assert images[re_used].origins == (f"digestpath/{re_used}",)
    assert images[same_slide].group == "digestpath/1902160001_2019-06-11 12_36_32"
    folds = fold_of(TISSUE, root)
    assert (folds[re_used], folds[same_slide]) == (3, 2)  # dpath_48, and dpath_2's slide
