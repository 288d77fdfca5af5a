"""Output heads: one for every pixel, one for a whole patch.

Source: Graham et al., "One Model is All You Need", Medical Image Analysis 2023, section 3.
"""

from typing import cast

from torch import Tensor, nn

from cerberus_bench.model_zoo.decoders import ConvNormReLU

PATCH_FEATURE_SIDE = 9
"""Side of the stride-16 window that the patch head pools: 144 px, 72 um at 0.5 mpp."""


class DenseHead(nn.Module):
    """Two 1 x 1 convolutions from decoder features to logits at every pixel."""

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
