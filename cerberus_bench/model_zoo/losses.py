"""Losses of the dense and patch outputs, as sums and counts; the ratio comes last.

Sums over parts of a batch add up to the sums of the whole, so a batch may be split over passes or
processes without changing the loss.
Source: Graham et al., "One Model is All You Need", Medical Image Analysis 2023, section 3; partial
labels by the marginal likelihood of the classes that are possible.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from cerberus_bench.model_zoo.targets import IGNORED, UNKNOWN


@dataclass(frozen=True, slots=True)
class LossSums:
    """Numerators and denominators of one output's loss."""

    cross_entropy: Tensor
    """Scalar: weighted sum over what is taught."""
    weight: Tensor
    """Scalar: sum of the weights; without class weights, the number of pixels or patches."""
    overlap: Tensor | None = None
    """(channels,) sum of p y over pixels of known class; None where the loss has no Dice."""
    size: Tensor | None = None
    """(channels,) sum of p + y over the same pixels."""
    truth: Tensor | None = None
    """(channels,) sum of y over the same pixels."""

    @staticmethod
    def width(output: str, n_classes: int) -> int:
        """Numbers in the `flat` sums of an output: only type maps have a Dice."""
        return 2 + 3 * n_classes * output.endswith(".type")

    @classmethod
    def of_flat(cls, flat: Tensor, n_classes: int) -> Self:
        """Sums from what `flat` gave, or from a sum of such vectors."""
        if len(flat) == 2:
            return cls(flat[0], flat[1])
        return cls(flat[0], flat[1], *flat[2:].view(3, n_classes))

    def flat(self) -> Tensor:
        """All sums as one vector."""
        heads = torch.stack([self.cross_entropy, self.weight])
        if self.overlap is None or self.size is None or self.truth is None:
            return heads
        return torch.cat([heads, self.overlap, self.size, self.truth])

    def loss(self) -> Tensor:
        """Mean cross-entropy, plus 1 - mean Dice of the classes that occur; 0 of nothing."""
        mean = self.cross_entropy / self.weight.clamp_min(1e-6)
        if self.overlap is None or self.size is None or self.truth is None:
            return mean
        occurs = self.truth > 0
        if not occurs.any():
            return mean
        dice = 2 * self.overlap[occurs] / self.size[occurs]
        return mean + 1 - dice.mean()


def instance_sums(logits: Tensor, target: Tensor) -> LossSums:
    """Cross-entropy of background, inner and contour.

    Args:
        logits: (N, 3, H, W).
        target: (N, H, W) uint8 as `targets.instance_target` makes it; `IGNORED` is left out.
    """
    total = functional.cross_entropy(
        logits.float(), target.long(), ignore_index=IGNORED, reduction="sum"
    )
    return LossSums(total, (target != IGNORED).sum().to(total.dtype))


def type_sums(logits: Tensor, codes: Tensor, membership: Tensor, class_weights: Tensor) -> LossSums:
    """Class-weighted cross-entropy and Dice inside objects, with partial labels.

    A pixel that may be one of several classes pays -log of the probability of any of them, with
    their mean weight, and is left out of the Dice.

    Args:
        logits: (N, channels, H, W).
        codes: (N, H, W) codes into `membership`; `UNKNOWN` is left out.
        membership: (codes, channels) bool, which channels a code allows.
        class_weights: (channels,) weights.
    """
    taught = codes != UNKNOWN
    inside = logits.float().movedim(1, -1)[taught]
    allowed = membership[codes[taught].long()]
    log_p = functional.log_softmax(inside, dim=-1)
    total, weight = _partial_cross_entropy(log_p, allowed, class_weights)
    known = allowed.sum(1) == 1
    p, y = log_p[known].exp(), allowed[known].to(log_p.dtype)
    return LossSums(total, weight, (p * y).sum(0), (p + y).sum(0), y.sum(0))


def patch_sums(logits: Tensor, codes: Tensor, membership: Tensor) -> LossSums:
    """Cross-entropy of whole patches, with partial labels.

    Args:
        logits: (N, classes).
        codes: (N,) codes into `membership`; `UNKNOWN` is left out.
        membership: (codes, classes) bool.
    """
    taught = codes != UNKNOWN
    log_p = functional.log_softmax(logits.float()[taught], dim=-1)
    allowed = membership[codes[taught].long()]
    return LossSums(*_partial_cross_entropy(log_p, allowed, torch.ones_like(logits[0].float())))


def _partial_cross_entropy(
    log_p: Tensor, allowed: Tensor, class_weights: Tensor
) -> tuple[Tensor, Tensor]:
    any_of = torch.logsumexp(log_p.masked_fill(~allowed, -torch.inf), dim=-1)
    weight = (allowed * class_weights).sum(-1) / allowed.sum(-1)
    return -(weight * any_of).sum(), weight.sum()
