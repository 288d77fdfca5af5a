"""The contingency table and the scores of single images."""

import math

import numpy as np
import pytest
import slow_scores as slow
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cerberus_bench.eval import (
    aji,
    aji_plus,
    dice,
    dice2,
    f1,
    object_dice,
    object_f1,
    object_hausdorff,
    overlap,
    panoptic_quality,
)
from cerberus_bench.eval.aji import aji_counts
from cerberus_bench.eval.dice import DiceCounts, dice_counts
from cerberus_bench.eval.f1 import f1_counts, f1_counts_at
from cerberus_bench.eval.glas import ObjectDiceCounts, object_dice_counts
from cerberus_bench.eval.hausdorff import HausdorffCounts, hausdorff_counts
from cerberus_bench.eval.pq import PanopticCounts, panoptic_counts
from cerberus_bench.schema.errors import DataError

QUICK = settings(max_examples=60, deadline=None)
SCORES = (dice, aji, aji_plus, object_f1, object_dice, lambda t: panoptic_quality(t).pq)

# Truth: object 1 is 2 x 4 = 8 px, object 7 is 3 x 3 = 9 px.
# Prediction: object 2 is 2 x 3 = 6 px inside object 1 (IoU 6/8); object 3 is 3 x 2 = 6 px of
# which 3 lie in object 7 (IoU 3/12); object 9 is 1 px that meets nothing.
TRUTH = np.zeros((8, 8), np.int32)
TRUTH[0:2, 0:4] = 1
TRUTH[4:7, 4:7] = 7
PREDICTION = np.zeros((8, 8), np.int32)
PREDICTION[0:2, 0:3] = 2
PREDICTION[4:7, 3:5] = 3
PREDICTION[7, 0] = 9


def label_maps(sides=(7, 6), most=4):
    shape = st.tuples(st.integers(1, sides[0]), st.integers(1, sides[1]))
    return shape.flatmap(
        lambda s: st.tuples(*[arrays(np.uint8, s, elements=st.integers(0, most))] * 2)
    )


def same(got, expected):
    if math.isnan(expected):
        return math.isnan(got)
    return got == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_table_by_hand():
    table = overlap(TRUTH, PREDICTION)
    assert table.truth_ids.tolist() == [1, 7]
    assert table.truth_areas.tolist() == [8, 9]
    assert table.prediction_ids.tolist() == [2, 3, 9]
    assert table.prediction_areas.tolist() == [6, 6, 1]
    assert table.pair_truth.tolist() == [0, 1]
    assert table.pair_prediction.tolist() == [0, 1]
    assert table.intersection.tolist() == [6, 3]
    assert table.union.tolist() == [8, 12]
    assert table.shape == (8, 8)


def test_scores_by_hand():
    table = overlap(TRUTH, PREDICTION)
    assert dice(table) == 2 * 9 / (17 + 13)
    assert dice2(table) == 2 * 9 / (14 + 15)
    assert aji(table) == 9 / (8 + 12 + 1)
    assert aji_plus(table) == 9 / 21
    quality = panoptic_quality(table)
    assert (quality.tp, quality.fp, quality.fn) == (1, 2, 1)
    assert quality.dq == 1 / 2.5
    assert quality.sq == 0.75
    assert quality.pq == 0.4 * 0.75
    assert f1(table).f1 == 0.4
    assert f1(table).precision == 1 / 3
    assert f1(table).recall == 0.5
    # Object 2 covers 6 of the 8 px of its partner, object 3 only 3 of 9, object 9 has none.
    assert object_f1(table) == 2 / 5
    dice_1, dice_7 = 12 / 14, 6 / 15
    expected = 0.5 * ((8 * dice_1 + 9 * dice_7) / 17 + (6 * dice_1 + 6 * dice_7 + 0) / 13)
    assert object_dice(table) == pytest.approx(expected, abs=1e-15)


def test_hausdorff_by_hand():
    # 1 and 2: column 3 of the truth is one px from the prediction, h = 1. 7 and 3: truth column 6
    # is two px from column 4, prediction column 3 one from column 4, h = 2. Object 9 at (7, 0)
    # has no overlap: to object 1 the far corner (0, 3) is sqrt(58) away, to 7 it is (4, 6) with
    # sqrt(45); the smaller counts.
    expected = 0.5 * ((8 * 1 + 9 * 2) / 17 + (6 * 1 + 6 * 2 + math.sqrt(45)) / 13)
    assert object_hausdorff(TRUTH, PREDICTION) == pytest.approx(expected, abs=1e-14)
    assert object_hausdorff(TRUTH, PREDICTION, mpp=0.5) == pytest.approx(expected / 2, abs=1e-14)


