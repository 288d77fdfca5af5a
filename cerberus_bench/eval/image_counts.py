"""Counts of every image of one task: what scores, intervals and comparisons are made of.

One row an image, one column a count; it is what result records keep beside them, so that any
average can be formed anew without the images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cerberus_bench.eval.overlap import Float64, Int64
from cerberus_bench.schema.errors import DataError

IDENTITY = ("sample_id", "group", "organ")
Row = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes of one image, for scores that rank them."""

    truth: Float64
    """(n, 4) x0 y0 x1 y1, px."""
    prediction: Float64
    """(m, 4)."""
    scores: Float64
    """(m,)."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageCounts:
    """Counts of the images of one task, in order of sample id."""

    task: str
    sample_ids: tuple[str, ...]
    groups: tuple[str, ...]
    organs: tuple[str, ...]
    columns: Mapping[str, Float64]
    """Name -> (n_images,)."""
    boxes: tuple[Boxes, ...] = field(default=())
    """Signet ring only: (n_images,)."""

    def __len__(self) -> int:
        return len(self.sample_ids)

    @property
    def group_names(self) -> tuple[str, ...]:
        """Distinct groups, sorted."""
        return tuple(sorted(set(self.groups)))

    @property
    def group_index(self) -> Int64:
        """(n_images,) position of each image's group in `group_names`."""
        place = {name: i for i, name in enumerate(self.group_names)}
        return np.array([place[name] for name in self.groups], np.int64)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that were scored, in the order of the partition."""
        return tuple(
            name[len("n_truth/") :] for name in self.columns if name.startswith("n_truth/")
        )

    def has(self, names: Sequence[str]) -> bool:
        """Whether all these columns are there."""
        return all(name in self.columns for name in names)

    def by_group(self, values: Float64) -> Float64:
        """Sums over the images of each group: (n_images, ...) -> (n_groups, ...)."""
        sums = np.zeros((len(self.group_names), *values.shape[1:]))
        np.add.at(sums, self.group_index, values)
        return sums

    def take(self, sample_ids: Sequence[str]) -> "ImageCounts":
        """The rows of some images, in order of sample id.

        Raises:
            DataError: an image is not there.
        """
        place = {name: i for i, name in enumerate(self.sample_ids)}
        missing = [name for name in sample_ids if name not in place]
        if missing:
            raise DataError(f"{self.task}: no counts of {missing[0]} ({len(missing)} missing)")
        rows = [place[name] for name in sorted(sample_ids)]
        return ImageCounts(
            self.task,
            tuple(self.sample_ids[i] for i in rows),
            tuple(self.groups[i] for i in rows),
            tuple(self.organs[i] for i in rows),
            {name: values[rows] for name, values in self.columns.items()},
            tuple(self.boxes[i] for i in rows) if self.boxes else (),
        )

    def to_table(self) -> dict[str, list[Any]]:
        """Columns of plain Python values, ready for parquet; boxes as lists of numbers."""
        table: dict[str, list[Any]] = {
            "sample_id": list(self.sample_ids),
            "group": list(self.groups),
            "organ": list(self.organs),
        }
        table |= {name: values.tolist() for name, values in self.columns.items()}
        if self.task == "signet_ring":
            table["truth_boxes"] = [boxes.truth.ravel().tolist() for boxes in self.boxes]
            table["predicted_boxes"] = [boxes.prediction.ravel().tolist() for boxes in self.boxes]
            table["scores"] = [boxes.scores.tolist() for boxes in self.boxes]
        return table

    @classmethod
    def from_table(cls, task: str, table: Mapping[str, Sequence[Any]]) -> "ImageCounts":
        """The inverse of `to_table`.

        Raises:
            DataError: a column is missing, of another length, or holds no finite numbers.
        """
        rest = dict(table)
        try:
            samples, groups, organs = (tuple(map(str, rest.pop(name))) for name in IDENTITY)
            boxes = _read_boxes(rest) if task == "signet_ring" else ()
            columns = {name: np.asarray(values, np.float64) for name, values in rest.items()}
        except (KeyError, ValueError, TypeError) as error:
            raise DataError(f"image counts of {task}: {error}. Evaluate again.") from None
        n = len(samples)
        for name, values in columns.items():
            if values.shape != (n,) or not np.isfinite(values).all():
                raise DataError(f"image counts of {task}: column {name} is no {n} finite numbers")
        if not n == len(groups) == len(organs) or list(samples) != sorted(set(samples)):
            raise DataError(f"image counts of {task}: sample ids repeat or are not in order")
        return cls(task, samples, groups, organs, columns, boxes)


def _read_boxes(table: dict[str, Sequence[Any]]) -> tuple[Boxes, ...]:
    names = ("truth_boxes", "predicted_boxes", "scores")
    return tuple(
        Boxes(
            np.asarray(truth, np.float64).reshape(-1, 4),
            np.asarray(prediction, np.float64).reshape(-1, 4),
            np.asarray(scores, np.float64),
        )
        for truth, prediction, scores in zip(*(table.pop(name) for name in names), strict=True)
    )
