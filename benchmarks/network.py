"""The network alone: ways to run it against the reference procedure, on the same weights and image.

The reference is what the published code does for a window: 448 px, every output decoded whole, the
central 144 px kept; eager, float32, channels_last, batch normalisation as it is. (That code also
copies its maps to the host in every forward pass and reads windows twice; none of that is counted.)
It has our allocator settings too, which favour it.

Times are CPU time on one thread, which other work on the machine changes little. Weights are
random, which changes no time but makes low precision differ far more than in a trained network (for
those there is `cerberus-bench parity`); the last column is the mean difference of a probability.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.timing import Row, median_ms
from cerberus_bench.model_zoo.backends import Network, Probabilities, TorchNetwork, make_network
from cerberus_bench.model_zoo.checkpoint import untrained
from cerberus_bench.model_zoo.options import FAST_WINDOW_PX, RunOptions
from cerberus_bench.schema.running import Backend

MODEL = "cerberus-resnet34"
OUTPUTS = ("nuclei.instance", "nuclei.type", "gland.instance", "gland.type", "lumen.instance")
WINDOW_PX, MARGIN_PX = 448, 152
KEPT_PX = WINDOW_PX - 2 * MARGIN_PX
REPEATS = 3
BASELINE = "448 px decoded whole, fp32, torch"

Maps = dict[str, Probabilities]
Pixels = NDArray[np.uint8]


def rows() -> Iterator[Row]:
    """CPU milliseconds of one output megapixel."""
    torch.manual_seed(0)
    loaded = untrained(MODEL)
    side = FAST_WINDOW_PX
    pixels = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    inner = (side - WINDOW_PX) // 2
    window = np.ascontiguousarray(pixels[:, inner:-inner, inner:-inner])

    networks: dict[str, tuple[Network, Pixels]] = {
        f"{o.mode} {o.precision}, {o.backend}": (
            make_network(loaded, o),
            pixels if o.mode == "fast" else window,
        )
        for o in _ways()
    }
    plain = TorchNetwork(loaded.model.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    found: dict[str, Maps] = {}

    def run(name: str) -> None:
        network, given = networks[name]
        found[name] = network(given, OUTPUTS, MARGIN_PX)

    def run_whole() -> None:
        whole = plain(window, OUTPUTS)
        found[BASELINE] = {name: _inner(values, MARGIN_PX) for name, values in whole.items()}

    calls: list[Callable[[], None]] = [run_whole, *(partial(run, name) for name in networks)]
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    medians = median_ms(*calls, repeats=REPEATS, clock=time.process_time)
    torch.set_num_threads(n_threads)
    times = dict(zip([BASELINE, *networks], medians, strict=True))
    per_mpx = {name: ms * 1e6 / _area(found[name]) for name, ms in times.items()}
    for name in networks:
        yield Row(
            f"{MODEL}, {name}: CPU time of an output megapixel",
            per_mpx[name],
            BASELINE,
            per_mpx[BASELINE],
            f"{_difference(found[BASELINE], found[name]):.0e}",
        )
    if not find_spec("openvino"):
        yield Row.absent("openvino", BASELINE, "the extra [openvino] is not installed")


def _ways() -> list[RunOptions]:
    backends: list[Backend] = ["torch", "openvino"] if find_spec("openvino") else ["torch"]
    return [
        options
        for backend in backends
        for options in (
            RunOptions("exact", "fp32", backend),
            RunOptions("exact", "bf16", backend),
            RunOptions("fast", "bf16", backend),
        )
    ]


def _area(maps: Maps) -> int:
    _, height, width, _ = maps[OUTPUTS[0]].shape
    return int(height * width)


def _inner(values: Probabilities, margin: int) -> Probabilities:
    height, width = values.shape[1:3]
    return values[:, margin : height - margin, margin : width - margin]


def _difference(expected: Maps, found: Maps) -> float:
    """Mean difference of a probability over the pixels that the reference keeps, which all keep."""
    margin = (found[OUTPUTS[0]].shape[1] - KEPT_PX) // 2
    differences = [
        np.abs(_inner(found[name], margin) - values).ravel() for name, values in expected.items()
    ]
    return float(np.concatenate(differences).mean())
