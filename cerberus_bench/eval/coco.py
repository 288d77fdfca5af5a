"""COCO average precision of boxes, by pycocotools or by an engine of equal results.

hotcoco (the extra `coco`) and faster-coco-eval speak pycocotools' interface and give the same
tables, tens of times faster; the first of them that is installed is used. Two habits of
pycocotools are handled here: it counts only 100 detections an image unless told
otherwise, and its summary is -1 for any other number, so the mean is taken from its table; and it
loses matches of annotations numbered 0, so numbers start at 1.
"""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cerberus_bench.eval.boxes import as_boxes
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
    truth = _annotations(truth_list, truth_class_list)
    found = _annotations(prediction_list, prediction_class_list)
    for annotation, score in zip(found, np.concatenate(score_list), strict=True):
        annotation["score"] = float(score)
    most = max((len(boxes) for boxes in prediction_list), default=0)
    categories = sorted({a["category_id"] for a in (*truth, *found)})
    return _evaluate(
        engine or installed_engines()[0], truth, found, categories, len(truth_list), max(most, 1)
    )


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


def _evaluate(
    engine: Engine,
    truth: list[dict[str, Any]],
    found: list[dict[str, Any]],
    categories: list[int],
    n_images: int,
    max_detections: int,
) -> CocoAP:
    index, evaluate = _classes_of(engine)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = evaluate(
            _index(index(), truth, categories, n_images),
            _index(index(), found, categories, n_images),
            "bbox",
        )
        evaluator.params.maxDets = [max_detections]
        evaluator.params.areaRng, evaluator.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluator.evaluate()
        evaluator.accumulate()
    precision, recall = (np.asarray(evaluator.eval[name]) for name in ("precision", "recall"))
    return CocoAP(_mean(precision), _mean(precision[0]), _mean(precision[5]), _mean(recall))


def _index(coco: Any, annotations: list[dict[str, Any]], categories: list[int], n: int) -> Any:
    coco.dataset = {
        # sizes and names play no part here, but not every engine does without them
        "images": [{"id": image, "width": 1, "height": 1} for image in range(1, n + 1)],
        "categories": [{"id": category, "name": str(category)} for category in categories],
        "annotations": annotations,
    }
    coco.createIndex()
    return coco


def _annotations(
    boxes: list[NDArray[np.float64]], classes: list[NDArray[np.int64]]
) -> list[dict[str, Any]]:
    rows = [
        (image, box, int(label))
        for image, (some, labels) in enumerate(zip(boxes, classes, strict=True), 1)
        for box, label in zip(some, labels, strict=True)
    ]
    return [
        {
            "id": number,
            "image_id": image,
            "category_id": label,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": (x1 - x0) * (y1 - y0),
            "iscrowd": 0,
        }
        for number, (image, (x0, y0, x1, y1), label) in enumerate(rows, 1)
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
