"""Lizard: rows looked up through their id, the official folds, and the repeated region."""

from pathlib import Path

import numpy as np
import pytest
from fakes import lizard as fake
from scipy.io import savemat
from source_helpers import class_names, fold_of, listed, read_all, real

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.sources import lizard
from cerberus_bench.loaders.sources.lizard import READER
from cerberus_bench.loaders.splits import RecordKey, shared_groups
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import Coverage
from cerberus_bench.schema.result import TrainedOn

EXPECTED = ["neutrophil", "epithelial", "lymphocyte", "plasma", "eosinophil", "connective"]


@pytest.mark.parametrize("kaggle", [False, True])
def test_content(kaggle: bool, tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path, kaggle=kaggle))
    assert list(records) == ["consep_11", "crag_38", "dpath_48", "glas_56", "pannuke_1"]
    for found in records.values():
        nuclei = found.record.instances["nuclei"]
        assert nuclei.ids.tolist() == [1, 2, 3, 4, 5, 6, 7]
        # row k belongs to id[k]: by position, nucleus 1 would be epithelial
        assert class_names(READER, "nuclei", nuclei) == [*EXPECTED, "epithelial"]
        assert found.n_objects == {"nuclei": 7}
        assert found.record.image.shape == (*fake.SHAPE, 3)
        assert found.record.coverage == {"nuclei": Coverage.FULL}
        assert (found.record.mpp, found.record.native_mpp) == (0.5, 0.5)


def test_class_5_is_eosinophil_whatever_the_readme_says() -> None:
    assert "5: Neutrophil" in fake.README
    assert READER.spec.label_maps["nuclei"].nodes[5] == "eosinophil"
    assert READER.spec.label_spaces["nuclei"].classes == tuple(EXPECTED)


def test_groups_and_origins_reach_back_to_the_source_datasets(tmp_path: Path) -> None:
    images = {image.record: image for image in listed(READER, fake.write(tmp_path)).images}
    slide = "digestpath/18-13347A_2019-05-08 01_31_58"
    assert {name: (i.group, i.group_level, i.origins) for name, i in images.items()} == {
        "consep_11": ("consep/train_6", "image", ("consep/train_6",)),
        "crag_38": ("crag/train_1", "image", ("crag/train_1",)),
        "dpath_48": (slide, "slide", (f"{slide}-lv1-14057-17758-5693-6244",)),
        "glas_56": ("glas/patient-2", "patient", ("glas/train_1",)),
        "pannuke_1": ("lizard/pannuke_1", "image", ("lizard/pannuke_1",)),
    }
    assert images["glas_56"].attributes == {"cohort": "glas"}


def test_official_folds_are_those_of_the_suite(tmp_path: Path) -> None:
    root = fake.write(tmp_path)
    official = {image.record: image.official_split for image in listed(READER, root).images}
    assert official == {name: f"fold_{fold}" for name, fold in fold_of(READER, root).items()}
    assert official["crag_38"] == "fold_2"
    assert official["consep_11"] == "fold_3"


def test_repeated_region_is_left_out_and_told(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path / "both"))
    assert "dpath_58" not in records
    assert records["dpath_48"].notes == {"images left out: dpath_58 repeats dpath_48": 1}
    assert records["crag_38"].notes == {}
    alone = read_all(READER, fake.write(tmp_path / "one", ("dpath_48", "glas_56")))
    assert alone["dpath_48"].notes == {}


def test_training_on_a_source_dataset_is_seen(tmp_path: Path) -> None:
    images = listed(READER, fake.write(tmp_path)).images
    keys = [RecordKey(sample_id=i.record, group=i.group, origins=i.origins) for i in images]

    def met(dataset: str, groups: list[str], origins: list[str]) -> list[str]:
        part = TrainedOn(
            dataset=dataset,
            version="1.0.0",
            fingerprint="0" * 64,
            split="train",
            fold=3,
            groups=groups,
            origins=origins,
        )
        return shared_groups([part], keys)

    assert met("crag", ["crag/train_1"], ["crag/train_1"]) == ["crag/train_1"]
    assert met("consep", ["consep/train_6"], ["consep/train_6"]) == ["consep/train_6"]
    # another image of the same patient is enough
    assert met("glas", ["glas/patient-2"], ["glas/train_2"]) == ["glas/patient-2"]
    assert met("crag", ["crag/train_5"], ["crag/train_5"]) == []


