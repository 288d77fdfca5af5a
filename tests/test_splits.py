"""No record meets its own patient in another split, in any dataset and under any fold."""

import zipfile
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cerberus_bench.loaders import splits
from cerberus_bench.loaders.fold_table import (
    REPEATED,
    FoldRow,
    build_fold_table,
    fold_table,
    to_csv,
)
from cerberus_bench.loaders.sources.glas import parse_grades
from cerberus_bench.loaders.splits import (
    RecordKey,
    check_contamination,
    components_of,
    folds_of,
    hashed_fold,
    natural_order,
    official_overlap,
    shared_groups,
    splits_of,
)
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.result import TrainedOn

REAL = Path(__file__).resolve().parent.parent.parent / "shared" / "realdata"
GLAS_ZIP = REAL / "warwick_qu_dataset_released_2016_07_08.zip"


def key(name: str, group: str, *origins: str) -> RecordKey:
    return RecordKey(sample_id=name, group=group, origins=origins)


def trained(*groups: str, origins: tuple[str, ...] = ()) -> TrainedOn:
    return TrainedOn(
        dataset="any",
        version="1.0.0",
        fingerprint="f",
        split="train",
        fold=3,
        groups=list(groups),
        origins=list(origins),
    )


# the table --------------------------------------------------------------------------------------


def test_table_covers_lizard_but_for_the_repeated_region() -> None:
    rows = fold_table()
    assert Counter(row.lizard.partition("_")[0] for row in rows) == {
        **{"dpath": 68, "crag": 64, "glas": 61, "pannuke": 28, "consep": 16},
    }
    assert len({row.origin for row in rows}) == len(rows)
    assert REPEATED not in {row.lizard for row in rows}
    assert {row.fold for row in rows if row.lizard.startswith("consep")} == {3}


def test_no_group_of_the_table_is_torn() -> None:
    folds = defaultdict(set)
    for row in fold_table():
        folds[row.group].add(row.fold)
    assert all(len(found) == 1 for found in folds.values())


def test_table_is_what_the_sources_say() -> None:
    info = REAL / "Lizard_Labels" / "info.csv"
    if not (info.exists() and GLAS_ZIP.exists()):
        pytest.skip(f"{REAL} is not here; real data is never part of the project")
    with zipfile.ZipFile(GLAS_ZIP) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("Grade.csv"))
        patients = {image: row.patient for image, row in parse_grades(archive.read(name)).items()}
    rows = build_fold_table(info.read_text(encoding="utf-8"), patients)
    assert rows == fold_table()
    shipped = Path(splits.__file__).with_name("fold_table.csv").read_text(encoding="utf-8")
    assert to_csv(rows) == shipped


# components and folds ---------------------------------------------------------------------------


def test_records_join_through_groups_and_origins() -> None:
    keys = [
        key("a", "x/p1", "x/1"),
        key("b", "x/p1", "x/2"),
        key("c", "y/s1", "x/2"),
        key("d", "y/s2", "y/9"),
    ]
    assert components_of(keys) == ["x/p1", "x/p1", "x/p1", "y/s2"]


def test_records_join_through_the_table() -> None:
    # Lizard's glas_1 is GlaS testB_10, a section of patient 3
    assert FoldRow("glas/testB_10", "glas/patient-3", 1, "glas_1") in fold_table()
    lizard, glas = (
        key("l", "lizard/glas_1", "glas/testB_10"),
        key("g", "glas/patient-3", "glas/train_2"),
    )
    assert len(set(components_of([lizard, glas]))) == 1
    assert folds_of([lizard, glas], components_of([lizard, glas])) == [1, 1]


def test_lizard_decides_for_the_whole_patient() -> None:
    keys = [key("a", "glas/patient-2", "glas/train_85"), key("b", "glas/patient-5", "glas/train_2")]
    components = components_of(keys)
    assert components == ["glas/patient-2", "glas/patient-5"]
    assert folds_of(keys, components) == [3, hashed_fold("glas/patient-5")]


def test_folds_do_not_depend_on_what_else_is_there() -> None:
    keys = [key(f"r{i}", f"toy/p{i // 3}", f"toy/{i}") for i in range(30)]
    every = dict(zip(keys, folds_of(keys, components_of(keys)), strict=True))
    part = keys[4:11]
    assert folds_of(part, components_of(part)) == [every[k] for k in part]


