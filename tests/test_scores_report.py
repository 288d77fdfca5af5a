"""From records and predictions to a report, one image at a time."""

import json

import numpy as np
import pytest
from scores_toy import (
    CELLS,
    CORNERS,
    MODEL,
    NUCLEI,
    SIGNET,
    SIZE,
    SPACES,
    TISSUE,
    A,
    B,
    gland_pair,
    guess_of,
    nuclei_pair,
    nuclei_report,
    random_pairs,
    record,
    signet_pair,
    squares,
    tissue_pairs,
    truth_of,
)
from sklearn.metrics import r2_score, roc_auc_score

from cerberus_bench.eval import panoptic_quality
from cerberus_bench.eval.image_counts import ImageCounts
from cerberus_bench.eval.invariants import check_image_counts
from cerberus_bench.eval.score import Scorer, score
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import LabelSpace
from cerberus_bench.schema.prediction import Prediction
from cerberus_bench.schema.record import Coverage
from cerberus_bench.schema.report import ScoreReport


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


def test_tissue_that_is_refused():
    spaces = ({"tissue": TISSUE}, {"tissue": TISSUE})
    with pytest.raises(DataError, match="tissue class 3"):
        score(tissue_pairs([3], [[1, 0, 0]]), *spaces)
    with pytest.raises(DataError, match="3 finite numbers"):
        score(tissue_pairs([0], [[1, 0]]), *spaces)
    with pytest.raises(DataError, match="below 0"):
        score(tissue_pairs([0], [[1, 0, -1]]), *spaces)


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


@pytest.mark.parametrize("seed", range(12))
def test_any_sharding_gives_the_same_bytes(seed):
    pairs, rng = random_pairs(), np.random.default_rng(seed)
    shards = [Scorer(*SPACES) for _ in range(rng.integers(2, len(pairs) + 2))]
    for k in rng.permutation(len(pairs)):
        shards[rng.integers(len(shards))].add(*pairs[k])
    merged = shards.pop(rng.integers(len(shards)))
    for shard in shards:
        merged.merge(shard)
    assert merged.report().model_dump_json() == score(pairs, *SPACES).model_dump_json()


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
    with pytest.raises(DataError, match="a: signet_ring: 2 found and 1 missed of 2 objects"):
        check_image_counts(scorer.report(), {"signet_ring": changed}, "counts.parquet")
    changed = ImageCounts.from_table("signet_ring", {**table, "fp": [5, 5]})
    with pytest.raises(DataError, match="fp of the images"):
        check_image_counts(scorer.report(), {"signet_ring": changed}, "counts.parquet")