def test_hausdorff_asks_inner_pixels():
    # A disc against the ring around its middle: the middle, no edge of the disc, is farthest.
    y, x = np.ogrid[-10:11, -10:11]
    disc = (y * y + x * x <= 100).astype(np.int32)
    ring = disc * (y * y + x * x > 36)
    assert object_hausdorff(disc, ring) == pytest.approx(math.sqrt(37), abs=1e-14)


def test_both_empty():
    empty = np.zeros((4, 5), np.uint16)
    for score in SCORES:
        assert math.isnan(score(overlap(empty, empty)))
    assert math.isnan(object_hausdorff(empty, empty))
    assert object_hausdorff(empty, empty, convention="glas") == 0
    assert object_f1(empty, empty, convention="glas") == 1
    assert object_dice(empty, empty, convention="glas") == 1
    assert panoptic_quality(empty, empty, convention="conic").pq == 0
    for convention in ("exact", "hover_net", "pannuke", "ge"):
        assert math.isnan(panoptic_quality(empty, empty, convention=convention).pq)
    assert math.isnan(f1(empty, empty).f1)


def test_no_pixels_at_all():
    assert math.isnan(dice(np.zeros((0, 0), int), np.zeros((0, 0), int)))


def test_one_side_empty():
    one, empty = TRUTH, np.zeros_like(TRUTH)
    for truth, prediction in ((one, empty), (empty, one)):
        for score in SCORES:
            assert score(overlap(truth, prediction)) == 0
        assert object_hausdorff(truth, prediction) == math.inf
        assert object_hausdorff(truth, prediction, convention="glas") == math.inf
    assert math.isnan(panoptic_quality(empty, one, convention="pannuke").pq)
    assert panoptic_quality(one, empty, convention="pannuke").pq == 0


def test_iou_of_exactly_one_half():
    truth, prediction = np.array([[1, 1, 0]]), np.array([[1, 0, 0]])
    assert panoptic_quality(truth, prediction).tp == 0
    assert panoptic_quality(truth, prediction, convention="ge").pq == 0.5
    assert panoptic_quality(truth, prediction, iou=0.49).tp == 1
    # Two predictions with IoU .5 each: only one can be matched.
    both = panoptic_quality([[1, 1]], [[1, 2]], convention="ge")
    assert (both.tp, both.fp, both.fn) == (1, 1, 0)


def test_low_threshold_prefers_total_iou_to_number():
    # t1 = 0..9, t2 = 10..12; p1 = 2..10, p2 = 0..1: IoU(t1, p1) = 8/11, (t1, p2) = .2,
    # (t2, p1) = 1/11. One pair of 8/11 beats the two pairs of total .29.
    truth = np.array([[1] * 10 + [2] * 3])
    prediction = np.array([[2] * 2 + [1] * 9 + [0] * 2])
    assert panoptic_quality(truth, prediction, iou=0.05).tp == 1
    assert panoptic_quality(truth, prediction, iou=0.05, convention="ge").tp == 2


def test_one_pixel():
    one = np.ones((1, 1), np.uint8)
    assert [score(overlap(one, one)) for score in SCORES] == [1.0] * len(SCORES)
    assert panoptic_quality(one, one, convention="hover_net").pq == 1 / 1.000001
    assert object_hausdorff(one, one) == 0


def test_no_background():
    truth, prediction = np.array([[5, 5], [6, 6]]), np.array([[1, 1], [1, 1]])
    assert aji(truth, prediction) == (2 + 2) / (4 + 4)
    assert aji_plus(truth, prediction) == 2 / (4 + 2)
    assert dice(truth, prediction) == 1


def test_aji_tie_takes_the_lowest_id():
    # 3 and 8 both cover one px of the truth with IoU .5, so 3 is taken and 8 is left over.
    assert aji_counts(overlap([[1, 1]], [[3, 8]])).union == 2 + 1


def test_disconnected_id_is_one_object_unless_split():
    truth = np.array([[4, 0, 4], [0, 0, 0], [4, 0, 0]])
    assert overlap(truth, truth).n_truth == 1
    assert overlap(truth, truth, split_disconnected=True).n_truth == 3
    touching = np.array([[4, 0], [0, 4], [5, 5]])
    assert overlap(touching, touching, split_disconnected=True).n_truth == 2


def test_split_refuses_what_the_table_refuses():
    with pytest.raises(DataError, match="truth has id -1"):
        overlap([[0, -1]], [[0, 1]], split_disconnected=True)