def labels_of(root: Path, record: str = "glas_56") -> Path:
    return fake.write(root) / "Lizard_Labels" / "Labels" / f"{record}.mat"


def test_boxes_in_another_order_are_counted(tmp_path: Path) -> None:
    variables = fake.labels()
    variables["bbox"] = variables["bbox"][:, [2, 3, 0, 1]]  # x1, x2, y1, y2
    savemat(labels_of(tmp_path), variables)
    notes = read_all(READER, tmp_path)["glas_56"].notes
    # two of the seven lie on x = y
    assert notes == {"nuclei whose stored bounding box is not that of their pixels": 5}


def test_inclusive_boxes_and_listed_nuclei_without_a_pixel(tmp_path: Path) -> None:
    variables = fake.labels()
    variables["bbox"][:, [1, 3]] -= 1
    variables["inst_map"][variables["inst_map"] == 4] = 0
    savemat(labels_of(tmp_path), variables)
    found = read_all(READER, tmp_path)["glas_56"]
    assert found.notes == {"listed nuclei without a pixel": 1}
    assert found.record.instances["nuclei"].ids.tolist() == [1, 2, 3, 5, 6, 7]


def test_image_without_nuclei(tmp_path: Path) -> None:
    empty = {"inst_map": np.zeros(fake.SHAPE, np.int32), "id": [], "class": [], "bbox": []}
    savemat(labels_of(tmp_path), empty)
    found = read_all(READER, tmp_path)["glas_56"]
    assert found.n_objects == {"nuclei": 0}
    assert found.record.coverage == {"nuclei": Coverage.FULL}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inst_map": None}, "has no inst_map"),
        ({"id": None}, "has no id"),
        ({"class": None}, "has no class"),
        ({"class": np.arange(1, 4)}, "7 ids but 3 classes"),
        ({"class": np.full(7, 7)}, "7 is no class of this dataset"),
        ({"id": np.arange(2, 9)}, "object 1 is in the label map but has no class"),
        ({"inst_map": np.full(fake.SHAPE, 0.5)}, "values that are no ids"),
        ({"inst_map": np.full(fake.SHAPE, 1 << 30)}, "values that are no ids"),
        ({"inst_map": np.ones((2, 2, 2))}, "no two-dimensional map"),
    ],
)
def test_labels_that_are_wrong(
    changes: dict[str, np.ndarray | None], message: str, tmp_path: Path
) -> None:
    variables = {**fake.labels(), **changes}
    savemat(labels_of(tmp_path), {k: v for k, v in variables.items() if v is not None})
    with pytest.raises(DataError, match=rf"glas_56.mat.*{message}"):
        read_all(READER, tmp_path)


def test_info_csv_is_needed_and_must_be_the_published_one(tmp_path: Path) -> None:
    info = fake.write(tmp_path) / "Lizard_Labels" / "info.csv"
    published = info.read_text()
    info.write_text(published.replace("glas_56,train_1,3", "glas_56,train_1,1"))
    with pytest.raises(DataError, match=r"gives glas_56 the fold 1, published is fold 3"):
        listed(READER, tmp_path)
    info.write_text(published.replace("Split", "Fold"))
    with pytest.raises(DataError, match=r"info.csv: 'Split'; expected the columns"):
        listed(READER, tmp_path)
    info.unlink()
    with pytest.raises(DataError, match=r"0 files called info.csv; one is needed"):
        listed(READER, tmp_path)


def test_unreleased_images_are_refused(tmp_path: Path) -> None:
    root = fake.write(tmp_path, ("glas_56", "tcga_1"))
    with pytest.raises(DataError, match=r"tcga_1 the fold None, it was never released"):
        listed(READER, root)


def test_real_info_csv_is_the_one_the_suite_is_made_of() -> None:
    with SourceTree(real("Lizard_Labels")) as tree:
        folds = lizard._folds(tree)
    folds.pop("dpath_58")
    assert folds == {
        name: ancestor.fold for name, ancestor in lizard.ancestors().items() if name in folds
    }
    assert len(folds) == READER.spec.n_images == 237
