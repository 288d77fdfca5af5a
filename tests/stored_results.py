"""Results with the counts of their images, as an evaluation stores them, made from counts alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from result_builders import make_result

from cerberus_bench.eval.image_counts import ImageCounts
from cerberus_bench.eval.scores import scores_of
from cerberus_bench.leaderboard import Board
from cerberus_bench.leaderboard.compare import Cell
from cerberus_bench.leaderboard.counts import counts_path, write_counts
from cerberus_bench.schema.result import ResultRecord

N_IMAGES, N_OBJECTS = 24, 10


def image_counts(found: Sequence[int], iou: float = 0.8) -> ImageCounts:
    """Counts of images with ten nuclei each, of which so many are found and nothing else."""
    tp = np.array(found, float)
    columns = {"tp": tp, "fp": 0 * tp, "fn": N_OBJECTS - tp, "sum_iou": iou * tp}
    return table_of("nuclei", columns | {"n_truth": 0 * tp + N_OBJECTS})


def distance_counts(micrometres: Sequence[float]) -> ImageCounts:
    """Counts of images with one gland of 100 px each, found so far from where it is."""
    area = np.full(len(micrometres), 100.0)
    columns = {"one_side_empty": 0 * area, "n_truth": area / 100}
    for side in ("truth", "prediction"):
        columns[f"hausdorff_area_{side}"] = area
        columns[f"hausdorff_um_{side}"] = area * micrometres
    return table_of("gland", columns)


def table_of(task: str, columns: dict[str, Any]) -> ImageCounts:
    n = len(next(iter(columns.values())))
    names = tuple(f"phantom/{i:03d}" for i in range(n))
    return ImageCounts(task, names, names, ("colon",) * n, columns)


def result_of(name: str, counts: ImageCounts, **changes: Any) -> ResultRecord:
    n_groups = len(counts.group_names)
    merged: dict[str, Any] = {
        "name": name,
        "model": {"file_sha256": (name.encode().hex() + "0" * 64)[:64]},
        "data": {"n_images": len(counts)},
        "report": {"n_images": len(counts), "n_groups": n_groups},
    }
    for key, value in changes.items():
        merged[key] = merged[key] | value if isinstance(merged.get(key), dict) else value
    return make_result(*scores_of(counts, n_resamples=200), **merged)


def store(
    folder: Path, result: ResultRecord, counts: Mapping[str, ImageCounts] | None = None
) -> Path:
    path = folder / result.relative_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(result.to_json(), encoding="utf-8")
    if counts:
        write_counts(counts_path(path), counts)
    return path


def put(folder: Path, name: str, found: Sequence[int], **changes: Any) -> Path:
    return put_counts(folder, name, image_counts(found), **changes)


def put_counts(folder: Path, name: str, counts: ImageCounts, **changes: Any) -> Path:
    return store(folder, result_of(name, counts, **changes), {counts.task: counts})


def ranks(board: Board, table: int = 0, column: int = 0) -> dict[str, str]:
    cells = {entry.label: entry.cells[column] for entry in board.tables[table].entries}
    return {label: str(cell.rank) for label, cell in cells.items() if isinstance(cell, Cell)}
