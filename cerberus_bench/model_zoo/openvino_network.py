"""A network computed by OpenVINO on the CPU: the extra `[openvino]`.

Every shape of window is exported and compiled once and kept in memory. Windows are computed one
by one, so that a program serves batches of any size and no number depends on the others of a batch;
OpenVINO spreads each window over the threads.
"""

import sys
import threading
import warnings
from collections import OrderedDict
from collections.abc import Collection
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cerberus_bench.model_zoo.backends import Probabilities, forward_centre
from cerberus_bench.model_zoo.heads import activate
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.running import Precision

MAX_PROGRAMS = 4
"""Programs kept in memory, the ones used last; each holds its own copy of the weights."""
HINTS = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoNetwork:
    """See `backends.Network`; a new shape of window takes seconds once."""

    def __init__(self, module: nn.Module, precision: Precision = "fp32") -> None:
        """Switch the module to evaluation mode.

        Args:
            module: a network with the forward of `create`, on the CPU.
            precision: number type of the computation; probabilities are float32 either way.

        Raises:
            DataError: OpenVINO is not installed. A call raises it too, where the network cannot be
                converted or the processor lacks the precision.
        """
        self._openvino = _import_openvino()
        self._module = module.eval()
        self._hint = HINTS[precision]
        self._programs: OrderedDict[_Key, _Program] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(
        self, pixels: NDArray[np.uint8], outputs: Collection[str], margin: int = 0
    ) -> dict[str, Probabilities]:
        """See `Network`."""
        key = _Key(pixels.shape[1], pixels.shape[2], tuple(outputs), margin)
        program = self._program(key)
        windows = [program.run(pixels[i : i + 1]) for i in range(len(pixels))]
        by_output = zip(key.outputs, zip(*windows, strict=True), strict=True)
        return {name: activate(name, torch.cat(logits), -1).numpy() for name, logits in by_output}

    def _program(self, key: "_Key") -> "_Program":
        """The program of a shape; other threads wait while it is made."""
        with self._lock:
            if key not in self._programs:
                self._programs[key] = self._compile(key)
                if len(self._programs) > MAX_PROGRAMS:
                    self._programs.popitem(last=False)
            self._programs.move_to_end(key)
            return self._programs[key]

    def _compile(self, key: "_Key") -> "_Program":
        shape = (1, key.height, key.width, 3)
        try:
            with torch.no_grad(), warnings.catch_warnings():
                # Of a name in torch that only torch itself uses.
                warnings.simplefilter("ignore", FutureWarning)
                pixels = torch.zeros(shape, dtype=torch.uint8)
                exported = torch.export.export(_Centre(self._module, key).eval(), (pixels,))
                graph = self._openvino.convert_model(exported)
        except Exception as error:
            # A module of the user's own may do anything; both tools raise what they like.
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise DataError(
                f"OpenVINO cannot take this network: {reason}. Run it by torch (--backend torch)."
            ) from error
        graph.reshape(list(shape))
        compiled = self._openvino.Core().compile_model(
            graph,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": self._hint,
                "INFERENCE_NUM_THREADS": torch.get_num_threads(),
                # Two processes on one machine would pin their threads to the same cores.
                "ENABLE_CPU_PINNING": False,
            },
        )
        chosen = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if chosen != self._hint:
            raise DataError(
                f"OpenVINO computes in {chosen} on this processor, not in {self._hint}. Choose"
                " another --precision, or --backend torch."
            )
        return _Program(compiled)


class _Key(NamedTuple):
    """What a program is made for."""

    height: int
    width: int
    outputs: tuple[str, ...]
    margin: int


class _Centre(nn.Module):
    """Pixels (1, H, W, 3) to logits with the classes last, one tensor an output."""

    def __init__(self, network: nn.Module, key: _Key) -> None:
        super().__init__()
        self.network = network
        self.key = key

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        image = pixels.permute(0, 3, 1, 2).float()
        logits = forward_centre(self.network, image, self.key.outputs, self.key.margin)
        return tuple(logits[name].movedim(1, -1) for name in self.key.outputs)


class _Program:
    """A compiled network, and what its runs need: one request a thread at a time."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._idle: SimpleQueue[Any] = SimpleQueue()

    def run(self, pixels: NDArray[np.uint8]) -> list[Tensor]:
        """Float32 logits of one window, one tensor an output."""
        try:
            request = self._idle.get_nowait()
        except Empty:
            request = self._compiled.create_infer_request()
        try:
            request.infer([pixels])
            found = [request.get_output_tensor(i).data for i in range(len(self._compiled.outputs))]
            # A request writes its next outputs into the same memory.
            return [torch.from_numpy(values.copy()) for values in found]
        finally:
            self._idle.put(request)


def _import_openvino() -> Any:
    """OpenVINO without its telemetry, which would report every import to its makers unasked."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise DataError(
            f"OpenVINO is not installed ({error}). Install it: pip install"
            " 'cerberus-bench[openvino]', or use --backend torch."
        ) from error
    return openvino
