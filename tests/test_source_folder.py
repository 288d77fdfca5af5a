"""A user's own folder: five formats of labels, one scene; and what is said of what is wrong."""

import json
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fakes import blocks, picture, zipped
from fakes import folder as fake
from PIL import Image
from source_helpers import class_names, listed, read_all

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.coco import decode_run_lengths, parse_coco, unpack_counts
from cerberus_bench.loaders.fold_table import fold_table
from cerberus_bench.loaders.npy import map_npy, read_npy
from cerberus_bench.loaders.reader import Reader, SourceRecord
from cerberus_bench.loaders.registry import get, reader_of
from cerberus_bench.loaders.table import ALL, open_table
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import Coverage
from cerberus_bench.workflows.harmonize import harmonize

DOC = Path(__file__).resolve().parent.parent / "docs" / "folder.md"
GROUPS = '[groups]\nlevel = "image"\n'


def opened(root: Path) -> Reader:
    return reader_of("folder", root)


def records_of(root: Path) -> dict[str, SourceRecord]:
    return read_all(opened(root), root)


def refusal(root: Path) -> str:
    """What is said of a folder that is not harmonised."""
    with pytest.raises(DataError) as error:
        harmonize("folder", root, root.parent / "out")
    assert not (root.parent / "out").exists()
    return str(error.value)


# what is read -----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", fake.FORMATS)
def test_the_same_scene_in_each_format_gives_the_same_records(form: str, tmp_path: Path) -> None:
    reader = opened(fake.write(tmp_path, form))
    records = read_all(reader, tmp_path)
    assert list(records) == list(fake.PATIENTS)
    for number, (name, found) in enumerate(records.items()):
        nuclei = found.record.instances["nuclei"]
        assert np.array_equal(nuclei.labels, fake.scene())
        assert nuclei.ids.tolist() == [1, 2, 3, 4, 5]
        assert class_names(reader, "nuclei", nuclei) == [
            *("neoplastic", "inflammatory", "neoplastic", "connective", "none")
        ]
        assert (found.n_objects, found.notes) == ({"nuclei": 5}, {})
        assert np.array_equal(found.record.image, picture(number, fake.SHAPE))
        assert found.record.group == f"our-colon/{fake.PATIENTS[name]}"
        assert found.record.attributes == {"scanner": f"S{number % 2}"}
        assert found.record.coverage == {"nuclei": Coverage.FULL}
        assert found.record.mpp == 0.5


def test_harmonised_folders_of_all_formats_hold_the_same_arrays(tmp_path: Path) -> None:
    fingerprints = set()
    for form in fake.FORMATS:
        source = fake.write(tmp_path / form, form)
        done = harmonize("folder", source, tmp_path / "out")
        fingerprints.add(done.fingerprint)
        assert (done.dataset, done.n_images, done.incomplete) == ("our-colon", 4, ())
        assert done.objects == {"nuclei": {"test": 5, "train": 15}}
    assert len(fingerprints) == 1
    table = open_table(tmp_path / "out", split=ALL)
    by_group: dict[str, set[int | None]] = {}
    for key in table.keys:
        by_group.setdefault(key.group, set()).add(key.fold)
    assert len(by_group) == 3
    assert all(len(folds) == 1 for folds in by_group.values())


def test_nested_folder_and_zip_read_alike(tmp_path: Path) -> None:
    flat = fake.write(tmp_path / "flat", "geojson")
    shutil.copytree(flat, tmp_path / "nested" / "again" / "our-colon")
    roots = (flat, tmp_path / "nested", zipped(tmp_path / "nested", tmp_path / "source.zip"))
    hashes = [[found.record.source_sha256 for found in records_of(r).values()] for r in roots]
    assert hashes[0] == hashes[1] == hashes[2]
    assert len(set(hashes[0])) == 4


def test_readers_can_be_sent_to_other_processes(tmp_path: Path) -> None:
    reader = opened(fake.write(tmp_path))
    assert pickle.loads(pickle.dumps(reader)) == reader


def test_out_is_called_as_the_folder_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = fake.write(tmp_path / "anything")
    monkeypatch.chdir(tmp_path)
    assert harmonize("folder", source).out == Path("data/our-colon")