def test_torn_component_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (FoldRow("a/1", "a/1", 1, "x"), FoldRow("b/1", "b/1", 2, "y"))
    monkeypatch.setattr(splits, "fold_table", lambda: rows)
    keys = [key("k", "c/p", "a/1", "b/1")]
    with pytest.raises(DataError, match=r"puts records of a/1 into folds \[1, 2\]"):
        folds_of(keys, components_of(keys))


def test_hash_is_stable_over_releases() -> None:
    # fixed for good: another value would move published records between folds
    assert [hashed_fold(f"toy/p{i}") for i in range(8)] == [2, 1, 2, 2, 1, 1, 2, 1]


GROUPS = st.lists(
    st.tuples(st.integers(0, 12), st.lists(st.integers(0, 20), max_size=3)), min_size=1, max_size=40
)


@given(GROUPS, st.sampled_from([1, 2, 3]))
def test_no_group_or_origin_is_in_two_splits(drawn: list[tuple[int, list[int]]], fold: int) -> None:
    keys = [
        key(str(i), f"toy/p{group}", *(f"toy/{o}" for o in origins))
        for i, (group, origins) in enumerate(drawn)
    ]
    components = components_of(keys)
    folds = folds_of(keys, components)
    where = defaultdict(set)
    for k, split in zip(keys, splits_of(folds, components, fold), strict=True):
        for member in (k.group, *k.origins):
            where[member].add(split)
    assert all(len(found) == 1 for found in where.values())
    names = splits_of(folds, components, fold)
    assert all((split == "test") == (f == fold) for split, f in zip(names, folds, strict=True))
    outside = {c for c, f in zip(components, folds, strict=True) if f != fold}
    if len(outside) > 1:
        assert {"train", "validation"} <= set(names)


def test_validation_is_about_a_seventh() -> None:
    components = [f"toy/p{i}" for i in range(2100)]
    counts = Counter(splits_of([1] * 2100, components, 3))
    assert 250 < counts["validation"] < 350


def test_small_sets_get_one_validation_component() -> None:
    components = ["toy/p0", "toy/p1", "toy/p2"]
    assert Counter(splits_of([1, 2, 3], components, 3)) == {
        **{"train": 1, "validation": 1, "test": 1},
    }
    assert splits_of([1], ["toy/p0"], 3) == ["train"]


# contamination ----------------------------------------------------------------------------------

SCORED = [key("a", "glas/patient-2", "glas/testB_1"), key("b", "glas/patient-12", "glas/testA_45")]


def test_clean_unknown_and_contaminated() -> None:
    assert check_contamination([trained("glas/patient-1")], SCORED).status == "clean"
    assert check_contamination(None, SCORED).status == "unknown"
    found = check_contamination([trained("glas/patient-1"), trained("glas/patient-2")], SCORED)
    assert found.status == "contaminated"
    assert found.shared == ["glas/patient-2"]
    assert "trained on 1 group of" in found.reason


def test_contamination_through_another_dataset() -> None:
    # trained on Lizard's copy of an image of patient 2: the table knows
    copy = next(row.origin for row in fold_table() if row.group == "glas/patient-2")
    found = check_contamination([trained("lizard/any", origins=(copy,))], SCORED)
    assert found.shared == ["glas/patient-2"]
    assert shared_groups([trained("lizard/any", origins=("glas/train_2",))], SCORED) == []


def test_official_part_marks_whatever_the_model() -> None:
    shared = ["glas/patient-2"]
    clean = [trained("phantom/slide-1")]
    for trained_on in (clean, None, [trained("glas/patient-2")]):
        found = check_contamination(
            trained_on, SCORED, official_part="testB", official_shared=shared
        )
        assert (found.status, found.shared) == ("contaminated", shared)
        assert "official:testB shares 1 group with" in found.reason


def test_official_overlap_lists_shared_groups_in_natural_order() -> None:
    groups = {"train": ["p-10", "p-2", "p-1"], "testB": ["p-10", "p-2"], "testA": ["p-3"]}
    assert official_overlap(groups) == {"testB": ["p-2", "p-10"]}
    assert sorted(["a10b", "a9b", "a", "b1"], key=natural_order) == ["a", "a9b", "a10b", "b1"]
