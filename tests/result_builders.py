"""Small results, made by hand, for tests of result files, reports and the leaderboard."""

from typing import Any

from cerberus_bench.schema.report import Score, ScoredPartition, ScoreReport
from cerberus_bench.schema.result import Contamination, DataInfo, ModelInfo, ResultRecord


def make_score(task: str = "nuclei", metric: str = "pq", **changes: Any) -> Score:
    fields: dict[str, Any] = {
        "task": task,
        "metric": metric,
        "convention": "exact",
        "averaging": "pooled",
        "value": 0.4,
        "low": 0.3,
        "high": 0.5,
        "headline": True,
        "n_images": 4,
        "n_groups": 4,
        "n_objects": 8,
        "n_undefined": 0,
        "counts": {},
    }
    return Score(**fields | changes)


def make_report(*scores: Score, **changes: Any) -> ScoreReport:
    fields: dict[str, Any] = {
        "protocol_version": 1,
        "scores": list(scores),
        "not_predicted": [],
        "not_annotated": [],
        "partitions": {
            "nuclei": ScoredPartition(
                classes=["epithelial", "connective"], truth_only=[], prediction_only=[]
            )
        },
        "n_images": 4,
        "n_groups": 4,
        "seed": 0,
        "n_resamples": 200,
    }
    return ScoreReport(**fields | changes)


def make_result(
    *scores: Score,
    name: str = "model",
    model: dict[str, Any] | None = None,
    data: dict[str, Any] | None = None,
    report: dict[str, Any] | None = None,
    **changes: Any,
) -> ResultRecord:
    model_fields: dict[str, Any] = {
        "name": name,
        "file_sha256": "ab" * 32,
        "architecture": "cerberus-tiny",
        "tasks": ["nuclei"],
        "kind": "single",
        "parameters": 1000,
        "seed": 0,
        "trained_on": [],
    }
    data_fields: dict[str, Any] = {
        "name": "phantom",
        "version": "1",
        "fingerprint": "cd" * 32,
        "split": "test",
        "fold": 0,
        "mpp": 0.5,
        "synthetic": True,
        "n_images": 4,
    }
    fields: dict[str, Any] = {
        "model": ModelInfo(**model_fields | (model or {})),
        "data": DataInfo(**data_fields | (data or {})),
        "report": make_report(*scores, **(report or {})),
        "contamination": Contamination(status="clean", shared=[], reason=""),
        "provenance": {"commit": "0123abc", "device": "cpu"},
        "created_utc": "2026-01-02T03:04:05Z",
    }
    return ResultRecord(**fields | changes)
