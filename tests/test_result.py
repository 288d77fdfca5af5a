import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from result_builders import make_result, make_score

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.result import MAX_RESULT_BYTES, ResultRecord, read_result

HISTORIC = sorted((Path(__file__).parent / "historic").glob("result-v*.json"))


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "result.json"
    path.write_text(text, encoding="utf-8")
    return path


def changed(result: ResultRecord, place: str, value: object) -> str:
    raw: Any = json.loads(result.to_json())
    *parents, last = place.split(".")
    inner = raw
    for part in parents:
        inner = inner[int(part)] if part.isdigit() else inner[part]
    inner[last] = value
    return json.dumps(raw)


def test_a_result_comes_back_as_it_was_written(tmp_path: Path) -> None:
    counts = {"tp": 3, "fp": 1, "fn": 0, "sum_iou": 2.5, "whole_float": 2.0, "third": 1 / 3}
    result = make_result(
        make_score(counts=counts),
        make_score(metric="aji", value=None, low=None, high=None, n_undefined=4, headline=False),
        name="Modell Grün-5 µ",
    )
    path = written(tmp_path, result.to_json())
    again = read_result(path)
    assert again == result
    assert again.to_json() == result.to_json()
    assert isinstance(again.report.scores[0].counts["tp"], int)
    assert isinstance(again.report.scores[0].counts["whole_float"], float)


@pytest.mark.parametrize("path", HISTORIC, ids=lambda path: path.name)
def test_old_result_files_stay_readable(path: Path) -> None:
    result = read_result(path)
    assert result.model.name == "cerberus-tiny"
    assert result.model.trained_on is not None
    assert result.model.trained_on[0].groups == ["phantom/slide-001", "phantom/slide-002"]
    assert result.data.split == "official:testA"
    assert result.report.score("nuclei", "pq").value == 0.4
    assert result.report.score("nuclei", "pq").counts == {"tp": 2, "fp": 3, "fn": 1, "sum_iou": 1.6}
    assert result.report.score("gland", "object_hausdorff", unit="um").n_infinite == 1
    assert result.report.score("lumen", "pq").value is None
    assert result.report.partitions["nuclei"].truth_only == ["mitotic"]
    assert result.contamination.status == "clean"


def test_there_is_a_historic_file() -> None:
    assert HISTORIC


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        ("surprise", 1, "surprise"),
        ("model.surprise", 1, "model.surprise"),
        ("report.scores.0.value", "NaN", "report.scores.0.value"),
        ("report.scores.0.value", "0.5", "report.scores.0.value"),
        ("report.scores.0.counts", {"tp": "NaN"}, "report.scores.0.counts.tp"),
        ("report.scores.0.counts", {"tp": True}, "report.scores.0.counts.tp"),
        ("report.scores.0.counts", {"tp": 10**400}, "report.scores.0.counts.tp"),
        ("report.scores.0.averaging", "mean", "report.scores.0.averaging"),
        ("report.n_images", -1, "report.n_images"),
        ("report.n_images", 1.0, "report.n_images"),
        ("report.n_images", 10**30, "report.n_images"),
        ("data.mpp", 0, "data.mpp"),
        ("model.kind", "double", "model.kind"),
        ("contamination.status", "fine", "contamination.status"),
    ],
)
def test_a_wrong_field_is_refused_by_name(
    tmp_path: Path, place: str, value: object, named: str
) -> None:
    path = written(tmp_path, changed(make_result(make_score()), place, value))
    with pytest.raises(DataError, match="evaluate again") as caught:
        read_result(path)
    assert str(path) in str(caught.value)
    assert named in str(caught.value)


@pytest.mark.parametrize("version", [0, 2, "1", 1.0, True, None])
def test_another_version_is_refused(tmp_path: Path, version: object) -> None:
    path = written(tmp_path, changed(make_result(), "schema_version", version))
    with pytest.raises(DataError, match=r"schema_version is .*reads 1"):
        read_result(path)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(tmp_path: Path, number: str) -> None:
    text = make_result(make_score(value=0.4321)).to_json().replace("0.4321", number)
    with pytest.raises(DataError, match=r"not allowed|finite"):
        read_result(written(tmp_path, text))


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    raw = json.loads(make_result().to_json())
    del raw["data"]["fingerprint"]
    with pytest.raises(DataError, match=r"data\.fingerprint"):
        read_result(written(tmp_path, json.dumps(raw)))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "[" * 100_000, '{"a": 1, "a": 2}', '"\\ud800"', "1" * 5000],
    ids=["empty", "list", "cut", "deep", "repeated", "surrogate", "long number"],
)
def test_text_that_is_no_result_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match="not a JSON result file"):
        read_result(written(tmp_path, text))


def test_other_bytes_and_places_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    with pytest.raises(DataError, match=str(path)):
        read_result(path)
    with pytest.raises(DataError, match=str(tmp_path)):
        read_result(tmp_path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not a JSON result file"):
        read_result(path)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    with path.open("wb") as file:
        file.truncate(MAX_RESULT_BYTES + 1)
    with pytest.raises(DataError, match="larger than"):
        read_result(path)


def test_path_says_what_was_evaluated() -> None:
    result = make_result(data={"split": "official:testB", "fold": 2})
    assert result.relative_path() == Path(
        "model", "ab" * 6, "phantom@" + "cd" * 4, "official-testB-fold2.json"
    )
    assert make_result(model={"file_sha256": None}).relative_path().parts[1] == "no-file"


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", "/root", "a\\b", "x" * 5000, "\x00"])
def test_strangers_names_stay_inside_the_folder(name: str) -> None:
    result = make_result(
        name=name,
        model={"file_sha256": name},
        data={"name": name, "fingerprint": name, "split": name},
    )
    path = PurePosixPath(result.relative_path())
    assert len(path.parts) == 4
    assert not path.is_absolute()
    assert all(set(part) - {"."} and len(part) < 200 and "\x00" not in part for part in path.parts)


def test_score_finds_one_number() -> None:
    report = make_result(
        make_score(value=0.1),
        make_score(value=0.2, averaging="image_mean"),
        make_score(value=0.3, class_name="epithelial", headline=False),
    ).report
    assert report.score("nuclei", "pq").value == 0.1
    assert report.score("nuclei", "pq", averaging="image_mean").value == 0.2
    assert report.score("nuclei", "pq", class_name="epithelial").value == 0.3
    with pytest.raises(KeyError):
        report.score("nuclei", "pq", convention="conic")
