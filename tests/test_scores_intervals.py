"""Bootstrap over groups, comparisons, and scores of resampled rankings."""

import math
import time

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from cerberus_bench.eval import formulas, froc
from cerberus_bench.eval.estimates import estimate
from cerberus_bench.eval.froc import FrocImage, froc_of
from cerberus_bench.eval.image_counts import ImageCounts
from cerberus_bench.eval.intervals import Estimate, draw, interval_of, paired_difference
from cerberus_bench.eval.ranking import weighted_auroc, weighted_average_precision, weighted_froc
from cerberus_bench.eval.rows import centroids
from cerberus_bench.eval.scores import compare, find
from cerberus_bench.schema.errors import DataError


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
    start = time.process_time()
    draws = draw(150, 10_000)
    for table in tables:
        interval_of(estimate(PQ, table, "pooled"), draws)
    assert time.process_time() - start < 2


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
