"""One image, one task: truth and prediction in, a row of counts out.

An object whose class the other side cannot express is left out of the scores of classes. A
prediction matched to such a truth object is forgiven; a truth object matched to such a prediction
stays missed, since a model must not be able to excuse itself by naming a class of its own.
"""

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.eval.aji import aji_counts, aji_plus_counts
from cerberus_bench.eval.classification import CALIBRATION_BINS, calibration
from cerberus_bench.eval.detection import match_points
from cerberus_bench.eval.dice import dice_counts
from cerberus_bench.eval.f1 import f1_counts_at
from cerberus_bench.eval.formulas import THRESHOLDS, at
from cerberus_bench.eval.glas import object_dice_counts, object_f1_counts
from cerberus_bench.eval.hausdorff import hausdorff_counts
from cerberus_bench.eval.image_counts import Boxes
from cerberus_bench.eval.matching import match
from cerberus_bench.eval.overlap import Bool, Float64, Int64, Overlap, overlap
from cerberus_bench.eval.pq import panoptic_counts
from cerberus_bench.eval.protocol import CONFUSION, DETECTION_RADIUS_UM, SIGNET_RING_IOU
from cerberus_bench.schema.boxes import as_boxes, hits
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import Partition
from cerberus_bench.schema.prediction import PredictedInstances, Prediction
from cerberus_bench.schema.record import Coverage, Instances, Record

Counts = dict[str, float]


def instance_row(record: Record, prediction: Prediction, task: str, partition: Partition) -> Counts:
    """Counts of the objects of one image.

    Raises:
        DataError: the prediction is missing or on another grid, the truth is partial without a
            mask, or an id has no class.
    """
    predicted = _predicted(prediction, task)
    ignore = _ignored(record, task)
    if task not in record.instances:
        return _points_row(record, predicted, partition, ignore)
    truth = record.instances[task]
    if predicted.labels.shape != truth.labels.shape:
        raise DataError(
            f"{record.sample_id}: the predicted {task} map is {predicted.labels.shape}, the image"
            f" {truth.labels.shape}. Predict on the grid of the image."
        )
    table = overlap(truth.labels, predicted.labels, ignore=ignore)
    row = _overlap_counts(table)
    if task == "gland":
        row |= _hausdorff_row(record, truth, predicted, table, ignore)
    cells = _Cells.of_table(table, truth, predicted, partition, record.sample_id)
    row |= _excluded(cells)
    row |= _class_counts(table, cells, partition.cells)
    if task == "nuclei":
        points = (
            centroids(truth.labels, table.truth_ids, ignore),
            centroids(predicted.labels, table.prediction_ids, ignore),
        )
        row |= _detection_row(*points, cells, table.void, partition.cells, record.mpp)
    return row


def tissue_row(record: Record, prediction: Prediction, partition: Partition) -> Counts | None:
    """Counts of one patch; None where its class is one the model cannot express.

    Probabilities of the model's classes are summed within each common class and scaled to sum
    to 1 over these; a prediction is the most probable common class.

    Raises:
        DataError: the truth or the prediction is missing or does not fit its label space.
    """
    if record.tissue is None:
        raise DataError(f"{record.sample_id} is annotated for tissue but has no class")
    if prediction.tissue is None:
        raise DataError(_missing(prediction, "tissue"))
    if not 0 <= record.tissue < len(partition.truth) - 1:
        raise DataError(
            f"{record.sample_id}: tissue class {record.tissue} is not in the label space of"
            f" {len(partition.truth) - 1} classes"
        )
    probabilities = _tissue_probabilities(prediction, partition)
    cell = partition.truth[record.tissue + 1]
    if cell == 0:
        return None
    truth, guess = cell - 1, int(probabilities.argmax())
    row: Counts = {"truth": truth, "correct": float(truth == guess), "n_truth": 1.0}
    for i, name in enumerate(partition.cells):
        row[f"p/{name}"] = float(probabilities[i])
        row[f"n_truth/{name}"] = float(i == truth)
        row[f"tp/{name}"] = float(i == truth == guess)
        row[f"fp/{name}"] = float(i == guess != truth)
        row[f"fn/{name}"] = float(i == truth != guess)
        for j, other in enumerate(partition.cells):
            row[f"{CONFUSION}{name}/{other}"] = float(i == truth and j == guess)
    bins = calibration([truth], probabilities[None]).bins
    for b in range(CALIBRATION_BINS):
        row[f"confidence_{b}"], row[f"right_{b}"] = float(bins[b, 1]), float(bins[b, 2])
    return row


