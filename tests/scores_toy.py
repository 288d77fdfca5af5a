"""Small records with predictions, whose scores can be worked by hand."""

import numpy as np

from cerberus_bench.eval.score import score
from cerberus_bench.schema.labels import LabelSpace
from cerberus_bench.schema.prediction import PredictedInstances, Prediction
from cerberus_bench.schema.record import Coverage, Instances, Record

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


CELLS = [[0, 0, 10, 10], [10, 0, 20, 10]]


def gland_pair(name, truth, prediction):
    return (
        record(name, instances={"gland": truth_of(truth, [1] * truth.max())}),
        Prediction(
            sample_id=name, instances={"gland": guess_of(prediction, [1] * prediction.max())}
        ),
    )


def tissue_pairs(truths, probabilities):
    return [
        (
            record(f"t{k:03d}", {"tissue": Coverage.FULL}, tissue=t, group=f"g{k % 3}"),
            Prediction(sample_id=f"t{k:03d}", tissue=np.array(p, float)),
        )
        for k, (t, p) in enumerate(zip(truths, probabilities, strict=True))
    ]


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
