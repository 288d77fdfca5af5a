"""Protocols of challenges by name: their published figures, and what they are made of."""

import json
from pathlib import Path

import numpy as np
import pytest

from cerberus_bench.eval import aji, official_scores
from cerberus_bench.eval.official import PROTOCOLS
from cerberus_bench.schema.errors import DataError

GOLDEN = Path(__file__).parent / "golden" / "metrics"


def load(name):
    return json.loads((GOLDEN / f"{name}.json").read_text()), np.load(GOLDEN / f"{name}.npz")


def test_glas_image_means_are_those_of_the_contests_functions():
    expected, maps = load("glas")
    rows = {i: row for i, row in enumerate(expected["rows"]) if row[2] != -1}
    truths, predictions = ([maps[f"{side}{i:03d}"] for i in rows] for side in "GS")
    got = official_scores("glas-official", truths, predictions)
    f1, dice, distance, tp, fp, fn = (
        np.array([row[k] or 0 for row in rows.values()], float) for k in range(6)
    )
    assert got["f1_image_mean"] == pytest.approx(f1.mean(), abs=1e-12)
    assert got["object_dice_image_mean"] == pytest.approx(dice.mean(), abs=1e-12)
    assert got["object_hausdorff_image_mean"] == pytest.approx(distance.mean(), abs=1e-9)
    assert got["f1"] == pytest.approx(2 * tp.sum() / (2 * tp + fp + fn).sum(), abs=1e-12)


def test_glas_weights_are_over_the_whole_set():
    # A gland of 60 px found whole, and one of 20 px in another image that is missed by half:
    # S2 covers 10 of its px, not over half, Dice 2 * 10 / 30.
    truths, predictions = np.zeros((2, 2, 10, 10), int)
    truths[0, :6], predictions[0, :6] = 1, 1
    truths[1, :2], predictions[1, :1] = 1, 1
    got = official_scores("glas-official", truths, predictions)
    assert got["f1"] == pytest.approx(0.5)
    sides = (60 + 20 * 2 / 3) / 80, (60 + 10 * 2 / 3) / 70
    assert got["object_dice"] == pytest.approx(sum(sides) / 2)
    assert got["object_hausdorff"] == pytest.approx((20 * 1 / 80 + 10 * 1 / 70) / 2)
    assert got["object_dice_image_mean"] == pytest.approx((1 + 2 / 3) / 2)


def test_conic():
    expected, stacks = load("conic")
    truth, prediction = stacks["true"], stacks["pred"]
    counts = np.arange(len(truth) * 6).reshape(-1, 6)
    got = official_scores(
        "conic",
        truth[..., 0],
        prediction[..., 0],
        truth_classes=truth[..., 1],
        prediction_classes=prediction[..., 1],
        truth_counts=counts,
        prediction_counts=counts,
    )
    assert (got["pq"], got["mpq+"], got["r2"]) == (expected["pq"], expected["multi_pq_plus"], 1)


def test_pannuke():
    expected, stacks = load("pannuke")
    tissues = expected["types"]
    got = official_scores("pannuke", stacks["true"], stacks["pred"], tissues=tissues)
    rows = [[v for v in row if v is not None] for row in expected["per_image_class_pq"]]
    per_image = {
        "bpq": expected["per_image_bpq"],
        "mpq": [np.mean(row) if row else None for row in rows],
    }
    for name, values in per_image.items():
        by_tissue = {}
        for tissue, value in zip(tissues, values, strict=True):
            if value is not None:
                by_tissue.setdefault(tissue, []).append(value)
        means = [np.mean(values) for values in by_tissue.values()]
        assert got[name] == pytest.approx(np.mean(means), abs=1e-12)


def test_monuseg_leaves_out_what_is_undefined():
    truth, empty = np.eye(6, dtype=int), np.zeros((6, 6), int)
    half = truth.copy()
    half[3:] = 0
    got = official_scores("monuseg", [truth, truth, empty], [truth, half, empty])
    assert got == {"aji": (1 + aji(truth, half)) / 2}


def test_names_and_numbers_are_checked():
    with pytest.raises(DataError, match="glas-official, conic, pannuke, monuseg"):
        official_scores("glas", [], [])
    for name in PROTOCOLS:
        with pytest.raises(DataError, match="1 label maps of truth, 0 of predictions"):
            official_scores(name, [np.eye(3, dtype=int)], [])