def signet_ring_row(record: Record, prediction: Prediction) -> tuple[Counts, Boxes]:
    """Counts and boxes of one image.

    Where not every cell is annotated, a box that meets none is no false positive. False positives
    of the contest are counted on fully annotated images without any cell.

    Raises:
        DataError: truth or prediction is missing, or boxes and scores do not fit.
    """
    if record.signet_ring is None:
        raise DataError(f"{record.sample_id} is annotated for signet_ring but has no boxes")
    if prediction.boxes is None or prediction.box_scores is None:
        raise DataError(_missing(prediction, "signet_ring"))
    truth = as_boxes(record.signet_ring, f"{record.sample_id}: truth boxes")
    found = as_boxes(prediction.boxes, f"{record.sample_id}: predicted boxes")
    scores = np.asarray(prediction.box_scores, np.float64)
    if scores.shape != (len(found),):
        raise DataError(f"{record.sample_id}: {len(found)} boxes but scores {scores.shape}")
    if record.valid is not None:
        truth = truth[_centre_inside(truth, record.valid)]
        inside = _centre_inside(found, record.valid)
        found, scores = found[inside], scores[inside]
    complete = record.coverage["signet_ring"] is Coverage.FULL or record.valid is not None
    tp = int(hits(truth, found, scores, SIGNET_RING_IOU).sum())
    negative = complete and len(truth) == 0
    row: Counts = {
        "n_truth": len(truth),
        "tp": tp,
        "fp": len(found) - tp if complete else 0,
        "fn": len(truth) - tp,
        "negative_images": float(negative),
        "negative_fp": len(found) if negative else 0,
    }
    return row, Boxes(truth, found, scores)


