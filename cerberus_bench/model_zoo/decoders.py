"""The decoder of a dense output: four additive up-sampling steps.

Source: Graham et al., "One Model is All You Need", Medical Image Analysis 2023, section 3.
"""

from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from cerberus_bench.model_zoo.encoder import Features


class ConvNormReLU(nn.Module):
    """A convolution (with bias, size kept), batch normalisation and ReLU."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int) -> None:
        """Draw the weights; `kernel` is an odd side in px."""
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2)
        self.bn = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in, H, W) to (N, out, H, W), non-negative."""
        return functional.relu(self.bn(self.conv(x)), inplace=True)


class UpStep(nn.Module):
    """Double the resolution, add the encoder feature of that size, convolve twice."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        """Draw the weights."""
        super().__init__()
        self.conv1 = ConvNormReLU(channels_in, channels_in, kernel=3)
        self.conv2 = ConvNormReLU(channels_in, channels_out, kernel=3)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map (N, in, H, W) and a skip (N, in, 2H, 2W) to (N, out, 2H, 2W)."""
        up = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return cast(Tensor, self.conv2(self.conv1(up + skip)))


class Decoder(nn.Module):
    """From the reduced stride-16 feature back to full resolution."""

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        """Draw the weights; `widths` are the channels of the four encoder stages."""
        super().__init__()
        self.step1 = UpStep(widths[2], widths[1])
        self.step2 = UpStep(widths[1], widths[0])
        self.step3 = UpStep(widths[0], widths[0])
        self.step4 = UpStep(widths[0], widths[0])

    def forward(self, reduced: Tensor, features: Features) -> Tensor:
        """Map (N, widths[2], H / 16, W / 16) and the features to (N, widths[0], H, W)."""
        stem, stage1, stage2, stage3, _ = features
        x = self.step1(reduced, stage3)
        x = self.step2(x, stage2)
        x = self.step3(x, stage1)
        return cast(Tensor, self.step4(x, stem))
