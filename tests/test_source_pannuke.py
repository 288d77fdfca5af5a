"""PanNuke: mapped float arrays, ids of each channel, and colon tiles that Lizard may hold."""

from pathlib import Path

import numpy as np
import pytest
from fakes import pannuke as fake
from fakes import picture
from leaks import seen
from source_helpers import class_names, listed, read_all

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.fold_table import fold_table
from cerberus_bench.loaders.npy import map_npy
from cerberus_bench.loaders.sources.pannuke import BACKGROUND, READER
from cerberus_bench.loaders.splits import RecordKey, shared_groups
from cerberus_bench.schema.errors import DataError

MASKS = "Fold 2/masks/fold2/masks.npy"


def test_content(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path))
    assert list(records) == [f"fold_{fold}-000{i}" for fold in (1, 2, 3) for i in (0, 1)]
    found = records["fold_2-0001"]
    nuclei = found.record.instances["nuclei"]
    assert found.record.image.dtype == np.uint8
    assert np.array_equal(found.record.image, picture(21, fake.SHAPE))
    assert class_names(READER, "nuclei", nuclei) == list(fake.CLASSES)
    assert len(nuclei.ids) == len(set(nuclei.ids.tolist())) == 4
    assert (found.record.organ, found.record.objective) == ("Liver", 40.0)


def test_ids_of_one_channel_say_nothing_of_another(tmp_path: Path) -> None:
    found = read_all(READER, fake.write(tmp_path))["fold_1-0000"]
    nuclei = found.record.instances["nuclei"]
    at = [int(nuclei.labels[y, x]) for y, x in ((2, 2), (12, 2), (20, 10))]
    assert len(set(at)) == 3  # id 3 in three channels is three nuclei
    assert found.n_objects == {"nuclei": 5}
    assert found.notes == {
        "pixels of nuclei of two classes, given to the first": 4 + 9,
        "nuclei hidden by those of earlier channels": 1,
    }


def test_background_is_the_sixth_channel_and_is_checked(tmp_path: Path) -> None:
    assert BACKGROUND == 5
    path = fake.write(tmp_path) / MASKS
    masks = np.load(path)
    masks[0, :2, 20:, BACKGROUND] = 0
    np.save(path, masks)
    notes = read_all(READER, tmp_path)["fold_2-0000"].notes
    assert notes["pixels of which the background channel says otherwise"] == 2 * 12


def test_official_folds_are_the_roles(tmp_path: Path) -> None:
    images = listed(READER, fake.write(tmp_path)).images
    assert {(image.official_split, image.role) for image in images} == {
        ("fold_1", "train"),
        ("fold_2", "validation"),
        ("fold_3", "test"),
    }


def test_colon_tiles_may_be_in_lizard_and_others_are_not(tmp_path: Path) -> None:
    images = {image.record: image for image in listed(READER, fake.write(tmp_path)).images}
    colon, breast = images["fold_1-0001"], images["fold_1-0000"]
    assert len(colon.origins) == 1 + 28
    assert breast.origins == ("pannuke/fold_1-0000",)
    lizard = [
        RecordKey(sample_id=f"lizard/{row.lizard}", group=row.group, origins=(row.origin,))
        for row in fold_table()
    ]
    assert len(shared_groups([seen(colon)], lizard)) == 28
    assert shared_groups([seen(breast)], lizard) == []


def test_arrays_are_mapped(tmp_path: Path) -> None:
    with SourceTree(fake.write(tmp_path)) as tree:
        READER.find(tree)
        assert isinstance(map_npy(tree, MASKS), np.memmap)
        assert map_npy(tree, MASKS).dtype == np.float64


def test_fold_without_masks_is_left_out(tmp_path: Path) -> None:
    (fake.write(tmp_path) / MASKS).unlink()
    found = listed(READER, tmp_path)
    assert {image.official_split for image in found.images} == {"fold_1", "fold_3"}
    assert found.incomplete == ("fold_2 has no masks.npy",)


def test_arrays_of_different_length_are_refused(tmp_path: Path) -> None:
    path = fake.write(tmp_path) / MASKS
    np.save(path, np.load(path)[:1])
    with pytest.raises(DataError, match=r"fold_2: images.npy holds 2 tiles.*masks.npy 1"):
        listed(READER, tmp_path)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (np.zeros((2, 32, 32, 5)), r"expected numbers of shape \(H, W, 6\)"),
        (np.full((2, 32, 32, 6), 0.5), "expected whole numbers from 0 to 65535"),
        (np.full((2, 32, 32, 6), np.nan), "expected whole numbers"),
        (np.full((2, 32, 32, 6), -1.0), "expected whole numbers"),
        (np.zeros((2, 30, 32, 6)), r"label map is \(30, 32\)"),
    ],
)
def test_masks_that_are_wrong(masks: np.ndarray, message: str, tmp_path: Path) -> None:
    np.save(fake.write(tmp_path) / MASKS, masks)
    with pytest.raises(DataError, match=message):
        read_all(READER, tmp_path)