def centroids(labels: NDArray[np.integer], ids: Int64, ignore: Bool | None) -> Float64:
    """(n, 2) mean x, y of the pixels of each id, px, without ignored pixels.

    Sums go over runs of equal pixels in a row, of which there are far fewer than pixels.
    """
    kept = labels if ignore is None else np.where(ignore, 0, labels)
    height, width = kept.shape
    change = np.ones((height, width), np.bool_)
    change[:, 1:] = kept[:, 1:] != kept[:, :-1]
    start = np.flatnonzero(change)
    length = np.diff(start, append=height * width)
    owner = kept.ravel()[start].astype(np.int64)
    run = owner > 0
    start, length, index = start[run], length[run], np.searchsorted(ids, owner[run])
    y, x = np.divmod(start, width)
    sums = (length * x + length * (length - 1) // 2, length * y)
    area = np.bincount(index, length, len(ids))
    return np.stack([np.bincount(index, axis, len(ids)) / area for axis in sums], axis=1)


class _Cells:
    """The common class of each object: 0 where it has none."""

    def __init__(self, truth: Int64, prediction: Int64) -> None:
        self.truth, self.prediction = truth, prediction

    @classmethod
    def of_table(
        cls,
        table: Overlap,
        truth: Instances,
        predicted: PredictedInstances,
        partition: Partition,
        name: str,
    ) -> "_Cells":
        return cls(
            _cell_of(table.truth_ids, truth, partition.truth, f"{name}: truth"),
            _cell_of(table.prediction_ids, predicted, partition.prediction, f"{name}: prediction"),
        )


def _cell_of(
    ids: Int64, objects: Instances | PredictedInstances, cells: tuple[int, ...], name: str
) -> Int64:
    place = np.searchsorted(objects.ids, ids)
    known = place < len(objects.ids)
    known[known] = objects.ids[place[known]] == ids[known]
    if not known.all():
        raise DataError(f"{name}: object {ids[~known][0]} of the label map is not in its id list")
    classes = objects.classes[place]
    if len(classes) and not 0 <= classes.min() <= classes.max() < len(cells):
        raise DataError(
            f"{name}: class {classes.max()} is not in the label space of {len(cells) - 1} classes"
        )
    return np.asarray(cells, np.int64)[classes]


def _overlap_counts(table: Overlap) -> Counts:
    dice, aji, aji_plus = dice_counts(table), aji_counts(table), aji_plus_counts(table)
    matched, object_f1 = panoptic_counts(table), object_f1_counts(table)
    object_dice = object_dice_counts(table)
    row: Counts = {
        "n_truth": table.n_truth,
        "dice_intersection": dice.intersection,
        "dice_total": dice.total,
        "aji_intersection": aji.intersection,
        "aji_union": aji.union,
        "aji_plus_intersection": aji_plus.intersection,
        "aji_plus_union": aji_plus.union,
        "sum_iou": matched.sum_iou,
        "object_tp": object_f1.tp,
        "object_fp": object_f1.fp,
        "object_fn": object_f1.fn,
        "object_dice_truth": object_dice.truth_sum,
        "object_area_truth": object_dice.truth_area,
        "object_dice_prediction": object_dice.prediction_sum,
        "object_area_prediction": object_dice.prediction_area,
    }
    for threshold, counts in zip(THRESHOLDS, f1_counts_at(table, THRESHOLDS), strict=True):
        for name in ("tp", "fp", "fn"):
            row[at(name, threshold)] = getattr(counts, name)
    return row


def _hausdorff_row(
    record: Record,
    truth: Instances,
    predicted: PredictedInstances,
    table: Overlap,
    ignore: Bool | None,
) -> Counts:
    counts = hausdorff_counts(truth.labels, predicted.labels, table, ignore=ignore)
    to_native = record.mpp / record.native_mpp
    return {
        "hausdorff_um_truth": counts.truth_sum * record.mpp,
        "hausdorff_um_prediction": counts.prediction_sum * record.mpp,
        "hausdorff_px_truth": counts.truth_sum * to_native,
        "hausdorff_px_prediction": counts.prediction_sum * to_native,
        "hausdorff_area_truth": counts.truth_area,
        "hausdorff_area_prediction": counts.prediction_area,
        "one_side_empty": counts.n_one_empty,
    }


def _excluded(cells: _Cells) -> Counts:
    return {
        "truth_excluded": int((cells.truth == 0).sum()),
        "prediction_excluded": int((cells.prediction == 0).sum()),
    }


def _class_counts(table: Overlap, cells: _Cells, names: tuple[str, ...]) -> Counts:
    matches = match(table)
    judged = cells.prediction.copy()
    judged[matches.prediction[cells.truth[matches.truth] == 0]] = 0
    row: Counts = {}
    for c, name in enumerate(names, 1):
        of_class = table.select(cells.truth == c, judged == c)
        counts = panoptic_counts(of_class)
        n_truth, n_prediction = of_class.n_truth, of_class.n_prediction
        row |= {
            f"n_truth/{name}": n_truth,
            f"tp/{name}": counts.tp,
            f"fp/{name}": counts.fp,
            f"fn/{name}": counts.fn,
            f"sum_iou/{name}": counts.sum_iou,
            f"images/{name}": 1,
            f"count_truth/{name}": n_truth,
            f"count_truth_squared/{name}": n_truth**2,
            f"count_error_squared/{name}": (n_truth - n_prediction) ** 2,
        }
    return row


def _points_row(
    record: Record, predicted: PredictedInstances, partition: Partition, ignore: Bool | None
) -> Counts:
    """Detection counts against points, for data that marks nuclei by points only."""
    if record.points is None:
        raise DataError(f"{record.sample_id} is annotated for nuclei but has no objects or points")
    points = np.asarray(record.points, np.float64).reshape(-1, 2)
    classes = record.point_classes
    classes = np.zeros(len(points), np.int64) if classes is None else classes
    if ignore is not None:
        inside = ~_at(points, ignore)
        points, classes = points[inside], classes[inside]
    ids = np.unique(predicted.labels[predicted.labels > 0]).astype(np.int64)
    found = centroids(predicted.labels, ids, None)
    void = np.zeros(len(ids), np.bool_) if ignore is None else _at(found, ignore)
    cells = _Cells(
        np.asarray(partition.truth, np.int64)[classes],
        _cell_of(ids, predicted, partition.prediction, f"{record.sample_id}: prediction"),
    )
    row = _detection_row(points, found, cells, void, partition.cells, record.mpp)
    of_class = {
        f"n_truth/{name}": int((cells.truth == c).sum())
        for c, name in enumerate(partition.cells, 1)
    }
    return {"n_truth": len(points), **row, **of_class, **_excluded(cells)}


def _detection_row(
    truth: Float64,
    prediction: Float64,
    cells: _Cells,
    void: Bool,
    names: tuple[str, ...],
    mpp: float,
) -> Counts:
    pairs = match_points(truth, prediction, DETECTION_RADIUS_UM / mpp)
    lone_truth, lone_prediction = np.ones(len(truth), np.bool_), ~void
    lone_truth[pairs[:, 0]] = False
    lone_prediction[pairs[:, 1]] = False
    row: Counts = {
        "detection_tp": len(pairs),
        "detection_fp": int(lone_prediction.sum()),
        "detection_fn": int(lone_truth.sum()),
    }
    true, found = cells.truth[pairs[:, 0]], cells.prediction[pairs[:, 1]]
    judged = true > 0
    true, found = true[judged], found[judged]
    for c, name in enumerate(names, 1):
        row |= {
            f"centroid_tp/{name}": int(((true == c) & (found == c)).sum()),
            f"centroid_fp_matched/{name}": int(((true != c) & (found == c)).sum()),
            f"centroid_fn_matched/{name}": int(((true == c) & (found != c)).sum()),
            f"centroid_fp_lone/{name}": int((cells.prediction[lone_prediction] == c).sum()),
            f"centroid_fn_lone/{name}": int((cells.truth[lone_truth] == c).sum()),
        }
    return row


def _tissue_probabilities(prediction: Prediction, partition: Partition) -> Float64:
    given = np.asarray(prediction.tissue, np.float64)
    if given.shape != (len(partition.prediction) - 1,) or not np.isfinite(given).all():
        raise DataError(
            f"{prediction.sample_id}: tissue probabilities {given.shape}; expected"
            f" {len(partition.prediction) - 1} finite numbers"
        )
    if (given < 0).any():
        raise DataError(f"{prediction.sample_id}: tissue probabilities below 0")
    cells = np.asarray(partition.prediction[1:], np.int64)
    sums = np.bincount(cells, given, len(partition.cells) + 1)[1:]
    # A model sure of a class that the data does not have says nothing about those it has.
    return sums / sums.sum() if sums.sum() > 0 else np.full(len(sums), 1 / len(sums))


def _predicted(prediction: Prediction, task: str) -> PredictedInstances:
    if task not in prediction.instances:
        raise DataError(_missing(prediction, task))
    return prediction.instances[task]


def _missing(prediction: Prediction, task: str) -> str:
    return (
        f"{prediction.sample_id}: the model predicts {task}, but not here. Write an empty"
        " prediction where it finds nothing."
    )


def _ignored(record: Record, task: str) -> Bool | None:
    if record.valid is not None:
        return ~record.valid
    if record.coverage[task] is Coverage.PARTIAL:
        raise DataError(
            f"{record.sample_id}: {task} is annotated in part, but no valid mask says where."
            " Rebuild the record from its source."
        )
    return None


def _centre_inside(boxes: Float64, mask: Bool) -> Bool:
    return _at((boxes[:, :2] + boxes[:, 2:]) / 2, mask)


def _at(points: Float64, mask: Bool) -> Bool:
    """(n,) the mask at points x, y; points outside take the nearest pixel."""
    x, y = np.floor(points).astype(np.int64).T
    height, width = mask.shape
    inside: Bool = mask[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    return inside
