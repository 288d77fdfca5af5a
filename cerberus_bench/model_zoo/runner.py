"""From an image to probabilities, and from those to a prediction on the image's own grid."""

from collections.abc import Callable, Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.model_zoo.backends import Network, Probabilities, make_network
from cerberus_bench.model_zoo.boxes import BOX, find_boxes
from cerberus_bench.model_zoo.checkpoint import LoadedModel
from cerberus_bench.model_zoo.instances import (
    gland_instances,
    instance_table,
    lumen_instances,
    lumina_inside_glands,
    nuclei_instances,
)
from cerberus_bench.model_zoo.options import BATCH_PX, DEFAULT, RunOptions
from cerberus_bench.model_zoo.tiling import Tiling, cut_windows, pad_to_stride, plan_windows
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.model import stride_of
from cerberus_bench.schema.prediction import PredictedInstances, Prediction
from cerberus_bench.schema.resample import map_points, resize_image, resize_nearest, scaled_shape
from cerberus_bench.schema.tasks import SIGNET_RING

Labels = NDArray[np.int32]

TISSUE_PATCH_PX = 256
"""Images up to this side at the model's mpp are one tissue patch; larger ones are averaged over."""
TISSUE_TILING = Tiling(window_px=448, margin_px=152)
"""The published one: each window classifies its central 144 px, which the patch head looks at."""
SPLIT: Mapping[str, Callable[[Probabilities], Labels]] = {
    "nuclei": nuclei_instances,
    "gland": gland_instances,
    "lumen": lumen_instances,
}


def predict_image(
    loaded: LoadedModel,
    image: NDArray[np.uint8],
    mpp: float,
    *,
    sample_id: str = "",
    tasks: Collection[str] | None = None,
    options: RunOptions = DEFAULT,
    network: Network | None = None,
) -> Prediction:
    """Run a model at its own resolution and map what it finds back to the image's grid.

    Args:
        loaded: the model; it runs on the device that its parameters are on.
        image: (H, W, 3) RGB.
        mpp: microns per pixel of the image.
        sample_id: name of the record, kept in the prediction.
        tasks: tasks to predict, all of the model's when None. Lumina outside glands are removed
            wherever the model knows glands, whether glands are asked for or not.
        options: window layout and precision.
        network: what `make_network` gave for this model and these options, for many images; made
            for this one when None.

    Raises:
        DataError: the model does not predict a task that is asked for.
    """
    network = network or make_network(loaded, options)
    wanted = _wanted(loaded, tasks)
    shape = (image.shape[0], image.shape[1])
    work_shape = scaled_shape(shape, mpp, loaded.mpp)
    work = image if work_shape == shape else resize_image(image, work_shape)
    maps = dense_maps(loaded, network, work, wanted, options)
    found = find_instances(maps)
    boxes, box_scores = _find_boxes(maps, work_shape, shape)
    tissue = None
    if "tissue" in wanted:
        tissue = tissue_probabilities(network, work)
    return Prediction(
        sample_id=sample_id,
        instances={task: on_grid(found[task], shape) for task in found if task in wanted},
        boxes=boxes,
        box_scores=box_scores,
        tissue=tissue,
    )


