"""`PredictionWriter`: a predictions folder from any framework, checked while it is written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.eval.predictions import PredictionsFolderWriter
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import LabelSpace
from cerberus_bench.schema.prediction import Prediction, PredictionsManifest
from cerberus_bench.schema.result import ModelInfo
from cerberus_bench.schema.tasks import TASKS
from cerberus_bench.workflows.data import open_data
from cerberus_bench.workflows.models import as_instances, unfiled_model

if TYPE_CHECKING:
    from cerberus_bench.loaders.table import Table


class PredictionWriter:
    """Write your own predictions, then `cerberus-bench score OUT --data DATA`.

        >>> with cb.PredictionWriter("out", data="phantom", tasks=["nuclei"]) as writer:
        ...     for row in cb.load("phantom", split="test"):
        ...         labels = my_model(row["image"])  # (H, W) integers, 0 = background
        ...         writer.add(row["sample_id"], nuclei=labels)

    Args:
        out: folder to write; it appears when the `with` block ends without an error.
        data: dataset name or harmonised folder.
        tasks: the tasks that you predict, with the network's classes.
        classes: task -> class names (ontology nodes), where yours differ from the network's.
        model: the name shown on the board.
        split: which split you predict.
        fold: which fold is the test fold.
    """

    def __init__(
        self,
        out: str | Path,
        data: str | Path,
        *,
        tasks: Sequence[str] = ("nuclei",),
        classes: Mapping[str, Sequence[str]] | None = None,
        model: str = "my-model",
        split: str = "test",
        fold: int = 3,
    ) -> None:
        unknown = sorted(set(tasks) - set(TASKS))
        if unknown:
            raise DataError(f"{unknown} are no tasks; the tasks are {', '.join(TASKS)}.")
        self._source = open_data(str(data), split=split, fold=fold)
        self._spaces = {
            task: LabelSpace(task, tuple((classes or {}).get(task, TASKS[task].labels.classes)))
            for task in tasks
        }
        self._index = {sample: i for i, sample in enumerate(self._source.sample_ids)}
        self._folder = PredictionsFolderWriter(
            Path(out), manifest_for(self._source, unfiled_model(model, tasks), self._spaces)
        )

    def add(
        self,
        sample_id: str,
        *,
        classes: Mapping[str, Mapping[int, str]] | None = None,
        boxes: NDArray[np.floating] | None = None,
        box_scores: NDArray[np.floating] | None = None,
        tissue: NDArray[np.floating] | None = None,
        **labels: NDArray[Any],
    ) -> None:
        """Add the prediction for one sample.

        Args:
            sample_id: as in the dataset.
            classes: task -> id -> class name, where you predict classes.
            boxes: (n, 4) signet ring boxes x0 y0 x1 y1, px.
            box_scores: (n,) confidences.
            tissue: (k,) probabilities over the tissue classes.
            **labels: task name -> (H, W) label map on the grid of the dataset's image.

        Raises:
            DataError: the sample is unknown, or a map does not fit its image.
        """
        if sample_id not in self._index:
            raise DataError(f"{sample_id} is not a sample of {self._source.name}")
        undeclared = sorted(set(labels) - set(self._spaces))
        if undeclared:
            raise DataError(f"{undeclared} were not named in tasks={list(self._spaces)}")
        record = self._source[self._index[sample_id]]
        indices = {t: self._class_indices(t, names) for t, names in (classes or {}).items()}
        self._folder.add(
            Prediction(
                sample_id=sample_id,
                instances={
                    t: as_instances(m, record, t, indices.get(t)) for t, m in labels.items()
                },
                boxes=None if boxes is None else np.asarray(boxes, np.float32).reshape(-1, 4),
                box_scores=None if box_scores is None else np.asarray(box_scores, float),
                tissue=None if tissue is None else np.asarray(tissue, float),
            )
        )

    def _class_indices(self, task: str, names: Mapping[int, str]) -> dict[int, int]:
        space = self._spaces[task]
        try:
            return {int(number): space.index(name) for number, name in names.items()}
        except ValueError:
            wrong = sorted(set(names.values()) - set(space.classes))
            raise DataError(
                f"{wrong} are not among the {task} classes {list(space.classes)}. Name your own"
                " with PredictionWriter(classes=...)."
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._folder.__exit__(kind, error, traceback)

    def close(self) -> None:
        """Complete the folder; the `with` block does it for you."""
        self._folder.close()


def manifest_for(
    source: "Table", model: ModelInfo, label_spaces: Mapping[str, LabelSpace]
) -> PredictionsManifest:
    """The manifest of predictions for the chosen records of a dataset."""
    return PredictionsManifest(
        model=model,
        dataset=source.name,
        dataset_version=source.version,
        fingerprint=source.fingerprint,
        split=source.split,
        fold=source.fold,
        label_spaces={task: list(space.classes) for task, space in label_spaces.items()},
        samples=list(source.sample_ids),
    )
