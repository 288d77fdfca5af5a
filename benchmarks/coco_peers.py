"""COCO AP by each library called directly, without our function between.

Each is asked what ours answers: boxes of any size, all detections counted. By their defaults the
libraries also evaluate three ranges of sizes, which takes them two to three times as long.
"""

import contextlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.inputs import Boxes
from cerberus_bench.eval.coco import Engine

Side = list[Boxes]


def direct_ap(engine: Engine, truths: Side, predictions: Side, scores: Side) -> float:
    """Mean average precision of boxes of one class, from the same arrays that ours takes."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = _EVALUATORS[engine](truths, predictions, scores)
        evaluator.params.maxDets = [max(map(len, predictions))]
        evaluator.params.areaRng, evaluator.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluator.evaluate()
        evaluator.accumulate()
    precision = np.asarray(evaluator.eval["precision"])
    return float(precision[precision > -1].mean())


def _hotcoco(truths: Side, predictions: Side, scores: Side) -> Any:
    """By columns, its fastest way in."""
    import hotcoco

    heads, boxes = _heads(len(truths)), _x_y_width_height(truths)
    classes = np.ones(len(boxes), np.int64)
    truth = hotcoco.COCO.from_arrays(*heads.values(), _images(truths), classes, boxes)
    return hotcoco.COCOeval(truth, truth.loadRes(_results(predictions, scores)), "bbox")


def _faster_coco_eval(truths: Side, predictions: Side, scores: Side) -> Any:
    import faster_coco_eval

    return faster_coco_eval.COCOeval_faster(
        *_dicts(faster_coco_eval.COCO, truths, predictions, scores), "bbox"
    )


def _pycocotools(truths: Side, predictions: Side, scores: Side) -> Any:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return COCOeval(*_dicts(COCO, truths, predictions, scores), "bbox")


_EVALUATORS: dict[Engine, Callable[[Side, Side, Side], Any]] = {
    "hotcoco": _hotcoco,
    "faster_coco_eval": _faster_coco_eval,
    "pycocotools": _pycocotools,
}


def _dicts(index: Any, truths: Side, predictions: Side, scores: Side) -> tuple[Any, Any]:
    """A dict a box for the truth, detections as an array."""
    boxes = _x_y_width_height(truths)
    truth = index()
    rows = zip(_images(truths).tolist(), boxes.tolist(), strict=True)
    truth.dataset = _heads(len(truths)) | {
        "annotations": [
            {"id": i, "image_id": image, "category_id": 1, "bbox": box, "iscrowd": 0}
            | {"area": box[2] * box[3]}
            for i, (image, box) in enumerate(rows, 1)
        ]
    }
    truth.createIndex()
    return truth, truth.loadRes(_results(predictions, scores))


def _heads(n_images: int) -> dict[str, list[dict[str, Any]]]:
    images = [{"id": i, "width": 1000, "height": 1000} for i in range(1, n_images + 1)]
    return {"images": images, "categories": [{"id": 1, "name": "1"}]}


def _results(predictions: Side, scores: Side) -> NDArray[np.float64]:
    """(n, 7) image, x, y, width, height, score, class."""
    images, boxes = _images(predictions), _x_y_width_height(predictions)
    return np.column_stack([images, boxes, np.concatenate(scores), np.ones(len(boxes))])


def _images(boxes: Side) -> NDArray[np.int64]:
    return np.repeat(np.arange(1, len(boxes) + 1), [len(some) for some in boxes])


def _x_y_width_height(boxes: Side) -> NDArray[np.float64]:
    corners = np.concatenate(boxes)
    return np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]])
