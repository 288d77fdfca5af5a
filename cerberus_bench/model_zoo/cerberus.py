"""The Cerberus network: one shared encoder, one decoder an output.

Source: Graham et al., "One Model is All You Need", Medical Image Analysis 2023 (arXiv 2203.00077).
"""

from collections.abc import Collection
from typing import cast

from torch import Tensor, nn

from cerberus_bench.model_zoo.decoders import RESULT_STRIDES, Decoder
from cerberus_bench.model_zoo.encoder import Channels, Features, ResNetEncoder
from cerberus_bench.model_zoo.heads import RARE_CENTRE_LOGIT, DenseHead, PatchHead
from cerberus_bench.model_zoo.transformers_encoder import TransformersEncoder
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.model import ENCODER_STRIDE, NetworkSpec

PATCH_OUTPUT = "tissue"
"""The output that classifies the whole patch; every other one is dense."""


class Cerberus(nn.Module):
    """Multi-task network over RGB images in 0..255; no mean or deviation is removed.

    A fresh network has He-normal convolutions (He et al., ICCV 2015), zero biases, and small
    logits; a backbone of transformers draws its own weights.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        """Draw the weights of a network of this shape, which is kept as `spec`."""
        super().__init__()
        self.spec = spec
        self.encoder = _encoder(spec)
        deepest, reduced = self.encoder.channels[4], spec.widths[2]
        dense = [output for output in spec.outputs if output.name != PATCH_OUTPUT]
        self.reduce = nn.Conv2d(deepest, reduced, 1, bias=False) if dense else None
        self.laterals = None
        if dense:
            finest = min(output.stride for output in dense)
            self.laterals = _laterals(self.encoder.channels, spec.widths, finest)
        self.decoders = nn.ModuleDict(
            {_slot(o.name): Decoder(spec.widths, o.stride) for o in dense}
        )
        self.heads = nn.ModuleDict()
        for output in spec.outputs:
            self.heads[_slot(output.name)] = (
                PatchHead(deepest, reduced, output.n_classes)
                if output.name == PATCH_OUTPUT
                else DenseHead(spec.widths[0], spec.head_width, output.n_classes)
            )
        self._initialise()

    def forward(
        self, image: Tensor, outputs: Collection[str] | None = None, margin: int = 0
    ) -> dict[str, Tensor]:
        """Logits by output name.

        Args:
            image: (N, 3, H, W) in 0..255, any number type; H and W multiples of 16.
            outputs: names of the outputs to compute, all when None; no other decoder runs.
            margin: px at every side for which no dense output is computed; a multiple of 4 for
                boxes.

        Returns:
            (N, classes, H - 2 margin, W - 2 margin) for maps, (N, 5, (H - 2 margin) / 4,
            (W - 2 margin) / 4) for boxes, which `heads.activate` reads, (N, classes) for `tissue`,
            which looks at the central 144 px where the image is larger.

        Raises:
            DataError: the sides are not multiples of 16, or an output is not the network's own.
        """
        return self.decode(self.encode(image), outputs, margin)

    def encode(self, image: Tensor) -> Features:
        """Features at strides 1, 2, 4, 8, 16 of an image (N, 3, H, W) in 0..255."""
        height, width = image.shape[-2:]
        if height % ENCODER_STRIDE or width % ENCODER_STRIDE:
            raise DataError(
                f"image is {height} x {width} px; the network takes sides that are multiples of "
                f"{ENCODER_STRIDE}. Pad the image, or use cerberus_bench.model_zoo.runner, "
                "which takes any size."
            )
        return cast(Features, self.encoder(image / 255))

    def decode(
        self, features: Features, outputs: Collection[str] | None = None, margin: int = 0
    ) -> dict[str, Tensor]:
        """Logits by output name from the features of `encode`; see `forward`."""
        names = self._wanted(outputs)
        reduced, skips = None, features
        if self.reduce is not None and any(name != PATCH_OUTPUT for name in names):
            reduced, skips = self.reduce(features[-1]), self._skips(features)
        logits = {}
        for name in names:
            head = self.heads[_slot(name)]
            if name == PATCH_OUTPUT:
                logits[name] = head(features[-1])
            else:
                logits[name] = head(self.decoders[_slot(name)](reduced, skips, margin))
        return logits

    def _skips(self, features: Features) -> Features:
        """The features with the channels that the decoders add to theirs."""
        assert self.laterals is not None
        one, two, four, eight = (
            lateral(feature) for lateral, feature in zip(self.laterals, features[:4], strict=True)
        )
        return one, two, four, eight, features[4]

    def parts(self, outputs: Collection[str]) -> list[str]:
        """Names of the modules that outputs need besides the encoder, shared ones included."""
        names = self._wanted(outputs)
        dense = [name for name in names if name != PATCH_OUTPUT]
        shared = ("reduce", "laterals") if dense else ()
        there = [name for name in shared if getattr(self, name) is not None]
        decoders = [f"decoders.{_slot(name)}" for name in dense]
        return [*there, *decoders, *(f"heads.{_slot(name)}" for name in names)]

    def _initialise(self) -> None:
        foreign = set() if self.spec.backbone is None else set(self.encoder.trunk.modules())
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module not in foreign:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        rare = {_slot(output.name) for output in self.spec.outputs if output.name.endswith(".box")}
        for name, head in self.heads.items():
            # Small logits, so that training starts near the loss of the uniform guess. Not smaller:
            # at .01 the hidden units learn the commonest class all at once, before they differ, and
            # stay one direction; a network for nuclei alone then never finds their inner parts.
            last = cast(nn.Conv2d, head.logits)
            nn.init.normal_(last.weight, std=0.1)
            if name in rare:
                nn.init.constant_(cast(Tensor, last.bias)[0], RARE_CENTRE_LOGIT)

    def _wanted(self, outputs: Collection[str] | None) -> list[str]:
        names = [output.name for output in self.spec.outputs]
        if outputs is None:
            return names
        unknown = sorted(set(outputs) - set(names))
        if unknown:
            raise DataError(
                f"the network has no output {', '.join(unknown)}. Ask for some of: "
                f"{', '.join(names)}."
            )
        return [name for name in names if name in outputs]


def _encoder(spec: NetworkSpec) -> ResNetEncoder | TransformersEncoder:
    if spec.backbone is None:
        return ResNetEncoder(spec.depths, spec.widths, spec.block)
    return TransformersEncoder(spec.backbone, spec.widths)


def _laterals(channels: Channels, widths: tuple[int, int, int, int], finest: int) -> nn.ModuleList:
    """What brings the features of strides 1, 2, 4 and 8 to the channels of the decoders.

    A 1 x 1 convolution without bias, shared by the decoders like `reduce`, where they differ, as
    for bottlenecks; nothing where they are the same, as in the published network, or finer than
    every output. After Lin et al., "Feature Pyramid Networks", CVPR 2017.
    """
    wanted = (widths[0], *widths[:3])
    return nn.ModuleList(
        nn.Conv2d(given, needed, 1, bias=False)
        if given != needed and stride >= finest
        else nn.Identity()
        for given, needed, stride in zip(channels[:4], wanted, RESULT_STRIDES, strict=True)
    )


def _slot(output: str) -> str:
    """Module name of an output: torch forbids dots in it."""
    return output.replace(".", "_")
