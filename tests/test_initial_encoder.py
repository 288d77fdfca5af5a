"""Encoders from files: torchvision's names, models of ours, and what does not fit."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from cerberus_bench.model_zoo import MODELS, create, make_card, save_model
from cerberus_bench.model_zoo.cost import network_cost
from cerberus_bench.model_zoo.initial_encoder import load_encoder
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.result import TrainedOn

SEEN = TrainedOn(
    dataset="glas", version="1", fingerprint="f", split="train", fold=3, groups=["g"], origins=[]
)


def torchvision_style(arch: str, **changes: Tensor | None) -> dict[str, Tensor]:
    """State of a classifier with an encoder of this architecture; None leaves an entry out."""
    state: dict[str, Tensor | None] = dict(create(arch).encoder.state_dict())
    state |= {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)} | changes
    return {key: value for key, value in state.items() if value is not None}


def same_encoder(model: torch.nn.Module, state: dict[str, Tensor]) -> bool:
    return all(
        torch.equal(value, state[key])
        for key, value in model.encoder.state_dict().items()  # type: ignore[union-attr,operator]
    )


def test_weights_with_the_names_of_torchvision_load(tmp_path: Path) -> None:
    state = torchvision_style("cerberus-resnet18")
    torch.save(state, tmp_path / "resnet18.pth")
    model = create("single-gland-resnet18")
    heads = {key: value.clone() for key, value in model.heads.state_dict().items()}
    initial = load_encoder(model, tmp_path / "resnet18.pth")
    assert same_encoder(model, state)
    assert all(torch.equal(heads[key], value) for key, value in model.heads.state_dict().items())
    assert len(initial.sha256) == 64
    assert initial.trained_on == []


def test_old_files_without_batch_counters_load(tmp_path: Path) -> None:
    state = torchvision_style("cerberus-tiny")
    torch.save(
        {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")},
        tmp_path / "old.pth",
    )
    model = create("cerberus-tiny")
    load_encoder(model, tmp_path / "old.pth")
    assert same_encoder(model, state)


def test_a_model_file_brings_what_it_has_seen(tmp_path: Path) -> None:
    trained = create("single-nuclei-tiny")
    card = make_card(trained, "single-nuclei-tiny", trained_on=[SEEN])
    save_model(tmp_path / "nuclei.safetensors", trained, card)
    model = create("single-gland-tiny")
    assert load_encoder(model, tmp_path / "nuclei.safetensors").trained_on == [SEEN]
    assert same_encoder(model, dict(trained.encoder.state_dict()))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"conv1.weight": None}, r"conv1\.weight \(missing\)"),
        ({"layer9.weight": torch.zeros(1)}, r"layer9\.weight \(unknown\)"),
        ({"conv1.weight": torch.zeros(16, 3, 3, 3)}, r"conv1\.weight has shape \(16, 3, 3, 3\)"),
        ({"bn1.bias": torch.full((16,), torch.nan)}, r"bn1\.bias holds values that are not finite"),
    ],
)
def test_what_does_not_fit_is_named_and_changes_nothing(
    changes: dict[str, Tensor | None], said: str, tmp_path: Path
) -> None:
    torch.save(torchvision_style("cerberus-tiny", **changes), tmp_path / "wrong.pth")
    model = create("cerberus-tiny")
    before = {key: value.clone() for key, value in model.encoder.state_dict().items()}
    with pytest.raises(DataError, match=said):
        load_encoder(model, tmp_path / "wrong.pth")
    assert same_encoder(model, before)


def test_cost_of_the_published_network() -> None:
    cost = network_cost(MODELS["cerberus-resnet34"])
    assert cost.parameters == 27_864_284
    # the design's measurement of the published code is 371 GFLOP a window (multiply-add = 2)
    assert cost.gflop == pytest.approx(371, rel=0.02)
