"""The harmonised folder: written, opened by `datasets` and by us, chosen from, and broken."""

import json
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import blocks, consep, glas, monuseg, picture

from cerberus_bench.loaders import build, load, registry, writer
from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.build import HarmoniseSummary, harmonise_source
from cerberus_bench.loaders.load import load_records
from cerberus_bench.loaders.metadata import read_metadata
from cerberus_bench.loaders.reader import Listing, SourceImage, SourceRecord, native_record
from cerberus_bench.loaders.table import open_table
from cerberus_bench.schema.dataset import DatasetSpec, Evidence, Licence, Redistribution
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import LabelMap
from cerberus_bench.schema.record import Coverage, Instances, Record

SHAPE = (40, 60)
SPEC = DatasetSpec(
    name="toy",
    version="1.2.3",
    title='Toy: "all" columns',
    tasks=("nuclei", "gland", "lumen", "tissue", "signet_ring"),
    label_maps={
        "nuclei": LabelMap("nuclei", {1: "epithelial", 2: "lymphocyte"}),
        "gland": LabelMap("gland", {1: "benign"}),
        "lumen": LabelMap("lumen", {1: "lumen"}),
        "tissue": LabelMap("tissue", {0: "stroma", 1: "mucus"}),
        "signet_ring": LabelMap("signet_ring", {1: "signet_ring_cell"}),
    },
    mpp=0.5,
    organ="colon",
    licence=Licence("CC-BY-4.0", Redistribution.YES),
    citation=("Nobody, Toys 1999",),
    home="example.org",
    how_to_get="Make it.",
    group_level="patient",
    evidence=Evidence.UNVERIFIED,
    expected_images={"all": 9},
)


@dataclass
class ToyReader:
    """Every column in use; `change` gives the fields of a record another value."""

    change: Mapping[str, Any] | None = None
    n: int = 9
    spec: DatasetSpec = SPEC

    def find(self, tree: SourceTree) -> Listing:
        images = [
            SourceImage(
                record=f"r{i}",
                group=f"toy/p{8 + i // 2}",
                group_level="patient",
                origins=(f"toy/r{i}", "else/where") if i == 8 else (f"toy/r{i}",),
                attributes={"grade": "benign", "note": 'quote " and ü'},
            )
            for i in range(self.n)
        ]
        return Listing(images=tuple(images))

    def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
        i = int(image.record[1:])
        labels = blocks(SHAPE, 5)
        full = dict.fromkeys(("nuclei", "gland", "lumen", "signet_ring"), Coverage.FULL)
        found: dict[str, Any] = {
            "image": picture(i, SHAPE),
            "coverage": full,
            "instances": {
                "nuclei": Instances(labels, np.arange(1, 6), np.array([1, 2, 0, 1, 2])),
                "gland": Instances((labels == 3) * 60_000, np.array([60_000]), np.array([1])),
                "lumen": Instances(labels * 0, np.zeros(0, int), np.zeros(0, int)),
            },
            "signet_ring": np.zeros((0, 4), np.float32),
            "objective": 20.0,
        }
        if i % 2:
            found = {
                "image": picture(i, SHAPE),
                "coverage": {"tissue": Coverage.FULL, "nuclei": Coverage.PARTIAL},
                "tissue": i // 2 % 2,
                "points": np.array([[1.25, 2.5], [3.0, 4.0]], np.float32),
                "point_classes": np.array([2, 1]),
                "valid": labels > 0,
                "signet_ring": np.array([[1.5, 2.5, 8.0, 9.0]], np.float32),
            }
        record = native_record(self.spec, image, **{**found, **(self.change or {})})
        return SourceRecord(record=record, n_objects={"nuclei": 5}, notes={"toys broken": 2})


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "toy"
    harmonise_source(ToyReader(), None, out)
    return out


def assert_same(one: Record, other: Record) -> None:
    for name in Record.__dataclass_fields__:
        a, b = getattr(one, name), getattr(other, name)
        if name == "instances":
            assert list(a) == list(b)
            for task in a:
                for part in ("labels", "ids", "classes"):
                    np.testing.assert_array_equal(getattr(a[task], part), getattr(b[task], part))
        elif isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype, name
        else:
            assert a == b, name


