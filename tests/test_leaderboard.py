import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored_results import (
    N_IMAGES,
    distance_counts,
    image_counts,
    put,
    put_counts,
    ranks,
    result_of,
    store,
    table_of,
)

from cerberus_bench.eval.image_counts import Boxes, ImageCounts
from cerberus_bench.eval.intervals import FEW_GROUPS
from cerberus_bench.eval.protocol import PROTOCOL_VERSION
from cerberus_bench.leaderboard import (
    Board,
    board_rows,
    leaderboard,
    to_csv,
    to_json,
    to_markdown,
    to_terminal,
)
from cerberus_bench.leaderboard.columns import Column
from cerberus_bench.leaderboard.counts import counts_path, read_counts, write_counts
from cerberus_bench.leaderboard.notes import difference_text
from cerberus_bench.leaderboard.paired import Pair
from cerberus_bench.leaderboard.store import read_results
from cerberus_bench.pictures import wording
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.report import ScoredPartition
from cerberus_bench.schema.result import Contamination, TrainingBudget

ROOT = Path(__file__).parents[1]
ATTACK = "<img src=x onerror=alert(1)>"


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Two models that differ by noise only, and one that is clearly worse."""
    wobble = np.arange(N_IMAGES) % 2
    put(tmp_path, "even", 7 + wobble)
    put(tmp_path, "odd", 8 - wobble)
    put(tmp_path, "poor", 3 + wobble)
    return tmp_path


def test_ties_share_a_range_of_ranks(three: Path) -> None:
    board = leaderboard(three)
    assert ranks(board) == {"even": "1-2", "odd": "1-2", "poor": "3"}
    (table,) = board.tables
    assert table.entries[-1].label == "poor"
    pairs = {(d.first, d.second): d for d in table.pairs}
    assert len(pairs) == 3
    tie = pairs["even", "odd"]
    assert tie.value == pytest.approx(0)
    assert tie.low < 0 < tie.high
    assert tie.p > 0.05
    # pooled PQ is .8 * 2 * 7.5 / (2 * 7.5 + 2.5) against .8 * 2 * 3.5 / (2 * 3.5 + 6.5)
    clear = pairs["even", "poor"]
    assert clear.value == pytest.approx(0.8 * (15 / 17.5 - 7 / 13.5))
    assert 0 < clear.low < clear.value < clear.high
    assert clear.p < 0.01
    assert clear.n_groups == N_IMAGES


def test_the_board_is_a_function_of_the_folder(three: Path) -> None:
    assert to_json(leaderboard(three)) == to_json(leaderboard(three))


def test_distances_rank_the_other_way(tmp_path: Path) -> None:
    put_counts(tmp_path, "far", distance_counts([50.0, 60.0] * 6))
    put_counts(tmp_path, "near", distance_counts([10.0, 12.0] * 6))
    board = leaderboard(tmp_path)
    assert ranks(board) == {"near": "1", "far": "2"}
    (table,) = board.tables
    assert [entry.label for entry in table.entries] == ["near", "far"]
    (pair,) = table.pairs
    assert pair.value == pytest.approx(11 - 55)
    assert "11.0 µm" in to_markdown(board)


def test_without_counts_nothing_is_ranked_and_the_board_says_so(tmp_path: Path) -> None:
    counts = image_counts([5] * 12)
    for name in ("one", "two"):
        store(tmp_path, result_of(name, counts))
    board = leaderboard(tmp_path)
    assert ranks(board) == {"one": "None", "two": "None"}
    assert "Not ranked: " in to_markdown(board)


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"name": "other"}},
        {"data": {"version": "2"}},
        {"data": {"fingerprint": "ee" * 32}},
        {"data": {"split": "val"}},
        {"data": {"fold": 1}},
    ],
    ids=lambda changes: next(iter(next(iter(changes.values())))),
)
def test_unlike_data_never_meet(tmp_path: Path, changes: dict[str, Any]) -> None:
    put(tmp_path, "one", [5] * 12)
    put(tmp_path, "two", [6] * 12, **changes)
    board = leaderboard(tmp_path)
    assert len(board.tables) == 2
    assert not [d for table in board.tables for d in table.pairs]


def test_class_scores_over_other_classes_stand_in_other_columns(tmp_path: Path) -> None:
    every = image_counts([8] * 12)
    for name, classes in (("one", ["epithelial"]), ("two", ["epithelial", "connective"])):
        parts = {
            f"{key}/{node}": values / len(classes)
            for node in classes
            for key, values in every.columns.items()
        }
        counts = table_of("nuclei", every.columns | parts)
        partition = ScoredPartition(classes=classes, truth_only=[], prediction_only=[])
        put_counts(tmp_path, name, counts, report={"partitions": {"nuclei": partition}})
    (table,) = leaderboard(tmp_path).tables
    seen = [(column.metric, column.classes) for column in table.columns]
    assert seen == [
        ("pq", None),
        ("mpq_plus", ("epithelial",)),
        ("mpq_plus", ("epithelial", "connective")),
    ]
    assert [[cell is None for cell in entry.cells] for entry in table.entries] == [
        [False, False, True],
        [False, True, False],
    ]
    assert [pair.column.metric for pair in table.pairs] == ["pq"]
    assert [entry.cells[1] and entry.cells[1].rank for entry in table.entries] == [None, None]


def test_models_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for sha in ("11" * 32, "22" * 32):
        put(tmp_path, "twin", [5] * 12, model={"file_sha256": sha})
    labels = [entry.label for entry in leaderboard(tmp_path).tables[0].entries]
    assert labels == ["twin (11111111)", "twin (22222222)"]


def test_standings_count_over_tables_of_one_score(tmp_path: Path) -> None:
    for split in ("test", "official:testB"):
        put(tmp_path, "good", [8] * 12, data={"split": split})
        put(tmp_path, "poor", [3] * 12, data={"split": split})
    put(tmp_path, "guest", [8] * 12)
    standings = {standing.label: standing for standing in leaderboard(tmp_path).standings}
    good, poor, guest = (standings[name] for name in ("good", "poor", "guest"))
    assert (good.mean_rank, good.wins, good.ties, good.losses) == (1.25, 2, 1, 0)
    assert (poor.mean_rank, poor.wins, poor.ties, poor.losses) == (2.5, 0, 0, 3)
    assert (guest.mean_rank, guest.wins, guest.ties, guest.losses) == (None, 1, 1, 0)
    assert good.n_tables == 2


def test_an_evaluation_stored_twice_counts_once(tmp_path: Path) -> None:
    path = put(tmp_path, "one", [5] * 12)
    copy = tmp_path / "copies" / "again.json"
    copy.parent.mkdir()
    later = path.read_text().replace("2026-01-02", "2026-02-03")
    copy.write_text(later)
    assert len(read_results(tmp_path)) == 1
    copy.write_text(later.replace('"n_undefined": 0', '"n_undefined": 1', 1))
    with pytest.raises(DataError, match=r"differ in report\.scores\.0\.n_undefined") as caught:
        read_results(tmp_path)
    assert str(path) in str(caught.value)
    assert str(copy) in str(caught.value)


def test_one_bad_file_is_named(three: Path) -> None:
    bad = three / "bad.json"
    bad.write_text("{}")
    with pytest.raises(DataError, match=r"bad\.json: schema_version"):
        leaderboard(three)


def test_scores_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    path = put(tmp_path, "one", [5] * 12)
    raw = json.loads(path.read_text())
    raw["report"]["scores"][0]["value"] = 0.9
    path.write_text(json.dumps(raw))
    with pytest.raises(DataError, match="counts give") as caught:
        leaderboard(tmp_path)
    assert str(path) in str(caught.value)


def test_results_that_saw_other_images_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "one", [5] * 12)
    put(tmp_path, "two", [5] * 13)
    with pytest.raises(DataError, match="images: 12 and 13"):
        leaderboard(tmp_path)


def test_a_folder_without_results_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run `cerberus-bench eval` first"):
        leaderboard(tmp_path)
    with pytest.raises(DataError, match="is no folder"):
        leaderboard(tmp_path / "absent")


def test_counts_come_back_as_they_were_written(tmp_path: Path) -> None:
    nuclei = image_counts([1, 2, 3])
    names = ("phantom/001", "phantom/009")
    gland = ImageCounts("gland", names, ("a", "a"), ("", ""), {"object_tp": np.array([1.0, 0.5])})
    path = write_counts(tmp_path / "x.counts.parquet", {"nuclei": nuclei, "gland": gland})
    again = read_counts(path)
    assert list(again) == ["nuclei", "gland"]
    assert again["gland"].groups == ("a", "a")
    assert list(again["gland"].columns) == ["object_tp"]
    for name, values in nuclei.columns.items():
        assert np.array_equal(again["nuclei"].columns[name], values)


def test_boxes_come_back_too(tmp_path: Path) -> None:
    full = Boxes(np.arange(8.0).reshape(2, 4), np.arange(4.0).reshape(1, 4), np.array([0.5]))
    empty = Boxes(np.zeros((0, 4)), np.zeros((0, 4)), np.zeros(0))
    names = ("a", "b")
    for boxes in ((full, empty), (empty, empty)):
        counts = ImageCounts("signet_ring", names, names, names, {"tp": np.ones(2)}, boxes)
        path = write_counts(
            tmp_path / "x.counts.parquet",
            {"nuclei": image_counts([1, 2]), "signet_ring": counts},
        )
        again = read_counts(path)["signet_ring"]
        assert list(again.columns) == ["tp"]
        for before, after in zip(boxes, again.boxes, strict=True):
            assert np.array_equal(before.truth, after.truth)
            assert np.array_equal(before.prediction, after.prediction)
            assert np.array_equal(before.scores, after.scores)


def test_standings_are_shown(tmp_path: Path) -> None:
    for split in ("test", "val"):
        put(tmp_path, "good", [8] * 12, data={"split": split})
        put(tmp_path, "poor", [3] * 12, data={"split": split})
    board = leaderboard(tmp_path)
    assert "| Nuclei: PQ (pooled, exact) | good | 1.0 | 2 | 0 | 0 | 2 |" in to_markdown(board)
    assert "unlike scores are not averaged" in to_markdown(board)
    assert "Over all data" in terminal_text(board)


def test_counts_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.counts.parquet"
    with pytest.raises(DataError, match="missing"):
        read_counts(path)
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match=r"x\.counts\.parquet: not a file of image counts"):
        read_counts(path)


def test_counts_of_another_result_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "one", [5] * 12)
    path = put(tmp_path, "two", [6] * 12)
    write_counts(counts_path(path), {"nuclei": image_counts([9] * 12)})
    with pytest.raises(DataError, match=r"counts\.parquet"):
        leaderboard(tmp_path)


@pytest.mark.parametrize("version", [0, PROTOCOL_VERSION + 1])
def test_a_protocol_that_cannot_be_checked_is_refused(tmp_path: Path, version: int) -> None:
    put(tmp_path, "one", [5] * 12, report={"protocol_version": version})
    with pytest.raises(DataError, match=rf"fold0\.json: protocol {version}; .* checks 1 to"):
        leaderboard(tmp_path)


def test_images_cannot_lend_to_each_other(tmp_path: Path) -> None:
    found = np.array([5] * 11 + [3])
    path = put(tmp_path, "one", found)
    forged = image_counts(found)
    forged.columns["tp"][[0, 11]] += 2, -2
    write_counts(counts_path(path), {"nuclei": forged})
    with pytest.raises(DataError, match=r"phantom/000: nuclei: 7 found and 5 missed of 10"):
        leaderboard(tmp_path)
    same_sum = image_counts([4] * 2 + [5] * 10)
    write_counts(counts_path(path), {"nuclei": same_sum})
    with pytest.raises(DataError, match=r"the mean of these images is .*, the report has"):
        leaderboard(tmp_path)


def test_rows_hold_every_number_and_mark(three: Path) -> None:
    rows = board_rows(leaderboard(three))
    assert len(rows) == 3
    first = rows[0]
    assert first["value"] == pytest.approx(0.8 * 15 / 17.5)
    assert (first["rank_first"], first["rank_last"]) == (1, 2)
    assert first["synthetic"] is True
    assert first["few_groups"] is False
    assert first["kind"] == "single"
    assert first["contamination"] == "clean"
    listed = list(csv.DictReader(io.StringIO(to_csv(leaderboard(three)))))
    assert [row["model"] for row in listed] == [row["model"] for row in rows]
    content = json.loads(to_json(leaderboard(three)))
    assert content["rows"] == rows
    assert len(content["pairs"]) == 3


def terminal_text(board: Board, width: int = 100) -> str:
    from rich.console import Console

    console = Console(
        file=io.StringIO(), width=width, force_terminal=True, color_system="truecolor"
    )
    with console.capture() as capture:
        console.print(to_terminal(board))
    return capture.get()


@pytest.fixture
def marked(tmp_path: Path) -> Board:
    bad = Contamination(status="contaminated", shared=["g"], reason="seen")
    unknown = Contamination(status="unknown", shared=[], reason="not said")
    put(tmp_path, "seen", [5] * 4, contamination=bad, model={"kind": "multi"})
    put(tmp_path, "new", [5, 5, 6, 6], contamination=unknown)
    return leaderboard(tmp_path)


def test_marks_are_shown_and_explained(marked: Board) -> None:
    for text in (to_markdown(marked).replace("&#60;", "<"), terminal_text(marked)):
        for part in ("synthetic data", "seen †", "new ?", "<10", "single", "multi"):
            assert part in text, part
        for meaning in ("shares patients or images", "not known what", "fewer than 10 groups"):
            assert meaning in text, meaning


def test_old_results_stay_on_the_board() -> None:
    board = leaderboard(Path(__file__).parent / "historic")
    assert [table.task for table in board.tables] == ["nuclei", "gland", "lumen"]
    nuclei = board.tables[0].entries[0]
    assert [cell and cell.score.value for cell in nuclei.cells] == [0.4, 0.4]


def test_the_budget_of_training_is_on_the_board(tmp_path: Path) -> None:
    budget = TrainingBudget(recipe="quick", steps=300, windows=1200, patches=0, max_minutes=2.5)
    for name in ("one", "two"):
        put(tmp_path, name, [5] * N_IMAGES, model={"budget": budget})
    put(tmp_path, "theirs", [4] * N_IMAGES)
    board = leaderboard(tmp_path)
    said = "recipe quick, 300 steps, 1,200 windows, or 2.5 minutes"
    assert f"Trained with {said}: one, two\n" in to_markdown(board)
    assert said in " ".join(terminal_text(board).split())
    shown = {row["model"]: row["budget"] for row in board_rows(board)}
    assert shown == {"one": said, "two": said, "theirs": None}


def test_few_groups_are_as_few_as_the_protocol_says() -> None:
    assert wording.FEW_GROUPS == FEW_GROUPS


def test_unused_marks_are_not_explained(three: Path) -> None:
    text = to_markdown(leaderboard(three))
    assert "†" not in text
    assert "fewer than" not in text


def test_markdown_is_one_table_a_task(three: Path) -> None:
    lines = to_markdown(leaderboard(three)).splitlines()
    assert lines[0] == "### Nuclei on phantom 1, test, fold 0, synthetic data"
    assert lines[2] == "| Model | Kind | PQ (pooled, exact) |"
    assert lines[3] == "| --- | --- | ---: |"
    assert re.fullmatch(
        r"\| even \| single \| \*\*0\.686\*\*<br>0\.6\d\d to 0\.\d{3}<br>rank 1-2 \|", lines[4]
    )


@pytest.mark.parametrize(
    "name",
    [
        ATTACK,
        "a|b\n| c",
        "[x](javascript:alert(1))",
        "https://x.y",
        "`code`",
        "\x1b[2Jgone",
        "[red]r[/red]",
    ],
)
def test_strangers_names_stay_text(tmp_path: Path, name: str) -> None:
    put(tmp_path, name, [5] * 12, data={"split": name})
    board = leaderboard(tmp_path)
    markdown = to_markdown(board)
    assert "<img" not in markdown
    assert not re.search(r"(?<!\\)[\[\]`]", markdown)
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {4}
    shown = terminal_text(board, 300)
    assert "\x1b[2J" not in shown
    visible = name if name.isprintable() else name.split("\n")[0].split("\x1b")[-1]
    assert visible in shown


@pytest.mark.parametrize("name", ["=1+1", "+cmd", "@sum", "-2"])
def test_a_spreadsheet_runs_no_names(tmp_path: Path, name: str) -> None:
    put(tmp_path, name, [5] * 12)
    (row,) = csv.DictReader(io.StringIO(to_csv(leaderboard(tmp_path))))
    assert row["model"] == "'" + name


def test_terminal_table_fits_its_width(three: Path) -> None:
    shown = terminal_text(leaderboard(three), 60)
    assert "even" in shown
    assert "rank" in shown


def test_differences_are_printed_against_the_first_model() -> None:
    column = Column("nuclei", "pq", None, "exact", "pooled", None, None)
    pair = Pair(column, "a", "b", -0.25, -0.5, 0.125, 0.25, 12)
    assert pair.swapped() == Pair(column, "b", "a", 0.25, -0.125, 0.5, 0.25, 12)
    assert pair.swapped().swapped() == pair
    line = difference_text(pair.swapped())
    assert line == "PQ, b minus a: +0.250 (-0.125 to +0.500), p = 0.250"
