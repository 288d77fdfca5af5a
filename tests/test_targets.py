"""Targets against the per-instance definition, and classes through the ontology."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from cerberus_bench.model_zoo.targets import (
    KERNEL_SIZES,
    allowed_classes,
    border_reach,
    border_weights,
    class_codes,
    compact_labels,
    instance_target,
)
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import LabelSpace
from cerberus_bench.schema.tasks import GLAND, NUCLEI, TISSUE


def touching_blobs(seed: int, side: int = 96, n: int = 40) -> NDArray[np.uint16]:
    """Discs that overlap, touch each other, and are cut by the frame."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((side, side), np.uint16)
    for i in range(1, n + 1):
        x, y = (int(v) for v in rng.integers(-4, side + 4, 2))
        cv2.circle(labels, (x, y), int(rng.integers(1, 14)), i * 3, -1)
    return labels


def target_by_instance(labels: NDArray[np.uint16], size: int) -> NDArray[np.uint8]:
    """The definition, one instance at a time."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    inner = np.zeros(labels.shape, bool)
    contour = np.zeros(labels.shape, bool)
    for i in np.unique(labels[labels > 0]):
        mask = (labels == i).astype(np.uint8)
        eroded, dilated = cv2.erode(mask, kernel), cv2.dilate(mask, kernel)
        inner |= eroded > 0
        contour |= (dilated - eroded) > 0
    return np.where(contour, 2, np.where(inner, 1, 0)).astype(np.uint8)


@pytest.mark.parametrize("task", KERNEL_SIZES)
@pytest.mark.parametrize("seed", range(8))
def test_filters_equal_the_loop_over_instances(task: str, seed: int) -> None:
    labels = touching_blobs(seed)
    size = KERNEL_SIZES[task]
    np.testing.assert_array_equal(instance_target(labels, size), target_by_instance(labels, size))


@pytest.mark.parametrize("sigma", [3, 11])
@pytest.mark.parametrize("seed", range(4))
def test_border_weights_equal_the_distances_to_all_objects(sigma: int, seed: int) -> None:
    labels = touching_blobs(seed)
    numbers = np.unique(labels[labels > 0])
    distances = np.sort([distance_transform_edt(labels != i) for i in numbers], axis=0)
    both = distances[0] + distances[1]
    expected = np.where(both < border_reach(sigma), 1 + 10 * np.exp(-(both**2) / (2 * sigma**2)), 1)
    weights = border_weights(labels, sigma, 10)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, expected, rtol=2e-5)
    assert expected.max() > 8


def test_border_weights_are_the_same_bits_every_time() -> None:
    first = border_weights(touching_blobs(1), 3, 10)
    moved = []
    for size in range(1, 2000, 40):
        moved.append(np.empty(size, np.uint8))  # so that arrays lie at other addresses
        np.testing.assert_array_equal(border_weights(touching_blobs(1), 3, 10), first)


def test_lonely_objects_have_no_border() -> None:
    labels = np.zeros((40, 40), np.uint16)
    assert (border_weights(labels, 3, 10) == 1).all()
    labels[4:8, 4:8] = 2
    assert (border_weights(labels, 3, 10) == 1).all()
    labels[30:34, 30:34] = 5
    assert (border_weights(labels, 3, 10) == 1).all()
    labels[4:8, 8:12] = 9
    weights = border_weights(labels, 3, 10)
    assert weights[5, 7] == pytest.approx(1 + 10 * np.exp(-1 / 18))
    assert weights[30, 30] == 1


def test_a_square_by_hand() -> None:
    # A 3 x 3 kernel is a cross: a 4 x 4 square keeps its 2 x 2 core, and grows without corners.
    labels = np.zeros((8, 8), np.uint16)
    labels[2:6, 2:6] = 7
    expected = np.array(
        [
            [0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 2, 2, 2, 2, 0, 0],
            [0, 2, 2, 2, 2, 2, 2, 0],
            [0, 2, 2, 1, 1, 2, 2, 0],
            [0, 2, 2, 1, 1, 2, 2, 0],
            [0, 2, 2, 2, 2, 2, 2, 0],
            [0, 0, 2, 2, 2, 2, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0],
        ]
    )
    np.testing.assert_array_equal(instance_target(labels, 3), expected)


def test_the_frame_is_no_contour() -> None:
    full = np.full((6, 6), 3, np.uint16)
    assert (instance_target(full, 3) == 1).all()


def test_ids_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="renumber"):
        compact_labels(np.array([[70_000]], np.int32), "x")


def test_finer_classes_roll_up_and_coarser_ones_stay_open() -> None:
    assert allowed_classes("malignant", GLAND.labels) == (0,)
    assert allowed_classes("surface_epithelium", GLAND.labels) == (1,)
    assert allowed_classes("inflammatory", NUCLEI.labels) == (0, 2, 3, 4)
    assert allowed_classes("goblet", NUCLEI.labels) == (1,)


@pytest.mark.parametrize(
    ("node", "space"),
    [
        ("cell", NUCLEI.labels),  # any class is possible
        ("glandular", GLAND.labels),
        ("dead", NUCLEI.labels),  # no class of the network
        ("macrophage", NUCLEI.labels),
    ],
)
def test_what_teaches_nothing_is_ignored(node: str, space: LabelSpace) -> None:
    assert allowed_classes(node, space) == ()


def test_codes_of_several_datasets_share_one_table() -> None:
    consep = LabelSpace("nuclei", ("epithelial", "inflammatory", "other"))
    phantom = NUCLEI.labels
    monuseg = LabelSpace("nuclei", ("cell",))
    codes = class_codes(NUCLEI.labels, [consep, phantom, monuseg], first_channel=1)
    epithelial, inflammatory, other = codes.of_dataset[consep][1:]
    assert other == 0
    assert codes.of_dataset[phantom][2] == epithelial
    assert codes.membership[epithelial].nonzero()[0].tolist() == [2]
    assert codes.membership[inflammatory].nonzero()[0].tolist() == [1, 3, 4, 5]
    assert codes.single[epithelial] == 2
    assert codes.single[inflammatory] == -1
    assert codes.membership[0].all()
    assert codes.teaches(consep)
    assert not codes.teaches(monuseg)


def test_tissue_codes_start_at_channel_zero() -> None:
    codes = class_codes(TISSUE.labels, [TISSUE.labels], first_channel=0)
    assert codes.single[codes.of_dataset[TISSUE.labels][1:]].tolist() == list(range(9))
