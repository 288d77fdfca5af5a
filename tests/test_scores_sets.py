"""Scores of classes, points, boxes and patches."""

import math

import numpy as np
import pytest
import slow_scores as slow
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cerberus_bench.eval import (
    coco_ap,
    detection_f1,
    froc,
    multiclass_panoptic_quality,
    pannuke_panoptic_quality,
    panoptic_quality,
)
from cerberus_bench.eval.classification import (
    Calibration,
    auroc,
    average_precision,
    calibration,
    confusion,
)
from cerberus_bench.eval.coco import ENGINES, installed_engines
from cerberus_bench.schema.boxes import box_iou
from cerberus_bench.schema.errors import DataError

# Two images; class 1 is found, class 2 is there and missed, class 3 is nowhere.
TRUTHS = np.array([[[1, 1, 0, 2, 2]], [[0, 0, 0, 0, 0]]])
TRUTH_CLASSES = np.array([[[1, 1, 0, 2, 2]], [[0, 0, 0, 0, 0]]])
PREDICTIONS = np.array([[[9, 9, 0, 0, 0]], [[0, 0, 4, 0, 0]]])
PREDICTION_CLASSES = np.array([[[1, 1, 0, 0, 0]], [[0, 0, 1, 0, 0]]])
STACKS = (TRUTHS, TRUTH_CLASSES, PREDICTIONS, PREDICTION_CLASSES)