def test_worked_example_of_the_documentation(tmp_path: Path) -> None:
    text = DOC.read_text(encoding="utf-8")
    (toml,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    root = tmp_path / "our-colon"
    for name in ("images", "nuclei", "glands"):
        (root / name).mkdir(parents=True)
    (root / "dataset.toml").write_text(toml)
    rows = ["image,patient,part,scanner"]
    for number, record in enumerate(("P01_1", "P01_2", "P02_1", "P03_1")):
        Image.fromarray(picture(number, fake.SHAPE)).save(root / "images" / f"{record}.png")
        glands = blocks(fake.SHAPE, 2).astype(np.uint16)
        Image.fromarray(glands).save(root / "glands" / f"{record}.png")
        (root / "glands" / f"{record}.csv").write_text("id,class\n1,adenoma\n2,carcinoma\n")
        rows.append(f"{record},{record[:3]},train,A")
        if record != "P03_1":
            document = json.dumps({"features": fake.features()})
            document = document.replace("Tumour", "Tumor").replace('"Immune"', '"Immune cells"')
            (root / "nuclei" / f"{record}.geojson").write_text(document)
    (root / "images.csv").write_text("\n".join(rows))
    done = harmonize("folder", root, tmp_path / "data")
    assert done.objects == {"nuclei": {"train": 15}, "gland": {"train": 8}}
    assert done.classes["gland"] == {"benign": 4, "malignant": 4}
    table = open_table(tmp_path / "data", split=ALL)
    covers = {record.record: record.covers("nuclei") for record in table}
    assert covers == {"P01_1": True, "P01_2": True, "P02_1": True, "P03_1": False}


# classes ----------------------------------------------------------------------------------------


def with_nuclei(root: Path, section: str, form: str = "png") -> Path:
    return fake.write(root, form, nuclei=section)


def test_classes_as_a_second_map(tmp_path: Path) -> None:
    root = with_nuclei(
        tmp_path,
        '[tasks.nuclei]\nfiles = "nuclei/{record}.png"\nclass_files = "nuclei/{record}.npy"\n'
        'classes = { 1 = "neoplastic", 2 = "inflammatory" }\n',
    )
    codes = np.array([0, 1, 2, 1, 2, 2])[fake.scene()]
    for record in fake.PATIENTS:
        np.save(root / "nuclei" / f"{record}.npy", codes)
    found = records_of(root)["P1_a"].record.instances["nuclei"]
    assert found.classes.tolist() == [1, 2, 1, 2, 2]
    codes[6, 4] = 2
    np.save(root / "nuclei" / "P1_b.npy", codes)
    assert re.search(r"P1_b.npy: the object 1 has the classes 1, 2", refusal(root))


def test_maps_of_classes_are_cut_into_parts(tmp_path: Path) -> None:
    root = with_nuclei(
        tmp_path,
        '[tasks.nuclei]\nfiles = "nuclei/{record}.png"\nvalues = "classes"\n'
        'classes = { 1 = "neoplastic", 3 = "inflammatory" }\n',
    )
    codes = np.array([0, 1, 3, 1, 3, 1], np.uint8)[fake.scene()]
    for record in fake.PATIENTS:
        Image.fromarray(codes).save(root / "nuclei" / f"{record}.png")
    found = records_of(root)["P1_a"]
    assert found.n_objects == {"nuclei": 5}
    nuclei = found.record.instances["nuclei"]
    assert nuclei.classes.tolist() == [1, 1, 1, 2, 2]
    assert np.array_equal(np.isin(nuclei.labels, (1, 2, 3)), codes == 1)


@pytest.mark.parametrize("form", ["png", "geojson", "json"])
def test_one_class_for_every_object(form: str, tmp_path: Path) -> None:
    files = "coco.json" if form == "json" else f"nuclei/{{record}}.{form}"
    root = with_nuclei(tmp_path, f'[tasks.nuclei]\nfiles = "{files}"\none_class = "cell"\n', form)
    assert records_of(root)["P1_a"].record.instances["nuclei"].classes.tolist() == [1] * 5


def test_tissue_by_folder_or_column(tmp_path: Path) -> None:
    tissue = '[tasks.tissue]\n{}classes = {{ TUM = "abnormal_epithelium", ODD = "ignore" }}\n'
    root = fake.write(
        tmp_path / "column",
        images='[images]\nfiles = "images/{record}.png"\ntable = "t.csv"\n',
        groups=GROUPS,
        splits="",
        nuclei=tissue.format('column = "class"\nnot_annotated = ["P2_a"]\n'),
    )
    (root / "t.csv").write_text("record,class\nP1_a,TUM\nP1_b,ODD\nP2_a,\nP10_a,TUM\n")
    found = {name: found.record.tissue for name, found in records_of(root).items()}
    assert found == {"P1_a": 0, "P1_b": None, "P2_a": None, "P10_a": 0}
    root = fake.write(
        tmp_path / "folder",
        images='[images]\nfiles = "patches/{tissue}/{record}.png"\n',
        groups=GROUPS,
        splits="",
        nuclei=tissue.format(""),
    )
    (root / "patches").mkdir()
    shutil.move(root / "images", root / "patches" / "TUM")
    assert {found.record.tissue for found in records_of(root).values()} == {0}
    shutil.move(root / "patches" / "TUM", root / "patches" / "MUS")
    assert "class 'MUS' is not among tasks.tissue.classes of dataset.toml (TUM, ODD)" in refusal(
        root
    )


def test_a_class_that_is_not_mapped_is_refused(tmp_path: Path) -> None:
    for form in fake.FORMATS:
        root = fake.write(tmp_path / form / "source", form)
        toml = root / "dataset.toml"
        toml.write_text(toml.read_text().replace('Stroma = "connective"\n', ""))
        said = refusal(root)
        assert "class 'Stroma' is not among tasks.nuclei.classes of dataset.toml" in said
        assert f".{form}" in said
        assert 'or "ignore"' in said


# groups, parts, origins -------------------------------------------------------------------------


def test_groups_by_pattern_path_and_image(tmp_path: Path) -> None:
    pattern = '[groups]\nlevel = "slide"\npattern = "{group}_*"\n'
    (tmp_path / "a").mkdir()
    found = listed(opened(fake.write(tmp_path / "a" / "b", groups=pattern)), tmp_path / "a" / "b")
    assert [image.group for image in found.images] == [
        f"our-colon/{patient}" for patient in fake.PATIENTS.values()
    ]
    assert {image.group_level for image in found.images} == {"slide"}
    found = listed(opened(fake.write(tmp_path / "c", groups=GROUPS)), tmp_path / "c")
    assert [image.group for image in found.images] == [f"our-colon/{r}" for r in fake.PATIENTS]


def test_a_tcga_barcode_meets_the_same_patient_elsewhere(tmp_path: Path) -> None:
    root = fake.write(tmp_path)
    table = root / "images.csv"
    table.write_text(table.read_text().replace(",P2,", ",TCGA-G9-6356-01Z-00-DX1,"))
    images = {image.record: image for image in listed(opened(root), root).images}
    assert (images["P2_a"].group, images["P2_a"].group_level) == ("tcga/TCGA-G9-6356", "patient")


def test_origins_and_pixel_sizes_of_the_table(tmp_path: Path) -> None:
    root = fake.write(
        tmp_path,
        images='[images]\nfiles = "images/{record}.png"\ntable = "t.csv"\n'
        'origin_column = "from"\nmpp_column = "mpp"\n',
        groups=GROUPS,
        splits="",
    )
    rows = ["record,from,mpp", "P1_a,glas/train_1,0.25", "P1_b,,1", "P2_a,,0.5", "P10_a,,0.5"]
    (root / "t.csv").write_text("\n".join(rows))
    records = records_of(root)
    assert records["P1_a"].record.origins == ("glas/train_1",)
    assert records["P1_b"].record.origins == ("our-colon/P1_b",)
    assert [found.record.mpp for found in records.values()] == [0.25, 1.0, 0.5, 0.5]
    assert records["P1_a"].record.attributes == {}
    harmonize("folder", root, tmp_path / "out")
    folds = {key.sample_id: key.fold for key in open_table(tmp_path / "out", split=ALL).keys}
    (told,) = (row.fold for row in fold_table() if row.origin == "glas/train_1")
    assert folds["our-colon/P1_a"] == told
    (root / "t.csv").write_text("\n".join(rows).replace("glas/train_1", "train_1"))
    assert "P1_a: from is 'train_1'; expected dataset/image" in refusal(root)
    (root / "t.csv").write_text("\n".join(rows).replace("0.25", "20x"))
    assert "P1_a: mpp is '20x'; expected microns per pixel" in refusal(root)


def test_fixed_parts_stay_and_tear_no_group(tmp_path: Path) -> None:
    source = fake.write(tmp_path / "source", splits='[splits]\ncolumn = "part"\nfixed = true\n')
    assert harmonize("folder", source, tmp_path / "data").splits == {"train": 3, "test": 1}
    table = source / "images.csv"
    text = table.read_text()
    table.write_text(text.replace("P1_b,P1,train", "P1_b,P1,test"))
    assert "the patient our-colon/P1 is in test and train" in refusal(source)
    table.write_text(text.replace("P1_b,P1,train", "P1_b,P1,tuning"))
    assert "P1_b is of the part 'tuning'" in refusal(source)
    table.write_text(text.replace("P1_b,P1,train", "P1_b,,train"))
    assert "P1_b: its group is unknown, because column 'patient' is empty" in refusal(source)


# what is missing, contradictory or damaged --------------------------------------------------------


def test_missing_labels_are_refused_unless_declared(tmp_path: Path) -> None:
    root = fake.write(tmp_path / "source", "geojson")
    toml = root / "dataset.toml"
    text = toml.read_text()
    (root / "nuclei" / "P2_a.geojson").unlink()
    said = refusal(root)
    assert "P2_a has no nuclei labels (nuclei/P2_a.geojson" in said
    assert "tasks.nuclei.not_annotated" in said
    assert harmonize("folder", root, tmp_path / "part", allow_partial=True).n_images == 3
    for stated in ('["P2_a"]', '"where no file"'):
        toml.write_text(text.replace("[tasks.nuclei]", f"[tasks.nuclei]\nnot_annotated = {stated}"))
        found = records_of(root)
        assert len(found) == 4
        assert found["P2_a"].record.coverage == {}
        assert found["P2_a"].record.instances == {}
    toml.write_text(text.replace("[tasks.nuclei]", '[tasks.nuclei]\nnot_annotated = ["P1_a"]'))
    assert "tasks.nuclei.not_annotated names 'P1_a', which has labels" in refusal(root)
    toml.write_text(text.replace("[tasks.nuclei]", '[tasks.nuclei]\nnot_annotated = ["P9"]'))
    assert "tasks.nuclei.not_annotated names 'P9', and there is no such image" in refusal(root)


def test_image_that_coco_does_not_list(tmp_path: Path) -> None:
    root = fake.write(tmp_path / "source", "json")
    content = fake.coco()
    content["images"][3]["file_name"] = "other.png"
    (root / "coco.json").write_text(json.dumps(content))
    said = refusal(root)
    assert "P10_a has no nuclei labels (an entry in coco.json" in said
    assert "other.png has nuclei labels (an entry in coco.json) and no image" in said


def _delete(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


def _append(name: str, text: str) -> Callable[[Path], None]:
    return lambda root: (root / name).write_text((root / name).read_text() + text) and None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_delete("dataset.toml"), "holds 0 files called dataset.toml; one is needed"),
        (_delete("images.csv"), "holds no images.csv, the images.table of dataset.toml"),
        (_delete("images/P1_a.png"), "P1_a has no image, and images.csv lists it"),
        (_delete("images/P1_a.png"), "P1_a has nuclei labels (nuclei/P1_a.png) and no image"),
        (_delete("nuclei/P1_a.csv"), "P1_a has no nuclei classes (nuclei/P1_a.csv)"),
        (_append("images.csv", "P1_a,P1,train,S0\n"), "has two rows for 'P1_a'"),
        (_append("nuclei/P1_a.csv", "\n1,Stroma"), "P1_a.csv gives the id 1 two classes"),
        (_append("nuclei/P1_a.csv", "\nx,Stroma"), "P1_a.csv: the id 'x' is no whole number"),
        (
            lambda root: (root / "nuclei/P1_a.csv").write_text("id,class\n1,Tumour"),
            "P1_a.csv has no class for nuclei 2 (4 such ids)",
        ),
        (
            lambda root: (root / "nuclei/P1_a.csv").write_text("number,class\n1,Tumour"),
            "has no column id",
        ),
        (
            lambda root: (root / "images.csv").write_text("image,part\n"),
            "images.csv has no column scanner",
        ),
        (
            lambda root: shutil.copy(root / "images/P1_a.png", root / "images/P3.png"),
            "P3 has no row in images.csv",
        ),
        (
            lambda root: shutil.move(root / "images", root / "pictures"),
            "holds no image images/{record}.png, which is images.files of dataset.toml. What is"
            " there begins with dataset.toml",
        ),
        (
            lambda root: shutil.copy(root / "dataset.toml", root / "images"),
            "holds 2 files called dataset.toml",
        ),
        (
            lambda root: Image.new("L", (9, 9)).save(root / "nuclei/P1_a.png"),
            "P1_a.png is 9 x 9 px, its image 56 x 60 px",
        ),
        (
            lambda root: Image.new("RGB", (56, 60)).save(root / "nuclei/P1_a.png"),
            "P1_a.png has mode RGB; expected one channel",
        ),
        (
            lambda root: Image.new("L", (56, 60)).save(root / "images/P1_a.png"),
            "P1_a.png has mode L; expected 8-bit RGB",
        ),
    ],
)
def test_folders_that_are_wrong(
    change: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    root = fake.write(tmp_path / "source")
    change(root)
    assert message in refusal(root)


@pytest.mark.parametrize("form", fake.FORMATS)
def test_file_cut_short_is_named(form: str, tmp_path: Path) -> None:
    names = ["images/P1_a.png", "coco.json" if form == "json" else f"nuclei/P1_a.{form}"]
    for number, name in enumerate(names):
        root = fake.write(tmp_path / str(number) / "source", form)
        path = root / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert path.name in refusal(root)


def test_tiff_of_several_pages_is_refused(tmp_path: Path) -> None:
    root = fake.write(tmp_path / "source", "tif")
    page = Image.fromarray(fake.scene().astype(np.uint16))
    page.save(root / "nuclei/P1_a.tif", save_all=True, append_images=[page])
    assert "P1_a.tif holds 2 pages; expected one" in refusal(root)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (fake.scene() + 0.5, "holds values that are no ids"),
        (np.where(fake.scene() > 0, np.nan, 0), "holds values that are no ids"),
        (-fake.scene(), "holds values that are no ids"),
        (fake.scene() + 70_000, "holds values that are no ids (0 to 65535)"),
        (np.zeros((60, 56, 2), int), "is no two-dimensional map of numbers"),
        (np.array([{}], object), "it holds Python objects"),
    ],
)
def test_npy_that_is_wrong(values: np.ndarray, message: str, tmp_path: Path) -> None:
    root = fake.write(tmp_path / "source", "npy")
    np.save(root / "nuclei/P1_a.npy", values, allow_pickle=True)
    said = refusal(root)
    assert "P1_a.npy" in said
    assert message in said


