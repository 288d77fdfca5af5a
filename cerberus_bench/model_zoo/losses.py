"""Losses of maps, patches and boxes, as sums and counts; the ratio comes last.

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

from cerberus_bench.model_zoo.boxes import DISTANCES, HEAT, KNOWN, OPEN, WEIGHT
from cerberus_bench.model_zoo.heads import box_distances
from cerberus_bench.model_zoo.targets import IGNORED, UNKNOWN
from cerberus_bench.schema.model import OutputSpec

FOCUS, RELIEF = 2, 4
"""Exponents of the focal loss: of the error, and of the distance to a centre."""
SIDES_SHARE = 2.0
"""Weight of the distances to the sides, relative to the centres."""
OPEN_SHARE = 0.5
"""Weight of background in windows of which not every object is boxed, ..."""
OPEN_LIMIT = 0.3
"""... where the network finds a centre less likely than this. Elsewhere it does not count."""


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

    @classmethod
    def of_flat(cls, flat: Tensor) -> Self:
        """Sums from what `flat` gave, or from a sum of such vectors."""
        if len(flat) == 2:
            return cls(flat[0], flat[1])
        return cls(flat[0], flat[1], *flat[2:].view(3, -1))

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


@dataclass(frozen=True, slots=True)
class BoxSums:
    """Numerators and denominators of the loss of boxes."""

    centres: Tensor
    """Scalar: focal loss of the centres and of the background."""
    n_centres: Tensor
    """Scalar: number of centres."""
    sides: Tensor
    """Scalar: weighted sum of 1 - generalised IoU."""
    weight: Tensor
    """Scalar: sum of these weights."""

    @classmethod
    def of_flat(cls, flat: Tensor) -> Self:
        """Sums from what `flat` gave, or from a sum of such vectors."""
        return cls(*flat)

    def flat(self) -> Tensor:
        """All sums as one vector."""
        return torch.stack([self.centres, self.n_centres, self.sides, self.weight])

    def loss(self) -> Tensor:
        """Focal loss a centre, plus the mean 1 - generalised IoU; background alone sums up."""
        sides = self.sides / self.weight.clamp_min(1e-6)
        return self.centres / self.n_centres.clamp_min(1) + SIDES_SHARE * sides


Sums = LossSums | BoxSums


def width_of(output: OutputSpec) -> int:
    """Numbers in the `flat` sums of an output: only type maps have a Dice."""
    if output.name.endswith(".box"):
        return 4
    return 2 + 3 * output.n_classes * output.name.endswith(".type")


def sums_of(output: str, flat: Tensor) -> Sums:
    """Sums of an output from what `flat` gave, or from a sum of such vectors."""
    return BoxSums.of_flat(flat) if output.endswith(".box") else LossSums.of_flat(flat)


def instance_sums(logits: Tensor, target: Tensor, weights: Tensor | None = None) -> LossSums:
    """Cross-entropy of background, inner and contour.

    Args:
        logits: (N, 3, H, W).
        target: (N, H, W) uint8 as `targets.instance_target` makes it; `IGNORED` is left out.
        weights: (N, H, W) of the pixels; all equal when None.
    """
    each = functional.cross_entropy(
        logits.float(), target.long(), ignore_index=IGNORED, reduction="none"
    )
    taught = (target != IGNORED).to(each.dtype)
    if weights is not None:
        each, taught = each * weights, taught * weights
    return LossSums(each.sum(), taught.sum())


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


def box_sums(logits: Tensor, target: Tensor) -> BoxSums:
    """Penalty-reduced focal loss of the centres, generalised IoU of the boxes around them.

    Background counts less the closer it is to a centre (Zhou et al., "Objects as Points", 2019),
    and each box is learnt around its centre (Liu et al., "Training-Time-Friendly Network", AAAI
    2020). Where not every object is boxed, background outside the boxes counts by `OPEN_SHARE`,
    and not at all where the network sees a centre: that is rather an object that nobody boxed than
    a hard negative. To leave out such gradients is the idea of Lin et al., "Decoupled Gradient
    Harmonized Detector for Partial Annotation: Application to Signet Ring Cell Detection"
    (arXiv 2004.04455); share and limit are ours.

    Args:
        logits: (N, 5, h, w).
        target: (N, 8, h, w) of `boxes.box_target`.
    """
    x, heat, taught = logits[:, 0].float(), target[:, HEAT], target[:, WEIGHT] > 0
    p = x.sigmoid()
    is_centre = (heat == 1) & taught
    found = -((1 - p) ** FOCUS * functional.logsigmoid(x))[is_centre].sum()
    share = target[:, KNOWN] + OPEN_SHARE * target[:, OPEN] * (p.detach() < OPEN_LIMIT)
    false = -((1 - heat) ** RELIEF) * p**FOCUS * functional.logsigmoid(-x) * share
    weight = target[:, WEIGHT][taught]
    iou = _generalised_iou(
        box_distances(logits[:, 1:].float()).movedim(1, -1)[taught],
        target[:, DISTANCES].movedim(1, -1)[taught],
    )
    return BoxSums(
        found + false[~is_centre].sum(),
        is_centre.sum().to(p.dtype),
        (weight * (1 - iou)).sum(),
        weight.sum(),
    )


def _generalised_iou(a: Tensor, b: Tensor) -> Tensor:
    """(n,) of boxes that share a point, as (n, 4) distances from it to left, top, right, bottom.

    Source: Rezatofighi et al., "Generalized Intersection over Union", CVPR 2019.
    """
    both, either = torch.minimum(a, b), torch.maximum(a, b)

    def area(d: Tensor) -> Tensor:
        return (d[:, 0] + d[:, 2]) * (d[:, 1] + d[:, 3])

    union = area(a) + area(b) - area(both)
    return area(both) / union - (area(either) - union) / area(either)


def _partial_cross_entropy(
    log_p: Tensor, allowed: Tensor, class_weights: Tensor
) -> tuple[Tensor, Tensor]:
    any_of = torch.logsumexp(log_p.masked_fill(~allowed, -torch.inf), dim=-1)
    weight = (allowed * class_weights).sum(-1) / allowed.sum(-1)
    return -(weight * any_of).sum(), weight.sum()