def test_classes_pooled_without_epsilon():
    got = multiclass_panoptic_quality(*STACKS, n_classes=3, convention="exact")
    assert got.counts.tolist() == [[1, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert got.per_class[:2] == (1 / 1.5, 0.0)
    assert math.isnan(got.per_class[2])
    assert got.mpq == (1 / 1.5 + 0) / 2
    # Image 1: tp 1, fn 1 -> 2/3. Image 2: one false positive -> 0.
    assert got.pq == (1 / 1.5 + 0) / 2


def test_classes_as_conic_count_absent_ones_as_zero():
    got = multiclass_panoptic_quality(*STACKS, n_classes=3)
    assert got.per_class[2] == 0
    assert got.mpq == pytest.approx(1 / 1.5 / 3, abs=1e-6)


def test_classes_as_pannuke_forgive_what_the_truth_lacks():
    got = multiclass_panoptic_quality(*STACKS, n_classes=3, convention="pannuke")
    assert got.pq == pytest.approx(2 / 3, abs=1e-6)
    assert got.mpq == pytest.approx(0.5, abs=1e-6)
    assert math.isnan(got.pq_per_image[1])


def test_mixed_class_objects_split():
    labels, classes = np.array([[[5, 5, 5]]]), np.array([[[1, 1, 2]]])
    got = multiclass_panoptic_quality(labels, classes, labels, classes, 2, "exact")
    assert got.counts.tolist() == [[1, 0, 0, 1], [1, 0, 0, 1]]
    assert got.mpq == 1


def test_classes_with_large_ids():
    high = TRUTHS * (2**31 - 1)
    got = multiclass_panoptic_quality(high, *STACKS[1:], n_classes=3)
    assert got.counts.tolist() == multiclass_panoptic_quality(*STACKS, 3).counts.tolist()


def test_pannuke_channels_may_overlap():
    channels = np.zeros((1, 2, 3, 3), int)
    channels[0, 0, :, 0] = 3
    channels[0, 0, :2, 1] = 3
    got = pannuke_panoptic_quality(channels, channels, n_classes=2)
    assert got.counts.tolist() == [[1, 0, 0, 1], [1, 0, 0, 1]]
    assert got.pq == pytest.approx(1, abs=1e-6)


def test_stacks_that_are_refused():
    with pytest.raises(DataError, match="classes go from 1 to"):
        multiclass_panoptic_quality(*STACKS, n_classes=1)
    with pytest.raises(DataError, match="one shape"):
        multiclass_panoptic_quality(TRUTHS[:1], *STACKS[1:])
    with pytest.raises(DataError, match="tissues"):
        multiclass_panoptic_quality(*STACKS, 3, "pannuke", tissues=["breast"])
    with pytest.raises(DataError, match="channels"):
        pannuke_panoptic_quality(np.zeros((1, 2, 2, 3), int), np.zeros((1, 2, 2, 3), int))


@settings(max_examples=40, deadline=None)
@given(
    arrays(np.uint8, (3, 5, 5), elements=st.integers(0, 3)),
    arrays(np.uint8, (3, 5, 5), elements=st.integers(0, 3)),
)
def test_classes_against_one_class_at_a_time(truth, prediction):
    """Class = id modulo 2 plus 1, so each class can be cut out and scored alone."""
    classes = [np.where(maps > 0, maps % 2 + 1, 0) for maps in (truth, prediction)]
    got = multiclass_panoptic_quality(truth, classes[0], prediction, classes[1], 2, "exact")
    for c in (1, 2):
        alone = [
            panoptic_quality(np.where(a == c, t, 0), np.where(b == c, p, 0))
            for t, a, p, b in zip(truth, classes[0], prediction, classes[1], strict=True)
        ]
        assert got.counts[c - 1, :3].tolist() == [
            sum(getattr(q, name) for q in alone) for name in ("tp", "fp", "fn")
        ]


def test_gated_detection_takes_most_pairs():
    # The nearest pair (b, x) would leave a and y alone: gating first finds both pairs.
    truth, prediction = [[0, 0], [4, 0]], [[3, 0], [8, 0]]
    gated = detection_f1(truth, prediction, radius=4)
    assert gated.pairs.tolist() == [[0, 0], [1, 1]]
    assert (gated.f1, gated.tp, gated.fp, gated.fn) == (1, 2, 0, 0)
    # hover_net assigns all points first: here the cheapest total needs a pair beyond the radius.
    truth, prediction = [[0, 0], [10, 0]], [[9, 0], [1, 100]]
    assert detection_f1(truth, prediction, radius=9).tp == 1
    assert detection_f1([[0, 0]], [[3, 4]], radius=5).tp == 1


def test_detection_with_nothing():
    assert math.isnan(detection_f1([], [], 3).f1)
    missed = detection_f1([[1, 2]], np.empty((0, 2)), 3)
    assert (missed.f1, missed.tp, missed.fn, missed.recall) == (0, 0, 1, 0)
    assert detection_f1([], [[1, 2]], 3).fp == 1
    for method in ("gated", "hover_net"):
        assert detection_f1([[0, 0]], [[9, 9]], 1, match=method).pairs.shape == (0, 2)


def test_points_that_are_refused():
    with pytest.raises(DataError, match="radius"):
        detection_f1([[0, 0]], [[0, 0]], -1)
    with pytest.raises(DataError, match="shape"):
        detection_f1([[0, 0, 0]], [[0, 0]], 1)
    with pytest.raises(DataError, match="match"):
        detection_f1([[0, 0]], [[0, 0]], 1, match="greedy")


POINT_LISTS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=5)


@settings(max_examples=80, deadline=None)
@given(POINT_LISTS, POINT_LISTS, st.sampled_from([0, 1.5, 3]))
def test_detection_against_all_permutations(truth, prediction, radius):
    got = detection_f1(truth, prediction, radius)
    number, total = slow.gated_best(truth, prediction, radius)
    distances = [math.dist(truth[a], prediction[b]) for a, b in got.pairs]
    assert len(distances) == number
    assert sum(distances) == pytest.approx(total, abs=1e-9)
    assert all(d <= radius for d in distances)


def test_box_iou():
    left, right = np.array([[0.0, 0, 4, 4]]), np.array([[2.0, 2, 4, 6], [5, 5, 6, 6]])
    assert box_iou(left, right).tolist() == [[4 / 20, 0]]


# One positive image with two cells and one negative image, every box 10 px wide and high.
CELLS = [[0, 0, 10, 10], [20, 0, 30, 10]]
FOUND = [[0, 0, 10, 10], [20, 5, 30, 15], [50, 50, 60, 60]]
WRONG = [[k * 10, 0, k * 10 + 10, 10] for k in range(3)]


def test_froc_by_hand():
    # The second box has IoU 50 / 150 = 1/3 >= .3. Order of score: hit .9, wrong .8, .7, hit .6,
    # wrong .5 (negative image) and .4 (positive image, does not count). With at most one false
    # positive on the negative image recall is 1/2, with two it is 1.
    got = froc([CELLS, []], [FOUND, WRONG], [[0.9, 0.6, 0.4], [0.8, 0.7, 0.5]])
    assert got.recall_at == (0.5, 1, 1, 1, 1, 1)
    assert got.froc == 5.5 / 6
    assert got.recall == 1
    assert got.false_positives_per_image == 3
    assert got.fps == 97
    assert (got.tp, got.fp, got.fn, got.n_negative) == (2, 4, 0, 1)
    assert got.f1 == 4 / 8


def test_froc_on_the_grid():
    # Thresholds above .7 up to .8 leave one false positive (recall .5, 100 of them), above .5 up
    # to .7 two (recall .5 above .6: 100 of them, 1 from .6 down: 100 of them).
    got = froc([CELLS, []], [FOUND, WRONG], [[0.9, 0.6, 0.4], [0.8, 0.7, 0.5]], method="grid")
    assert got.froc == pytest.approx((100 * 0.5 + 100 * 0.5 + 100 * 1) / 300, abs=1e-12)
    none = froc([CELLS, []], [FOUND, []], [[0.9, 0.6, 0.4], []], method="grid")
    assert none.froc == 1


def test_froc_equal_scores_enter_together():
    got = froc([CELLS, []], [FOUND[:2], WRONG], [[0.5, 0.5], [0.5, 0.5, 0.5]])
    assert got.recall_at == (0, 0, 1, 1, 1, 1)


def test_froc_of_little():
    assert math.isnan(froc([CELLS], [FOUND], [[0.9, 0.6, 0.4]]).froc)
    assert math.isnan(froc([[]], [WRONG], [[0.9, 0.6, 0.4]]).froc)
    assert math.isnan(froc([], [], []).recall)
    double = froc([CELLS[:1]], [[CELLS[0]] * 2], [[0.5, 0.6]])
    assert (double.tp, double.fp) == (1, 1)
    with pytest.raises(DataError, match="scores"):
        froc([CELLS], [FOUND], [[0.9]])
    with pytest.raises(DataError, match="0 to 1"):
        froc([CELLS], [FOUND], [[0.9, 3, 4]])
    with pytest.raises(DataError, match="x1 < x0"):
        froc([[[5, 5, 1, 1]]], [FOUND], [[0.9, 0.8, 0.7]])


def test_coco_counts_more_than_a_hundred_boxes_and_prints_nothing(capsys):
    boxes = [[10 * k, 0, 10 * k + 8, 8] for k in range(300)]
    got = coco_ap([boxes], [boxes], [np.linspace(0.1, 1, 300)])
    assert (got.ap, got.ap50, got.ap75, got.ar) == (1, 1, 1, 1)
    assert capsys.readouterr().out == ""


def test_coco_by_hand():
    # IoU of the second box is 8/12 = .667: right at .5, .55, .6, .65, wrong above.
    truth, prediction = [[0, 0, 10, 1], [20, 0, 30, 1]], [[0, 0, 10, 1], [22, 0, 32, 1]]
    got = coco_ap([truth], [prediction], [[0.9, 0.8]])
    assert got.ap50 == 1
    # With the first box only: precision 1 up to recall .5, which is 51 of the 101 points.
    assert got.ap75 == pytest.approx(51 / 101)
    assert got.ap == pytest.approx((4 + 6 * 51 / 101) / 10)


@pytest.mark.parametrize("engine", ENGINES)
def test_coco_is_the_same_by_every_engine(engine):
    if engine not in installed_engines():
        with pytest.raises(DataError, match=f"{engine} is not installed"):
            coco_ap([CELLS], [CELLS], [[0.9, 0.8]], engine=engine)
        return
    rng = np.random.default_rng(0)
    truths = [rng.uniform(0, 200, (n, 1, 2)) for n in (150, 0, 20)]
    moved = [t + rng.normal(0, 3, t.shape) for t in (truths[0], truths[2][:5], truths[2])]
    boxes = [[np.hstack([c[:, 0], c[:, 0] + 15]) for c in corners] for corners in (truths, moved)]
    scores = [rng.random(len(m)).round(1) for m in moved]
    classes = [[rng.integers(1, 4, len(side)) for side in sides] for sides in boxes]
    named = {"truth_classes": classes[0], "prediction_classes": classes[1]}
    got, expected = (
        coco_ap(*boxes, scores, engine=name, **named) for name in (engine, "pycocotools")
    )
    assert got == expected
    assert 0 < got.ap < 1


def test_coco_of_little():
    assert math.isnan(coco_ap([[]], [WRONG], [[0.1, 0.2, 0.3]]).ap)
    assert coco_ap([CELLS], [[]], [[]]).ap == 0
    classes = {"truth_classes": [[1, 2]], "prediction_classes": [[1, 1]]}
    assert coco_ap([CELLS], [CELLS], [[0.9, 0.8]], **classes).ap == pytest.approx(0.5)
    with pytest.raises(DataError, match="one score a box"):
        coco_ap([CELLS], [CELLS], [[0.9]])


def test_confusion_by_hand():
    got = confusion([0, 0, 1, 1, 2], [0, 1, 1, 1, 0], n_classes=4)
    assert got.table.tolist() == [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert got.accuracy == 3 / 5
    assert got.f1[:3].tolist() == [2 / 4, 4 / 5, 0]
    assert math.isnan(got.f1[3])
    assert got.macro_f1 == pytest.approx((0.5 + 0.8 + 0) / 3)
    assert got.balanced_accuracy == pytest.approx((0.5 + 1 + 0) / 3)
    assert (got + got).macro_f1 == got.macro_f1
    assert math.isnan(confusion([], [], 3).accuracy)
    with pytest.raises(DataError, match="expected 0 to 1"):
        confusion([2], [0], n_classes=2)


def test_ranking_scores():
    truth, table = [0, 0, 1], np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.3, 0.7, 0]])
    assert auroc(truth, table)[:2].tolist() == [0.5, 0.5]
    assert math.isnan(auroc(truth, table)[2])
    assert average_precision(truth, table)[1] == 0.5
    with pytest.raises(DataError, match="finite"):
        auroc([0], [[np.nan, 1]])


def test_calibration_by_hand():
    # Two patches at confidence .8, one right: error |.8 - .5|. One at 1, right: no error.
    got = calibration([0, 1, 1], [[0.8, 0.2], [0.8, 0.2], [0, 1]])
    assert got.error == pytest.approx(2 / 3 * 0.3)
    assert (got + got).error == pytest.approx(got.error)
    assert math.isnan(Calibration(np.zeros((15, 3))).error)