def test_npy_reads_what_numpy_wrote_and_no_more_than_there_is(tmp_path: Path) -> None:
    for array in (np.arange(12).reshape(3, 4), np.asfortranarray(np.eye(3)), np.zeros((0, 4))):
        np.save(tmp_path / "a.npy", array)
        assert np.array_equal(read_npy((tmp_path / "a.npy").read_bytes(), "a"), array)


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<i8', 'fortran_order': False, 'shape': (1000000, 1000000), }",
        b"{'descr': '<i8', 'fortran_order': False, 'shape': (-1, 4), }",
        b"{'descr': '<i8', 'fortran_order': False, 'shape': (9",
        b"__import__('os')",
        b"",
    ],
)
def test_npy_header_that_promises_too_much_or_is_none(header: bytes, tmp_path: Path) -> None:
    data = b"\x93NUMPY\x01\x00v\x00" + header.ljust(117) + b"\n" + bytes(68)
    with pytest.raises(DataError, match=r"a is no plain \.npy array"):
        read_npy(data, "a")
    (tmp_path / "a.npy").write_bytes(data)
    with SourceTree(tmp_path) as tree, pytest.raises(DataError, match=r"is no plain \.npy array"):
        map_npy(tree, "a.npy")


# COCO -------------------------------------------------------------------------------------------


