"""Published implementations, to the last bit where they can score at all."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from cerberus_bench.eval import (
    aji,
    aji_plus,
    detection_f1,
    dice,
    dice2,
    multiclass_panoptic_quality,
    object_dice,
    object_f1,
    object_hausdorff,
    overlap,
    pannuke_panoptic_quality,
    panoptic_quality,
)
from cerberus_bench.eval.glas import object_f1_counts
from cerberus_bench.eval.multiclass import counts_of

GOLDEN = Path(__file__).parent / "golden" / "metrics"


def load(name):
    return json.loads((GOLDEN / f"{name}.json").read_text()), np.load(GOLDEN / f"{name}.npz")


PAIRS, PAIR_MAPS = load("pairs")
GLAS, GLAS_MAPS = load("glas")
POINTS = json.loads((GOLDEN / "pair_coordinates.json").read_text())["cases"]


def none_for_nan(values):
    return [None if math.isnan(value) else value for value in values]


def pair(i):
    return PAIR_MAPS[f"gt{i:03d}"], PAIR_MAPS[f"pr{i:03d}"]


@pytest.mark.parametrize("case", PAIRS["cases"], ids=lambda case: str(case["i"]))
def test_hover_net_and_conic_on_one_image(case):
    table = overlap(*pair(case["i"]))
    assert dice(table) == case["dice"]
    assert dice2(table) == case["dice2"]
    assert aji(table) == case["aji"]
    assert aji_plus(table) == case["aji_plus"]
    quality = panoptic_quality(table, convention="hover_net")
    for name in ("dq", "sq", "pq", "tp", "fp", "fn", "sum_iou"):
        assert getattr(quality, name) == case[name], name
    for iou, expected in case["pq_at"].items():
        assert panoptic_quality(table, iou=float(iou), convention="hover_net").pq == expected
    conic = panoptic_quality(table, convention="conic")
    assert [conic.dq, conic.sq, conic.pq] == case["conic_pq"]


@pytest.mark.parametrize("peer", PAIRS["peers"], ids=lambda peer: str(peer["i"]))
def test_peers_on_one_image(peer):
    table = overlap(*pair(peer["i"]))
    inclusive = panoptic_quality(table, convention="ge")
    stardist = peer["stardist"]
    assert [inclusive.tp, inclusive.fp, inclusive.fn] == [stardist[k] for k in ("tp", "fp", "fn")]
    assert inclusive.pq == pytest.approx(stardist["pq"], abs=1e-6)  # float32 there
    counts = [panoptic_quality(table, iou=t, convention="ge") for t in (0.5, 0.75, 0.9)]
    ap = [q.tp / (q.tp + q.fp + q.fn) for q in counts]
    assert ap == pytest.approx(peer["cellpose_ap"], abs=1e-6)
    assert panoptic_quality(table).pq == pytest.approx(peer["cellseg_pq"], abs=1e-6)


def test_conic_set():
    expected, stacks = load("conic")
    truth, prediction = stacks["true"], stacks["pred"]
    got = multiclass_panoptic_quality(
        truth[..., 0], truth[..., 1], prediction[..., 0], prediction[..., 1], 6, "conic"
    )
    assert got.pq == expected["pq"]
    assert got.mpq == expected["multi_pq_plus"]
    assert list(got.per_class) == expected["pq_per_class"]
    assert got.pq_per_image.tolist() == expected["pq_per_image"]
    assert got.counts.tolist() == expected["totals"]


def test_pannuke_set():
    expected, stacks = load("pannuke")
    got = pannuke_panoptic_quality(stacks["true"], stacks["pred"], tissues=expected["types"])
    per_class = [
        none_for_nan([counts_of(row).quality("pannuke").pq for row in rows])
        for rows in got.image_counts
    ]
    assert per_class == expected["per_image_class_pq"]
    assert none_for_nan(got.pq_per_image) == expected["per_image_bpq"]
    per_tissue = {tissue: [] for tissue in expected["types"]}
    for tissue, values in zip(expected["types"], expected["per_image_class_pq"], strict=True):
        if values[0] is not None:
            per_tissue[tissue].append(np.mean(values))
    assert got.mpq == pytest.approx(np.mean([np.mean(v) for v in per_tissue.values()]), abs=1e-15)


@pytest.mark.parametrize("i", range(len(GLAS["rows"])))
def test_glas_contest(i):
    f1, dice_value, distance, tp, fp, fn, _ = GLAS["rows"][i]
    truth, prediction = GLAS_MAPS[f"G{i:03d}"], GLAS_MAPS[f"S{i:03d}"]
    table = overlap(truth, prediction)
    if distance == -1:  # one side empty, which the contest's code cannot score
        assert object_hausdorff(truth, prediction) == math.inf
        assert object_f1(table) == object_dice(table) == 0
        return
    counts = object_f1_counts(table)
    assert (counts.tp, counts.fp, counts.fn) == (tp, fp, fn)
    assert object_f1(table) == pytest.approx(f1 or 0, abs=1e-12)
    assert object_dice(table) == pytest.approx(dice_value, abs=1e-12)
    assert object_hausdorff(truth, prediction) == pytest.approx(distance, abs=1e-9)


@pytest.mark.parametrize("case", POINTS)
def test_hover_net_points(case):
    got = detection_f1(case["true"], case["pred"], case["radius"], match="hover_net")
    assert got.pairs.tolist() == case["pairs"]
    assert got.f1 == case["f1"]
    gated = detection_f1(case["true"], case["pred"], case["radius"])
    assert gated.tp >= got.tp
