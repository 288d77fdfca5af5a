"""Resampling on hand-worked cases and against a slow second implementation; whole records; cuts."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fakes import blocks, picture
from numpy.typing import NDArray

from cerberus_bench.loaders.harmonise import at_mpp, cut, harmonise
from cerberus_bench.loaders.polygons import rasterise
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import Coverage, Instances, Record
from cerberus_bench.schema.resample import (
    map_points,
    resize_image,
    resize_labels,
    resize_nearest,
    scaled_shape,
)


def array(*rows: str) -> NDArray[np.int32]:
    return np.array([[int(c) for c in row] for row in rows], np.int32)


# label maps: hand-worked ------------------------------------------------------------------------


def test_majority_of_two_by_two() -> None:
    labels = array("1122", "1023", "0000", "0405")
    #  1 1 / 1 0 -> 1    2 2 / 2 3 -> 2
    #  0 0 / 0 4 -> 0    0 0 / 0 5 -> 0
    assert resize_labels(labels, (2, 2)).tolist() == [[1, 2], [0, 0]]


def test_tie_takes_the_nearest_which_alternates() -> None:
    # every block is half 1, half 2; its centre lies on the corner of four pixels, so the nearest
    # is the later pixel in the first output column, the earlier one in the second
    assert resize_labels(array("1212", "1212"), (1, 2)).tolist() == [[2, 1]]
    assert resize_labels(array("11", "22", "11", "22"), (2, 1)).tolist() == [[2], [1]]


def test_id_of_most_area_wins_over_all_background() -> None:
    # three columns to one: 1 covers a third, 2 covers two thirds
    assert resize_labels(array("122"), (1, 1)).tolist() == [[2]]
    # of five pixels two are 7, the others all differ
    assert resize_labels(array("17273"), (1, 1)).tolist() == [[7]]


def test_fractions_of_pixels_count() -> None:
    # 3 px to 2: an output pixel spans 1.5 px, so the middle one gives half to each side
    assert resize_labels(array("100"), (1, 2)).tolist() == [[1, 0]]
    assert resize_labels(array("010"), (1, 2)).tolist() == [[0, 0]]
    # 2 px to 3: the middle output pixel is half 5, half 6; its centre is on the border
    assert resize_labels(array("56"), (1, 3)).tolist() == [[5, 5, 6]]


def test_same_size_and_whole_factor_up() -> None:
    labels = array("12", "34")
    assert np.array_equal(resize_labels(labels, (2, 2)), labels)
    assert np.array_equal(resize_labels(labels, (4, 6)), np.kron(labels, np.ones((2, 3), int)))


def test_dtype_is_kept() -> None:
    assert resize_labels(np.ones((4, 4), np.uint16), (2, 2)).dtype == np.uint16
    assert resize_labels(np.ones((4, 4), np.int32), (3, 5)).dtype == np.int32


# label maps: a second, slow implementation ------------------------------------------------------


def slow_nearest_index(n: int, m: int, j: int) -> int:
    whole, rest = divmod((2 * j + 1) * n, 2 * m)
    return whole - 1 if rest == 0 and j % 2 else whole


def slow_resize(labels: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Cut both grids into cells of equal size and count."""
    (height, width), (rows, columns) = labels.shape, shape
    fine = np.kron(labels, np.ones((rows, columns), labels.dtype))
    out = np.zeros(shape, labels.dtype)
    for r in range(rows):
        for c in range(columns):
            cell = fine[r * height : (r + 1) * height, c * width : (c + 1) * width]
            counts = Counter(cell.ravel().tolist())
            nearest = labels[
                slow_nearest_index(height, rows, r), slow_nearest_index(width, columns, c)
            ]
            best = max(counts.values())
            tied = [i for i, n in counts.items() if n == best]
            out[r, c] = nearest if nearest in tied else tied[0] if len(tied) == 1 else -1
    return out


@pytest.mark.parametrize("target", [(4, 4), (7, 5), (11, 13), (16, 9), (3, 20)])
@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_counting_cells(target: tuple[int, int], seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 4, (8, 10)).astype(np.int32)
    slow = slow_resize(labels, target)
    decided = slow >= 0  # else a tie without the nearest in it: any of the tied ids is right
    fast = resize_labels(labels, target)
    assert np.array_equal(fast[decided], slow[decided])
    assert decided.mean() > 0.8