def changed_coco(root: Path, change: Callable[[dict], object]) -> str:
    fake.write(root, "json")
    content = fake.coco()
    change(content)
    (root / "coco.json").write_text(json.dumps(content))
    return refusal(root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("images"), "is no COCO json of instances (images: Field required)"),
        (lambda c: c["annotations"][0].pop("image_id"), "annotations.0.image_id: Field required"),
        (lambda c: c["annotations"][0].update(image_id=99), "is of image 99, which"),
        (lambda c: c["annotations"][0].update(iscrowd=1), "annotation 701 is a crowd"),
        (lambda c: c["annotations"][0].update(segmentation=[]), "annotation 701 has no outline"),
        (lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3]]), "odd number of"),
        (lambda c: c["annotations"][0].update(category_id=99), "names no category 99"),
        (lambda c: c["images"][0].update(height=61), "an image of 56 x 61 px is 56 x 60 px on"),
        (lambda c: c["images"][0].update(file_name="b/P1_b.png"), "lists P1_b.png twice"),
        (
            lambda c: c["annotations"][3]["segmentation"]["counts"].append(1),
            "do not fit an image of (60, 56)",
        ),
        (
            lambda c: c["annotations"][3]["segmentation"].update(counts="~~"),
            "run lengths cannot be read",
        ),
    ],
)
def test_coco_that_is_wrong(change: Callable[[dict], object], message: str, tmp_path: Path) -> None:
    assert message in changed_coco(tmp_path / "source", change)