# round trip -------------------------------------------------------------------------------------


def test_records_come_back_as_they_were(toy: Path) -> None:
    reader, tree = ToyReader(), SourceTree.empty()
    table = open_table(toy, split="all")
    assert len(table) == 9
    originals = {i.record: reader.read(tree, i).record for i in reader.find(tree).images}
    for record in table:
        expected = replace(originals[record.record], fold=record.fold, split=record.split)
        assert_same(expected, record)


def test_source_protocol(toy: Path) -> None:
    table = open_table(toy, split="all")
    assert (table.name, table.version, len(table)) == ("toy", "1.2.3", 9)
    assert table.label_spaces == SPEC.label_spaces
    assert table.sample_ids == tuple(record.sample_id for record in table)
    with pytest.raises(IndexError):
        table[9]
    assert "n=9" in repr(table)


def test_splits_part_the_records_and_keep_patients_together(toy: Path) -> None:
    for fold in (1, 2, 3):
        seen: dict[str, str] = {}
        for split in splits_present(toy, fold):
            table = open_table(toy, split=split, fold=fold)
            assert {record.split for record in table} == {split}
            for key in table.keys:
                assert (key.fold == fold) == (split == "test")
                assert seen.setdefault(key.group, split) == split
        assert len(seen) == 5


def splits_present(folder: Path, fold: int) -> Iterator[str]:
    for split in ("train", "validation", "test"):
        try:
            open_table(folder, split=split, fold=fold)
        except DataError:
            continue
        yield split


def test_table_is_the_same_after_pickling(toy: Path) -> None:
    table = open_table(toy, split="all")
    _ = table[0]
    again = pickle.loads(pickle.dumps(table))
    assert again.sample_ids == table.sample_ids
    assert_same(again[3], table[3])


