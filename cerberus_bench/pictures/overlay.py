"""What is annotated on a record, or predicted for it, drawn in the colours of the ontology."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.pictures.draw import Image, boxes, frame, outline
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import ONTOLOGY, LabelSpace
from cerberus_bench.schema.prediction import PredictedInstances, Prediction
from cerberus_bench.schema.record import Instances, Record
from cerberus_bench.schema.tasks import TASKS, Kind

POINT_SIDE = 7
"""Side of the square drawn around a nucleus that is marked by a point only, px."""


def overlay(
    record: Record,
    drawn: Record | Prediction,
    task: str,
    space: LabelSpace,
    thickness: int = 1,
) -> Image:
    """The image of a record with the truth or the prediction of one task.

    Instances are outlined and boxes framed in the colour of their class; a patch gets a border
    in the colour of its tissue; nuclei marked by points get a small square.

    Args:
        record: whose image is drawn on.
        drawn: the record itself for the truth, or a prediction for it.
        task: one of `TASKS`.
        space: what the class indices of `drawn` mean: the dataset's label space for the truth,
            the model's for a prediction.
        thickness: of the lines, px.

    Raises:
        DataError: `drawn` has nothing of the task.
    """
    kind = TASKS[task].kind
    if kind is Kind.INSTANCES and task in drawn.instances:
        objects = drawn.instances[task]
        return outline(record.image, objects.labels, instance_colours(objects, space), thickness)
    if kind is Kind.BOXES:
        return _boxes(record, drawn, space, thickness)
    if kind is Kind.TILE_CLASS and drawn.tissue is not None:
        return frame(record.image, _tissue_colour(drawn, space), 4 * thickness)
    if isinstance(drawn, Record) and task == "nuclei" and drawn.points is not None:
        return _points(drawn, space, thickness)
    raise _nothing(drawn, task)


def class_colour(task: str, name: str | None) -> str:
    """Display colour of a class, `#rrggbb`; that of the whole task for no or an unknown class."""
    tree = ONTOLOGY[task]
    root = next(iter(tree.values()))
    return tree.get(name or root.id, root).colour


def instance_colours(objects: Instances | PredictedInstances, space: LabelSpace) -> dict[int, str]:
    """The colour of each id, by its class."""
    palette = _palette(space)
    pairs = zip(objects.ids.tolist(), objects.classes.tolist(), strict=True)
    return {i: palette[c] for i, c in pairs}


def _palette(space: LabelSpace) -> list[str]:
    return [class_colour(space.task, name) for name in (None, *space.classes)]


def _boxes(record: Record, drawn: Record | Prediction, space: LabelSpace, thickness: int) -> Image:
    corners = drawn.signet_ring if isinstance(drawn, Record) else drawn.boxes
    if corners is None:
        raise _nothing(drawn, space.task)
    return boxes(record.image, corners, _palette(space)[-1], thickness)


def _points(record: Record, space: LabelSpace, thickness: int) -> Image:
    points: NDArray[Any] = np.zeros((0, 2)) if record.points is None else record.points
    classes = record.point_classes
    palette = _palette(space)
    colours = [palette[0 if classes is None else int(classes[i])] for i in range(len(points))]
    reach = POINT_SIDE / 2
    return boxes(record.image, np.hstack([points - reach, points + reach]), colours, thickness)


def _tissue_colour(drawn: Record | Prediction, space: LabelSpace) -> str:
    if isinstance(drawn, Record):
        index = drawn.tissue or 0
    else:
        index = int(np.argmax(np.zeros(1) if drawn.tissue is None else drawn.tissue))
    return class_colour(space.task, space.classes[index])


def _nothing(drawn: Record | Prediction, task: str) -> DataError:
    what = "is not annotated on" if isinstance(drawn, Record) else "is not predicted for"
    return DataError(f"{task} {what} {drawn.sample_id}; draw a task that is there")