def test_clear_border_leaves_out_objects_of_both_sides():
    truth = np.zeros((9, 9), int)
    truth[0, 0] = 1
    truth[2, 2] = 2
    truth[4, 4] = 3
    assert overlap(truth, truth, clear_border=1).truth_ids.tolist() == [2, 3]
    table = overlap(truth, truth, clear_border=3)
    assert table.truth_ids.tolist() == table.prediction_ids.tolist() == [3]
    assert table.intersection.tolist() == [1]


def test_ignored_pixels_count_for_neither_side():
    truth, prediction = np.array([[1, 1, 1, 0, 0]]), np.array([[1, 1, 0, 2, 2]])
    ignore = np.array([[False, False, True, True, False]])
    table = overlap(truth, prediction, ignore=ignore)
    assert table.truth_areas.tolist() == [2]
    assert table.prediction_areas.tolist() == [2, 1]
    assert not table.void.any()  # object 2 is half inside, not more
    assert panoptic_quality(table).fp == 1
    mostly = overlap(truth, np.array([[1, 1, 2, 2, 2]]), ignore=ignore)
    assert mostly.void.tolist() == [False, True]
    assert panoptic_quality(mostly).pq == 1
    assert object_f1(mostly) == object_dice(mostly) == 1
    # Of pixels, only those inside the region are forgiven: px 4 of object 2 is outside.
    assert aji(mostly) == 2 / 3
    assert dice(mostly) == 4 / 5


def test_void_prediction_can_still_be_a_hit():
    truth, prediction = np.array([[1, 0, 0, 0]]), np.array([[1, 1, 1, 0]])
    table = overlap(truth, prediction, ignore=np.array([[False, True, True, False]]))
    assert table.void.tolist() == [True]
    assert panoptic_quality(table).pq == 1


def test_hausdorff_with_ignored_pixels():
    truth, prediction = np.array([[1, 1, 1, 0, 0]]), np.array([[1, 1, 0, 0, 2]])
    ignore = np.array([[False, False, True, False, True]])
    table = overlap(truth, prediction, ignore=ignore)
    counts = hausdorff_counts(truth, prediction, table, ignore=ignore)
    assert counts == HausdorffCounts(0.0, 2, 0.0, 2)


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64]
)
def test_any_integer_dtype(dtype):
    table = overlap(TRUTH.astype(dtype), PREDICTION)
    assert table.intersection.tolist() == [6, 3]


def test_boolean_mask_is_one_object():
    assert overlap(TRUTH > 0, PREDICTION).truth_ids.tolist() == [1]


def test_any_memory_order():
    expected = overlap(TRUTH, PREDICTION).intersection.tolist()
    fortran = np.asfortranarray
    assert overlap(fortran(TRUTH), fortran(PREDICTION)).intersection.tolist() == expected
    assert overlap(fortran(TRUTH), PREDICTION).intersection.tolist() == expected
    assert overlap(TRUTH[::-1], PREDICTION[::-1]).intersection.tolist() == expected
    wide = np.repeat(TRUTH, 2, axis=1)
    assert overlap(wide[:, ::2], PREDICTION).intersection.tolist() == expected


def test_large_ids():
    high = 2**32 - 1
    truth, prediction = TRUTH.astype(np.int64), PREDICTION.astype(np.uint32)
    truth[truth == 7] = high
    prediction[prediction == 3] = high
    table = overlap(truth, prediction)
    assert table.truth_ids.tolist() == [1, high]
    assert aji(table) == aji(TRUTH, PREDICTION)
    expected = object_hausdorff(TRUTH, PREDICTION)
    assert object_hausdorff(truth, prediction) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        (np.array([[0, -1]]), "id -1"),
        (np.array([[0, 2**32]]), "id 4294967296"),
        (np.array([[0, 2**63]], np.uint64), "id 9223372036854775808"),
        (np.array([[0.0, 1.0]]), "float64"),
        (np.zeros((1, 2, 3), int), r"\(1, 2, 3\)"),
        (np.zeros((2, 2), int), "same pixel grid"),
    ],
)
def test_maps_that_are_refused(truth, message):
    with pytest.raises(DataError, match=message):
        overlap(truth, np.array([[0, 1]]))


def test_arguments_that_are_refused():
    table = overlap(TRUTH, PREDICTION)
    with pytest.raises(DataError, match="convention"):
        panoptic_quality(table, convention="cityscapes")
    with pytest.raises(DataError, match="convention"):
        object_f1(table, convention="conic")
    with pytest.raises(DataError, match="threshold"):
        panoptic_quality(table, iou=50)
    with pytest.raises(DataError, match="give the prediction too"):
        dice(TRUTH)
    with pytest.raises(DataError, match="not a table and a map"):
        dice(table, PREDICTION)
    with pytest.raises(DataError, match="ignore mask"):
        overlap(TRUTH, PREDICTION, ignore=TRUTH)


