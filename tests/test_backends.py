"""What computes a network: the same probabilities, for one thread or many."""

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from cerberus_bench.model_zoo.backends import Network, TorchNetwork, _number_type, make_network
from cerberus_bench.model_zoo.cerberus import Cerberus
from cerberus_bench.model_zoo.checkpoint import untrained, wrap_module
from cerberus_bench.model_zoo.folding import folded
from cerberus_bench.model_zoo.openvino_network import MAX_PROGRAMS, OpenVinoNetwork
from cerberus_bench.model_zoo.options import RunOptions
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.model import NetworkSpec, OutputSpec
from cerberus_bench.schema.running import Precision

OUTPUTS = (OutputSpec("nuclei.instance", 3), OutputSpec("nuclei.type", 7), OutputSpec("tissue", 9))
DENSE = ["nuclei.type", "nuclei.instance"]
needs_openvino = pytest.mark.skipif(not find_spec("openvino"), reason="the extra [openvino]")
BACKENDS = [TorchNetwork, pytest.param(OpenVinoNetwork, marks=needs_openvino)]
Backend = Callable[[nn.Module, Precision], Network]


def small_network() -> Cerberus:
    """A shallow network whose probabilities are far from uniform, unlike those of a fresh one."""
    torch.manual_seed(0)
    model = Cerberus(NetworkSpec((1, 1, 1, 1), (8, 8, 8, 8), 8, OUTPUTS)).eval()
    with torch.no_grad():
        for head in model.heads.values():
            head.get_submodule("logits").weight.mul_(20)  # type: ignore[operator]
    return model


def scene(n: int = 2) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (n, 64, 80, 3), dtype=np.uint8)


def expected(model: Cerberus, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """By the plain network in double precision, nothing folded, cropped or batched."""
    found: dict[str, list[NDArray[np.float64]]] = {}
    for window in pixels:
        image = torch.from_numpy(window).permute(2, 0, 1)[None].double()
        with torch.inference_mode():
            for name, logits in model.double()(image).items():
                found.setdefault(name, []).append(logits.softmax(1)[0].numpy())
    model.float()
    return {name: np.moveaxis(np.stack(values), 1, -1) for name, values in found.items()}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 0.05)])
def test_probabilities_of_the_wanted_outputs_classes_last(
    backend: Backend, precision: Precision, tolerance: float
) -> None:
    model, pixels = small_network(), scene()
    truth = expected(model, pixels)
    network = backend(folded(model), precision)
    found = network(pixels, DENSE, 8)
    assert sorted(found) == sorted(DENSE)
    for name, values in found.items():
        assert truth[name].std() > 0.05
        assert values.dtype == np.float32
        assert values.flags.c_contiguous
        np.testing.assert_allclose(values, truth[name][:, 8:-8, 8:-8], atol=tolerance)
    tissue = network(pixels, ["tissue"])["tissue"]
    np.testing.assert_allclose(tissue, truth["tissue"], atol=tolerance)


@pytest.mark.parametrize("backend", BACKENDS)
def test_boxes_are_centres_and_distances(backend: Backend) -> None:
    torch.manual_seed(0)
    boxes = (OutputSpec("signet_ring.box", 5),)
    model = Cerberus(NetworkSpec((1, 1, 1, 1), (8, 8, 8, 8), 8, boxes)).eval()
    with torch.no_grad():
        model.heads["signet_ring_box"].get_submodule("logits").weight.mul_(50)  # type: ignore[operator]
    pixels = scene()
    with torch.inference_mode():
        logits = model(torch.from_numpy(pixels).permute(0, 3, 1, 2).float())["signet_ring.box"]
    centre, distances = 1 / (1 + (-logits[:, :1]).exp()), 16 * logits[:, 1:].clamp(-4, 4).exp()
    assert centre.std() > 0.01
    truth = torch.cat([centre, distances], 1).permute(0, 2, 3, 1)[:, 2:-2, 2:-2].numpy()
    found = backend(folded(model), "fp32")(pixels, ["signet_ring.box"], 8)["signet_ring.box"]
    np.testing.assert_allclose(found, truth, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_many_threads_get_what_one_gets(backend: Backend) -> None:
    network = backend(small_network(), "fp32")
    batches = [np.roll(scene(), shift, axis=1) for shift in range(0, 64, 16)]
    alone = [network(pixels, DENSE, 8) for pixels in batches]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda pixels: network(pixels, DENSE, 8), batches))
    for one, many in zip(alone, together, strict=True):
        for name in DENSE:
            np.testing.assert_array_equal(many[name], one[name])


class Plain(nn.Module):
    """A module of a user, which knows neither outputs nor margins."""

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"lumen.instance": image / 50}


@pytest.mark.parametrize("backend", ["torch", pytest.param("openvino", marks=needs_openvino)])
def test_a_module_of_the_user_runs_whole_and_is_cropped(backend: str) -> None:
    pixels = scene()
    network = make_network(wrap_module("plain", Plain()), RunOptions(backend=backend))  # type: ignore[arg-type]
    logits = torch.from_numpy(pixels[:, 8:-8, 8:-8]).float() / 50
    found = network(pixels, ["lumen.instance"], 8)["lumen.instance"]
    np.testing.assert_allclose(found, logits.softmax(-1).numpy(), atol=1e-6)


@needs_openvino
def test_openvino_keeps_the_programs_used_last(monkeypatch: pytest.MonkeyPatch) -> None:
    network = OpenVinoNetwork(Plain())
    made: list[int] = []
    compile_one = network._compile

    def counted(key: tuple[int, ...]) -> object:
        made.append(key[1])
        return compile_one(key)  # type: ignore[arg-type]

    monkeypatch.setattr(network, "_compile", counted)
    widths = [16 * (i + 1) for i in range(MAX_PROGRAMS + 1)]
    for width in (*widths[:2], widths[0], *widths[2:], widths[0], widths[1]):
        network(np.zeros((1, 16, width, 3), np.uint8), ["lumen.instance"])
    assert made == [*widths, widths[1]]


class Branching(nn.Module):
    """Its graph hangs on the pixels, so that no program can be made of it."""

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"lumen.instance": image if image.sum() > 7 else -image}


@needs_openvino
def test_what_openvino_cannot_take_is_told() -> None:
    with pytest.raises(DataError, match=r"cannot take this network.*--backend torch"):
        OpenVinoNetwork(Branching())(scene(), ["lumen.instance"])


def test_a_missing_extra_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(DataError, match=r"pip install 'cerberus-bench\[openvino\]'"):
        make_network(untrained("single-lumen-tiny"), RunOptions(backend="openvino"))


@needs_openvino
def test_openvino_reports_nothing_to_its_makers() -> None:
    OpenVinoNetwork(Plain())
    assert sys.modules["openvino_telemetry"] is None


def test_a_network_in_training_mode_is_switched() -> None:
    model = small_network().train()
    TorchNetwork(model)
    assert not any(module.training for module in model.modules())


def test_exact_float32_on_gpus_is_no_tf32_and_training_gets_it_back() -> None:
    before = torch.backends.cudnn.allow_tf32
    with _number_type("fp32", torch.device("cuda")):
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.parametrize("chosen", [{}, {"MALLOC_MMAP_MAX_": "9"}])
def test_large_blocks_are_kept_unless_the_user_chose(chosen: dict[str, str]) -> None:
    code = "from cerberus_bench.model_zoo.allocator import keep_large_blocks as k; print(k())"
    environment = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"} | chosen
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(platform.libc_ver()[0] == "glibc" and not chosen)
