"""Reports that contradict themselves are refused."""

import json

import pytest
from scores_toy import (
    TISSUE,
    nuclei_report,
    tissue_pairs,
)

from cerberus_bench.eval.invariants import check_report
from cerberus_bench.eval.protocol import PROTOCOL, PROTOCOL_VERSION, Definition
from cerberus_bench.eval.score import score
from cerberus_bench.eval.scores import find
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.report import ScoreReport


def test_every_definition_of_the_protocol_is_found():
    for task, definitions in PROTOCOL.items():
        for definition in definitions:
            a_class = "x" if definition.scope.value == "each class" else None
            averaging = definition.averaging[0] if isinstance(definition, Definition) else "pooled"
            unit = definition.unit if isinstance(definition, Definition) else None
            found = find(task, definition.metric, averaging, definition.convention, a_class, unit)
            assert found is definition


def changed(report, which, **fields):
    data = json.loads(report.model_dump_json())
    place = next(s for s in data["scores"] if s["metric"] == which and s["class_name"] is None)
    place.update(fields)
    return ScoreReport.model_validate_json(json.dumps(data))


@pytest.mark.parametrize(
    ("metric", "fields", "message"),
    [
        ("pq", {"value": 0.9}, "counts give"),
        ("pq", {"value": None, "low": None, "high": None}, "counts give"),
        ("pq", {"counts": {"tp": 3, "fp": 1, "fn": 1, "sum_iou": 2}}, "counts give"),
        ("pq", {"counts": {"tp": 2, "fp": 1, "fn": 1}}, "no count"),
        ("pq", {"counts": {"tp": -2, "fp": 1, "fn": 1, "sum_iou": 2}}, "negative"),
        ("pq", {"counts": {"tp": 1e300, "fp": 1, "fn": 1, "sum_iou": 2}}, "beyond all measure"),
        ("pq", {"n_objects": 7}, "the truth has 7"),
        ("pq", {"high": 1.7}, "outside"),
        ("pq", {"low": 0.5, "high": 0.4}, "upside down"),
        ("pq", {"low": None}, "half an interval"),
        ("pq", {"metric": "beauty"}, "no score"),
        ("dq", {"metric": "f1"}, "twice"),
        ("pq", {"n_images": 5}, "more images"),
        (
            "f1",
            {"counts": {"tp": 2, "fp": 2, "fn": 0}, "n_objects": 2},
            "tp \\+ fp differs|the truth has",
        ),
        ("aji", {"counts": {"aji_intersection": 9, "aji_union": 9}, "value": 1.0}, "Jaccard"),
        (
            "dice",
            {"counts": {"dice_intersection": 10, "dice_total": 20}, "value": 1.0, "n_undefined": 9},
            "more undefined",
        ),
    ],
)
def test_reports_that_contradict_themselves(metric, fields, message):
    with pytest.raises(DataError, match=message) as error:
        check_report(changed(nuclei_report(), metric, **fields), "result.json")
    assert str(error.value).startswith("result.json: ")


def test_confusion_matrix_is_checked():
    report = score(
        tissue_pairs([0, 1], [[1, 0, 0], [1, 0, 0]]), {"tissue": TISSUE}, {"tissue": TISSUE}
    )
    counts = dict(report.score("tissue", "accuracy").counts)
    counts["confusion/mucus/mucus"] = 1
    with pytest.raises(DataError, match="confusion"):
        check_report(changed(report, "accuracy", counts=counts), "r")


def test_report_of_another_protocol_is_only_checked_for_bounds():
    report = nuclei_report().model_copy(update={"protocol_version": PROTOCOL_VERSION + 1})
    check_report(changed(report, "pq", value=0.9), "r")
    with pytest.raises(DataError, match="upside down"):
        check_report(changed(report, "pq", low=0.9, high=0.1), "r")
