"""What computes a network: the same probabilities, for one thread or many."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cerberus_bench.model_zoo import create
from cerberus_bench.model_zoo.backends import TorchNetwork, make_network
from cerberus_bench.model_zoo.checkpoint import LoadedModel, untrained, wrap_module
from cerberus_bench.model_zoo.options import Precision, RunOptions

DENSE = ["nuclei.instance", "gland.type"]


def scene(n: int = 2, height: int = 64, width: int = 80) -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, height, width, 3), dtype=np.uint8)


def lively(seed: int = 0) -> LoadedModel:
    """A network with probabilities far from uniform, unlike a fresh one."""
    loaded = untrained("cerberus-tiny", seed)
    for module in (loaded.model, loaded.inference):
        for name, head in module.heads.items():  # type: ignore[union-attr,operator]
            with torch.no_grad():
                head.logits.weight.mul_(3 if name == "tissue" else 0.1)
    return loaded


def expected(loaded: LoadedModel, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """By the plain network in double precision, nothing folded, cropped or batched."""
    model = loaded.model.double()
    found: dict[str, list[NDArray[np.float64]]] = {}
    for window in pixels:
        image = torch.from_numpy(window).permute(2, 0, 1)[None].double()
        with torch.inference_mode():
            for name, logits in model(image).items():
                found.setdefault(name, []).append(logits.softmax(1)[0].numpy())
    model.float()
    return {name: np.moveaxis(np.stack(values), 1, -1) for name, values in found.items()}


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 0.05)])
def test_probabilities_of_the_wanted_outputs_classes_last(
    precision: Precision, tolerance: float
) -> None:
    loaded, pixels = lively(), scene()
    truth = expected(loaded, pixels)
    network = make_network(loaded, RunOptions(precision=precision))
    found = network(pixels, DENSE, 8)
    assert sorted(found) == sorted(DENSE)
    assert truth["nuclei.instance"].std() > 0.05
    for name, values in found.items():
        assert values.dtype == np.float32
        assert values.flags.c_contiguous
        np.testing.assert_allclose(values, truth[name][:, 8:-8, 8:-8], atol=tolerance)
    tissue = network(pixels, ["tissue"])["tissue"]
    assert tissue.shape == (2, 9)
    np.testing.assert_allclose(tissue, truth["tissue"], atol=tolerance)


def test_a_module_of_the_user_runs_whole_and_is_cropped() -> None:
    class Plain(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"lumen.instance": image / 50}

    pixels = scene()
    found = make_network(wrap_module("plain", Plain()))(pixels, ["lumen.instance"], 8)
    logits = torch.from_numpy(pixels[:, 8:-8, 8:-8]).float() / 50
    np.testing.assert_allclose(found["lumen.instance"], logits.softmax(-1).numpy(), atol=1e-6)


def test_many_threads_get_what_one_gets() -> None:
    network = make_network(untrained("single-lumen-tiny"), RunOptions(precision="bf16"))
    batches = [np.roll(scene(), shift, axis=1) for shift in range(0, 64, 16)]
    alone = [network(pixels, ["lumen.instance"], 8)["lumen.instance"] for pixels in batches]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda p: network(p, ["lumen.instance"], 8), batches))
    for one, many in zip(alone, together, strict=True):
        np.testing.assert_array_equal(many["lumen.instance"], one)


def test_a_network_in_training_mode_is_switched() -> None:
    model = create("single-lumen-tiny").train()
    TorchNetwork(model)
    assert not any(module.training for module in model.modules())
