"""Output heads: one for every pixel, one for a whole patch; and what their logits mean.

Source: Graham et al., "One Model is All You Need", Medical Image Analysis 2023, section 3. Boxes as
a map of centres and of distances to the four sides: Liu et al., "Training-Time-Friendly Network
for Real-Time Object Detection", AAAI 2020.
"""

from typing import cast

import torch
from torch import Tensor, nn

from cerberus_bench.model_zoo.decoders import ConvNormReLU

PATCH_FEATURE_SIDE = 9
"""Side of the stride-16 window that the patch head pools: 144 px, 72 um at 0.5 mpp."""
BOX_UNIT_PX = 16.0
"""Distance from a centre to a side that the logit 0 stands for: 8 um at 0.5 mpp."""
LARGEST_LOG_DISTANCE = 4.0
"""Distances lie within this of the unit, in natural logarithms: 0.3 to 870 px."""
RARE_CENTRE_LOGIT = -2.19
"""First guess that a grid cell is a centre: p = 0.1 (Zhou et al., "Objects as Points", 2019)."""


def activate(output: str, logits: Tensor, axis: int = 1) -> Tensor:
    """What the logits of an output stand for, in float32.

    Args:
        output: name of the output.
        logits: of any shape.
        axis: the axis of the channels.

    Returns:
        Of the same shape: probabilities that sum to 1 over the channels; for boxes the
        probability of a centre, then the distances to the left, top, right and bottom side, px.
    """
    logits = logits.float()
    if not output.endswith(".box"):
        return logits.softmax(axis)
    centre, distances = torch.split(logits, [1, logits.shape[axis] - 1], axis)
    return torch.cat([centre.sigmoid(), box_distances(distances)], axis)


def box_distances(logits: Tensor) -> Tensor:
    """Distances, px, of the four last channels of a box output."""
    return BOX_UNIT_PX * logits.clamp(-LARGEST_LOG_DISTANCE, LARGEST_LOG_DISTANCE).exp()


class DenseHead(nn.Module):
    """Two 1 x 1 convolutions from decoder features to logits at every place of their grid."""

    def __init__(self, channels_in: int, hidden: int, n_classes: int) -> None:
        """Draw the weights."""
        super().__init__()
        self.hidden = ConvNormReLU(channels_in, hidden, kernel=1)
        self.logits = nn.Conv2d(hidden, n_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in, H, W) to logits (N, n_classes, H, W)."""
        return cast(Tensor, self.logits(self.hidden(x)))


class PatchHead(nn.Module):
    """Logits for the whole patch, from the central 144 px of the deepest feature."""

    def __init__(self, channels_in: int, hidden: int, n_classes: int, dropout: float = 0.3) -> None:
        """Draw the weights."""
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout)
        self.conv1 = nn.Conv2d(channels_in, hidden, 1)
        self.bn2 = nn.BatchNorm2d(hidden)
        self.logits = nn.Conv2d(hidden, n_classes, 1)

    def forward(self, deepest: Tensor) -> Tensor:
        """Map the stride-16 feature (N, in, H / 16, W / 16) to logits (N, n_classes)."""
        pooled = self.pool(centre_crop(deepest, PATCH_FEATURE_SIDE))
        x = self.dropout(self.relu(self.bn1(pooled)))
        x = self.relu(self.bn2(self.conv1(x)))
        return cast(Tensor, self.logits(x).flatten(1))


def centre_crop(x: Tensor, side: int) -> Tensor:
    """Return the central (N, C, side, side), or all of a smaller axis.

    Where the margin is odd the extra row or column is left at the bottom or right.
    """
    height, width = x.shape[-2:]
    top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
    return x[..., top : top + side, left : left + side]
