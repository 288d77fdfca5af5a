"""The decoder of a dense output: additive up-sampling steps, four to full resolution.

Source: Graham et al., "One Model is All You Need", Medical Image Analysis 2023, section 3.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from cerberus_bench.model_zoo.encoder import Features
from cerberus_bench.schema.errors import DataError

Span = tuple[int, int]
"""Half-open range of rows or of columns at one resolution."""
Region = tuple[Span, Span]
"""Rows and columns."""

RESULT_STRIDES = (1, 2, 4, 8)
"""Pixels of the image per cell after the last step, the one before, ..."""
CONV_REACH = 2
"""Two 3 x 3 convolutions look two pixels far."""


@dataclass(frozen=True, slots=True)
class StepRegions:
    """What one up-sampling step needs in order to be right on a region of its result."""

    coarse: Region
    """Of its input, at half the resolution."""
    skip: Region
    """Of the skip feature: the result with the reach of the convolutions around it."""
    up: Region
    """`skip` within the up-sampled `coarse`."""
    result: Region
    """The wanted region within what the convolutions give on `skip`."""


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

    def forward(self, x: Tensor, skip: Tensor, regions: StepRegions) -> Tensor:
        """Map `regions.coarse` of the input and the whole skip feature to the wanted region."""
        up = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        y = crop(up, regions.up) + crop(skip, regions.skip)
        return crop(self.conv2(self.conv1(y)), regions.result)


class Decoder(nn.Module):
    """From the reduced stride-16 feature back to full resolution, or to a coarser grid."""

    def __init__(self, widths: tuple[int, int, int, int], stride: int = 1) -> None:
        """Draw the weights.

        Args:
            widths: channels of the four encoder stages.
            stride: pixels of the image per cell of the result: 1, 2, 4 or 8.
        """
        super().__init__()
        self.stride = stride
        channels = (widths[2], widths[1], widths[0], widths[0], widths[0])
        self.n_steps = len(RESULT_STRIDES) - RESULT_STRIDES.index(stride)
        for i in range(self.n_steps):
            self.add_module(f"step{i + 1}", UpStep(channels[i], channels[i + 1]))

    def forward(self, reduced: Tensor, features: Features, margin: int = 0) -> Tensor:
        """Decode to the stride of the result, without a margin of the image.

        Only what reaches the wanted centre is computed; the result is that of cropping the whole.

        Args:
            reduced: (N, widths[2], H / 16, W / 16).
            features: those of the encoder, for an image of H x W.
            margin: px to leave out on every side, a multiple of the stride.

        Returns:
            (N, channels, (H - 2 margin) / stride, (W - 2 margin) / stride).

        Raises:
            DataError: the margin is no multiple of the stride.
        """
        if margin % self.stride:
            raise DataError(
                f"a margin of {margin} px does not fit a decoder of stride {self.stride}; take a"
                " multiple of it"
            )
        steps = [self.get_submodule(f"step{i + 1}") for i in range(self.n_steps)]
        plans = _plan(tuple(features[0].shape[-2:]), margin, self.stride)
        x = crop(reduced, plans[0].coarse)
        for step, skip, regions in zip(steps, features[3::-1], plans, strict=False):
            x = step(x, skip, regions)
        return x


def crop(x: Tensor, region: Region) -> Tensor:
    """View of a region of (N, C, H, W)."""
    (top, bottom), (left, right) = region
    return x[..., top:bottom, left:right]


def _plan(shape: tuple[int, ...], margin: int, finest: int) -> list[StepRegions]:
    """Regions of the steps to stride `finest`, coarse to fine, for the image less its margin."""
    wanted = [(margin // finest, (length - margin) // finest) for length in shape]
    plans = []
    for stride in RESULT_STRIDES[RESULT_STRIDES.index(finest) :]:
        axes = [_axis(span, length // stride) for span, length in zip(wanted, shape, strict=True)]
        rows, columns = axes
        plans.append(StepRegions(*zip(rows, columns, strict=True)))
        wanted = [axis[0] for axis in axes]
    return plans[::-1]


def _axis(wanted: Span, length: int) -> tuple[Span, Span, Span, Span]:
    """The four spans of `StepRegions` along one axis of a resolution with `length` pixels.

    One more coarse pixel on each side than the wanted ones cover, for the bilinear kernel: at the
    edge of a crop it would repeat the last pixel instead of looking at the next.
    """
    skip = max(0, wanted[0] - CONV_REACH), min(length, wanted[1] + CONV_REACH)
    coarse = max(0, skip[0] // 2 - 1), min(length // 2, (skip[1] + 1) // 2 + 1)
    up = skip[0] - 2 * coarse[0], skip[1] - 2 * coarse[0]
    result = wanted[0] - skip[0], wanted[1] - skip[0]
    return coarse, skip, up, result
