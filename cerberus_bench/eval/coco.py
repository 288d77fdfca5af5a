"""COCO average precision of boxes, by pycocotools or by an engine of equal results.

hotcoco (the extra `coco`) and faster-coco-eval compute the same tens of times faster, the first to
the last bit, the second to within 1e-15; the first of them that is installed is used. Two habits
of pycocotools are handled here: it counts only 100 detections an image unless told otherwise, and
its summary is -1 for any other number, so the mean is taken from its table; and it loses matches of
annotations numbered 0, so numbers start at 1.
"""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cerberus_bench.schema.boxes import as_boxes
from cerberus_bench.schema.errors import DataError

Engine = Literal["hotcoco", "faster_coco_eval", "pycocotools"]
ENGINES: tuple[Engine, ...] = ("hotcoco", "faster_coco_eval", "pycocotools")
"""Modules that can compute it, fastest first."""


@dataclass(frozen=True, slots=True)
class CocoAP:
    """Average precision in [0, 1]; NaN where there is no truth."""

    ap: float
    """Mean over IoU .5, .55, ... .95 and over classes with truth."""
    ap50: float
    """At IoU .5."""
    ap75: float
    """At IoU .75."""
    ar: float
    """Average recall over the same thresholds."""


def coco_ap(
    truths: Sequence[ArrayLike],
    predictions: Sequence[ArrayLike],
    scores: Sequence[ArrayLike],
    *,
    truth_classes: Sequence[ArrayLike] | None = None,
    prediction_classes: Sequence[ArrayLike] | None = None,
    engine: Engine | None = None,
) -> CocoAP:
    """Average precision of boxes over a set of images, all sizes, all detections counted.

    Args:
        truths: for each image (n, 4) boxes x0 y0 x1 y1, px.
        predictions: for each image (m, 4) boxes.
        scores: for each image (m,) confidences.
        truth_classes: for each image (n,) classes; one class by default.
        prediction_classes: for each image (m,) classes.
        engine: module to compute it with; the fastest that is installed when None.

    Raises:
        DataError: the sequences do not fit together, or the engine is not installed.
    """
    truth_list = [as_boxes(boxes, "truth boxes") for boxes in truths]
    prediction_list = [as_boxes(boxes, "predicted boxes") for boxes in predictions]
    score_list = [np.asarray(values, np.float64).reshape(-1) for values in scores]
    truth_class_list = _classes(truth_classes, truth_list, "truth")
    prediction_class_list = _classes(prediction_classes, prediction_list, "prediction")
    _check_lengths(truth_list, prediction_list, score_list)
    if not sum(map(len, truth_list)):
        return CocoAP(*(float("nan"),) * 4)
    truth = _columns(truth_list, truth_class_list)
    found = _columns(prediction_list, prediction_class_list)
    most = max((len(boxes) for boxes in prediction_list), default=0)
    chosen = engine or installed_engines()[0]
    found_scores = np.concatenate(score_list)
    return _evaluate(chosen, truth, found, found_scores, len(truth_list), max(most, 1))


@cache
def installed_engines() -> list[Engine]:
    """Engines that are installed, fastest first; pycocotools always is."""
    return [engine for engine in ENGINES if find_spec(engine)]


def _classes_of(engine: Engine) -> tuple[Any, Any]:
    """The index and the evaluator of an engine."""
    if engine not in installed_engines():
        raise DataError(f"{engine} is not installed. Install it, or leave the engine out.")
    if engine == "hotcoco":
        import hotcoco

        return hotcoco.COCO, hotcoco.COCOeval
    if engine == "faster_coco_eval":
        import faster_coco_eval

        return faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return COCO, COCOeval


class _Columns(NamedTuple):
    """Boxes of all images, one a row."""

    images: NDArray[np.int64]
    """(n,) image, from 1."""
    categories: NDArray[np.int64]
    """(n,) class."""
    boxes: NDArray[np.float64]
    """(n, 4) x0 y0 width height, px."""


class _Given(NamedTuple):
    """What an engine is given."""

    heads: dict[str, Any]
    """Images and categories."""
    truth: _Columns
    found: _Columns
    scores: NDArray[np.float64]
    """(m,) confidence of each row of `found`."""


