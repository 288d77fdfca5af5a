"""Encoders from files: torchvision's names, models of ours, and what does not fit."""

from collections.abc import Collection
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cerberus_bench.model_zoo import MODELS, create, make_card, save_model
from cerberus_bench.model_zoo.cost import network_cost
from cerberus_bench.model_zoo.initial_encoder import freeze, load_initial
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


FOLDED = {"conv1.weight", "bn1.running_mean"}
"""Entries that the mean and deviation of torchvision's input go into."""


def same_encoder(
    model: torch.nn.Module, state: dict[str, Tensor], but: Collection[str] = ()
) -> bool:
    return all(
        torch.equal(value, state[key])
        for key, value in model.encoder.state_dict().items()  # type: ignore[union-attr,operator]
        if key not in but
    )


def test_weights_with_the_names_of_torchvision_load(tmp_path: Path) -> None:
    state = torchvision_style("cerberus-resnet18")
    torch.save(state, tmp_path / "resnet18.pth")
    model = create("single-gland-resnet18")
    heads = {key: value.clone() for key, value in model.heads.state_dict().items()}
    initial = load_initial(model, tmp_path / "resnet18.pth")
    assert same_encoder(model, state, but=FOLDED)
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
    load_initial(model, tmp_path / "old.pth")
    assert same_encoder(model, state, but=FOLDED)


def test_torchvision_weights_see_what_they_were_trained_on(tmp_path: Path) -> None:
    torch.manual_seed(0)
    ours, theirs = (create("single-gland-resnet18").eval() for _ in range(2))
    for norm in (theirs.encoder.bn1, theirs.encoder.layer1[0].bn1):  # type: ignore[index]
        norm.running_mean.normal_()  # type: ignore[union-attr,operator]
        norm.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr,operator]
    torch.save(theirs.encoder.state_dict(), tmp_path / "resnet18.pth")
    load_initial(ours, tmp_path / "resnet18.pth")
    image = torch.rand(1, 3, 64, 64)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.inference_mode():
        found = ours.encode(image * 255)[0]
        expected = theirs.encoder((image - mean.view(3, 1, 1)) / deviation.view(3, 1, 1))[0]
    inside = (..., slice(3, -3), slice(3, -3))
    torch.testing.assert_close(found[inside], expected[inside], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(theirs.encode(image * 255)[0][inside], expected[inside], atol=0.1)


def test_outputs_come_with_their_encoder_where_they_are_there(tmp_path: Path) -> None:
    trained = create("cerberus-tiny", ["nuclei", "tissue"])
    path = save_model(tmp_path / "multi.pt", trained, make_card(trained, "cerberus-tiny"))
    model = create("cerberus-tiny", ["nuclei", "gland"])
    before = {key: value.clone() for key, value in model.state_dict().items()}
    wanted = ("nuclei.instance", "gland.instance")
    assert load_initial(model, path, wanted).outputs == ("nuclei.instance",)
    source = trained.state_dict()
    taken = ("encoder.", "reduce.", "decoders.nuclei_instance.", "heads.nuclei_instance.")
    for key, value in model.state_dict().items():
        expected = source[key] if key.startswith(taken) else before[key]
        assert torch.equal(value, expected), key


def test_frozen_parts_do_not_move() -> None:
    model = create("cerberus-tiny", ["nuclei", "tissue"]).train()
    freeze(model, ["nuclei.instance"])
    frozen = ("encoder.", "reduce.", "decoders.nuclei_instance.", "heads.nuclei_instance.")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.1)
    sum(v.square().sum() for v in model(torch.rand(2, 3, 32, 32) * 255).values()).backward()  # type: ignore[union-attr]
    optimiser.step()
    for key, value in model.state_dict().items():
        if key.startswith(frozen):
            assert torch.equal(value, before[key]), key
    moved = "decoders.nuclei_type.step1.conv1.bn.running_mean", "heads.tissue.logits.weight"
    assert not any(torch.equal(model.state_dict()[key], before[key]) for key in moved)


def test_the_shipped_weights_are_known_by_name() -> None:
    initial = load_initial(create("single-signet_ring-tiny"), Path("cerberus-tiny"))
    assert {seen.dataset for seen in initial.trained_on} == {"phantom"}
    with pytest.raises(DataError, match="no trained weights"):
        load_initial(create("single-gland-tiny"), Path("cerberus-resnet34"))


def test_a_model_file_brings_what_it_has_seen(tmp_path: Path) -> None:
    trained = create("single-nuclei-tiny")
    card = make_card(trained, "single-nuclei-tiny", trained_on=[SEEN])
    save_model(tmp_path / "nuclei.safetensors", trained, card)
    model = create("single-gland-tiny")
    assert load_initial(model, tmp_path / "nuclei.safetensors").trained_on == [SEEN]
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
        load_initial(model, tmp_path / "wrong.pth")
    assert same_encoder(model, before)


def test_cost_of_the_published_network() -> None:
    cost = network_cost(MODELS["cerberus-resnet34"])
    assert cost.parameters == 27_864_284
    # the design's measurement of the published code is 371 GFLOP a window (multiply-add = 2)
    assert cost.gflop == pytest.approx(371, rel=0.02)
