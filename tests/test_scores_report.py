"""From records and predictions to a report: rows, pooling, intervals, invariants."""

import json
import math
import time

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, r2_score, roc_auc_score

from cerberus_bench.eval import formulas, froc, panoptic_quality
from cerberus_bench.eval.estimates import estimate
from cerberus_bench.eval.froc import FrocImage, froc_of
from cerberus_bench.eval.image_counts import ImageCounts
from cerberus_bench.eval.intervals import Estimate, draw, interval_of, paired_difference
from cerberus_bench.eval.invariants import check_image_counts, check_report
from cerberus_bench.eval.protocol import PROTOCOL, PROTOCOL_VERSION, Definition
from cerberus_bench.eval.ranking import weighted_auroc, weighted_average_precision, weighted_froc
from cerberus_bench.eval.rows import centroids
from cerberus_bench.eval.score import Scorer, score
from cerberus_bench.eval.scores import compare, find
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import LabelSpace
from cerberus_bench.schema.prediction import PredictedInstances, Prediction
from cerberus_bench.schema.record import Coverage, Instances, Record
from cerberus_bench.schema.report import ScoreReport

SIZE = 24
NUCLEI = LabelSpace("nuclei", ("lymphocyte", "epithelial"))
MODEL = LabelSpace("nuclei", ("epithelial", "lymphocyte", "plasma"))
TISSUE = LabelSpace("tissue", ("stroma", "debris", "mucus"))
SIGNET = LabelSpace("signet_ring", ("signet_ring_cell",))


def squares(*corners, side=4):
    labels = np.zeros((SIZE, SIZE), np.int32)
    for k, (y, x) in enumerate(corners, 1):
        labels[y : y + side, x : x + side] = k
    return labels


def truth_of(labels, classes):
    return Instances(labels, np.arange(1, len(classes) + 1), np.array(classes, np.int64))


def guess_of(labels, classes):
    ids = np.arange(1, len(classes) + 1)
    return PredictedInstances(labels, ids, np.array(classes, np.int64), np.ones(len(classes)))


def record(name, coverage=None, **fields):
    tasks = [*fields.get("instances", {})]
    fields.setdefault("group", name)
    return Record(
        sample_id=name,
        dataset="toy",
        record=name,
        image=np.zeros((SIZE, SIZE, 3), np.uint8),
        mpp=0.5,
        native_mpp=0.25,
        coverage=coverage or dict.fromkeys(tasks, Coverage.FULL),
        group_level="image",
        **fields,
    )


def nuclei_pair(name, truth, prediction, **fields):
    return (
        record(name, instances={"nuclei": truth_of(*truth)}, **fields),
        Prediction(sample_id=name, instances={"nuclei": guess_of(*prediction)}),
    )


# Image a: two nuclei found exactly, the second with the wrong class, a third predicted for
# nothing. Image b: one nucleus, missed.
CORNERS = ((2, 2), (10, 10))
A = nuclei_pair(
    "a", (squares(*CORNERS), [1, 2]), (squares(*CORNERS, (18, 2)), [2, 2, 1]), organ="colon"
)
B = nuclei_pair("b", (squares((5, 5)), [1]), (squares(), []), organ="breast")
SPACES = ({"nuclei": NUCLEI}, {"nuclei": MODEL})


def nuclei_report():
    return score([A, B], *SPACES)


def random_pairs(n=6, seed=0):
    rng = np.random.default_rng(seed)
    pairs = []
    for k in range(n):
        corners = [tuple(rng.integers(0, SIZE - 4, 2)) for _ in range(4)]
        labels = squares(*corners)
        found = np.roll(labels, rng.integers(0, 3), axis=0)
        classes = rng.integers(1, 3, 4)
        other = rng.integers(1, 4, 4)
        pairs.append(
            nuclei_pair(f"s{k}", (labels, classes), (found, other), group=f"g{k % 4}", organ="x")
        )
    return pairs