@QUICK
@given(label_maps(), st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]))
def test_against_the_slow_implementation(maps, threshold):
    truth, prediction = maps
    table = overlap(truth, prediction)
    assert same(dice(table), slow.dice(*maps))
    assert same(dice2(table), slow.dice2(*maps))
    assert same(aji(table), slow.aji(*maps))
    assert any(same(aji_plus(table), option) for option in slow.aji_plus_options(*maps))
    assert same(object_f1(table), slow.object_f1(*maps))
    assert same(object_dice(table), slow.object_dice(*maps))
    assert same(object_hausdorff(*maps), slow.object_hausdorff(*maps))
    if threshold >= 0.5:
        got, expected = panoptic_quality(table, iou=threshold), slow.panoptic(*maps, threshold)
        for name, value in zip(("dq", "sq", "pq", "tp", "fp", "fn"), expected, strict=True):
            assert same(getattr(got, name), value), name


@QUICK
@given(label_maps(), st.randoms(use_true_random=False))
def test_invariants(maps, random):
    truth, prediction = maps
    table = overlap(truth, prediction)
    dice_sums, quality = dice_counts(table), panoptic_quality(table)
    assert quality.tp + quality.fn == table.n_truth
    assert quality.tp + quality.fp == table.n_prediction
    if table.is_empty:
        return
    for score in SCORES:
        assert 0 <= score(table) <= 1
    jaccard = dice_sums.jaccard
    assert dice_sums.dice == pytest.approx(2 * jaccard / (1 + jaccard), rel=1e-12)
    assert quality.pq == quality.dq * quality.sq
    assert quality.dq == f1(table).f1
    assert aji_plus(table) <= jaccard + 1e-12
    swapped = panoptic_quality(prediction, truth)
    assert (swapped.fp, swapped.fn) == (quality.fn, quality.fp)
    assert swapped.pq == pytest.approx(quality.pq, rel=1e-12)
    if truth.any():
        assert [score(overlap(truth, truth)) for score in SCORES] == [1.0] * len(SCORES)
        assert object_hausdorff(truth, truth) == 0
    new_ids = np.array([0, *random.sample(range(1, 1000), 4)])
    renamed = overlap(truth, new_ids[prediction])
    assert f1_counts(renamed) == f1_counts(table)
    assert dice_counts(renamed) == dice_counts(table)


@QUICK
@given(label_maps())
def test_many_thresholds_at_once(maps):
    table = overlap(*maps)
    thresholds = (0.5, 0.75, 0.95)
    assert f1_counts_at(table, thresholds) == tuple(f1_counts(table, t) for t in thresholds)


@QUICK
@given(label_maps(), st.integers(0, 4))
def test_select_equals_the_table_of_the_selected_maps(maps, c):
    truth, prediction = maps
    table = overlap(truth, prediction).select(
        np.unique(truth[truth > 0]) <= c, np.unique(prediction[prediction > 0]) >= c
    )
    expected = overlap(np.where(truth <= c, truth, 0), np.where(prediction >= c, prediction, 0))
    for name in ("truth_ids", "truth_areas", "prediction_ids", "prediction_areas"):
        assert getattr(table, name).tolist() == getattr(expected, name).tolist()
    for name in ("pair_truth", "pair_prediction", "intersection"):
        assert getattr(table, name).tolist() == getattr(expected, name).tolist()


def test_counts_pool():
    table = overlap(TRUTH, PREDICTION)
    two = panoptic_counts(table) + panoptic_counts(table)
    assert two == PanopticCounts(2, 4, 2, 1.5)
    assert two.quality().pq == panoptic_quality(table).pq
    assert dice_counts(table) + DiceCounts() == dice_counts(table)
    glands = object_dice_counts(table)
    assert (glands + glands).object_dice == pytest.approx(glands.object_dice, abs=1e-15)
    assert math.isnan(ObjectDiceCounts().object_dice)
    with pytest.raises(TypeError):
        DiceCounts() + PanopticCounts()


def test_pooled_hausdorff_says_how_often_one_side_was_empty():
    empty = np.zeros_like(TRUTH)
    found = hausdorff_counts(TRUTH, PREDICTION, overlap(TRUTH, PREDICTION))
    missed = hausdorff_counts(TRUTH, empty, overlap(TRUTH, empty))
    pooled = found + missed
    assert pooled.object_hausdorff == math.inf
    assert pooled.finite == found.object_hausdorff
    assert pooled.n_one_empty == 1