def test_nothing_drifts_at_factor_two() -> None:
    rng = np.random.default_rng(0)
    shifts = []
    for _ in range(300):
        y, x = rng.integers(8, 32, 2)
        yy, xx = np.mgrid[:48, :48]
        disc = ((yy - y) ** 2 + (xx - x) ** 2 <= rng.integers(9, 60)).astype(np.int32)
        small = resize_labels(disc, (24, 24))
        shifts.append(np.argwhere(small).mean(0) - ((np.argwhere(disc).mean(0) + 0.5) / 2 - 0.5))
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.02


# images and points ------------------------------------------------------------------------------


def test_shape_at_another_resolution() -> None:
    assert scaled_shape((522, 775), 0.62005, 0.5) == (647, 961)
    assert scaled_shape((1000, 1000), 0.25, 0.5) == (500, 500)
    assert scaled_shape((1, 1), 0.1, 0.5) == (1, 1)


def test_images_shrink_by_their_mean() -> None:
    image = np.zeros((2, 4, 3), np.uint8)
    image[:, :2, 0] = [[0, 100], [100, 200]]
    image[:, 2:, 1] = 8
    assert resize_image(image, (1, 2)).tolist() == [[[100, 0, 0], [0, 8, 0]]]


def test_images_grow_smoothly() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, 4:] = 200
    large = resize_image(image, (16, 16)).astype(int)
    assert len(np.unique(large[8, :, 0])) > 2  # never nearest
    assert large[8, 0, 0] == 0
    assert large[8, -1, 0] == 200


def test_points_keep_pixel_centres_aligned() -> None:
    # the corner of the image, the centre of the first pixel, the centre of the image
    points = np.array([[-0.5, -0.5], [0, 0], [1.5, 0.5]])
    assert map_points(points, (2, 4), (4, 8)).tolist() == [[-0.5, -0.5], [0.5, 0.5], [3.5, 1.5]]
    assert map_points(points, (2, 4), (1, 2)).tolist() == [[-0.5, -0.5], [-0.25, -0.25], [0.5, 0]]


# polygons ---------------------------------------------------------------------------------------


def corners(*points: tuple[float, float]) -> NDArray[np.float64]:
    return np.array(points, float)


def test_polygon_takes_pixels_whose_centre_is_inside() -> None:
    square = corners((1, 1), (3, 1), (3, 3), (1, 3))
    assert (
        rasterise([square], (4, 4)).labels.tolist()
        == array("0000", "0110", "0110", "0000").tolist()
    )
    # a centre on the left or upper edge is in, on the right or lower edge out
    shifted = rasterise([square + 0.5], (4, 4)).labels
    assert shifted.tolist() == array("0000", "0110", "0110", "0000").tolist()


def test_polygons_that_share_an_edge_share_no_pixel_and_leave_none() -> None:
    left = corners((0, 0), (1.3, 0), (2.6, 4), (0, 4))
    right = corners((1.3, 0), (4, 0), (4, 4), (2.6, 4))
    alone = [rasterise([polygon], (4, 4)).labels > 0 for polygon in (left, right)]
    assert np.array_equal(alone[0] ^ alone[1], np.ones((4, 4), bool))


def test_concave_and_crossing_polygons_are_even_odd() -> None:
    # a square run twice around crosses every row an even number of times on each side
    twice = corners((0, 0), (4, 0), (4, 4), (0, 4), (0, 0), (4, 0), (4, 4), (0, 4))
    assert not rasterise([twice], (4, 4)).labels.any()
    u = corners((0, 0), (1, 0), (1, 3), (3, 3), (3, 0), (4, 0), (4, 4), (0, 4))
    assert rasterise([u], (4, 4)).labels.tolist() == array("1001", "1001", "1001", "1111").tolist()


def test_polygons_are_counted() -> None:
    square = corners((0, 0), (2, 0), (2, 2), (0, 2))
    polygons = [square, square, square[:2], square - 1, square + 50, square * 0.1 + 2.6]
    painted = rasterise(polygons, (4, 4))
    assert painted.n_skipped == 1
    assert painted.n_clipped == 2  # one partly, one wholly outside
    assert painted.n_hidden == 4  # covered twice, outside, and between pixel centres
    assert np.unique(painted.labels).tolist() == [0, 1]


# records ----------------------------------------------------------------------------------------


def make_record(shape: tuple[int, int] = (40, 60), mpp: float = 0.25, **found: Any) -> Record:
    labels = blocks(shape, 8)
    fields: dict[str, Any] = {
        "sample_id": "toy/one",
        "dataset": "toy",
        "record": "one",
        "image": picture(1, shape),
        "mpp": mpp,
        "native_mpp": mpp,
        "coverage": {"nuclei": Coverage.FULL},
        "group": "toy/patient-1",
        "group_level": "patient",
        "instances": {"nuclei": Instances(labels, np.arange(1, 9), np.arange(8) % 3)},
    }
    return Record(**{**fields, **found})