def test_nuclei_by_hand():
    report = nuclei_report()
    pooled = report.score("nuclei", "pq")
    assert pooled.counts == {"tp": 2, "fp": 1, "fn": 1, "sum_iou": 2}
    assert pooled.value == 2 / 3
    assert pooled.headline
    assert (pooled.n_images, pooled.n_groups, pooled.n_objects) == (2, 2, 3)
    mean = report.score("nuclei", "pq", averaging="image_mean")
    assert mean.value == pytest.approx((0.8 + 0) / 2)
    assert mean.counts == {"sum": pytest.approx(0.8), "n": 2}
    assert not mean.headline
    assert report.score("nuclei", "dice").value == 2 * 32 / (48 + 48)
    assert report.score("nuclei", "aji").value == 32 / (32 + 16 + 16)
    assert report.score("nuclei", "f1_50_95").value == pytest.approx(2 / 3)
    assert report.score("nuclei", "detection_f1").value == 2 / 3


def test_classes_by_hand():
    report = nuclei_report()
    # Lymphocytes: a has one found (epithelial truth 2 is not), b one missed, and one predicted
    # for nothing is none. Index 1 is lymphocyte in the data, epithelial in the model.
    assert report.partitions["nuclei"].classes == ["epithelial", "lymphocyte"]
    assert report.partitions["nuclei"].prediction_only == ["plasma"]
    lymphocyte = report.score("nuclei", "pq", class_name="lymphocyte")
    assert lymphocyte.counts == {"tp": 1, "fp": 1, "fn": 1, "sum_iou": 1}
    epithelial = report.score("nuclei", "pq", class_name="epithelial")
    assert epithelial.counts == {"tp": 0, "fp": 1, "fn": 1, "sum_iou": 0}
    assert report.score("nuclei", "mpq_plus").value == pytest.approx((0.5 + 0) / 2)
    # F_c: of lymphocytes one right, one epithelial called lymphocyte, one missed.
    f_c = report.score("nuclei", "classification_f1", class_name="lymphocyte")
    assert f_c.value == 2 / (2 + 2 * 1 + 1)
    r2 = report.score("nuclei", "r2", class_name="epithelial")
    assert r2.value == r2_score([1, 0], [1, 0])
    assert report.score("nuclei", "r2", class_name="lymphocyte").value is None


def test_tissue_means_as_pannuke():
    report = nuclei_report()
    assert report.score("nuclei", "bpq", averaging="image_mean").value == pytest.approx(0.4)
    mpq = report.score("nuclei", "mpq", averaging="image_mean")
    # Colon: lymphocyte 2/3 (one right, one wrong), epithelial 0. Breast: lymphocyte 0.
    assert mpq.value == pytest.approx((2 / 3 / 2 + 0) / 2, abs=1e-6)
    assert mpq.counts["n/breast"] == 1
    with pytest.raises(KeyError):
        score(random_pairs(), *SPACES).score("nuclei", "bpq", averaging="image_mean")


def test_prediction_of_a_class_that_the_model_cannot_express_is_forgiven():
    space = {"nuclei": LabelSpace("nuclei", ("epithelial", "mitotic"))}
    model = {"nuclei": LabelSpace("nuclei", ("epithelial", "dead"))}
    labels = squares(*CORNERS, (18, 2))
    # Truth: epithelial, mitotic, epithelial. Model: epithelial, epithelial (of the mitotic one,
    # forgiven), dead (the epithelial one stays missed).
    report = score([nuclei_pair("a", (labels, [1, 2, 1]), (labels, [1, 1, 2]))], space, model)
    assert report.score("nuclei", "pq", class_name="epithelial").counts == {
        "tp": 1, "fp": 0, "fn": 1, "sum_iou": 1,
    }  # fmt: skip
    partition = report.partitions["nuclei"]
    assert (partition.n_truth_excluded, partition.n_prediction_excluded) == (1, 1)
    assert partition.truth_only == ["mitotic"]
    f_c = report.score("nuclei", "classification_f1", class_name="epithelial")
    assert f_c.value == 2 / (2 + 2 * 1)
    assert report.score("nuclei", "pq").value == 1


def test_no_classes_no_class_scores():
    pair = nuclei_pair("a", (squares(*CORNERS), [0, 0]), (squares(*CORNERS), [2, 1]))
    report = score([pair], {"nuclei": LabelSpace("nuclei", ())}, {"nuclei": MODEL})
    assert report.partitions["nuclei"].classes == []
    assert {s.class_name for s in report.scores} == {None}
    assert "mpq_plus" not in {s.metric for s in report.scores}


