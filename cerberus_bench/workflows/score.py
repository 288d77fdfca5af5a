"""`score`: a predictions folder against the truth; runs no model."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from cerberus_bench.eval.predictions import PredictionsFolder
from cerberus_bench.schema.errors import DataError
from cerberus_bench.workflows.data import open_data
from cerberus_bench.workflows.evaluate import Evaluation, keep_result, observations
from cerberus_bench.workflows.progress import Progress

if TYPE_CHECKING:
    from cerberus_bench.eval.score import Scorer


def score_folder(
    predictions: Path,
    data: str,
    *,
    out: Path | None = None,
    report: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Score a folder that `PredictionWriter` or `eval --predictions` wrote.

    Args:
        predictions: the folder.
        data: dataset name or harmonised folder that was predicted.
        out: folder for the result record; None writes nothing.
        report: also write an HTML beside the result.
        progress: how far it is.

    Raises:
        DataError: the folder is incomplete, or was made for other data.
    """
    from cerberus_bench.eval.score import Scorer

    folder = PredictionsFolder(predictions)
    manifest = folder.manifest
    source = open_data(data, split=manifest.split, fold=manifest.fold, progress=progress)
    if (manifest.dataset, manifest.fingerprint) != (source.name, source.fingerprint):
        raise DataError(
            f"{predictions} was predicted on {manifest.dataset} {manifest.fingerprint[:12]}, {data}"
            f" is {source.name} {source.fingerprint[:12]}. Predict these records again."
        )

    observed = observations(source, folder.label_spaces) if report else None

    def score_one(index: int) -> Scorer:
        one, record = Scorer(source.label_spaces, folder.label_spaces), source[index]
        prediction = folder.read(record.sample_id)
        one.add(record, prediction)
        if observed:
            observed.add(record, prediction)
        return one

    scorer = Scorer(source.label_spaces, folder.label_spaces)
    for done, one in enumerate(_on_all_cores(score_one, len(source)), 1):
        scorer.merge(one)
        if progress:
            progress(done, len(source), f"score {manifest.model.name}")
    return keep_result(
        source,
        scorer,
        manifest.model,
        lambda record: folder.read(record.sample_id),
        out=out,
        observed=observed,
    )


def _on_all_cores(score_one: "Callable[[int], Scorer]", n: int) -> "Iterator[Scorer]":
    """Scores of image 0, 1, ... n - 1, in order; decoding and counting leave the interpreter."""
    pool = ThreadPoolExecutor(max_workers=os.cpu_count(), thread_name_prefix="score")
    try:
        yield from pool.map(score_one, range(n))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
