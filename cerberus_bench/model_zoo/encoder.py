"""Residual encoder: a ResNet of basic blocks whose stem keeps full resolution.

Parameter names are those of torchvision, so ImageNet weights in that layout load as they are.
Source: He et al., "Deep Residual Learning", CVPR 2016; the stride-1 stem is that of Graham et al.,
"One Model is All You Need", Medical Image Analysis 2023.
"""

from typing import cast

from torch import Tensor, nn

Features = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""Feature maps at strides 1, 2, 4, 8 and 16 of the input."""


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions with a residual connection, ResNet-18/34 style."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        """Draw the weights; `stride` is that of the first convolution and the shortcut."""
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels_in != channels_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in, H, W) to (N, out, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        residual = self.relu(self.bn1(self.conv1(x)))
        residual = self.bn2(self.conv2(residual))
        return cast(Tensor, self.relu(residual + shortcut))


class ResNetEncoder(nn.Module):
    """Feature pyramid of a basic-block ResNet with a 7 x 7 stride-1 stem."""

    def __init__(
        self, depths: tuple[int, int, int, int], widths: tuple[int, int, int, int]
    ) -> None:
        """Draw the weights.

        Args:
            depths: blocks of each of the four stages; (3, 4, 6, 3) is ResNet-34.
            widths: channels of each of the four stages; the stem is as wide as the first.
        """
        super().__init__()
        stem = widths[0]
        self.conv1 = nn.Conv2d(3, stem, 7, stride=1, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(stem, widths[0], depths[0], stride=1)
        self.layer2 = _stage(widths[0], widths[1], depths[1], stride=2)
        self.layer3 = _stage(widths[1], widths[2], depths[2], stride=2)
        self.layer4 = _stage(widths[2], widths[3], depths[3], stride=2)

    def forward(self, image: Tensor) -> Features:
        """Map (N, 3, H, W) in 0..1 to features at strides 1, 2, 4, 8 and 16."""
        stem = self.relu(self.bn1(self.conv1(image)))
        stage1 = self.layer1(self.maxpool(stem))
        stage2 = self.layer2(stage1)
        stage3 = self.layer3(stage2)
        stage4 = self.layer4(stage3)
        return stem, stage1, stage2, stage3, stage4


def _stage(channels_in: int, channels_out: int, depth: int, stride: int) -> nn.Sequential:
    first = BasicBlock(channels_in, channels_out, stride)
    rest = (BasicBlock(channels_out, channels_out, 1) for _ in range(depth - 1))
    return nn.Sequential(first, *rest)
