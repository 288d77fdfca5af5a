"""Each source: what is found and read in its true layout, and what is said of what is wrong."""

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from fakes import consep, glas, monuseg, picture, zipped
from PIL import Image
from scipy.io import savemat

from cerberus_bench.loaders import registry
from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.reader import Listing, Reader, SourceRecord
from cerberus_bench.loaders.sources.glas import parse_grades
from cerberus_bench.loaders.sources.monuseg import TEST_IMAGES
from cerberus_bench.schema.dataset import DatasetSpec
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import Coverage, Instances

SKIPPED = "polygons of fewer than three points, skipped"
REAL = Path(__file__).resolve().parent.parent.parent / "shared" / "realdata"


def listing(name: str, root: Path) -> Listing:
    return registry.get(name).find(SourceTree(root))


def read_all(name: str, root: Path) -> Iterator[SourceRecord]:
    reader, tree = registry.get(name), SourceTree(root)
    return (reader.read(tree, image) for image in reader.find(tree).images)


def by_name(name: str, root: Path) -> dict[str, SourceRecord]:
    return {found.record.record: found for found in read_all(name, root)}


def names_of(found: Instances, spec: DatasetSpec, task: str) -> list[str]:
    classes = spec.label_maps[task].space.classes
    return [classes[index - 1] for index in found.classes]


# all sources ------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", registry.specs(), ids=lambda spec: spec.name)
def test_spec_is_complete(spec: DatasetSpec) -> None:
    assert set(spec.label_maps) == set(spec.tasks)
    assert all(label_map.task == task for task, label_map in spec.label_maps.items())
    assert spec.mpp > 0
    assert (spec.n_images > 0) == spec.is_released
    assert spec.citation
    assert spec.how_to_get.endswith(".")
    assert re.fullmatch(r"\d+\.\d+\.\d+", spec.version)
    assert spec.group_level in {"patient", "slide", "image"}


def test_registry_names_near_matches() -> None:
    with pytest.raises(DataError, match=r"no dataset 'CoNSep'. Did you mean consep"):
        registry.get("CoNSep")
    with pytest.raises(DataError, match="Known are phantom, lizard"):
        registry.get("imagenet")
    assert registry.get("phantom@blur").spec.name == "phantom@blur"
    with pytest.raises(DataError, match=r"Did you mean phantom@blur"):
        registry.get("phantom@blurr")


FAKES = {"glas": glas, "consep": consep, "monuseg": monuseg}


@pytest.mark.parametrize("name", FAKES)
def test_zip_folder_and_double_nesting_read_alike(name: str, tmp_path: Path) -> None:
    flat = FAKES[name].write(tmp_path / "flat")
    nested = tmp_path / "nested" / "again" / "and again"
    shutil.copytree(flat, nested)
    archive = zipped(flat, tmp_path / "source.zip")
    hashes = [
        [found.record.source_sha256 for found in read_all(name, root)]
        for root in (flat, tmp_path / "nested", archive)
    ]
    assert hashes[0] == hashes[1] == hashes[2]
    assert len(hashes[0]) == len(set(hashes[0]))


@pytest.mark.parametrize("name", FAKES)
def test_another_folder_says_what_is_expected_and_how_to_get_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    spec = registry.get(name).spec
    with pytest.raises(DataError, match="holds no") as error:
        listing(name, tmp_path)
    assert spec.how_to_get in str(error.value)


@pytest.mark.parametrize("name", FAKES)
def test_two_copies_are_refused(name: str, tmp_path: Path) -> None:
    FAKES[name].write(tmp_path / "one")
    FAKES[name].write(tmp_path / "two")
    with pytest.raises(DataError, match="Keep one copy"):
        listing(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "victim", "message"),
    [
        ("glas", f"{glas.FOLDER}/train_2_anno.bmp", "train_2 has no _anno.bmp"),
        ("glas", f"{glas.FOLDER}/train_2.bmp", "train_2 has no .bmp"),
        ("consep", "CoNSeP/Train/Labels/train_1.mat", "train_1 has no .mat"),
        ("consep", "CoNSeP/Train/Images/train_1.png", "train_1 has no .png"),
        ("monuseg", f"{monuseg.TRAIN}/Annotations/{monuseg.RECORDS[0]}.xml", "has no .xml"),
    ],
)
def test_image_without_companion_is_left_out_and_told(
    name: str, victim: str, message: str, tmp_path: Path
) -> None:
    root = FAKES[name].write(tmp_path)
    complete = len(listing(name, root).images)
    (root / victim).unlink()
    found = listing(name, root)
    assert len(found.images) == complete - 1
    (sentence,) = found.incomplete
    assert message in sentence


