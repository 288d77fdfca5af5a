"""The network: shapes, gradients, and parity with the published one."""

import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cerberus_bench.model_zoo import MODELS, convert_published, create
from cerberus_bench.model_zoo.cerberus import Cerberus
from cerberus_bench.model_zoo.folding import folded
from cerberus_bench.model_zoo.published import published_network
from cerberus_bench.model_zoo.registry import OUTPUTS
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.model import NetworkSpec

GOLDEN = Path(__file__).parent / "golden"
DENSE_CLASSES = {
    "nuclei.instance": 3,
    "nuclei.type": 7,
    "gland.instance": 3,
    "gland.type": 3,
    "lumen.instance": 3,
}
PUBLISHED_NAME = {
    "Lumen-INST": "lumen.instance",
    "Gland-INST": "gland.instance",
    "Nuclei-INST": "nuclei.instance",
    "Nuclei-TYPE": "nuclei.type",
    "Gland-TYPE": "gland.type",
    "Patch-Class": "tissue",
}


def published_shapes() -> dict[str, tuple[int, ...]]:
    rows = (
        line.split("\t") for line in (GOLDEN / "cerberus_state_dict.tsv").read_text().splitlines()
    )
    return {key: tuple(map(int, shape.split("x"))) if shape else () for key, shape, _ in rows}