def test_tasks_that_do_not_meet():
    report = score([A, B], {"nuclei": NUCLEI}, {"gland": LabelSpace("gland", ("gland",))})
    assert report.scores == []
    assert report.not_predicted == ["nuclei"]
    assert report.not_annotated == ["gland"]
    assert report.n_images == 2


def test_coverage():
    labels = squares(*CORNERS)
    none = record("n", {"nuclei": Coverage.NONE}, instances={"nuclei": truth_of(labels, [1, 1])})
    valid = np.zeros((SIZE, SIZE), bool)
    valid[:8] = True
    part = record(
        "p",
        {"nuclei": Coverage.PARTIAL},
        instances={"nuclei": truth_of(squares((2, 2)), [1])},
        valid=valid,
    )
    guess = {"nuclei": guess_of(labels, [2, 2])}
    report = score(
        [(r, Prediction(sample_id=r.sample_id, instances=guess)) for r in (none, part)], *SPACES
    )
    assert report.n_images == 2
    assert report.score("nuclei", "pq").n_images == 1
    assert report.score("nuclei", "pq").counts == {"tp": 1, "fp": 0, "fn": 0, "sum_iou": 1}
    assert report.score("nuclei", "detection_f1").value == 1
    unmasked = record(
        "u", {"nuclei": Coverage.PARTIAL}, instances={"nuclei": truth_of(labels, [1, 1])}
    )
    with pytest.raises(DataError, match="no valid mask"):
        score([(unmasked, Prediction(sample_id="u", instances=guess))], *SPACES)


def test_nuclei_marked_by_points():
    points = record(
        "p",
        {"nuclei": Coverage.FULL},
        points=np.array([[4, 4], [20, 20]], np.float32),
        point_classes=np.array([1, 2]),
    )
    guess = Prediction(
        sample_id="p", instances={"nuclei": guess_of(squares((2, 2), (10, 10)), [2, 1])}
    )
    report = score([(points, guess)], *SPACES)
    assert report.score("nuclei", "detection_f1").value == 0.5
    assert report.score("nuclei", "classification_f1", class_name="lymphocyte").value == 1
    assert "pq" not in {s.metric for s in report.scores}
    with pytest.raises(DataError, match="another way"):
        score([(points, guess), A], *SPACES)


def gland_pair(name, truth, prediction):
    return (
        record(name, instances={"gland": truth_of(truth, [1] * truth.max())}),
        Prediction(
            sample_id=name, instances={"gland": guess_of(prediction, [1] * prediction.max())}
        ),
    )


def test_glands_in_um_and_native_pixels():
    spaces = ({"gland": LabelSpace("gland", ("gland",))},) * 2
    found = gland_pair("a", squares((2, 2)), squares((2, 4)))
    missed = gland_pair("b", squares((2, 2)), squares())
    nothing = gland_pair("c", squares(), squares())
    report = score([found, missed, nothing], *spaces)
    um = report.score("gland", "object_hausdorff", unit="um")
    assert um.value == pytest.approx(2 * 0.5)
    assert um.n_infinite == 1
    assert report.score("gland", "object_hausdorff", unit="px").value == pytest.approx(2 * 2)
    mean = report.score("gland", "object_hausdorff", averaging="image_mean", unit="um")
    assert (mean.n_infinite, mean.n_undefined, mean.value) == (1, 1, pytest.approx(1))
    # Pooled: truth 16 of 32 px with Dice .5, prediction 16 of 16 px.
    assert report.score("gland", "object_dice").value == 0.5 * (0.25 + 0.5)
    image_mean = report.score("gland", "object_dice", averaging="image_mean")
    assert (image_mean.value, image_mean.n_undefined) == (0.25, 1)


def test_lumen_has_no_class_scores():
    spaces = ({"lumen": LabelSpace("lumen", ("lumen",))},) * 2
    labels = squares((2, 2))
    pair = (
        record("a", instances={"lumen": truth_of(labels, [1])}),
        Prediction(sample_id="a", instances={"lumen": guess_of(labels, [1])}),
    )
    report = score([pair], *spaces)
    assert {s.class_name for s in report.scores} == {None}
    assert {s.value for s in report.scores} == {1.0}
    assert {(s.low, s.high) for s in report.scores} == {(None, None)}  # one group