def _columns(boxes: list[NDArray[np.float64]], classes: list[NDArray[np.int64]]) -> _Columns:
    corners = np.concatenate(boxes)
    images = np.repeat(np.arange(1, len(boxes) + 1), [len(some) for some in boxes])
    sized = np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]])
    return _Columns(images, np.concatenate(classes), sized)


def _evaluate(
    engine: Engine,
    truth: _Columns,
    found: _Columns,
    scores: NDArray[np.float64],
    n_images: int,
    max_detections: int,
) -> CocoAP:
    index, evaluate = _classes_of(engine)
    # sizes and names play no part here, but not every engine does without them
    images = [{"id": image, "width": 1, "height": 1} for image in range(1, n_images + 1)]
    labels = np.union1d(truth.categories, found.categories).tolist()
    heads = {"images": images, "categories": [{"id": c, "name": str(c)} for c in labels]}
    indices = _indices_of_arrays if engine == "hotcoco" else _indices_of_dicts
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = evaluate(*indices(index, _Given(heads, truth, found, scores)), "bbox")
        evaluator.params.maxDets = [max_detections]
        evaluator.params.areaRng, evaluator.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluator.evaluate()
        evaluator.accumulate()
    tables = evaluator.eval  # engines make it anew whenever they are asked
    precision, recall = np.asarray(tables["precision"]), np.asarray(tables["recall"])
    return CocoAP(_mean(precision), _mean(precision[0]), _mean(precision[5]), _mean(recall))


def _indices_of_arrays(index: Any, given: _Given) -> tuple[Any, Any]:
    """Truth and detections without a dict for every box, as hotcoco takes them."""
    heads, found = given.heads, given.found
    truths = index.from_arrays(heads["images"], heads["categories"], *given.truth)
    rows = np.column_stack([found.images, found.boxes, given.scores, found.categories])
    return truths, truths.loadRes(rows)


def _indices_of_dicts(index: Any, given: _Given) -> tuple[Any, Any]:
    """Truth and detections in pycocotools' interface."""
    sides = _annotations(given.truth), _annotations(given.found)
    for annotation, score in zip(sides[1], given.scores.tolist(), strict=True):
        annotation["score"] = score
    indices = index(), index()
    for coco, annotations in zip(indices, sides, strict=True):
        coco.dataset = {**given.heads, "annotations": annotations}
        coco.createIndex()
    return indices


def _annotations(columns: _Columns) -> list[dict[str, Any]]:
    # as Python numbers: engines take NumPy's one by one, which is several times slower
    lists = (
        columns.images.tolist(),
        columns.categories.tolist(),
        columns.boxes.tolist(),
        columns.boxes[:, 2:].prod(axis=1).tolist(),
    )
    return [
        {
            "id": number,
            "image_id": image,
            "category_id": label,
            "bbox": box,
            "area": area,
            "iscrowd": 0,
        }
        for number, (image, label, box, area) in enumerate(zip(*lists, strict=True), 1)
    ]


def _classes(
    classes: Sequence[ArrayLike] | None, boxes: list[NDArray[np.float64]], name: str
) -> list[NDArray[np.int64]]:
    if classes is None:
        return [np.ones(len(some), np.int64) for some in boxes]
    arrays = [np.asarray(values, np.int64).reshape(-1) for values in classes]
    if [len(array) for array in arrays] != [len(some) for some in boxes]:
        raise DataError(f"{name} classes and boxes differ in number; give one class a box")
    return arrays


def _check_lengths(*lists: list[NDArray[np.float64]]) -> None:
    truths, predictions, scores = lists
    if len(truths) != len(predictions):
        raise DataError(f"{len(truths)} images of truth, {len(predictions)} of predictions")
    if [len(boxes) for boxes in predictions] != [len(values) for values in scores]:
        raise DataError("predicted boxes and scores differ in number; give one score a box")


def _mean(values: NDArray[np.float64]) -> float:
    """Mean over what is defined: pycocotools marks a class without truth by -1."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else float("nan")