def run_model(
    network: Network,
    image: NDArray[np.uint8],
    outputs: Collection[str],
    tiling: Tiling,
    *,
    batch_px: int = BATCH_PX,
) -> dict[str, Probabilities]:
    """What dense outputs say of an image of any size, at every pixel or every cell of their grid.

    Args:
        network: what computes the windows.
        image: (H, W, 3) RGB at the model's mpp.
        outputs: dense outputs to compute, such as `gland.instance`.
        tiling: layout of the windows.
        batch_px: most input pixels of a batch.

    Returns:
        (H / stride, W / stride, channels) float32 by output name, sides rounded up: probabilities
        of classes, or boxes, as `heads.activate` describes them.
    """
    windows = plan_windows((image.shape[0], image.shape[1]), tiling)
    batch_size = max(1, batch_px // (windows[0].height * windows[0].width))
    maps: dict[str, Probabilities] = {}
    for batch, pixels in cut_windows(image, windows, batch_size):
        for name, centres in network(pixels, outputs, tiling.margin_px).items():
            if name not in maps:
                shape = (-(-side // stride_of(name)) for side in image.shape[:2])
                maps[name] = np.empty((*shape, centres.shape[3]), np.float32)
            for window, centre in zip(batch, centres, strict=True):
                target = maps[name][window.kept_at(stride_of(name))]
                target[...] = centre[: target.shape[0], : target.shape[1]]
    return maps


def tissue_probabilities(network: Network, image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Class probabilities of a tissue patch, or their mean over the area of a larger image.

    Args:
        network: a network with the `tissue` output.
        image: (H, W, 3) RGB at the model's mpp; up to 256 px a side it is one patch.

    Returns:
        (classes,) float64, summing to 1.
    """
    if max(image.shape[:2]) <= TISSUE_PATCH_PX:
        rows, weights = network(pad_to_stride(image)[None], ["tissue"])["tissue"], [1]
    else:
        windows = plan_windows((image.shape[0], image.shape[1]), TISSUE_TILING)
        batches = cut_windows(image, windows, batch_size=4)
        rows = np.concatenate([network(pixels, ["tissue"])["tissue"] for _, pixels in batches])
        weights = [window.area for window in windows]
    mean = np.average(rows.astype(np.float64), axis=0, weights=weights)
    return np.asarray(mean / mean.sum(), dtype=np.float64)


def on_grid(found: PredictedInstances, shape: tuple[int, int]) -> PredictedInstances:
    """Objects on another grid over the same area; those that no pixel is left of are dropped.

    Args:
        found: objects on any grid.
        shape: (H, W) of the new grid. Each pixel takes the id at its centre.
    """
    if found.labels.shape == shape:
        return found
    labels = resize_nearest(found.labels, shape)
    left = np.isin(found.ids, labels)
    return PredictedInstances(labels, found.ids[left], found.classes[left], found.scores[left])


def _wanted(loaded: LoadedModel, tasks: Collection[str] | None) -> list[str]:
    known = list(loaded.label_spaces)
    unknown = sorted(set(tasks or ()) - set(known))
    if unknown:
        raise DataError(
            f"{loaded.name} does not predict {', '.join(unknown)}. It predicts {', '.join(known)}."
        )
    return [task for task in known if tasks is None or task in tasks]


def dense_maps(
    loaded: LoadedModel,
    network: Network,
    image: NDArray[np.uint8],
    tasks: Collection[str],
    options: RunOptions = DEFAULT,
) -> dict[str, Probabilities]:
    """Dense outputs of some tasks, and of glands where lumina need them; see `run_model`.

    Args:
        loaded: the model.
        network: what `make_network` gave for it.
        image: (H, W, 3) RGB at the model's mpp.
        tasks: tasks of the model; `tissue` has no dense output.
        options: window layout.
    """
    needed = [task for task in SPLIT if task in tasks]
    if "lumen" in needed and "gland" in loaded.label_spaces and "gland" not in needed:
        needed.append("gland")
    outputs = [name for task in needed for name in outputs_of(loaded, task)]
    if SIGNET_RING.name in tasks:
        outputs.append(BOX)
    if not outputs:
        return {}
    return run_model(network, image, outputs, options.tiling(loaded), batch_px=options.batch_px)


def find_instances(maps: Mapping[str, Probabilities]) -> dict[str, PredictedInstances]:
    """Objects of the instance tasks that there are maps of.

    Args:
        maps: probabilities on one grid, as `run_model` returns them. Lumina outside glands are
            removed where there are glands too.
    """
    labels = {
        task: split(maps[f"{task}.instance"][..., 1:])
        for task, split in SPLIT.items()
        if f"{task}.instance" in maps
    }
    if "lumen" in labels and "gland" in labels:
        labels["lumen"] = lumina_inside_glands(labels["lumen"], labels["gland"])
    return {task: describe_instances(labels[task], maps, task) for task in labels}


def _find_boxes(
    maps: Mapping[str, Probabilities], work_shape: tuple[int, int], shape: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float64]] | tuple[None, None]:
    """Boxes and their scores on a grid of `shape`; None where the model was not asked for them."""
    if BOX not in maps:
        return None, None
    boxes, scores = find_boxes(maps[BOX], work_shape)
    return map_points(boxes.reshape(-1, 2), work_shape, shape).reshape(-1, 4), scores


def outputs_of(loaded: LoadedModel, task: str) -> list[str]:
    """Names of the dense outputs of an instance task; of one class there is no type map."""
    has_types = len(loaded.label_spaces[task].classes) > 1
    return [f"{task}.instance", f"{task}.type"] if has_types else [f"{task}.instance"]


def describe_instances(
    labels: Labels, maps: Mapping[str, Probabilities], task: str
) -> PredictedInstances:
    """Give each object its class and score; drop what the instance table leaves out.

    The class is the majority of the type map inside the object (1 where the task has no type
    map), the score the mean probability of being an object's inner part or contour.

    Args:
        labels: (H, W) label map.
        maps: probabilities of the task's outputs on the same grid, as `run_model` returns them.
        task: nuclei, gland or lumen.
    """
    types = maps.get(f"{task}.type")
    type_map = None if types is None else _classes_inside(labels, types)
    table = instance_table(labels, type_map, 1 - maps[f"{task}.instance"][..., 0])
    kept = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
    kept[table.id] = table.id
    return PredictedInstances(
        labels=kept[labels],
        ids=table.id.astype(np.int64),
        classes=(np.ones(len(table)) if type_map is None else table.type).astype(np.int64),
        scores=np.clip(table.score, 0, 1),
    )


def _classes_inside(labels: Labels, types: Probabilities) -> NDArray[np.uint16]:
    """Most probable class of every pixel of an object; 0 elsewhere, where nobody looks."""
    inside = np.flatnonzero(labels)
    classes = np.zeros(labels.shape, np.uint16)
    classes.flat[inside] = types.reshape(-1, types.shape[2])[inside].argmax(axis=1)
    return classes