def test_packed_run_lengths_equal_those_of_pycocotools() -> None:
    from pycocotools import mask as oracle

    rng = np.random.default_rng(0)
    for share in (0.0, 0.02, 0.5, 1.0):
        mask = rng.random((37, 300)) < share
        packed = oracle.encode(np.asfortranarray(mask.astype(np.uint8)))
        counts = packed["counts"].decode()
        content = {
            "images": [{"id": 1, "file_name": "a.png"}],
            "categories": [],
            "annotations": [
                {
                    "image_id": 1,
                    "category_id": 1,
                    "segmentation": {"size": [37, 300], "counts": counts},
                }
            ],
        }
        (annotation,) = parse_coco(json.dumps(content).encode(), "c").images["a.png"].annotations
        assert np.array_equal(decode_run_lengths(annotation.segmentation, (37, 300), "c"), mask)
    with pytest.raises(ValueError, match="cut off"):
        unpack_counts("P")


def test_parts_of_an_object_are_joined_and_slivers_skipped(tmp_path: Path) -> None:
    root = fake.write(tmp_path, "json")
    content = fake.coco()
    content["annotations"][0]["segmentation"].append([30, 10, 36, 10, 36, 16, 30, 16])
    content["annotations"][1]["segmentation"] = [[1, 2, 3, 4]]
    (root / "coco.json").write_text(json.dumps(content))
    found = records_of(root)["P1_a"]
    assert found.notes == {"nuclei: polygons of fewer than three points, skipped": 1}
    nuclei = found.record.instances["nuclei"]
    assert nuclei.ids.tolist() == [1, 3, 4, 5]
    assert int((nuclei.labels == 1).sum()) == 10 * 12 + 6 * 6


def test_a_name_of_another_dataset_is_refused(tmp_path: Path) -> None:
    root = fake.write(tmp_path / "source")
    toml = root / "dataset.toml"
    toml.write_text(toml.read_text().replace("our-colon", "glas"))
    assert "calls itself 'glas', which is another dataset" in refusal(root)


def test_folder_is_no_dataset_by_itself() -> None:
    with pytest.raises(DataError, match=r"harmonize folder --source DIR.*docs/folder.md"):
        get("folder")
    with pytest.raises(DataError, match="Did you mean folder"):
        get("folders")
