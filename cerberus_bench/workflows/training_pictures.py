"""The picture of a validation: input, truth and prediction of a few windows and patches."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.pictures.draw import Image, boxes, frame, outline
from cerberus_bench.pictures.overlay import class_colour, instance_colours
from cerberus_bench.pictures.sheet import contact_sheet
from cerberus_bench.schema.labels import LabelSpace
from cerberus_bench.schema.prediction import PredictedInstances
from cerberus_bench.schema.record import Instances
from cerberus_bench.schema.tasks import SIGNET_RING, TISSUE

if TYPE_CHECKING:
    from cerberus_bench.model_zoo.glimpses import Glimpse

LINES = {"gland": 3, "lumen": 2, "nuclei": 1}
"""Task -> thickness of its outlines, px, in the order of drawing."""
BOX_LINE = 2
"""Thickness of a box, px."""
FRAME = 10
"""Thickness of the frame of a tissue patch, px."""


def validation_sheet(glimpses: "Sequence[Glimpse]") -> Image:
    """Three panels a window, side by side: input, truth, prediction.

    Objects are outlined or boxed, and tissue patches framed, in the colour of their class.
    """
    panels: list[Image] = []
    captions: list[str] = []
    for glimpse in glimpses:
        if glimpse.predicted_tissue is None:
            drawn = [
                _drawn(glimpse.image, objects, corners, glimpse.label_spaces)
                for objects, corners in (
                    (glimpse.truth, glimpse.true_boxes),
                    (glimpse.prediction, glimpse.predicted_boxes),
                )
            ]
            said = ["truth", "prediction"]
        else:
            classes = glimpse.true_tissue, glimpse.predicted_tissue
            drawn = [_framed(glimpse.image, name) for name in classes]
            said = [f"truth: {classes[0] or 'coarser'}", f"prediction: {classes[1]}"]
        panels += [glimpse.image, *drawn]
        captions += [glimpse.sample_id, *said]
    return contact_sheet(panels, columns=3, captions=captions)


def _drawn(
    image: Image,
    objects: Mapping[str, Instances | PredictedInstances],
    corners: NDArray[np.float32] | None,
    spaces: Mapping[str, LabelSpace],
) -> Image:
    for task, thickness in LINES.items():
        if task in objects:
            colours = instance_colours(objects[task], spaces[task])
            image = outline(image, objects[task].labels, colours, thickness)
    if corners is not None:
        image = boxes(image, corners, class_colour(SIGNET_RING.name, None), BOX_LINE)
    return image


def _framed(image: Image, tissue: str | None) -> Image:
    return frame(image, class_colour(TISSUE.name, tissue), FRAME)
