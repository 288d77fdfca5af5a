"""Windows in, probabilities out: a network on whatever computes it."""

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cerberus_bench.model_zoo.allocator import keep_large_blocks
from cerberus_bench.model_zoo.cerberus import Cerberus
from cerberus_bench.model_zoo.checkpoint import LoadedModel
from cerberus_bench.model_zoo.heads import activate
from cerberus_bench.model_zoo.options import DEFAULT, RunOptions
from cerberus_bench.schema.model import stride_of
from cerberus_bench.schema.running import Precision

Probabilities = NDArray[np.float32]

_SWITCHES = threading.Lock()


class Network(Protocol):
    """A network ready to run. May be called from several threads at once."""

    def __call__(
        self, pixels: NDArray[np.uint8], outputs: Collection[str], margin: int = 0
    ) -> dict[str, Probabilities]:
        """Class probabilities of a batch of windows.

        Args:
            pixels: (N, H, W, 3) RGB; H and W are multiples of 16. A backend may prepare itself for
                each new shape, which takes seconds: keep to few shapes.
            outputs: names of the outputs to compute, such as `gland.instance` or `tissue`.
            margin: px at every side for which no dense output is computed.

        Returns:
            Output name -> float32, the channels last, as `heads.activate` describes them:
            (N, (H - 2 margin) / stride, (W - 2 margin) / stride, channels) for dense outputs,
            (N, classes) for `tissue`.
        """
        ...


def make_network(loaded: LoadedModel, options: RunOptions = DEFAULT) -> Network:
    """Make a model ready to run; make it once, and keep it for all images.

    Args:
        loaded: the model; it runs on the device that its parameters are on.
        options: backend and precision; the mode is a matter of whoever lays out the windows.

    Raises:
        DataError: the backend is not installed.
    """
    if options.backend == "openvino":
        from cerberus_bench.model_zoo.openvino_network import OpenVinoNetwork

        return OpenVinoNetwork(loaded.inference, options.precision)
    return TorchNetwork(loaded.inference, options.precision)


class TorchNetwork:
    """A module computed by torch, on the device that its parameters are on."""

    def __init__(self, module: nn.Module, precision: Precision = "fp32") -> None:
        """Switch the module to evaluation mode.

        Args:
            module: a network with the forward of `create`.
            precision: bf16 computes under autocast; probabilities are float32 either way.
        """
        self._module = module.eval()
        self._precision = precision
        self._device = next(module.parameters(), torch.empty(0)).device
        if self._device.type == "cpu":
            keep_large_blocks()

    def __call__(
        self, pixels: NDArray[np.uint8], outputs: Collection[str], margin: int = 0
    ) -> dict[str, Probabilities]:
        """See `Network`."""
        with torch.inference_mode(), _number_type(self._precision, self._device):
            # The permuted view of NHWC pixels is channels_last already.
            image = torch.from_numpy(pixels).to(self._device).permute(0, 3, 1, 2).float()
            logits = forward_centre(self._module, image, outputs, margin)
            return {name: _probabilities(name, value) for name, value in logits.items()}


@contextmanager
def _number_type(precision: Precision, device: torch.device) -> Iterator[None]:
    if precision == "bf16":
        with torch.autocast(device.type, dtype=torch.bfloat16):
            yield
    elif device.type == "cuda":
        with _whole_float32():
            yield
    else:
        yield


@contextmanager
def _whole_float32() -> Iterator[None]:
    """No TF32: by default GPUs round the inputs of float32 convolutions to 10 bits.

    The switches are those of the process, so one thread at a time may turn them.
    """
    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    with _SWITCHES:
        before = convolutions.allow_tf32, products.allow_tf32
        try:
            convolutions.allow_tf32 = products.allow_tf32 = False
            yield
        finally:
            convolutions.allow_tf32, products.allow_tf32 = before


def forward_centre(
    module: nn.Module, image: Tensor, outputs: Collection[str], margin: int
) -> dict[str, Tensor]:
    """Logits of some outputs for (N, 3, H, W) in 0..255, dense ones without their margin."""
    if isinstance(module, Cerberus):
        found: dict[str, Tensor] = module(image, outputs=outputs, margin=margin)
        return found
    logits = module(image)
    return {name: _without_margin(logits[name], margin // stride_of(name)) for name in outputs}


def _without_margin(logits: Tensor, margin: int) -> Tensor:
    if logits.ndim != 4:
        return logits
    height, width = logits.shape[-2:]
    return logits[..., margin : height - margin, margin : width - margin]


def _probabilities(output: str, logits: Tensor) -> Probabilities:
    """Float32 on the CPU with the classes last."""
    found = activate(output, logits)
    last = found.permute(0, 2, 3, 1) if found.ndim == 4 else found
    probabilities: Probabilities = last.contiguous().cpu().numpy()
    return probabilities
