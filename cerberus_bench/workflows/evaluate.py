"""`eval`: a model's predictions on a dataset, scored, and kept as a result record."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cerberus_bench.provenance import now_utc, provenance
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.files import whole
from cerberus_bench.schema.labels import LabelSpace
from cerberus_bench.schema.prediction import Prediction
from cerberus_bench.schema.record import Record
from cerberus_bench.schema.result import DataInfo, ModelInfo, ResultRecord
from cerberus_bench.schema.running import Backend, Mode, Precision
from cerberus_bench.workflows.data import open_data
from cerberus_bench.workflows.models import Predictor, find_model
from cerberus_bench.workflows.networks import parity_warning
from cerberus_bench.workflows.progress import Progress, tracked
from cerberus_bench.workflows.pull import hub_facts

if TYPE_CHECKING:
    import pandas as pd

    from cerberus_bench.eval.score import Scorer
    from cerberus_bench.loaders.table import Table
    from cerberus_bench.workflows.breakdown import Observations

Predict = Callable[[Record], Prediction]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One result, and where it lies."""

    result: ResultRecord
    result_path: Path | None
    report_path: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the paths and the whole record."""
        return {
            "result_path": None if self.result_path is None else str(self.result_path),
            "report_path": None if self.report_path is None else str(self.report_path),
            "result": self.result.model_dump(mode="json"),
        }


class Results(list[ResultRecord]):
    """Result records, one a dataset."""

    def to_frame(self) -> "pd.DataFrame":
        """One row a score, with model and dataset."""
        import pandas as pd

        rows = [
            {"model": r.model.name, "dataset": r.data.name, "split": r.data.split}
            | score.model_dump(exclude={"counts"})
            for r in self
            for score in r.report.scores
        ]
        return pd.DataFrame(rows)


def evaluate(
    model: str | Path | Predictor,
    data: Sequence[str] = ("phantom",),
    *,
    split: str = "test",
    fold: int = 3,
    out: str | Path | None = None,
    trust: bool = False,
    mode: Mode = "exact",
    precision: Precision = "fp32",
    backend: Backend = "torch",
) -> Results:
    """Score a model on datasets.

    Args:
        model: zoo name, model file, `module:factory` (with `trust`), or a `Predictor`.
        data: dataset names or harmonised folders.
        split: test, validation, train, or official:<part>.
        fold: which fold is the test fold, 1 to 3.
        out: folder to keep the result records in; None keeps nothing.
        trust: allow `module:factory`, which runs its code.
        mode: exact, the windows of the model's card; fast, larger ones. This and the next two are
            for a model that is given by name; the result records them, and they are part of what
            makes it a result of its own.
        precision: number type of the network.
        backend: what computes the network; openvino needs the extra of that name.

    Returns:
        One result record a dataset; `.to_frame()` gives pandas.

    Raises:
        DataError: the model or a dataset is missing or does not fit.

    Warns:
        UserWarning: the model's card has no passing parity report of the way that it is run.
    """
    if isinstance(model, str | Path):
        predictor = find_model(
            str(model), trust=trust, mode=mode, precision=precision, backend=backend
        )
    elif (mode, precision, backend) != ("exact", "fp32", "torch"):
        raise DataError("mode, precision and backend are for a model that is given by its name")
    else:
        predictor = model
    if told := parity_warning(predictor.info):
        warnings.warn(told, stacklevel=2)
    folder = None if out is None else Path(out)
    return Results(
        run_evaluation(predictor, name, split=split, fold=fold, out=folder).result for name in data
    )


def run_evaluation(
    predictor: Predictor,
    data: str,
    *,
    split: str = "test",
    fold: int = 3,
    out: Path | None = None,
    predictions: Path | None = None,
    report: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Predict and score one dataset; see `evaluate`.

    Args:
        predictor: what predicts.
        data: dataset name or harmonised folder.
        split: test, validation, train, or official:<part>.
        fold: which fold is the test fold.
        out: folder for the result record.
        predictions: folder to keep the predictions below, as `<dataset>/`.
        report: also write an HTML beside the result.
        progress: how far it is.
    """
    source = open_data(data, split=split, fold=fold, progress=progress)

    def predict(record: Record) -> Prediction:
        tasks = [task for task in predictor.label_spaces if record.covers(task)]
        return predictor.predict(record, tasks)

    folder = None if predictions is None else predictions / source.name
    observed = observations(source, predictor.label_spaces) if report else None
    scorer = _score(source, predict, predictor, folder, observed, progress)
    return keep_result(source, scorer, predictor.info, predict, out=out, observed=observed)