def test_record_at_another_resolution() -> None:
    valid = np.zeros((40, 60), bool)
    valid[:20] = True
    record = make_record(
        points=np.array([[3.5, 1.5]], np.float32),
        signet_ring=np.array([[-0.5, -0.5, 3.5, 7.5]], np.float32),
        valid=valid,
    )
    small = at_mpp(record, 0.5)
    assert small.image.shape == (20, 30, 3)
    assert (small.mpp, small.native_mpp) == (0.5, 0.25)
    assert small.instances["nuclei"].ids.tolist() == list(range(1, 9))
    assert np.bincount(small.instances["nuclei"].labels.ravel())[1:].tolist() == [9] * 8
    assert small.points is not None
    assert small.points.tolist() == [[1.5, 0.5]]
    assert small.signet_ring is not None
    assert small.signet_ring.tolist() == [[-0.5, -0.5, 1.5, 3.5]]
    assert small.valid is not None
    assert small.valid.sum() == 300
    assert small.n_lost == 0


def test_lost_instances_are_counted_and_not_listed() -> None:
    record = make_record()
    labels = record.instances["nuclei"].labels.copy()
    labels[labels == 4] = 0
    labels[30, 30] = 4  # one pixel of sixteen
    nuclei = replace(record.instances["nuclei"], labels=labels)
    small = at_mpp(replace(record, instances={"nuclei": nuclei}), 1.0)
    assert small.n_lost == 1
    assert small.instances["nuclei"].ids.tolist() == [1, 2, 3, 5, 6, 7, 8]
    assert small.instances["nuclei"].classes.tolist() == [0, 1, 2, 1, 2, 0, 1]


def test_native_record_is_left_alone() -> None:
    record = make_record()
    assert harmonise(record, None) == [record]
    (same,) = harmonise(record, 0.25)
    assert same.image is record.image


def test_too_many_ids_are_refused() -> None:
    record = make_record()
    nuclei = record.instances["nuclei"]
    labels = np.where(nuclei.labels == 8, 70_000, nuclei.labels)
    ids = np.array([*range(1, 8), 70_000])
    with pytest.raises(DataError, match=r"toy/one: nuclei id 70000 does not fit a 16-bit"):
        harmonise(
            replace(record, instances={"nuclei": Instances(labels, ids, nuclei.classes)}), None
        )


def test_cuts_tile_the_image_and_share_out_what_is_on_it() -> None:
    shape = (50, 75)
    rng = np.random.default_rng(0)
    points = (rng.random((40, 2)) * [75, 50] - 0.5).astype(np.float32)
    boxes = np.hstack([points - 2, points + 3]).astype(np.float32)
    record = make_record(
        shape,
        points=points,
        point_classes=np.arange(40),
        signet_ring=boxes,
        valid=rng.random(shape) > 0.5,
        n_lost=3,
    )
    cuts = cut(record, 32)
    assert [c.sample_id for c in cuts] == [f"toy/one@{x},{y}" for y in (0, 25) for x in (0, 25, 50)]
    whole = np.zeros_like(record.image)
    for part in cuts:
        x, y = part.origin_xy
        height, width = part.image.shape[:2]
        assert max(height, width) <= 32
        whole[y : y + height, x : x + width] = part.image
        nuclei = part.instances["nuclei"]
        assert nuclei.ids.tolist() == np.unique(nuclei.labels[nuclei.labels > 0]).tolist()
        assert np.array_equal(nuclei.classes, (nuclei.ids - 1) % 3)
        assert part.points is not None
        assert part.point_classes is not None
        assert np.allclose(part.points + np.array([x, y]), points[part.point_classes])
        assert part.group == record.group
        assert part.signet_ring is not None
        assert part.signet_ring.min(initial=0) >= -0.5
    assert np.array_equal(whole, record.image)
    assert sum(len(c.points) for c in cuts if c.points is not None) == 40
    assert sum(len(c.signet_ring) for c in cuts if c.signet_ring is not None) == 40
    assert [c.n_lost for c in cuts] == [3, 0, 0, 0, 0, 0]


def test_nearest_and_coverage_agree_inside_objects() -> None:
    labels = np.kron(array("12", "34"), np.ones((20, 20), np.int32))
    fine = resize_labels(labels, (25, 25)) == resize_nearest(labels, (25, 25))
    assert fine.mean() > 0.9
