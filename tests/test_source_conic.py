"""CoNIC: arrays that are mapped, grouped by source image, checked against the published counts."""

import csv
from pathlib import Path

import numpy as np
import pytest
from fakes import conic as fake
from fakes import picture, zipped
from source_helpers import class_names, fold_of, listed, read_all

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.npy import map_npy
from cerberus_bench.loaders.sources.conic import READER
from cerberus_bench.schema.errors import DataError


def test_content(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path))
    assert list(records) == list(fake.PATCHES)
    for number, found in enumerate(records.values()):
        nuclei = found.record.instances["nuclei"]
        assert np.array_equal(found.record.image, picture(number, fake.SHAPE))
        assert nuclei.ids.tolist() == list(range(1, 13))
        assert class_names(READER, "nuclei", nuclei) == [*fake.CLASSES, *fake.CLASSES]
        assert found.n_objects == {"nuclei": 12}
        assert found.notes == {}  # the counts agree: they are of the centre, not of the patch
        assert found.record.attributes["row"] == str(number)


def test_patches_stay_with_their_image_and_repeated_regions_with_each_other(
    tmp_path: Path,
) -> None:
    root = fake.write(tmp_path)
    images = {image.record: image for image in listed(READER, root).images}
    assert images["consep_11-0000"].group == images["consep_11-0001"].group == "consep/train_6"
    assert images["glas_56-0000"].origins == ("glas/train_1",)
    assert images["glas_56-0000"].group_level == "patient"
    assert images["dpath_48-0000"].group == images["dpath_58-0000"].group
    assert fold_of(READER, root) == dict.fromkeys(fake.PATCHES, 3)


def test_counts_that_differ_and_mixed_nuclei_are_told(tmp_path: Path) -> None:
    folder = fake.write(tmp_path) / "data"
    labels = np.load(folder / "labels.npy")
    labels[0, 2, 2, 1] = 0  # a pixel of nucleus 1, outside the centre
    np.save(folder / "labels.npy", labels)
    counts = [fake.CENTRAL] * 5
    counts[1] = (0, 1, 1, 1, 1, 1)
    fake.write_table(folder / "counts.csv", fake.CLASSES, counts)
    records = list(read_all(READER, tmp_path).values())
    assert records[0].notes == {"nuclei with pixels of more than one class": 1}
    assert records[1].notes == {"patches of which counts.csv says otherwise": 1}
    first = records[0].record.instances["nuclei"]
    assert class_names(READER, "nuclei", first)[0] == "neutrophil"


def test_counts_are_read_by_the_name_of_their_column(tmp_path: Path) -> None:
    folder = fake.write(tmp_path) / "data"
    backwards = [fake.CENTRAL[::-1]] * 5
    fake.write_table(folder / "counts.csv", fake.CLASSES[::-1], backwards)
    assert all(not found.notes for found in read_all(READER, tmp_path).values())


@pytest.mark.parametrize("file", ["images.npy", "labels.npy", "counts.csv", "patch_info.csv"])
def test_every_file_is_needed(file: str, tmp_path: Path) -> None:
    root = fake.write(tmp_path)
    (root / "data" / file).unlink()
    with pytest.raises(DataError, match=rf"holds no {file}"):
        listed(READER, root)


def test_files_of_different_releases_are_refused(tmp_path: Path) -> None:
    folder = fake.write(tmp_path) / "data"
    fake.write_table(folder / "patch_info.csv", ("patch_info",), [("glas_1-0000",)])
    with pytest.raises(DataError, match=r"images.npy holds 5 patches, patch_info.csv 1"):
        listed(READER, tmp_path)


def test_unknown_patches_and_columns_are_refused(tmp_path: Path) -> None:
    folder = fake.write(tmp_path) / "data"
    names = [("glas_1-0000",), ("tcga_1-0000",), ("glas_1",), ("x",), ("",)]
    fake.write_table(folder / "patch_info.csv", ("patch_info",), names)
    with pytest.raises(DataError, match=r"row 1: 'tcga_1-0000' is no patch"):
        listed(READER, tmp_path)
    with (folder / "counts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("neutrophil",), (1,)])
    with pytest.raises(DataError, match=r"counts.csv: 'epithelial'; expected one column"):
        listed(READER, tmp_path)


def test_pickled_arrays_never_run(tmp_path: Path) -> None:
    folder = fake.write(tmp_path) / "data"
    np.save(folder / "labels.npy", np.array([{"a": 1}] * 5, object), allow_pickle=True)
    with pytest.raises(DataError, match=r"labels.npy is no plain .npy array"):
        listed(READER, tmp_path)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((5, 64, 64), np.uint16), r"expected whole numbers of shape \(H, W, 2\)"),
        (np.zeros((5, 64, 64, 2), float), "expected whole numbers"),
        (np.full((5, 64, 64, 2), 7, np.uint16), "a class beyond 6"),
        (np.zeros((5, 60, 64, 2), np.uint16), r"label map is \(60, 64\)"),
    ],
)
def test_labels_that_are_wrong(labels: np.ndarray, message: str, tmp_path: Path) -> None:
    np.save(fake.write(tmp_path) / "data" / "labels.npy", labels)
    with pytest.raises(DataError, match=message):
        read_all(READER, tmp_path)


def test_arrays_are_mapped_and_opened_once(tmp_path: Path) -> None:
    root = fake.write(tmp_path / "folder")
    archive = zipped(root, tmp_path / "source.zip")
    for source in (root, archive):
        with SourceTree(source) as tree:
            array = map_npy(tree, "data/images.npy")
            assert isinstance(array, np.memmap)
            assert map_npy(tree, "data/images.npy") is array
            assert not array.flags.writeable
            assert np.array_equal(array[2], picture(2, fake.SHAPE))