@pytest.mark.parametrize(
    ("name", "victim"),
    [
        ("glas", f"{glas.FOLDER}/train_1.bmp"),
        ("glas", f"{glas.FOLDER}/train_1_anno.bmp"),
        ("consep", "CoNSeP/Train/Images/train_1.png"),
        ("consep", "CoNSeP/Train/Labels/train_1.mat"),
        ("monuseg", f"{monuseg.TRAIN}/Tissue Images/{monuseg.RECORDS[0]}.tif"),
        ("monuseg", f"{monuseg.TRAIN}/Annotations/{monuseg.RECORDS[0]}.xml"),
    ],
)
def test_file_cut_short_is_named(name: str, victim: str, tmp_path: Path) -> None:
    path = FAKES[name].write(tmp_path) / victim
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=path.name):
        list(read_all(name, tmp_path))


# GlaS -------------------------------------------------------------------------------------------


def test_glas(tmp_path: Path) -> None:
    records = by_name("glas", glas.write(tmp_path))
    assert list(records) == [
        *("testA_1", "testB_1", "testB_2"),
        *("train_1", "train_2", "train_3", "train_10"),
    ]
    found = records["testB_1"]
    record = found.record
    assert found.n_objects == {"gland": glas.N_GLANDS}
    assert record.image.shape == (*glas.SHAPE, 3)
    assert record.instances["gland"].ids.tolist() == [1, 2, 3]
    assert record.instances["gland"].classes.tolist() == [1, 1, 1]
    assert record.coverage == {"gland": Coverage.FULL}
    assert (record.sample_id, record.group) == ("glas/testB_1", "glas/patient-2")
    assert (record.origins, record.official_split) == (("glas/testB_1",), "testB")
    assert record.mpp == record.native_mpp == 0.62005
    assert record.attributes == {
        "grade": "malignant",
        "grade_detail": "moderately-to-poorly differentated",
    }


def test_glas_lists_groups_of_missing_images(tmp_path: Path) -> None:
    found = listing("glas", glas.write(tmp_path, ("testB_1",)))
    assert found.official_groups["train"] == tuple(
        f"glas/patient-{patient}" for patient in ("10", "2", "5", "6")
    )


def test_glas_annotation_in_colour_is_refused(tmp_path: Path) -> None:
    path = glas.write(tmp_path) / glas.FOLDER / "train_1_anno.bmp"
    Image.open(path).convert("RGB").save(path)
    with pytest.raises(DataError, match=r"train_1_anno.bmp has mode RGB; expected 8-bit single"):
        list(read_all("glas", tmp_path))


def test_glas_annotation_with_a_palette_holds_its_ids(tmp_path: Path) -> None:
    path = glas.write(tmp_path) / glas.FOLDER / "train_1_anno.bmp"
    ids = np.array(Image.open(path))
    coloured = Image.fromarray(ids)
    coloured.putpalette([7 * i % 256 for i in range(768)])
    coloured.save(path)
    assert Image.open(path).mode == "P"
    found = by_name("glas", tmp_path)["train_1"]
    assert np.array_equal(found.record.instances["gland"].labels, ids)


def test_glas_of_unequal_sizes_is_refused(tmp_path: Path) -> None:
    path = glas.write(tmp_path) / glas.FOLDER / "train_1_anno.bmp"
    Image.fromarray(np.ones((10, 10), np.uint8)).save(path)
    with pytest.raises(DataError, match=r"glas/train_1: the gland label map is \(10, 10\)"):
        list(read_all("glas", tmp_path))


def test_glas_needs_its_patients(tmp_path: Path) -> None:
    root = glas.write(tmp_path)
    grades = root / glas.FOLDER / "Grade.csv"
    grades.write_bytes(grades.read_bytes().replace(b"train_2,2", b"train_9,2"))
    with pytest.raises(DataError, match=r"Grade.csv does not name train_2"):
        listing("glas", root)
    grades.unlink()
    with pytest.raises(DataError, match=r"0 files called Grade.csv; one is needed"):
        listing("glas", root)


