"""What the network is taught: inner and contour maps, and classes through the ontology.

Source: Graham et al., "One Model is All You Need", Medical Image Analysis 2023, section 3; inner
and contour maps after Chen et al., "DCAN", CVPR 2016.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import LabelSpace, ancestors
from cerberus_bench.schema.record import MAX_INSTANCES

KERNEL_SIZES: Mapping[str, int] = {"nuclei": 3, "gland": 11, "lumen": 3}
"""Side in px at 0.5 mpp of the elliptical kernel that parts inner from contour, by task."""
INNER, CONTOUR = 1, 2
IGNORED = 255
"""Instance target of a pixel that teaches nothing."""
UNKNOWN = 0
"""Class code of a pixel or patch that teaches no class."""


def instance_target(labels: NDArray[np.uint16], kernel_size: int) -> NDArray[np.uint8]:
    """Background 0, inner 1 and contour 2 of every instance at once.

    The definition is per instance: inner = erosion, contour = dilation without erosion, contour
    wins. A pixel whose neighbourhood holds one label only is in the erosion of that label and in
    no dilation of another; one whose neighbourhood holds several, of which one is not background,
    is on a contour. It holds several where two of its adjacent pixels differ, because the kernel
    is connected. So two dilations of the places where labels meet decide, whatever the number of
    instances. What lies outside the map is unknown and makes no contour.

    Args:
        labels: (H, W) label map, 0 = background.
        kernel_size: side of the elliptical kernel, px, odd.
    """
    kernel: NDArray[np.uint8] = cv2.getStructuringElement(
        cv2.MORPH_ELLIPSE, (kernel_size, kernel_size)
    ).astype(np.uint8)
    contour = _meets(labels, kernel, axis=1) | _meets(labels, kernel, axis=0)
    target: NDArray[np.uint8] = (labels > 0) * np.uint8(INNER)
    np.maximum(target, contour * np.uint8(CONTOUR), out=target)
    return target


def _meets(labels: NDArray[np.uint16], kernel: NDArray[np.uint8], axis: int) -> NDArray[np.uint8]:
    """1 where the kernel, laid on a pixel, holds two neighbours along an axis that differ."""
    here = (slice(None),) * axis + (slice(1, None),)
    before = (slice(None),) * axis + (slice(None, -1),)
    differs = np.zeros(labels.shape, np.uint8)
    differs[here] = labels[here] != labels[before]
    both = np.zeros_like(kernel)
    both[here] = kernel[here] & kernel[before]
    return cv2.dilate(differs, both).astype(np.uint8, copy=False)


def border_weights(labels: NDArray[np.uint16], sigma: float, gain: float) -> NDArray[np.float32]:
    """Weight of every pixel in the loss: most between objects that touch, 1 away from others.

    1 + gain exp(-(d1 + d2)^2 / (2 sigma^2)), with d1 and d2 the distances to the two nearest
    objects; 1 where these are more than `border_reach` together. Source: Ronneberger et al.,
    "U-Net", MICCAI 2015, section 3.

    Args:
        labels: (H, W) label map, 0 = background. What lies outside is taken for background.
        sigma: px.
        gain: weight at d1 + d2 = 0, less 1.
    """
    reach = border_reach(sigma)
    first, second = np.full((2, *labels.shape), reach, np.float32)
    boxes = find_objects(labels)
    for number in np.unique(labels[labels > 0]).tolist():
        y, x = boxes[number - 1]
        near = tuple(slice(max(0, side.start - reach), side.stop + reach) for side in (y, x))
        others = (labels[near] != number).astype(np.uint8)
        distance = cv2.distanceTransform(others, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        # its last bits differ from call to call; squares of distances are whole numbers
        distance = np.sqrt(np.rint(distance**2))
        second[near] = np.minimum(second[near], np.maximum(first[near], distance))
        first[near] = np.minimum(first[near], distance)
    both = first + second
    extra = np.float32(gain) * np.exp(-(both**2) / np.float32(2 * sigma**2))
    return np.where(both < reach, 1 + extra, np.float32(1))


def border_reach(sigma: float) -> int:
    """How far apart two objects may be to matter to each other's borders, px: four sigma."""
    return math.ceil(4 * sigma)


def compact_labels(labels: NDArray[np.int32], name: str) -> NDArray[np.uint16]:
    """Return a label map in 16 bits, which the filters take and which halves the memory.

    Raises:
        DataError: an id does not fit.
    """
    if labels.size and not 0 <= labels.min() <= labels.max() <= MAX_INSTANCES:
        raise DataError(f"{name}: ids lie outside 0..{MAX_INSTANCES}; renumber the label map")
    return labels.astype(np.uint16)


def allowed_classes(node: str, space: LabelSpace) -> tuple[int, ...]:
    """Positions in `space` of the classes that something annotated as `node` may be.

    One class where the network has it or an ancestor of it (benign -> gland); several where the
    annotation is coarser than the network (inflammatory -> neutrophil, lymphocyte, ...); none
    where the network cannot express it, or where every class is possible, which teaches nothing.
    """
    chain = ancestors(space.task, node)
    above = tuple(i for i, name in enumerate(space.classes) if name in chain)
    if above:
        return above[:1]
    below = tuple(i for i, name in enumerate(space.classes) if node in ancestors(space.task, name))
    return () if len(below) == len(space.classes) else below


@dataclass(frozen=True, slots=True)
class ClassCodes:
    """One-byte codes for "one of these classes" of one output, over all datasets trained on."""

    membership: NDArray[np.bool_]
    """(codes, channels) which channels a code allows; row 0 (`UNKNOWN`) allows all."""
    of_dataset: Mapping[LabelSpace, NDArray[np.uint8]]
    """Label space of a dataset -> code of each of its one-based class indices (0 = no class)."""

    @property
    def single(self) -> NDArray[np.int64]:
        """(codes,) the one channel that a code allows, -1 where it allows several."""
        return np.where(self.membership.sum(1) == 1, self.membership.argmax(1), -1)

    def teaches(self, space: LabelSpace) -> bool:
        """Whether annotations in this label space say anything about the network's classes."""
        return bool(self.of_dataset[space].any())


def class_codes(
    network: LabelSpace, datasets: Iterable[LabelSpace], first_channel: int
) -> ClassCodes:
    """Number the sets of network classes that the datasets' classes stand for.

    Args:
        network: classes of the output.
        datasets: label spaces of the same task.
        first_channel: channel of the network's first class: 1 after a background channel, else 0.
    """
    sets: dict[tuple[int, ...], int] = {(): UNKNOWN}
    of_dataset = {}
    for space in datasets:
        rows = [(), *(allowed_classes(node, network) for node in space.classes)]
        codes = [sets.setdefault(row, len(sets)) for row in rows]
        of_dataset[space] = np.array(codes, np.uint8)
    membership = np.zeros((len(sets), first_channel + len(network.classes)), np.bool_)
    membership[UNKNOWN] = True
    for allowed, code in sets.items():
        membership[code, [first_channel + i for i in allowed]] = True
    return ClassCodes(membership, of_dataset)
