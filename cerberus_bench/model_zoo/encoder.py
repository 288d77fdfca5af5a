"""Residual encoder: a ResNet whose stem keeps full resolution.

Parameter names are those of torchvision, whose weights load (`initial_encoder`).
Source: He et al., "Deep Residual Learning", CVPR 2016, with the stride of a bottleneck at its 3 x 3
convolution, as torchvision has it; the stride-1 stem is that of Graham et al., "One Model is All
You Need", Medical Image Analysis 2023.
"""

from typing import ClassVar, cast

from torch import Tensor, nn

from cerberus_bench.schema.model import Block

Features = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""Feature maps at strides 1, 2, 4, 8 and 16 of the input."""
Channels = tuple[int, int, int, int, int]
"""Their channels."""


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions with a residual connection, as in ResNet-18 and -34."""

    expansion: ClassVar = 1
    """Channels of the result per channel of the width."""

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        """Draw the weights; `stride` is that of the first convolution and the shortcut."""
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(channels_in, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in, H, W) to (N, width, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        residual = self.relu(self.bn1(self.conv1(x)))
        residual = self.bn2(self.conv2(residual))
        return cast(Tensor, self.relu(residual + shortcut))


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions with a residual connection, as in ResNet-50."""

    expansion: ClassVar = 4
    """Channels of the result per channel of the width."""

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        """Draw the weights; `stride` is that of the 3 x 3 convolution and the shortcut."""
        super().__init__()
        channels_out = self.expansion * width
        self.conv1 = nn.Conv2d(channels_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(channels_in, channels_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in, H, W) to (N, 4 width, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        residual = self.relu(self.bn1(self.conv1(x)))
        residual = self.relu(self.bn2(self.conv2(residual)))
        residual = self.bn3(self.conv3(residual))
        return cast(Tensor, self.relu(residual + shortcut))


BLOCKS: dict[Block, type[BasicBlock | Bottleneck]] = {
    "basic": BasicBlock,
    "bottleneck": Bottleneck,
}


class ResNetEncoder(nn.Module):
    """Feature pyramid of a ResNet with a 7 x 7 stride-1 stem."""

    weights_sha256: ClassVar = None
    """It is made with random weights; see `load_encoder`."""

    def __init__(
        self,
        depths: tuple[int, int, int, int],
        widths: tuple[int, int, int, int],
        block: Block = "basic",
    ) -> None:
        """Draw the weights.

        Args:
            depths: blocks of each of the four stages; (3, 4, 6, 3) is ResNet-34 and -50.
            widths: width of the blocks of each stage; the stem is as wide as the first.
            block: kind of the blocks; a bottleneck has four times its width as channels.
        """
        super().__init__()
        kind, stem = BLOCKS[block], widths[0]
        one, two, three, four = (kind.expansion * width for width in widths)
        self.channels: Channels = (stem, one, two, three, four)
        self.conv1 = nn.Conv2d(3, stem, 7, stride=1, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        before = self.channels
        self.layer1 = _stage(kind, before[0], widths[0], depths[0], stride=1)
        self.layer2 = _stage(kind, before[1], widths[1], depths[1], stride=2)
        self.layer3 = _stage(kind, before[2], widths[2], depths[2], stride=2)
        self.layer4 = _stage(kind, before[3], widths[3], depths[3], stride=2)

    @property
    def trunk(self) -> nn.Module:
        """The part that trained weights are loaded into, and that freezing keeps: all of it."""
        return self

    def forward(self, image: Tensor) -> Features:
        """Map (N, 3, H, W) in 0..1 to features at strides 1, 2, 4, 8 and 16."""
        stem = self.relu(self.bn1(self.conv1(image)))
        stage1 = self.layer1(self.maxpool(stem))
        stage2 = self.layer2(stage1)
        stage3 = self.layer3(stage2)
        stage4 = self.layer4(stage3)
        return stem, stage1, stage2, stage3, stage4


def _shortcut(channels_in: int, channels_out: int, stride: int) -> nn.Module | None:
    if stride == 1 and channels_in == channels_out:
        return None
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
        nn.BatchNorm2d(channels_out),
    )


def _stage(
    kind: type[BasicBlock | Bottleneck], channels_in: int, width: int, depth: int, stride: int
) -> nn.Sequential:
    first = kind(channels_in, width, stride)
    rest = (kind(kind.expansion * width, width, 1) for _ in range(depth - 1))
    return nn.Sequential(first, *rest)