def tissue_pairs(truths, probabilities):
    return [
        (
            record(f"t{k:03d}", {"tissue": Coverage.FULL}, tissue=t, group=f"g{k % 3}"),
            Prediction(sample_id=f"t{k:03d}", tissue=np.array(p, float)),
        )
        for k, (t, p) in enumerate(zip(truths, probabilities, strict=True))
    ]


def test_tissue_by_hand():
    table = [[0.8, 0.1, 0.1], [0.6, 0.4, 0], [0.2, 0.7, 0.1], [0, 0.6, 0.4]]
    report = score(tissue_pairs([0, 1, 1, 2], table), {"tissue": TISSUE}, {"tissue": TISSUE})
    assert report.score("tissue", "accuracy").value == 0.5
    f1 = [report.score("tissue", "f1", class_name=c).value for c in TISSUE.classes]
    assert f1 == [2 / 3, 0.5, 0]
    assert report.score("tissue", "macro_f1").value == pytest.approx(np.mean(f1))
    assert report.score("tissue", "balanced_accuracy").value == pytest.approx(0.5)
    assert report.score("tissue", "auroc", class_name="stroma").value == roc_auc_score(
        [1, 0, 0, 0], [0.8, 0.6, 0.2, 0]
    )
    assert report.score("tissue", "accuracy").counts["confusion/debris/stroma"] == 1
    assert report.score("tissue", "calibration_error").value == pytest.approx(
        (0.2 + 0.6 + 0.3 + 0.6) / 4 - 2 * 0.6 / 4 + abs(2 * 0.6 - 0) / 4
    )


def test_tissue_in_common_classes():
    """The model lacks mucus; its abnormal epithelium is not in the data."""
    model = LabelSpace("tissue", ("debris", "abnormal_epithelium", "stroma"))
    table = [[0.1, 0.6, 0.3], [0.3, 0.5, 0.2], [0.5, 0, 0.5]]
    report = score(tissue_pairs([0, 1, 2], table), {"tissue": TISSUE}, {"tissue": model})
    assert report.score("tissue", "accuracy").value == 1
    assert report.score("tissue", "accuracy").n_images == 2
    assert report.partitions["tissue"].n_truth_excluded == 1
    assert report.partitions["tissue"].truth_only == ["mucus"]


CELLS = [[0, 0, 10, 10], [10, 0, 20, 10]]


def signet_pair(name, truth, boxes, scores, coverage=Coverage.FULL):
    return (
        record(
            name,
            {"signet_ring": coverage},
            signet_ring=np.array(truth, np.float32).reshape(-1, 4),
        ),
        Prediction(
            sample_id=name,
            boxes=np.array(boxes, np.float32).reshape(-1, 4),
            box_scores=np.array(scores, float),
        ),
    )


def test_signet_ring():
    pairs = [
        signet_pair("a", CELLS, [CELLS[0], [12, 12, 20, 20]], [0.9, 0.8], Coverage.PARTIAL),
        signet_pair("b", [], CELLS, [0.7, 0.95]),
    ]
    report = score(pairs, {"signet_ring": SIGNET}, {"signet_ring": SIGNET})
    # The second box of a may be a cell nobody marked: no false positive.
    assert report.score("signet_ring", "f1").counts == {"tp": 1, "fp": 2, "fn": 1}
    assert report.score("signet_ring", "recall").value == 0.5
    assert report.score("signet_ring", "false_positive_score").value == 98
    assert report.score("signet_ring", "froc").value == 0.5
    assert report.score("signet_ring", "froc").headline
    # Score order over both images: wrong, right (precision 1/2 up to recall 1/2), wrong, wrong.
    assert report.score("signet_ring", "coco_ap").value == pytest.approx(51 / 101 / 2)


def test_report_does_not_depend_on_order_or_shards():
    pairs = random_pairs()
    whole = score(pairs, *SPACES)
    one, other = Scorer(*SPACES), Scorer(*SPACES)
    for k, pair in enumerate(reversed(pairs)):
        (one if k % 2 else other).add(*pair)
    one.merge(other)
    assert one.report() == whole
    assert ScoreReport.model_validate_json(whole.model_dump_json()) == whole
    with pytest.raises(DataError, match="in two shards"):
        one.merge(other)
    with pytest.raises(DataError, match="label spaces"):
        one.merge(Scorer(SPACES[1], SPACES[1]))


