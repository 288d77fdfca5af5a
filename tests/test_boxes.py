"""Signet ring boxes: in a window, as a target, from the grid, their loss and their score."""

import math
from collections.abc import Collection

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from cerberus_bench.model_zoo import create
from cerberus_bench.model_zoo.augment import View, cut, place_boxes, turned
from cerberus_bench.model_zoo.backends import make_network
from cerberus_bench.model_zoo.boxes import (
    DISTANCES,
    HEAT,
    KNOWN,
    NEAR,
    OPEN,
    SIGMA,
    WEIGHT,
    box_target,
    centre_boxes,
    find_boxes,
    suppress,
)
from cerberus_bench.model_zoo.checkpoint import make_card, wrap_module
from cerberus_bench.model_zoo.heads import BOX_UNIT_PX, activate
from cerberus_bench.model_zoo.losses import OPEN_LIMIT, OPEN_SHARE, BoxSums, box_sums
from cerberus_bench.model_zoo.runner import run_model
from cerberus_bench.model_zoo.tiling import Tiling
from cerberus_bench.model_zoo.validation import BoxTally
from cerberus_bench.schema.boxes import box_iou
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.tasks import SIGNET_RING

SIDE = 96
CELLS = np.array([[10, 20, 40, 46], [34, 30, 60, 62], [70.5, 5.5, 99, 36], [60, 70, 84, 90]], "f4")
"""Two overlap, one reaches beyond the right border."""
ALL = np.ones((SIDE, SIDE), np.bool_)