def test_grades_with_other_columns_are_refused() -> None:
    with pytest.raises(DataError, match=r"begins with \['image', 'patient'\]"):
        parse_grades(b"image,patient\rtrain_1,5")
    with pytest.raises(DataError, match="fewer than 4 columns"):
        parse_grades(b"name,patient ID, a, b\rtrain_1,5")


# CoNSeP -----------------------------------------------------------------------------------------


def test_consep_seven_and_merged_types_give_the_same_classes(tmp_path: Path) -> None:
    records = by_name("consep", consep.write(tmp_path))
    spec = registry.get("consep").spec
    assert list(records) == ["test_1", "train_1", "train_2"]
    for found in records.values():
        nuclei = found.record.instances["nuclei"]
        assert nuclei.ids.tolist() == [1, 2, 3, 4, 5, 6, 7]
        assert names_of(nuclei, spec, "nuclei") == list(consep.CLASSES)
        assert found.n_objects == {"nuclei": 7}
        assert found.record.image.shape == (*consep.SHAPE, 3)
    assert spec.label_spaces["nuclei"].classes == (
        *("other", "inflammatory", "epithelial", "connective"),
    )
    assert records["test_1"].record.group == "consep/test_1"
    assert records["test_1"].record.official_split == "test"
    assert records["test_1"].record.mpp == 0.25


def labels_of(root: Path) -> Path:
    return consep.write(root) / "CoNSeP" / "Train" / "Labels" / "train_1.mat"


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"other": np.ones(3)}, "has no inst_map"),
        ({"inst_map": np.ones((80, 80))}, "has neither inst_type nor inst_type_merged4"),
        ({"inst_map": np.full((80, 80), 0.5), "inst_type": [1.0]}, "holds values that are no ids"),
        ({"inst_map": np.ones((80, 80)), "inst_type": [9.0]}, r"class '9', which the dataset"),
        ({"inst_map": np.ones((80, 80)), "inst_type": [1.0, 2.0]}, "1 nuclei but 2 classes"),
        (
            {"inst_map": np.ones((80, 80)), "inst_id": [2], "inst_type_merged4": [1]},
            "nucleus 1 is in the label map but has no class",
        ),
    ],
)
def test_consep_labels_that_are_wrong(
    variables: dict[str, object], message: str, tmp_path: Path
) -> None:
    savemat(labels_of(tmp_path), variables)
    with pytest.raises(DataError, match=rf"train_1.mat.*{message}"):
        list(read_all("consep", tmp_path))


# MoNuSeg ----------------------------------------------------------------------------------------


def test_monuseg(tmp_path: Path) -> None:
    records = by_name("monuseg", monuseg.write(tmp_path))
    assert [found.record.official_split for found in records.values()] == ["train"] * 2 + ["test"]
    first, second, third = (found.record for found in records.values())
    assert first.group == second.group == "tcga/TCGA-21-5784"
    assert third.group == "tcga/TCGA-B0-5698"
    assert (first.mpp, first.attributes) == (0.252, {"mpp_source": "file"})
    assert (second.mpp, second.attributes) == (0.25, {"mpp_source": "spec"})


def write_monuseg_test(folder: Path, records: Sequence[str]) -> Path:
    """The flat test folder alone, of images by their true names."""
    folder.mkdir(parents=True)
    for number, record in enumerate(records):
        Image.fromarray(picture(number, monuseg.SHAPE)).save(folder / f"{record}.tif")
        (folder / f"{record}.xml").write_text(monuseg.document(), encoding="utf-8")
    return folder


@pytest.mark.parametrize("form", ["folder", "flat zip", "zip with the folder"])
def test_monuseg_test_part_alone(form: str, tmp_path: Path) -> None:
    names = sorted(TEST_IMAGES)
    assert len(names) == registry.get("monuseg").spec.expected_images["test"]
    root = write_monuseg_test(tmp_path / monuseg.TEST / "data", names)
    if form != "folder":
        top = root if form == "flat zip" else root.parent
        root = zipped(top, tmp_path / "some name.zip", zipfile.ZIP_DEFLATED)
    records = by_name("monuseg", root)
    assert list(records) == names
    assert {found.record.official_split for found in records.values()} == {"test"}
    assert sum(found.n_objects["nuclei"] for found in records.values()) == 14 * 4
    assert sum(found.notes[SKIPPED] for found in records.values()) == 14