def test_pooled_pq_is_that_of_one_large_image():
    pairs = random_pairs()
    labels, found, top = [], [], 0
    for image, guess in pairs:
        for maps, objects in ((labels, image.instances), (found, guess.instances)):
            moved = objects["nuclei"].labels
            maps.append(np.where(moved > 0, moved + top, 0))
        top += 4
    expected = panoptic_quality(np.hstack(labels), np.hstack(found))
    got = score(pairs, *SPACES).score("nuclei", "pq")
    assert got.value == pytest.approx(expected.pq, rel=1e-12)
    assert got.counts["tp"] == expected.tp


def test_wrong_use():
    scorer = Scorer(*SPACES)
    scorer.add(*A)
    with pytest.raises(DataError, match="before"):
        scorer.add(*A)
    with pytest.raises(DataError, match="the prediction a"):
        scorer.add(B[0], A[1])
    with pytest.raises(DataError, match="not here"):
        scorer.add(B[0], Prediction(sample_id="b"))
    wrong = np.zeros((3, 3), np.int32)
    with pytest.raises(DataError, match="grid of the image"):
        scorer.add(B[0], Prediction(sample_id="b", instances={"nuclei": guess_of(wrong, [])}))
    with pytest.raises(DataError, match="id list"):
        scorer.add(*nuclei_pair("b", (squares(*CORNERS), [1]), (squares(), [])))
    with pytest.raises(DataError, match="class 9"):
        scorer.add(*nuclei_pair("b", (squares((1, 1)), [1]), (squares((1, 1)), [9])))


def test_image_counts_round_trip():
    scorer = Scorer({"signet_ring": SIGNET}, {"signet_ring": SIGNET})
    scorer.add(*signet_pair("a", CELLS, CELLS, [0.9, 0.8]))
    scorer.add(*signet_pair("b", [], CELLS, [0.9, 0.8]))
    counts = scorer.image_counts()["signet_ring"]
    table = json.loads(json.dumps(counts.to_table()))
    again = ImageCounts.from_table("signet_ring", table)
    assert again.to_table() == counts.to_table()
    assert again.boxes[1].prediction.tolist() == CELLS
    check_image_counts(scorer.report(), {"signet_ring": again}, "counts.parquet")
    with pytest.raises(DataError, match="column fn"):
        ImageCounts.from_table("signet_ring", {**table, "fn": [1, None]})
    with pytest.raises(DataError, match="repeat"):
        ImageCounts.from_table("signet_ring", {**table, "sample_id": ["a", "a"]})
    with pytest.raises(DataError, match="group"):
        ImageCounts.from_table("signet_ring", {k: v for k, v in table.items() if k != "group"})
    changed = ImageCounts.from_table("signet_ring", {**table, "fn": [1, 1]})
    with pytest.raises(DataError, match="fn of the images"):
        check_image_counts(scorer.report(), {"signet_ring": changed}, "counts.parquet")


# Intervals


def counts_table(n=40, seed=3, groups=None):
    rng = np.random.default_rng(seed)
    columns = {name: rng.integers(1, 20, n).astype(float) for name in ("tp", "fp", "fn")}
    columns["n_truth"] = columns["tp"] + columns["fn"]
    columns["sum_iou"] = columns["tp"] * rng.uniform(0.6, 0.9, n)
    names = tuple(f"i{k:05d}" for k in range(n))
    groups = groups or tuple(f"g{k % 12:02d}" for k in range(n))
    return ImageCounts("nuclei", names, groups, ("",) * n, columns)


PQ = find("nuclei", "pq", "pooled", "exact", None)


def test_draws_are_resamples():
    draws = draw(7, 50, seed=1)
    assert draws.shape == (50, 7)
    assert (draws.sum(axis=1) == 7).all()
    assert (draws == draw(7, 50, seed=1)).all()
    assert (draws != draw(7, 50, seed=2)).any()


def test_resampled_pq_pools_counts():
    """A resample is the same as literally taking its groups one after the other."""
    counts = counts_table()
    draws = draw(12, 5)
    got = estimate(PQ, counts, "pooled").resample(draws)
    index = counts.group_index
    for row, value in zip(draws, got, strict=True):
        images = np.concatenate(
            [np.flatnonzero(index == g).repeat(int(k)) for g, k in enumerate(row)]
        )
        sums = {name: values[images].sum() for name, values in counts.columns.items()}
        assert value == pytest.approx(float(formulas.pq(sums, "")), rel=1e-12)
    means = estimate(PQ, counts, "image_mean").resample(draws)
    per_image = formulas.pq(counts.columns, "")
    assert means[0] == pytest.approx(np.average(per_image, weights=draws[0][index]), rel=1e-12)


