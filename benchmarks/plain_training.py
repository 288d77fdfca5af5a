"""A training step as most repositories write it: the baseline of the benchmark `training`.

Targets by a loop over instances, float32 in the memory layout that tensors have by default, every
decoder on everything, losses from one-hot maps and logarithms. Its crops are given to it; reading,
augmentation, clipping and an average of the weights, which ours has, cost it nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from cerberus_bench.model_zoo.cerberus import PATCH_OUTPUT, Cerberus
from cerberus_bench.model_zoo.recipe import Losses
from cerberus_bench.model_zoo.targets import CONTOUR, INNER, KERNEL_SIZES

LEARNING_RATE = 1e-3
SMALL = 1e-8
"""Keeps logarithms finite."""


@dataclass(frozen=True, slots=True)
class Crop:
    """What a window is made into targets from."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    labels: Mapping[str, NDArray[np.uint16]]
    """Task -> (H, W) label map."""
    classes: Mapping[str, NDArray[np.int64]]
    """Task -> class of each id; 0 where none is known."""


@dataclass(frozen=True, slots=True)
class PlainBatch:
    """Crops and patches of a step."""

    crops: Sequence[Crop]
    patches: NDArray[np.uint8]
    """(M, H, W, 3)."""
    patch_classes: NDArray[np.int64]
    """(M,)."""


def loop_target(labels: NDArray[np.uint16], kernel_size: int) -> NDArray[np.uint8]:
    """Inner and contour by eroding and dilating the mask of one instance after the other."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (kernel_size, kernel_size))
    inner, contour = np.zeros((2, *labels.shape), bool)
    for i in np.unique(labels)[1:]:
        mask = (labels == i).astype(np.uint8)
        eroded = cv2.erode(mask, kernel)
        inner |= eroded > 0
        contour |= cv2.dilate(mask, kernel) > eroded
    target = np.where(inner, np.uint8(INNER), np.uint8(0))
    target[contour] = CONTOUR
    return target


def loop_classes(crop: Crop, task: str) -> NDArray[np.int64]:
    """Class of every pixel, one instance after the other; -1 where nothing is taught."""
    labels = crop.labels[task]
    found = np.full(labels.shape, -1, np.int64)
    for i in np.unique(labels)[1:]:
        if crop.classes[task][i]:
            found[labels == i] = crop.classes[task][i]
    return found


def plain_step(model: Cerberus, losses: Losses) -> Callable[[PlainBatch], float]:
    """A function that takes one step of Adam on a batch and returns its loss."""
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)

    def step(batch: PlainBatch) -> float:
        optimiser.zero_grad()
        loss = plain_loss(model, batch, losses)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return loss.item()

    return step


def plain_loss(model: Cerberus, batch: PlainBatch, losses: Losses) -> Tensor:
    """Weighted sum of the losses of all six outputs."""
    logits = model(_tensor(np.stack([crop.image for crop in batch.crops])))
    patch_logits = model(_tensor(batch.patches))[PATCH_OUTPUT]
    total = torch.zeros(())
    for name, weight in losses.outputs.items():
        task, _, kind = name.partition(".")
        if name == PATCH_OUTPUT:
            loss, _ = _cross_entropy(patch_logits, torch.from_numpy(batch.patch_classes))
        elif kind == "instance":
            maps = [loop_target(crop.labels[task], KERNEL_SIZES[task]) for crop in batch.crops]
            loss, _ = _cross_entropy(logits[name], torch.from_numpy(np.stack(maps)).long())
        else:
            classes = np.stack([loop_classes(crop, task) for crop in batch.crops])
            loss = _type_loss(logits[name], torch.from_numpy(classes), task, losses)
        total = total + weight * loss
    return total


def _tensor(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().contiguous()


def _type_loss(logits: Tensor, target: Tensor, task: str, losses: Losses) -> Tensor:
    weights = torch.ones(logits.shape[1])
    if task == "nuclei":
        weights[1:] = torch.tensor(list(losses.nuclei_classes.values()))
    loss, true = _cross_entropy(logits, target, weights)
    taught = (target >= 0)[:, None]
    p = torch.softmax(logits, 1) * taught
    both, either, occurs = ((x).sum((0, 2, 3)) for x in (p * true, p + true, true))
    return loss + 1 - (2 * both / (either + SMALL))[occurs > 0].mean()


def _cross_entropy(
    logits: Tensor, target: Tensor, weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Mean over what is taught (target not negative), and the one-hot target."""
    n = logits.shape[1]
    true = functional.one_hot(target.clamp_min(0), n).movedim(-1, 1).float()
    true = true * (target >= 0)[:, None]
    weight = true if weights is None else true * weights.view(1, n, *[1] * (target.ndim - 1))
    log_p = torch.log(torch.softmax(logits, 1) + SMALL)
    return -(weight * log_p).sum() / weight.sum(), true
