"""Losses against hand-worked values and the obvious formulas."""

import math

import pytest
import torch
from torch.nn import functional

from cerberus_bench.model_zoo.losses import instance_sums, patch_sums, type_sums

MEMBERSHIP = torch.tensor(
    [[1, 1, 1, 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 1, 1, 0]], dtype=torch.bool
)
"""Code 0 unknown, 1 to 3 one class each, 4 = class 1 or 2."""
ONES = torch.ones(4)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_instance_loss_is_the_mean_over_taught_pixels() -> None:
    logits = torch.randn(2, 3, 5, 5)
    target = torch.randint(0, 3, (2, 5, 5), dtype=torch.uint8)
    target[0] = 255
    sums = instance_sums(logits, target)
    expected = functional.cross_entropy(logits[1:], target[1:].long())
    assert sums.weight.item() == 25
    assert sums.loss().item() == pytest.approx(expected.item(), rel=1e-5)


def test_weights_of_pixels_make_a_weighted_mean() -> None:
    logits, target = torch.randn(1, 3, 2, 2), torch.tensor([[[0, 1], [2, 255]]]).byte()
    weights = torch.tensor([[[1.0, 11.0], [2.0, 5.0]]])
    each = -torch.log_softmax(logits[0], dim=0)
    expected = (each[0, 0, 0] + 11 * each[1, 0, 1] + 2 * each[2, 1, 0]) / 14
    found = instance_sums(logits, target, weights)
    assert found.loss().item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_batch_without_truth_costs_nothing_and_moves_nothing() -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = instance_sums(logits, torch.full((1, 4, 4), 255, dtype=torch.uint8)).loss()
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_type_loss_of_uniform_logits_by_hand() -> None:
    # p = 1/4 everywhere. Two pixels of class 1 (weight 3), one of class 2 (weight 1).
    # CE = ln 4. Dice: class 1: 2 (2/4) / (3/4 + 2) = 4/11; class 2: 2 (1/4) / (3/4 + 1) = 2/7.
    codes = torch.tensor([[[1, 1], [2, 0]]], dtype=torch.uint8)
    weights = torch.tensor([0.0, 3.0, 1.0, 1.0])
    sums = type_sums(torch.zeros(1, 4, 2, 2), codes, MEMBERSHIP, weights)
    assert sums.weight.item() == 7
    assert sums.loss().item() == pytest.approx(math.log(4) + 1 - (4 / 11 + 2 / 7) / 2, rel=1e-5)


def test_a_coarse_label_pays_for_all_that_it_excludes() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, 3.0]).reshape(1, 4, 1, 1)
    codes = torch.full((1, 1, 1), 4, dtype=torch.uint8)
    loss = type_sums(logits, codes, MEMBERSHIP, ONES).loss()
    p = torch.softmax(logits.flatten(), 0)
    assert loss.item() == pytest.approx(-math.log((p[1] + p[2]).item()), rel=1e-5)


def test_a_coarse_label_teaches_its_group_and_not_within_it() -> None:
    logits = torch.zeros(1, 4, 1, 1, requires_grad=True)
    codes = torch.full((1, 1, 1), 4, dtype=torch.uint8)
    type_sums(logits, codes, MEMBERSHIP, ONES).loss().backward()
    assert logits.grad is not None
    gradient = logits.grad.flatten()
    assert gradient[1] == gradient[2] < 0
    assert (gradient[[0, 3]] > 0).all()


def test_background_teaches_no_class() -> None:
    logits = torch.randn(1, 4, 2, 2, requires_grad=True)
    codes = torch.tensor([[[0, 0], [0, 3]]], dtype=torch.uint8)
    type_sums(logits, codes, MEMBERSHIP, ONES).loss().backward()
    assert logits.grad is not None
    assert not logits.grad[0, :, 0].any()
    assert logits.grad[0, :, 1, 1].any()


def test_sums_of_parts_add_up() -> None:
    logits = torch.randn(4, 4, 3, 3)
    codes = torch.randint(0, 5, (4, 3, 3), dtype=torch.uint8)
    whole = type_sums(logits, codes, MEMBERSHIP, ONES)
    parts = [type_sums(logits[i::2], codes[i::2], MEMBERSHIP, ONES) for i in range(2)]
    for name in ("cross_entropy", "weight", "overlap", "size", "truth"):
        total = sum(getattr(part, name) for part in parts)
        torch.testing.assert_close(total, getattr(whole, name))


def test_patch_loss_is_cross_entropy_of_known_patches() -> None:
    logits = torch.randn(3, 4)
    sums = patch_sums(logits, torch.tensor([1, 0, 3], dtype=torch.uint8), MEMBERSHIP)
    expected = functional.cross_entropy(logits[[0, 2]], torch.tensor([1, 3]))
    assert sums.loss().item() == pytest.approx(expected.item(), rel=1e-5)