def test_interval_is_the_percentiles_of_its_resamples():
    counts = counts_table()
    draws = draw(12, 2000)
    made = estimate(PQ, counts, "pooled")
    low, high = interval_of(made, draws)
    assert low < made.value < high
    assert [low, high] == pytest.approx(np.percentile(made.resample(draws), [2.5, 97.5]).tolist())
    assert interval_of(estimate(PQ, counts_table(groups=("g",) * 40), "pooled"), draw(1, 9)) == (
        None,
        None,
    )


def test_comparison_of_a_model_with_itself_and_with_a_better_one():
    counts = counts_table()
    same = compare(counts, counts, "pq")
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)
    better = dict(counts.columns)
    better["fp"] = better["fp"] * 0.5
    other = ImageCounts("nuclei", counts.sample_ids, counts.groups, counts.organs, better)
    won = compare(other, counts, "pq")
    assert won.value == pytest.approx(-compare(counts, other, "pq").value)
    assert won.low > 0
    assert won.p == pytest.approx(2 / 2001)
    assert won.n_groups == 12
    mean = compare(other, counts, "pq", averaging="image_mean")
    assert mean.low > 0
    with pytest.raises(DataError, match="different images"):
        compare(counts, counts_table(n=39), "pq")
    with pytest.raises(DataError, match="no score"):
        compare(counts, counts, "beauty")
    with pytest.raises(DataError, match="was not scored"):
        compare(counts, counts, "mpq_plus")


def test_difference_with_one_group_has_no_interval():
    one = Estimate(0.5, lambda draws: np.full(len(draws), 0.5))
    assert paired_difference(one, one, draw(1, 10)).p is None
    with pytest.raises(DataError, match="undefined"):
        paired_difference(one, Estimate(math.nan, one.resample), draw(2, 10))


def test_twelve_models_at_ten_thousand_resamples_are_quick():
    tables = [counts_table(150, seed, tuple(f"g{k}" for k in range(150))) for seed in range(12)]
    start = time.perf_counter()
    draws = draw(150, 10_000)
    for table in tables:
        interval_of(estimate(PQ, table, "pooled"), draws)
    assert time.perf_counter() - start < 2


def test_weighted_ranking_equals_sklearn():
    rng = np.random.default_rng(5)
    positive, score_ = rng.random(60) < 0.4, rng.integers(0, 9, 60) / 8
    weights = rng.integers(0, 4, (5, 60)).astype(float)
    auroc, ap = (f(positive, score_, weights) for f in (weighted_auroc, weighted_average_precision))
    for k, w in enumerate(weights):
        assert auroc[k] == pytest.approx(roc_auc_score(positive, score_, sample_weight=w))
        assert ap[k] == pytest.approx(average_precision_score(positive, score_, sample_weight=w))
    assert math.isnan(weighted_auroc(positive, score_, np.zeros((1, 60)))[0])


def test_weighted_froc_equals_froc_of_repeated_images():
    rng = np.random.default_rng(6)
    images = []
    for k in range(8):
        negative, m = k % 2 == 0, int(rng.integers(0, 30))
        hit = np.zeros(m, bool) if negative else rng.random(m) < 0.3
        n_truth = 0 if negative else int(hit.sum()) + 2
        images.append(FrocImage(n_truth, rng.integers(0, 9, m) / 8, hit, negative))
    weights = rng.integers(0, 3, (6, 8)).astype(float)
    weights[0] = 1
    weights[1, ::2] = 0
    got = weighted_froc(images, weights)
    for row, value in zip(weights, got, strict=True):
        repeated = [image for image, k in zip(images, row, strict=True) for _ in range(int(k))]
        assert value == pytest.approx(froc_of(repeated).froc, nan_ok=True)
    assert math.isnan(got[1])
    assert froc([], [], []).n_negative == 0


def test_centroids():
    labels = np.array([[7, 7, 0], [7, 9, 9]])
    assert centroids(labels, np.array([7, 9]), None).tolist() == [[1 / 3, 1 / 3], [1.5, 1]]


# Invariants


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