def test_small_row_groups_and_a_small_cache(
    tmp_path: Path, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cerberus_bench.loaders import table as table_module

    monkeypatch.setattr(writer, "MAX_GROUP_ROWS", 2)
    monkeypatch.setattr(table_module, "CACHE_BYTES", 1)
    harmonise_source(ToyReader(), None, tmp_path / "small")
    small, large = open_table(tmp_path / "small", split="all"), open_table(toy, split="all")
    assert small.fingerprint == large.fingerprint
    for index in (8, 0, 5, 1):
        assert_same(small[index], large[index])


# datasets ---------------------------------------------------------------------------------------


def test_datasets_opens_the_folder(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    loaded = datasets.load_dataset(str(toy), cache_dir=str(tmp_path))
    assert {split: len(rows) for split, rows in loaded.items()} == read_metadata(toy).splits
    rows = loaded["train"]
    features = rows.features
    assert features["nuclei_classes"].feature.names == ["none", "epithelial", "lymphocyte"]
    assert features["gland_classes"].feature.names == ["none", "benign"]
    assert features["tissue"].names == ["stroma", "mucus", "unlabelled"]
    assert features["nuclei"].mode == "I;16"
    table = open_table(toy, split="train")
    for row, record in zip(rows, table, strict=True):
        assert row["sample_id"] == record.sample_id
        np.testing.assert_array_equal(np.array(row["image"]), record.image)
        assert row["preview"].size == (60, 40)
        if record.instances:
            labels = np.array(row["gland"])
            assert labels.dtype == np.uint16
            np.testing.assert_array_equal(labels, record.instances["gland"].labels)
            assert row["tissue"] == 2
        else:
            assert row["nuclei"] is None
            assert row["coverage"]["nuclei"] == "partial"
            assert row["coverage"]["gland"] == "none"


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)


@pytest.mark.usefixtures("hub_cache")
@pytest.mark.parametrize(("split", "fold"), [("train", 3), ("all", 3), ("train", 1), ("test", 2)])
def test_table_as_dataset(split: str, fold: int, toy: Path) -> None:
    table = open_table(toy, split=split, fold=fold)
    rows = table.as_dataset()
    assert rows["sample_id"][:] == list(table.sample_ids)
    assert rows["split"][:] == [key.split for key in table.keys]
    assert rows.column_names[:3] == ["sample_id", "image", "nuclei"]
    np.testing.assert_array_equal(np.array(rows[0]["image"]), table[0].image)


@pytest.mark.usefixtures("hub_cache")
def test_official_part_as_dataset(tmp_path: Path) -> None:
    done = harmonised("glas", glas, tmp_path)
    rows = open_table(done.out, split="official:testB").as_dataset()
    assert sorted(rows["sample_id"]) == ["glas/testB_1", "glas/testB_2"]
    assert rows.features["gland_classes"].feature.names == ["none", "gland"]


def test_card_names_splits_licence_and_classes(toy: Path) -> None:
    card = (toy / "README.md").read_text(encoding="utf-8")
    front, body = card.removeprefix("---\n").split("---\n", 1)
    yaml = pytest.importorskip("yaml", reason="PyYAML comes with huggingface-hub")
    settings = yaml.safe_load(front)
    assert settings["pretty_name"] == SPEC.title
    assert settings["license"] == "cc-by-4.0"
    paths = settings["configs"][0]["data_files"]
    assert {p["split"]: p["path"] for p in paths} == {
        split: f"data/{split}.parquet" for split in read_metadata(toy).splits
    }
    assert "| nuclei | 2 | lymphocyte |" in body
    assert "toys broken: 18" in body
    assert "Nobody, Toys 1999" in body


# fingerprints -----------------------------------------------------------------------------------


def fingerprint(tmp_path: Path, reader: ToyReader) -> str:
    out = tmp_path / reader.spec.name
    return harmonise_source(reader, None, out, allow_partial=True).fingerprint


def test_fingerprint_is_of_the_content(tmp_path: Path, toy: Path) -> None:
    expected = read_metadata(toy).fingerprint
    assert open_table(toy, split="all").fingerprint == expected
    assert fingerprint(tmp_path, ToyReader()) == expected
    assert open_table(toy, split="test").fingerprint != expected
    image = picture(1, SHAPE)
    image[0, 0, 0] ^= 1
    boxes = np.array([[1.5, 2.5, 8.0, 9.5]], np.float32)
    others = [
        fingerprint(tmp_path, ToyReader(change={"image": image})),
        fingerprint(tmp_path, ToyReader(change={"signet_ring": boxes})),
        fingerprint(tmp_path, ToyReader(change={"tissue": 1})),
        fingerprint(tmp_path, ToyReader(n=8)),
        fingerprint(tmp_path, ToyReader(spec=replace(SPEC, name="other"))),
    ]
    assert len({expected, *others}) == 6


# the real readers on their fakes ----------------------------------------------------------------


def harmonised(name: str, module: Any, tmp_path: Path, **options: Any) -> HarmoniseSummary:
    source = module.write(tmp_path / "source")
    options = {"allow_partial": True, **options}
    return harmonise_source(registry.get(name), source, tmp_path / name, **options)


def test_glas_summary(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    done = harmonised("glas", glas, tmp_path, progress=lambda *args: told.append(args))
    assert (done.dataset, done.mpp, done.n_images, done.n_records) == ("glas", 0.5, 7, 7)
    assert done.objects == {"gland": {"train": 12, "testA": 3, "testB": 6}}
    assert done.missing == {"train": 81, "testA": 59, "testB": 18}
    assert done.classes == {"gland": {"gland": 21}}
    assert sum(done.splits.values()) == 7
    assert told[0] == (1, 7, "testA_1")
    assert told[-1] == (7, 7, "train_10")
    record = open_table(done.out, split="official:testA")[0]
    assert record.image.shape == (56, 77, 3)
    assert (record.mpp, record.native_mpp) == (0.5, 0.62005)


def test_official_part_is_marked_and_its_patients_named(tmp_path: Path) -> None:
    done = harmonised("glas", glas, tmp_path)
    table = open_table(done.out, split="official:testB")
    found = table.contamination(None)
    assert (found.status, found.shared) == ("contaminated", ["glas/patient-2", "glas/patient-5"])
    assert open_table(done.out, split="official:testA").contamination(None).status == "unknown"
    train, test = (open_table(done.out, split=split) for split in ("train", "test"))
    assert test.contamination([train.as_trained_on()]).status == "clean"
    assert test.contamination([test.as_trained_on()]).status == "contaminated"


def test_native_resolution(tmp_path: Path) -> None:
    done = harmonised("monuseg", monuseg, tmp_path, mpp=None)
    assert done.mpp is None
    assert [record.mpp for record in open_table(done.out, split="all")].count(0.25) == 2
    assert done.notes == {
        "polygons cut at the border of the image": 3,
        "polygons of fewer than three points, skipped": 3,
    }


def test_large_images_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cerberus_bench.loaders import harmonise

    monkeypatch.setattr(harmonise, "MAX_SIDE", 32)
    done = harmonised("consep", consep, tmp_path)
    assert (done.n_images, done.n_records) == (3, 12)
    table = open_table(done.out, split="all")
    assert len({key.group for key in table.keys}) == 3
    assert table[1].sample_id == f"{table[0].sample_id.partition('@')[0]}@20,0"
    assert table[1].origin_xy == (20, 0)


def test_partial_source_needs_leave(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"59 of 60 testA images.*go on without by --allow-partial"):
        harmonised("glas", glas, tmp_path, allow_partial=False)
    assert not (tmp_path / "glas").exists()


def test_audit_speaks_of_empty_splits_and_repeated_pixels(tmp_path: Path) -> None:
    reader = ToyReader(change={"image": picture(0, SHAPE)}, n=2)
    done = harmonise_source(reader, None, tmp_path / "toy", allow_partial=True)
    assert "r0, r1 have the same pixels" in done.audit
    assert [line for line in done.audit if "split is empty" in line]


# what is in the way -----------------------------------------------------------------------------


def test_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        harmonise_source(ToyReader(change={"image": picture(0, (9, 9))}), None, tmp_path / "toy")
    assert list(tmp_path.iterdir()) == []


def test_only_the_same_dataset_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "toy"
    harmonise_source(ToyReader(n=8), None, out, allow_partial=True)
    harmonise_source(ToyReader(), None, out)
    assert len(open_table(out, split="all")) == 9
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]
    with pytest.raises(DataError, match=r"holds toy; it is not overwritten with other"):
        harmonise_source(ToyReader(spec=replace(SPEC, name="other")), None, out)
    (out / "dataset.json").write_text('{"format": 0, "name": "toy"}')  # of an older version
    harmonise_source(ToyReader(), None, out)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").touch()
    with pytest.raises(DataError, match=r"thesis exists and is not a harmonised dataset"):
        harmonise_source(ToyReader(), None, tmp_path / "thesis")


@pytest.mark.parametrize("mpp", [0.0, -1.0, 500.0])
def test_senseless_resolution_is_refused(mpp: float, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="out of range"):
        harmonise_source(ToyReader(), None, tmp_path / "toy", mpp=mpp)


def test_empty_choice_lists_what_is_there(toy: Path, tmp_path: Path) -> None:
    done = harmonised("glas", glas, tmp_path)
    with pytest.raises(
        DataError, match=r"no records in split 'official:testC'.*official:testA \(1"
    ):
        open_table(done.out, split="official:testC")
    with pytest.raises(DataError, match=r"split 'tset' with fold 3.*test \(\d+\).* and all"):
        open_table(toy, split="tset")
    with pytest.raises(DataError, match="no fold 4; choose 1, 2 or 3"):
        open_table(toy, fold=4)


def test_not_a_harmonised_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is not a harmonised dataset \(no dataset.json\). Make"):
        open_table(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        open_table(tmp_path / "nowhere")


def copy_of(toy: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(toy, tmp_path / "copy"))


def test_damaged_parquet(toy: Path, tmp_path: Path) -> None:
    folder = copy_of(toy, tmp_path)
    path = folder / "data" / "train.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"train.parquet is missing or damaged"):
        open_table(folder, split="train")
    path.unlink()
    with pytest.raises(DataError, match=r"train.parquet is missing or damaged"):
        open_table(folder, split="train")


def rewrite(folder: Path, split: str, name: str, value: Any) -> None:
    """Give one column of a stored split another value."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "data" / f"{split}.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    for row in rows:
        row[name] = value if row[name] is not None else None
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


def test_label_map_of_another_size_or_kind(toy: Path, tmp_path: Path) -> None:
    from cerberus_bench.loaders.images import encode_labels, encode_rgb

    folder = copy_of(toy, tmp_path)
    small = encode_labels(np.ones((5, 5), np.int32), "x")
    rewrite(folder, "train", "gland", {"bytes": small, "path": None})
    with pytest.raises(DataError, match=r"the gland label map is \(5, 5\), its image \(40, 60\)"):
        list(open_table(folder, split="train"))
    colour = encode_rgb(picture(0, SHAPE))
    rewrite(folder, "train", "gland", {"bytes": colour, "path": None})
    with pytest.raises(DataError, match=r"toy/r\d: gland has mode RGB; expected a 16-bit"):
        list(open_table(folder, split="train"))
    folder = copy_of(toy, tmp_path / "again")
    rewrite(folder, "train", "image", {"bytes": b"no image", "path": None})
    with pytest.raises(DataError, match=r"toy/r\d: image cannot be decoded"):
        list(open_table(folder, split="train"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format: Input should be 1"),
        ({"surprise": 1}, "surprise: Extra inputs"),
        ({"mpp": "0.5"}, "mpp: Input should be a valid number"),
        ({"label_spaces": {"nuclei": ["unicorn"]}}, "label_spaces"),
        ({"label_spaces": {"unicorns": ["cell"]}}, "label_spaces"),
        ({"splits": {"train": 77}}, "holds . records, not the 77"),
    ],
)
def test_metadata_is_strict(
    change: dict[str, Any], message: str, toy: Path, tmp_path: Path
) -> None:
    folder = copy_of(toy, tmp_path)
    path = folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=message):
        open_table(folder, split="all")


# by name ----------------------------------------------------------------------------------------


def small_phantom(roles: dict[str, int]) -> Any:
    """The phantom with a few images a split."""
    reader = registry.get("phantom")

    class Small:
        spec = reader.spec
        made: list[str] = []  # noqa: RUF012

        def find(self, tree: SourceTree) -> Listing:
            images = reader.find(tree).images
            few = [[i for i in images if i.role == role][:n] for role, n in roles.items()]
            return Listing(images=tuple(image for part in few for image in part))

        def read(self, tree: SourceTree, image: SourceImage) -> SourceRecord:
            self.made.append(image.role or "")
            return reader.read(tree, image)

    return Small()


def test_phantom_is_made_once_and_split_by_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phantom = small_phantom({"train": 2, "validation": 1, "test": 1})
    monkeypatch.setenv("CERBERUS_BENCH_HOME", str(tmp_path))
    monkeypatch.setattr(load, "get", lambda name: phantom)
    monkeypatch.setattr(build, "_refuse_partial", lambda *args: None)
    first = load_records("phantom", split="test")
    assert phantom.made == ["test"]
    assert len(first) == len(load_records("phantom", split="test")) == 1
    assert phantom.made == ["test"]
    assert len(load_records("phantom", split="train")) == 2
    assert phantom.made == ["test", "train", "train"]
    assert first.metadata.synthetic
    assert first.label_spaces["nuclei"].classes[0] == "neutrophil"
    with pytest.raises(DataError, match=r"phantom has the splits .* and no 'test' with fold 1"):
        load_records("phantom", fold=1)
    with pytest.raises(DataError, match=r"no 'official:testB'"):
        load_records("phantom", split="official:testB")


def test_names_and_folders_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"glas is not embedded.*harmonize glas --source PATH"):
        load_records("glas")
    with pytest.raises(DataError, match=r"no dataset 'gals'. Did you mean glas"):
        load_records("gals")
    with pytest.raises(DataError, match=r"is not a harmonised dataset. Make one with"):
        load_records(tmp_path)
    with pytest.raises(DataError, match=r"nowhere/glas is not a harmonised dataset"):
        load_records("nowhere/glas")


def test_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CERBERUS_BENCH_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot be written .*Set CERBERUS_BENCH_HOME"):
        load_records("phantom", split="validation")