def observations(source: "Table", label_spaces: Mapping[str, LabelSpace]) -> "Observations":
    """An empty notebook for what the report of a source shows beyond its counts."""
    from cerberus_bench.workflows.breakdown import Observations

    return Observations(source.label_spaces, label_spaces)


def _score(
    source: "Table",
    predict: Predict,
    predictor: Predictor,
    predictions: Path | None,
    observed: "Observations | None",
    progress: Progress | None,
) -> "Scorer":
    from cerberus_bench.eval.predictions import PredictionsFolderWriter
    from cerberus_bench.eval.score import Scorer
    from cerberus_bench.workflows.predictions import manifest_for

    scorer = Scorer(source.label_spaces, predictor.label_spaces)
    info = predictor.info
    manifest = manifest_for(source, info, predictor.label_spaces)
    writer = PredictionsFolderWriter(predictions, manifest) if predictions else None
    with writer or nullcontext():
        for record in tracked(source, f"{info.name} on {source.name}", progress):
            prediction = predict(record)
            scorer.add(record, prediction)
            if observed:
                observed.add(record, prediction)
            if writer:
                writer.add(prediction)
    return scorer


def keep_result(
    source: "Table",
    scorer: "Scorer",
    model: ModelInfo,
    predict: Predict,
    *,
    out: Path | None,
    observed: "Observations | None" = None,
) -> Evaluation:
    """Make the result record of a scored source and write it, its counts and its report.

    Args:
        source: what was scored.
        scorer: the scores.
        model: what was scored.
        predict: the prediction for a record, asked for again for the images of the report.
        out: folder of results; None writes nothing.
        observed: what was noted of every image, for the HTML; None writes no HTML.
    """
    result = ResultRecord(
        model=model,
        data=data_info(source),
        report=scorer.report(),
        contamination=source.contamination(model.trained_on),
        provenance=provenance(**hub_facts(source.folder)),
        created_utc=now_utc(),
    )
    if out is None:
        return Evaluation(result, None)
    path = _write(result, scorer, out)
    page = _write_report(result, scorer, source, predict, observed, path) if observed else None
    return Evaluation(result, path, page)


def data_info(source: "Table") -> DataInfo:
    """What a record says of the data that it is about."""
    first = source[0]
    return DataInfo(
        name=source.name,
        version=source.version,
        fingerprint=source.fingerprint,
        split=source.split,
        fold=source.fold,
        mpp=first.mpp,
        synthetic=source.metadata.synthetic,
        n_images=len(source),
    )


def _write(result: ResultRecord, scorer: "Scorer", out: Path) -> Path:
    from cerberus_bench.leaderboard.counts import counts_path, write_counts

    path = out / result.relative_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_counts(counts_path(path), scorer.image_counts())
    with whole(path) as draft:
        draft.write_text(result.to_json(), encoding="utf-8")
    return path


def _write_report(
    result: ResultRecord,
    scorer: "Scorer",
    source: "Table",
    predict: Predict,
    observed: "Observations",
    path: Path,
) -> Path:
    from cerberus_bench.pictures import evaluation_report
    from cerberus_bench.workflows.breakdown import find_breakdowns
    from cerberus_bench.workflows.examples import find_examples

    examples = find_examples(scorer, source, predict)
    breakdowns = find_breakdowns(scorer, observed)
    return evaluation_report(result, examples, path.with_suffix(".html"), breakdowns)
