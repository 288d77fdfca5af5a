"""Model files: what is written comes back, and nothing that could run code is opened."""

import io
import json
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from cerberus_bench.model_zoo import create, load_model, make_card, registry, save_model, untrained
from cerberus_bench.model_zoo.checkpoint import load_published, wrap_module
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.model import ModelCard
from cerberus_bench.schema.result import TrainedOn

ARCH = "single-gland-tiny"
SEEN = TrainedOn(
    dataset="phantom",
    version="1",
    fingerprint="f",
    split="train",
    fold=3,
    groups=["phantom/slide-1"],
    origins=[],
)


class RunsCode:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("pwned"),)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return create(ARCH).eval()


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("half", [False, True])
def test_a_saved_model_comes_back(tmp_path, model, suffix, half) -> None:
    card = make_card(model, ARCH, name="glands", trained_on=[SEEN], seed=7, licence="Apache-2.0")
    path = save_model(tmp_path / f"m{suffix}", model, card, half=half)
    loaded = load_model(path)
    assert loaded.card == card
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    for key, value in loaded.model.state_dict().items():
        expected = model.state_dict()[key]
        assert value.dtype == expected.dtype
        assert torch.equal(value, expected.half().to(value.dtype) if half else expected)
    image = torch.rand(1, 3, 32, 32) * 255
    if not half:
        for key, logits in loaded.model(image).items():
            torch.testing.assert_close(logits, model(image)[key])


def test_info_of_a_loaded_model(tmp_path, model) -> None:
    card = make_card(model, ARCH, trained_on=[SEEN], seed=7)
    loaded = load_model(save_model(tmp_path / "m.pt", model, card))
    info = loaded.info()
    assert (info.name, info.kind, info.tasks, info.seed) == (ARCH, "single", ["gland"], 7)
    assert info.trained_on == [SEEN]
    assert info.parameters == sum(p.numel() for p in model.parameters())
    assert info.file_sha256 is not None
    assert len(info.file_sha256) == 64
    assert loaded.label_spaces["gland"].classes == ("gland", "surface_epithelium")
    assert all(p.requires_grad for p in loaded.model.parameters())


def test_the_same_model_gives_the_same_bytes(tmp_path, model) -> None:
    card = make_card(model, ARCH)
    for suffix in ("pt", "safetensors"):
        one = save_model(tmp_path / f"a.{suffix}", model, card).read_bytes()
        assert one == save_model(tmp_path / f"b.{suffix}", model, card).read_bytes()


def test_tiny_weights_fit_five_megabytes(tmp_path) -> None:
    tiny = create("cerberus-tiny")
    path = save_model(tmp_path / "t.safetensors", tiny, make_card(tiny, "cerberus-tiny"), half=True)
    assert path.stat().st_size < 5_000_000


def test_a_file_without_a_card_needs_its_architecture(tmp_path, model) -> None:
    path = tmp_path / "plain.pt"
    torch.save(model.state_dict(), path)
    with pytest.raises(DataError, match=r"no model card.*--arch"):
        load_model(path)
    loaded = load_model(path, arch=ARCH)
    assert loaded.name == "plain"
    assert loaded.info().trained_on is None
    with pytest.raises(DataError, match="another network"):
        load_model(path, arch="single-lumen-tiny")
    with pytest.raises(DataError, match="Choose from"):
        load_model(path, arch="resnet")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Detected pickle protocol")
def test_code_is_refused_and_does_not_run(tmp_path, monkeypatch, model) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps(RunsCode()))
    torch.save({"state_dict": model.state_dict(), "card": RunsCode()}, tmp_path / "mixed.pt")
    torch.save(model, tmp_path / "module.pt")
    torch.jit.save(torch.jit.script(nn.Linear(1, 1)), tmp_path / "script.pt")
    program = torch.export.export(nn.Linear(1, 1), (torch.zeros(1, 1),))
    torch.export.save(program, tmp_path / "program.pt2")
    (tmp_path / "renamed.pt").write_bytes((tmp_path / "program.pt2").read_bytes())
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(DataError, match=r"Save tensors only, with .*save_model") as refusal:
            load_model(path)
        assert path.name in str(refusal.value)
        with pytest.raises(DataError):
            load_published(path)
    assert not Path("pwned").exists()


def test_what_is_not_a_model_is_refused(tmp_path, model) -> None:
    for name in ("noise.pt", "noise.safetensors", "noise.onnx"):
        (tmp_path / name).write_bytes(b"PK\x05\x06" + bytes(60))
        with pytest.raises(DataError, match=name):
            load_model(tmp_path / name)
    with pytest.raises(DataError, match=r"absent\.pt"):
        load_model(tmp_path / "absent.pt")
    with pytest.raises(DataError, match=r"\.pt or \.safetensors"):
        save_model(tmp_path / "m.onnx", model, make_card(model, ARCH))
    with pytest.raises(DataError, match="another network"):
        save_model(tmp_path / "m.pt", create("single-lumen-tiny"), make_card(model, ARCH))