@pytest.mark.parametrize(
    ("folder", "part"),
    [
        (monuseg.TEST, "test"),
        ("MoNuSeg 2018 Test Data", "test"),
        ("test", "test"),
        ("latest copy", "train"),
        (monuseg.TRAIN, "train"),
    ],
)
def test_monuseg_part_is_that_of_the_folder(folder: str, part: str, tmp_path: Path) -> None:
    write_monuseg_test(tmp_path / folder, monuseg.RECORDS[:1])
    (image,) = listing("monuseg", tmp_path).images
    assert image.official_split == part


def test_monuseg_polygons_by_the_stated_rule(tmp_path: Path) -> None:
    found = by_name("monuseg", monuseg.write(tmp_path))[monuseg.RECORDS[0]]
    nuclei = found.record.instances["nuclei"]
    assert found.n_objects == {"nuclei": 4}
    assert found.notes == {
        "polygons of fewer than three points, skipped": 1,
        "polygons cut at the border of the image": 1,
    }
    assert nuclei.ids.tolist() == [1, 2, 3]
    areas = [int(np.sum(nuclei.labels == i)) for i in (1, 2, 3)]
    assert areas == [100, 75, 50]  # the first keeps the shared 5 x 5; the third is cut at x = 0
    assert nuclei.labels[10, 10] == 1
    assert nuclei.labels[9, 10] == nuclei.labels[20, 10] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<Annotations><Annotation>", "is no Aperio annotation"),
        (
            '<!DOCTYPE a [<!ENTITY b "boom">]><Annotations>&b;</Annotations>',
            "is no Aperio annotation",
        ),
        (
            "<Annotations><Region><Vertex X='1'/></Region></Annotations>",
            "a vertex has no numeric X and Y",
        ),
        (
            "<Annotations><Region><Vertex X='1' Y='here'/></Region></Annotations>",
            "a vertex has no numeric X and Y",
        ),
    ],
)
def test_monuseg_document_that_is_wrong(text: str, message: str, tmp_path: Path) -> None:
    root = monuseg.write(tmp_path)
    path = root / monuseg.TRAIN / "Annotations" / f"{monuseg.RECORDS[0]}.xml"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"{path.name}.*{message}"):
        list(read_all("monuseg", tmp_path))


# the real ones ----------------------------------------------------------------------------------


def real(name: str) -> Path:
    path = REAL / name
    if not path.exists():
        pytest.skip(f"{path} is not here; real data is never part of the project")
    return path


def some(reader: Reader, root: Path, records: set[str]) -> list[SourceRecord]:
    tree = SourceTree(root)
    return [reader.read(tree, i) for i in reader.find(tree).images if i.record in records]


def test_real_glas() -> None:
    reader, root = registry.get("glas"), real("warwick_qu_dataset_released_2016_07_08.zip")
    found = listing("glas", root)
    parts = [image.official_split for image in found.images]
    assert (parts.count("train"), parts.count("testA"), parts.count("testB")) == (85, 0, 20)
    assert len({image.group for image in found.images}) == 15
    five = {f"glas/patient-{n}" for n in (1, 2, 3, 5, 7)}
    assert set(found.official_groups["testB"]) == five
    assert five < set(found.official_groups["train"])
    records = some(reader, root, {"testB_1", "testB_2", "testB_18"})
    assert sum(r.n_objects["gland"] for r in records) == 11


def test_real_consep() -> None:
    reader, root = registry.get("consep"), real("CoNSeP")
    assert len(listing("consep", root).images) == 27
    (first,) = some(reader, root, {"train_1"})
    assert first.n_objects == {"nuclei": 850}


def test_real_monuseg() -> None:
    reader, root = registry.get("monuseg"), real("MoNuSeg 2018 Training Data.zip")
    assert len(listing("monuseg", root).images) == 8
    (found,) = some(reader, root, {"TCGA-50-5931-01Z-00-DX1"})
    assert found.n_objects == {"nuclei": 445}
    assert found.notes["polygons of fewer than three points, skipped"] == 1
    assert found.record.mpp == 0.2468


def test_listing_datasets_is_light() -> None:
    names = "{name.partition('.')[0] for name in sys.modules}"
    code = f"import sys, cerberus_bench.loaders.registry; print(*{names})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"pydantic", "torch", "datasets", "pandas", "cv2", "PIL", "pyarrow", "scipy", "skimage"}
    assert not heavy & set(done.stdout.split())
