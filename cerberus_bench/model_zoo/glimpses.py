"""What the network makes of a few validation windows, the same in every validation."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cerberus_bench.model_zoo.augment import cut, place_boxes
from cerberus_bench.model_zoo.batches import BatchMaker, ValidationPlan, Window, thinned
from cerberus_bench.model_zoo.boxes import BOX, find_boxes
from cerberus_bench.model_zoo.cerberus import Cerberus
from cerberus_bench.model_zoo.checkpoint import default_label_spaces
from cerberus_bench.model_zoo.heads import activate
from cerberus_bench.model_zoo.objective import Objective
from cerberus_bench.model_zoo.runner import find_instances
from cerberus_bench.model_zoo.samples import PATCH, Sample, SampleStore
from cerberus_bench.schema.labels import LabelSpace
from cerberus_bench.schema.model import label_space
from cerberus_bench.schema.prediction import PredictedInstances
from cerberus_bench.schema.record import Instances
from cerberus_bench.schema.tasks import TISSUE

WINDOWS, PATCHES = 4, 4
"""How many are looked at."""


@dataclass(frozen=True, slots=True)
class Glimpse:
    """One window or patch. Classes are the network's; 0 where an annotation is coarser."""

    sample_id: str
    image: NDArray[np.uint8]
    """(side, side, 3) RGB."""
    label_spaces: Mapping[str, LabelSpace]
    """Task -> classes of the network."""
    truth: Mapping[str, Instances] = field(default_factory=dict)
    """Instance task -> what is annotated; only tasks that the network learns."""
    prediction: Mapping[str, PredictedInstances] = field(default_factory=dict)
    """Instance task -> what the network finds, of the tasks that are annotated here."""
    true_boxes: NDArray[np.float32] | None = None
    """(n, 4) signet ring cells x0 y0 x1 y1, px; None where they are not annotated or not learnt."""
    predicted_boxes: NDArray[np.float32] | None = None
    true_tissue: str | None = None
    """Class of a patch; None for a window, or where the annotation is coarser."""
    predicted_tissue: str | None = None


class GlimpsePlan:
    """Which windows and patches are looked at.

    Args:
        store: the validation samples.
        plan: their windows.
        maker: cuts them.
        side: of a window, px.
    """

    def __init__(
        self, store: SampleStore, plan: ValidationPlan, maker: BatchMaker, side: int
    ) -> None:
        self._store, self._maker, self._side = store, maker, side
        self._windows = thinned(plan.windows, WINDOWS)
        self._patches = thinned(plan.patches, PATCHES)

    def look(self, model: Cerberus, objective: Objective) -> list[Glimpse]:
        """Run a network over the windows and patches; it is left in evaluation mode."""
        batch = self._maker.make(self._windows, self._patches)
        model.eval()
        names = default_label_spaces(model.spec)
        spaces = {task: label_space(task, classes) for task, classes in names.items()}
        with torch.inference_mode():
            logits = objective.logits(model, batch, frozen=True)
        tissue = logits.pop(PATCH, None)
        maps = {name: _activated(name, values) for name, values in logits.items()}
        found = []
        for row, window in enumerate(self._windows):
            mine = {
                name: values[batch.rows[name].index(row)]
                for name, values in maps.items()
                if row in batch.rows[name]
            }
            image = batch.images[row].permute(1, 2, 0).numpy()
            found.append(self._window(window, image, mine, spaces))
        if tissue is not None:
            classes = tissue.argmax(1).tolist()
            images = batch.patches.permute(0, 2, 3, 1).numpy()
            found += [
                self._patch(patch, image, index, spaces)
                for patch, image, index in zip(self._patches, images, classes, strict=True)
            ]
        return found

    def _window(
        self,
        window: Window,
        image: NDArray[np.uint8],
        maps: Mapping[str, NDArray[np.float32]],
        spaces: Mapping[str, LabelSpace],
    ) -> Glimpse:
        sample = self._store.get(window.entry)
        prediction = find_instances(maps)
        truth = {task: self._truth(sample, window, task) for task in prediction}
        glimpse = Glimpse(self._name(window), image, spaces, truth, prediction)
        if BOX not in maps or sample.boxes is None:
            return glimpse
        return replace(
            glimpse,
            true_boxes=place_boxes(sample.boxes, window.view, self._side),
            predicted_boxes=find_boxes(maps[BOX], (self._side, self._side))[0],
        )

    def _truth(self, sample: Sample, window: Window, task: str) -> Instances:
        whole = sample.labels[task]
        labels = cut(whole, window.view, self._side, smooth=False, border=cv2.BORDER_CONSTANT)
        ids = np.unique(labels[labels > 0]).astype(np.int64)
        classes = np.zeros(len(ids), np.int64)
        if task in sample.codes:
            single = self._store.codes[f"{task}.type"].single
            classes = single[sample.codes[task][ids]].clip(0)
        return Instances(labels.astype(np.int32), ids, classes)

    def _patch(
        self,
        patch: Window,
        image: NDArray[np.uint8],
        predicted: int,
        spaces: Mapping[str, LabelSpace],
    ) -> Glimpse:
        code = self._store.get(patch.entry).patch_code
        true = int(self._store.codes[PATCH].single[code])
        names = TISSUE.labels.classes
        return Glimpse(
            self._name(patch),
            image,
            spaces,
            true_tissue=names[true] if true >= 0 else None,
            predicted_tissue=names[predicted],
        )

    def _name(self, window: Window) -> str:
        source = self._store.sources[window.entry.source]
        return source.sample_ids[window.entry.record]


def _activated(name: str, logits: Tensor) -> NDArray[np.float32]:
    """What an output says, (N, H, W, channels), on the CPU."""
    return activate(name, logits).movedim(1, -1).cpu().numpy()