def drawn(key: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """One parameter by the recipe of the golden file."""
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    generator = np.random.RandomState((zlib.crc32(key.encode()) + seed) % 2**32)
    if key.endswith("running_var") or (len(shape) == 1 and key.endswith(".weight")):
        return torch.from_numpy(generator.uniform(0.5, 1.5, shape).astype(np.float32))
    normal = generator.standard_normal(shape)
    scale = 0.1 if len(shape) == 1 else np.sqrt(1 / np.prod(shape[1:]))
    return torch.from_numpy((scale * normal).astype(np.float32))


def published_state(seed: int) -> dict[str, torch.Tensor]:
    return {key: drawn(key, shape, seed) for key, shape in published_shapes().items()}


def published_input(seed: int, side: int) -> torch.Tensor:
    pixels = np.random.RandomState(seed + 1).randint(0, 256, (1, side, side, 3)).astype(np.uint8)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize("name", MODELS)
def test_every_model_runs_forward_and_backward(name: str) -> None:
    model = create(name)
    side = 64 if name.endswith("tiny") else 32
    logits = model(torch.rand(2, 3, side, side) * 255)
    assert list(logits) == [output.name for output in model.spec.outputs]
    for output, value in zip(model.spec.outputs, logits.values(), strict=True):
        cells = side // output.stride
        dense = (2, output.n_classes, cells, cells)
        assert tuple(value.shape) == (dense[:2] if output.name == "tissue" else dense)
    sum(value.square().mean() for value in logits.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_single_task_models_are_the_trunk_with_the_outputs_of_one_task() -> None:
    assert [o.name for o in create("single-gland-tiny").spec.outputs] == [
        "gland.instance",
        "gland.type",
    ]
    assert create("single-tissue-tiny").reduce is None
    multi = set(create("cerberus-tiny").state_dict())
    assert set(create("single-nuclei-tiny").state_dict()) < multi


def test_tiny_fits_five_megabytes_in_half_precision() -> None:
    count = sum(p.numel() for p in create("cerberus-tiny").state_dict().values())
    assert 1_500_000 < count < 2_500_000


def test_published_size() -> None:
    parameters = sum(p.numel() for p in create("cerberus-resnet34").parameters())
    assert parameters == 27_864_284


@pytest.mark.parametrize(("size", "n"), [("resnet34", 21_284_672), ("resnet50", 23_508_032)])
def test_encoders_are_as_large_as_torchvision_states(size: str, n: int) -> None:
    # 21,797,672 and 25,557,032 less the classifier of 1000 classes
    assert sum(p.numel() for p in create(f"cerberus-{size}").encoder.parameters()) == n


def test_bottleneck_keys_are_those_of_torchvision() -> None:
    encoder = create("cerberus-resnet50").encoder
    shapes = {key: tuple(value.shape) for key, value in encoder.state_dict().items()}
    assert shapes["layer1.0.conv1.weight"] == (64, 64, 1, 1)
    assert shapes["layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert shapes["layer4.2.conv2.weight"] == (512, 512, 3, 3)
    assert shapes["layer4.2.bn3.running_mean"] == (2048,)


BOTTLENECK = NetworkSpec((1, 1, 1, 1), (8, 16, 32, 64), 8, OUTPUTS, block="bottleneck")


def test_wider_features_are_projected_once_for_all_decoders() -> None:
    model = Cerberus(BOTTLENECK)
    assert model.laterals is not None
    kinds = [type(lateral) for lateral in model.laterals]
    assert kinds == [nn.Identity, nn.Conv2d, nn.Conv2d, nn.Conv2d]
    assert not any(key.startswith("lateral") for key in create("cerberus-resnet34").state_dict())


def test_bottlenecks_crop_and_fold_without_a_change() -> None:
    torch.manual_seed(0)
    model = Cerberus(BOTTLENECK).double().eval()
    image = torch.rand(1, 3, 64, 64, dtype=torch.float64) * 255
    fast = folded(model)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fast.encoder.modules())
    with torch.inference_mode():
        whole, centre, quick = model(image), model(image, margin=16), fast(image)
    for name, value in whole.items():
        part = value if name == "tissue" else value[..., 16:-16, 16:-16]
        torch.testing.assert_close(centre[name], part, rtol=0, atol=1e-9)
        torch.testing.assert_close(quick[name], value, rtol=1e-9, atol=1e-9)


def test_asking_for_some_outputs_runs_no_other_decoder() -> None:
    model = create("cerberus-tiny").eval()
    ran: list[str] = []
    for name, decoder in model.decoders.items():
        decoder.register_forward_hook(lambda *_, name=name: ran.append(name))
    image = torch.rand(1, 3, 48, 64) * 255
    with torch.inference_mode():
        some = model(image, outputs=["lumen.instance", "tissue"])
        everything = model(image)
    assert ran[:1] == ["lumen_instance"]
    assert len(ran) == 1 + len(DENSE_CLASSES)
    assert list(some) == ["lumen.instance", "tissue"]
    assert torch.equal(some["lumen.instance"], everything["lumen.instance"])
    assert everything["nuclei.type"].shape == (1, 7, 48, 64)


@pytest.mark.parametrize(("shape", "margin"), [((96, 64), 1), ((96, 128), 13), ((144, 80), 32)])
def test_decoding_without_a_margin_is_cropping(shape: tuple[int, int], margin: int) -> None:
    torch.manual_seed(0)
    model = create("cerberus-tiny").eval().double()
    image = torch.rand(1, 3, *shape, dtype=torch.float64) * 255
    with torch.inference_mode():
        whole, centre = model(image), model(image, margin=margin)
    for name, logits in whole.items():
        expected = logits if name == "tissue" else logits[..., margin:-margin, margin:-margin]
        torch.testing.assert_close(centre[name], expected, rtol=0, atol=1e-9)


def test_folding_keeps_the_function_and_the_model() -> None:
    model = published_network(published_state(seed=5)).eval()
    fast = folded(model)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fast.encoder.modules())
    assert any(isinstance(m, nn.BatchNorm2d) for m in model.encoder.modules())
    image = published_input(seed=5, side=64)
    with torch.inference_mode():
        expected, logits = model(image), fast(image)
    for name, value in expected.items():
        torch.testing.assert_close(
            logits[name], value, rtol=0, atol=1e-4 * float(value.abs().max())
        )


def test_tissue_sees_only_the_central_144_pixels_of_the_feature() -> None:
    model = create("single-tissue-tiny").eval()
    image = torch.rand(1, 3, 448, 448) * 255
    with torch.inference_mode():
        deepest = model.encode(image)[-1]
        cropped = deepest[..., 9:18, 9:18]
        assert deepest.shape[-1] == 28
        assert torch.equal(model.heads["tissue"](deepest), model.heads["tissue"](cropped))


def test_fresh_network_guesses_nearly_uniformly() -> None:
    """Near, not at: with weights of almost nothing the hidden units of a head never differ."""
    torch.manual_seed(0)
    logits = create("cerberus-tiny")(torch.rand(4, 3, 64, 64) * 255)
    for name, value in logits.items():
        assert 0.1 < value.std() < 0.7, name
        assert value.abs().max() < 3, name


def test_wrong_use_names_the_remedy() -> None:
    model = create("single-gland-tiny")
    with pytest.raises(DataError, match=r"500 x 512 px.*multiples of 16"):
        model(torch.zeros(1, 3, 500, 512))
    with pytest.raises(DataError, match=r"no output tissue.*gland\.instance"):
        model(torch.zeros(1, 3, 32, 32), outputs=["tissue"])
    with pytest.raises(DataError, match=r"'cerberus'.*cerberus-tiny"):
        create("cerberus")
    with pytest.raises(DataError, match=r"cannot build spleen"):
        create("cerberus-tiny", tasks=["gland", "spleen"])


def test_conversion_covers_the_published_state_dict_exactly() -> None:
    shapes = published_shapes()
    assert len(shapes) == 558
    state = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    converted = convert_published(state)
    ours = create("cerberus-resnet34").state_dict()
    assert {k: v.shape for k, v in converted.items()} == {k: v.shape for k, v in ours.items()}
    prefixed = {"desc": {f"module.{key}": value for key, value in state.items()}}
    assert convert_published(prefixed) == converted


def test_conversion_refuses_foreign_keys() -> None:
    with pytest.raises(DataError, match=r"decoder_head\.Liver"):
        convert_published({"decoder_head.Liver.0.block.0.conv.weight": 0})
    with pytest.raises(DataError, match="empty"):
        convert_published({})


def test_a_checkpoint_of_some_tasks_loads_and_agrees() -> None:
    state = published_state(seed=3)
    some = {
        key: value
        for key, value in state.items()
        if key.startswith(("backbone", "conv_map")) or ".Gland." in key
    }
    part = published_network(some).eval()
    assert [o.name for o in part.spec.outputs] == ["gland.instance"]
    del some["conv_map.weight"]
    with pytest.raises(DataError, match="does not fit"):
        published_network(some)


@pytest.mark.parametrize(
    "case",
    json.loads((GOLDEN / "cerberus_logits.json").read_text()),
    ids=lambda case: f"{case['input_size']}px",
)
def test_parity_with_the_published_network(case: dict[str, Any]) -> None:
    seed, side = case["seed"], case["input_size"]
    model = published_network(published_state(seed)).eval()
    with torch.inference_mode():
        logits = model(published_input(seed, side))
    for published, expected in case["outputs"].items():
        value = logits[PUBLISHED_NAME[published]][0].numpy()
        if published != "Patch-Class":
            value = value[:, expected["rows"]][:, :, expected["rows"]]
        reference = np.asarray(expected["grid"], dtype=np.float64).reshape(value.shape)
        assert np.abs(value - reference).max() <= 1e-4 * expected["abs_max"]


def test_listing_models_does_not_import_torch() -> None:
    code = (
        "import sys, cerberus_bench.model_zoo as z; assert z.MODELS; print('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_encoder_keys_are_those_of_torchvision() -> None:
    keys = set(create("cerberus-tiny").encoder.state_dict())
    assert {"conv1.weight", "bn1.running_var", "layer4.0.downsample.0.weight"} <= keys
    assert isinstance(create("cerberus-tiny").encoder.get_submodule("layer3.5.conv2"), nn.Conv2d)