def grid_of(target: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a network gives that has learnt a target by heart; no distances where none are."""
    return np.moveaxis(target[:WEIGHT], 0, -1).copy()


# --- in a window


@pytest.mark.parametrize("turn", range(8))
@pytest.mark.parametrize(
    ("scale", "angle"), [(1.0, 0.0), (1.0, 90.0), (1.25, 0.0), (0.8, 30.0), (1.1, -12.0)]
)
def test_boxes_move_with_the_pixels(turn: int, scale: float, angle: float) -> None:
    view = View(101.0, 90.0, scale, angle, turn)
    boxes = np.array([[80, 70, 110, 92], [100, 85, 121, 125]], np.float32)
    for box in boxes:
        drawn = np.zeros((200, 180), np.uint8)
        centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
        y, x = np.mgrid[:200, :180]
        drawn[((x - centre[0]) / half[0]) ** 2 + ((y - centre[1]) / half[1]) ** 2 <= 1] = 1
        window = turned(cut(drawn, view, 128, smooth=False, border=cv2.BORDER_CONSTANT), turn)
        rows, columns = np.nonzero(window)
        seen = [columns.min(), rows.min(), columns.max(), rows.max()]
        placed = place_boxes(box[None], view, 128)[0]
        np.testing.assert_allclose(placed, seen, atol=1.3)
    assert place_boxes(np.empty((0, 4), np.float32), view, 128).shape == (0, 4)


# --- as a target


def target_by_loops(boxes: NDArray[np.float32], side: int) -> NDArray[np.float64]:
    """Heat, distances and weight by the definition, one cell and one box at a time."""
    n = side // 4
    target = np.zeros((6, n, n))
    for row in range(n):
        for column in range(n):
            x, y = 4 * column + 1.5, 4 * row + 1.5
            for x0, y0, x1, y1 in boxes.astype(float):
                middle = [math.floor(((a + b) / 2 + 0.5) / 4) for a, b in ((x0, x1), (y0, y1))]
                sigma = [max(SIGMA * (b - a) / 4, 0.3) for a, b in ((x0, x1), (y0, y1))]
                away = (column - middle[0]) / sigma[0], (row - middle[1]) / sigma[1]
                heat = math.exp(-(away[0] ** 2 + away[1] ** 2) / 2)
                if heat > target[HEAT, row, column]:
                    target[HEAT, row, column] = heat
                    sides = (x - x0, y - y0, x1 - x, y1 - y)
                    target[DISTANCES, row, column] = [max(d, 0.5) for d in sides]
                    target[WEIGHT, row, column] = heat if heat >= NEAR else 0
    return target


def test_a_target_is_what_the_definition_says() -> None:
    target, expected = box_target(CELLS, ALL, is_open=False), target_by_loops(CELLS, SIDE)
    np.testing.assert_allclose(target[[HEAT, WEIGHT]], expected[[HEAT, WEIGHT]], atol=1e-6)
    near = expected[WEIGHT] > 0
    np.testing.assert_allclose(target[DISTANCES][:, near], expected[DISTANCES][:, near], atol=1e-4)
    assert (target[KNOWN] == 1).all()
    assert not target[OPEN].any()


def test_the_boxes_of_a_target_are_the_boxes() -> None:
    found = centre_boxes(box_target(CELLS, ALL, is_open=False))
    np.testing.assert_allclose(sorted(found.tolist()), sorted(CELLS.tolist()), atol=1e-4)


def test_background_of_a_partly_boxed_window_is_known_in_boxes_only() -> None:
    target = box_target(CELLS, ALL, is_open=True)
    centres = 4 * np.arange(SIDE // 4) + 1.5
    for row, y in enumerate(centres):
        for column, x in enumerate(centres):
            inside = any(x0 <= x <= x1 and y0 <= y <= y1 for x0, y0, x1, y1 in CELLS)
            assert target[KNOWN, row, column] == inside
            assert target[OPEN, row, column] == (not inside)


def test_what_does_not_count_is_neither_known_nor_open_nor_learnt() -> None:
    known = ALL.copy()
    known[:, :30] = False
    for is_open in (False, True):
        target = box_target(CELLS, known, is_open=is_open)
        assert not target[[WEIGHT, KNOWN, OPEN], :, :8].any()
        assert (target[KNOWN] + target[OPEN])[:, 8:].all()
        assert len(centre_boxes(target)) == len(CELLS) - 1


def test_a_window_without_boxes() -> None:
    target = box_target(np.empty((0, 4), np.float32), ALL, is_open=True)
    assert not target[: KNOWN + 1].any()
    assert (target[OPEN] == 1).all()
    assert centre_boxes(target).shape == (0, 4)
    boxes, scores = find_boxes(grid_of(target), (SIDE, SIDE))
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


# --- from the grid


def test_what_is_learnt_by_heart_is_found_again_and_cut_at_the_border() -> None:
    grid = grid_of(box_target(CELLS, ALL, is_open=False))
    boxes, scores = find_boxes(grid, (SIDE, SIDE))
    expected = np.clip(CELLS, -0.5, SIDE - 0.5)
    np.testing.assert_allclose(sorted(boxes.tolist()), sorted(expected.tolist()), atol=1e-4)
    assert (scores == 1).all()


def test_likelier_boxes_come_first_and_unlikely_ones_not_at_all() -> None:
    grid = np.zeros((12, 12, 5), np.float32)
    grid[..., 1:] = 6
    for place, p in (((2, 2), 0.4), ((2, 9), 0.9), ((9, 2), 0.2)):
        grid[(*place, HEAT)] = p
    boxes, scores = find_boxes(grid, (48, 48))
    np.testing.assert_allclose(scores, [0.9, 0.4])
    np.testing.assert_allclose(boxes[0], [9 * 4 + 1.5 - 6, 3.5, 9 * 4 + 1.5 + 6, 15.5])
    assert len(find_boxes(grid, (48, 48), threshold=0.1)[0]) == 3


def test_suppression_is_the_greedy_rule() -> None:
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 60, (150, 2))
    boxes = np.hstack([corner, corner + rng.uniform(10, 40, (150, 2))]).astype(np.float32)
    expected: list[int] = []
    for i, box in enumerate(boxes):
        overlaps = [
            box_iou(box[None].astype(float), boxes[k : k + 1].astype(float)) for k in expected
        ]
        if all(float(overlap[0, 0]) <= 0.4 for overlap in overlaps):
            expected.append(i)
    assert suppress(boxes, 0.4).tolist() == expected
    assert 10 < len(expected) < 140


# --- the loss


def loss_by_loops(logits: torch.Tensor, target: torch.Tensor) -> tuple[float, int, float, float]:
    centres, n, sides, weight = 0.0, 0, 0.0, 0.0
    for i, row, column in np.ndindex(logits.shape[0], *logits.shape[2:]):
        t, cell = target[i, :, row, column].tolist(), logits[i, :, row, column].tolist()
        p = 1 / (1 + math.exp(-cell[0]))
        if t[HEAT] == 1 and t[WEIGHT] > 0:
            centres -= (1 - p) ** 2 * math.log(p)
            n += 1
        else:
            share = t[KNOWN] + (OPEN_SHARE if t[OPEN] and p < OPEN_LIMIT else 0)
            centres -= share * (1 - t[HEAT]) ** 4 * p**2 * math.log(1 - p)
        if t[WEIGHT] > 0:
            found = [BOX_UNIT_PX * math.exp(v) for v in cell[1:]]
            a, b = (np.array([-d[0], -d[1], d[2], d[3]]) for d in (found, t[DISTANCES]))
            hull = np.prod(np.maximum(a, b)[2:] - np.minimum(a, b)[:2])
            iou = float(box_iou(a[None], b[None])[0, 0])
            area = [float(np.prod(v[2:] - v[:2])) for v in (a, b)]
            union = sum(area) / (1 + iou)
            sides += t[WEIGHT] * (1 - (iou - (hull - union) / hull))
            weight += t[WEIGHT]
    return centres, n, sides, weight


@pytest.mark.parametrize("is_open", [False, True])
def test_the_loss_is_what_the_definition_says(is_open: bool) -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 5, SIDE // 4, SIDE // 4)
    targets = [box_target(boxes, ALL, is_open=is_open) for boxes in (CELLS, CELLS[:1])]
    target = torch.from_numpy(np.stack(targets))
    sums = box_sums(logits, target)
    np.testing.assert_allclose(sums.flat().tolist(), loss_by_loops(logits, target), rtol=1e-4)
    back = BoxSums.of_flat(sums.flat())
    expected = sums.centres / 5 + 2 * sums.sides / sums.weight
    assert back.loss().item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_likely_cell_that_nobody_boxed_costs_nothing_where_boxing_is_partial() -> None:
    logits = torch.full((1, 5, SIDE // 4, SIDE // 4), -20.0)
    logits[0, HEAT, 20, 20] = 3.0
    empty = np.empty((0, 4), np.float32)
    cost = {
        is_open: box_sums(
            logits, torch.from_numpy(box_target(empty, ALL, is_open=is_open))[None]
        ).loss()
        for is_open in (True, False)
    }
    assert cost[True] < 1e-6
    p = functional.sigmoid(torch.tensor(3.0))
    assert cost[False].item() == pytest.approx(float(-(p**2) * torch.log(1 - p)), rel=1e-4)


def test_an_unlikely_cell_costs_half_where_boxing_is_partial() -> None:
    logits = torch.full((1, 5, SIDE // 4, SIDE // 4), -2.0)
    empty = np.empty((0, 4), np.float32)
    half, full = (
        box_sums(logits, torch.from_numpy(box_target(empty, ALL, is_open=is_open))[None]).loss()
        for is_open in (True, False)
    )
    assert half.item() == pytest.approx(OPEN_SHARE * full.item())


# --- the network


def test_centres_are_rare_and_cells_of_sixteen_microns_at_first() -> None:
    torch.manual_seed(0)
    model = create("single-signet_ring-tiny")
    found = activate("signet_ring.box", model(torch.rand(2, 3, 64, 64) * 255)["signet_ring.box"])
    assert found.shape == (2, 5, 16, 16)
    assert 0.05 < found[:, HEAT].mean() < 0.2
    assert 12 < found[:, DISTANCES].median() < 21


def test_any_network_can_have_boxes_and_the_published_one_has_none() -> None:
    assert "signet_ring.box" not in [o.name for o in create("cerberus-tiny").spec.outputs]
    both = create("cerberus-tiny", ["gland", "signet_ring"])
    assert list(both(torch.zeros(1, 3, 32, 32))) == [
        "gland.instance",
        "gland.type",
        "signet_ring.box",
    ]
    card = make_card(both, "cerberus-tiny")
    assert card.label_spaces["signet_ring"] == ["signet_ring_cell"]
    with pytest.raises(DataError, match="multiple of 4"):
        make_card(both, "cerberus-tiny", margin_px=66)
    with pytest.raises(DataError, match="stride 4"):
        both(torch.zeros(1, 3, 64, 64), margin=6)


def test_boxes_without_a_margin_are_those_of_the_centre() -> None:
    torch.manual_seed(0)
    model = create("single-signet_ring-tiny").eval().double()
    image = torch.rand(1, 3, 96, 128, dtype=torch.float64) * 255
    with torch.inference_mode():
        whole, centre = model(image), model(image, margin=20)
    torch.testing.assert_close(
        centre["signet_ring.box"], whole["signet_ring.box"][..., 5:-5, 5:-5], rtol=0, atol=1e-9
    )


# --- in an image of any size


class Grid(nn.Module):
    """A module of a user: its boxes are on the grid, and it knows no margins."""

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        cells = functional.avg_pool2d(image[:, :1] / 255, 4)
        return {"signet_ring.box": cells.repeat(1, 5, 1, 1)}


def test_a_module_of_the_user_is_cropped_on_its_grid() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 80, 3), dtype=np.uint8)
    loaded = wrap_module("grid", Grid())
    assert dict(loaded.label_spaces) == {"signet_ring": SIGNET_RING.labels}
    network = make_network(loaded)
    whole, centre = (network(pixels, ["signet_ring.box"], m)["signet_ring.box"] for m in (0, 8))
    assert centre.shape == (1, 12, 16, 5)
    np.testing.assert_allclose(centre, whole[:, 2:-2, 2:-2], rtol=1e-5)


class ReadsCells:
    """Gives each cell of the grid the mean red of its 16 pixels, as the probability in 1 / 255."""

    def __call__(
        self, pixels: NDArray[np.uint8], outputs: Collection[str], margin: int = 0
    ) -> dict[str, NDArray[np.float32]]:
        n, height, width, _ = pixels.shape
        cells = pixels[..., 0].reshape(n, height // 4, 4, width // 4, 4).mean(axis=(2, 4)) / 255
        cut_off = margin // 4
        found = cells[:, cut_off : height // 4 - cut_off, cut_off : width // 4 - cut_off]
        return {name: found[..., None].repeat(5, -1).astype(np.float32) for name in outputs}


@pytest.mark.parametrize("shape", [(64, 64), (5, 70), (131, 98), (300, 201)])
@pytest.mark.parametrize("fit", [False, True])
def test_a_grid_is_pieced_together_over_windows(shape: tuple[int, int], fit: bool) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    tiling = Tiling(64, 8, fit=fit)
    grid = run_model(ReadsCells(), image, ["signet_ring.box"], tiling)["signet_ring.box"]
    assert grid.shape == (-(-shape[0] // 4), -(-shape[1] // 4), 5)
    rows, columns = shape[0] // 4, shape[1] // 4
    expected = image[: 4 * rows, : 4 * columns, 0].reshape(rows, 4, columns, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(grid[:rows, :columns, 0], expected / 255, atol=1e-6)


# --- the score that chooses weights


def test_the_best_threshold_is_taken_and_unboxed_background_is_no_error() -> None:
    """Found: 3 of 4 cells at p = .9, and a box in the background at p = .5: F1 = 6 / 7."""
    target = box_target(CELLS, ALL, is_open=False)
    grid = grid_of(target)
    grid[..., HEAT] *= 0.9
    (row, column) = np.argwhere(target[HEAT] == 1)[-1]
    grid[row - 1 : row + 2, column - 1 : column + 2, HEAT] = 0
    grid[20, 4] = (0.5, 6, 6, 6, 6)
    tensors = torch.from_numpy(grid).permute(2, 0, 1)[None], torch.from_numpy(target)[None]
    tally = BoxTally()
    tally.add(*tensors)
    assert tally.best_f1() == pytest.approx(6 / 7)
    grid[20, 4, HEAT] = 0.95
    worse = BoxTally()
    worse.add(torch.from_numpy(grid).permute(2, 0, 1)[None], tensors[1])
    assert worse.best_f1() == pytest.approx(6 / 8)
    partial = BoxTally()
    partial.add(
        torch.from_numpy(grid).permute(2, 0, 1)[None],
        torch.from_numpy(box_target(CELLS, ALL, is_open=True))[None],
    )
    assert partial.best_f1() == pytest.approx(6 / 7)
    assert math.isnan(BoxTally().best_f1())