def test_an_inflating_archive_is_refused(tmp_path, model) -> None:
    buffer = io.BytesIO()
    torch.save({k: torch.zeros_like(v) for k, v in model.state_dict().items()}, buffer)
    with (
        zipfile.ZipFile(buffer) as plain,
        zipfile.ZipFile(tmp_path / "z.pt", "w", zipfile.ZIP_DEFLATED) as deflated,
    ):
        for member in plain.infolist():
            deflated.writestr(member.filename, plain.read(member))
    with pytest.raises(DataError, match="compressed"):
        load_model(tmp_path / "z.pt", arch=ARCH)


@pytest.mark.parametrize("damage", ["shape", "missing", "nan", "expanded", "sparse"])
def test_weights_that_do_not_fit_are_refused(tmp_path, model, damage) -> None:
    state = dict(model.state_dict())
    key = "encoder.conv1.weight"
    if damage == "missing":
        del state[key]
    else:
        state[key] = {
            "shape": torch.zeros(1),
            "nan": torch.full_like(state[key], torch.nan),
            "expanded": torch.zeros(1).expand(state[key].shape),
            "sparse": state[key].to_sparse(),
        }[damage]
    torch.save(state, tmp_path / "m.pt")
    with pytest.raises(DataError, match=r"m\.pt.*encoder\.conv1\.weight"):
        load_model(tmp_path / "m.pt", arch=ARCH)


def test_a_bad_card_is_refused(tmp_path, model) -> None:
    card = json.loads(make_card(model, ARCH).model_dump_json())
    for change in (
        {"label_spaces": {"gland": ["gland"]}},
        {"label_spaces": {"gland": ["spleen", "liver"]}},
        {"label_spaces": {"spleen": ["gland"]}},
        {"network": card["network"] | {"widths": [10**9] * 4}},
        {"window_px": 64, "margin_px": 32},
        {"window_px": 450},
        {"mpp": 0.0},
        {"surprise": 1},
        {"format": 2},
    ):
        content = {"card": json.dumps(card | change), "state_dict": model.state_dict()}
        torch.save(content, tmp_path / "m.pt")
        with pytest.raises(DataError, match=r"m\.pt: its model card is not valid"):
            load_model(tmp_path / "m.pt")


def test_a_card_survives_json(model) -> None:
    card = make_card(model, ARCH, trained_on=[SEEN], validation={"gland.pq": 0.5})
    assert ModelCard.model_validate_json(card.model_dump_json()) == card
    with pytest.raises(ValidationError):
        card.name = "other"


def test_a_zoo_name_is_its_packaged_weights(tmp_path, monkeypatch, model) -> None:
    monkeypatch.setattr(registry, "WEIGHTS", tmp_path)
    with pytest.raises(DataError, match=r"no trained weights.*cerberus-bench train"):
        load_model(ARCH)
    save_model(tmp_path / f"{ARCH}.safetensors", model, make_card(model, ARCH), half=True)
    assert load_model(ARCH).name == ARCH


def test_an_untrained_network_is_the_same_each_time_and_has_seen_nothing() -> None:
    first, again = untrained(ARCH), untrained(ARCH)
    for one, other in zip(first.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert first.card is not None
    assert first.card.trained_on == []
    assert first.name == f"random:{ARCH}"


def test_an_instance_only_task_has_one_class() -> None:
    part = create("cerberus-tiny", tasks=["gland.instance", "lumen", "nuclei.instance"])
    assert make_card(part, "cerberus-tiny").label_spaces == {
        "gland": ["glandular"],
        "lumen": ["lumen"],
        "nuclei": ["cell"],
    }


def test_a_users_module_is_wrapped(model) -> None:
    loaded = wrap_module("mine:make", model)
    assert loaded.card is None
    assert loaded.info().tasks == ["gland"]
    model.label_spaces = {"gland": ["benign", "malignant"]}  # type: ignore[assignment]
    model.mpp = 1.0  # type: ignore[assignment]
    loaded = wrap_module("mine:make", model)
    assert loaded.label_spaces["gland"].classes == ("benign", "malignant")
    assert loaded.mpp == 1.0
    model.label_spaces = {"gland": ["gland"]}  # type: ignore[assignment]
    with pytest.raises(DataError, match="label_spaces"):
        wrap_module("mine:make", model)
    with pytest.raises(DataError, match="forward must map"):
        wrap_module("mine:make", nn.Linear(1, 1))
