"""Backbones of transformers: tiny ones of random weights, made and saved here; no network."""

import dataclasses
import json
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_training import PATCHES, SCENES, config, small_recipe
from torch import Tensor, nn

from cerberus_bench.model_zoo import create, load_model, make_card, save_model, untrained
from cerberus_bench.model_zoo.checkpoint import BACKBONE_WINDOW
from cerberus_bench.model_zoo.encoder import ResNetEncoder
from cerberus_bench.model_zoo.registry import architecture
from cerberus_bench.model_zoo.training import CHECKPOINT, train
from cerberus_bench.model_zoo.transformers_encoder import (
    IMAGENET,
    TransformersEncoder,
    find_source,
    read_backbone,
    resized,
)
from cerberus_bench.schema.errors import DataError

TASKS = ("gland", "tissue")


def resnet() -> Any:
    from transformers import ResNetConfig

    return ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 1, 1], layer_type="basic"
    )


def convnext() -> Any:
    from transformers import ConvNextConfig

    return ConvNextConfig(hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 1, 1])


def swin() -> Any:
    from transformers import SwinConfig

    return SwinConfig(embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4)


def dinov2(n_layers: int = 8) -> Any:
    from transformers import Dinov2Config

    return Dinov2Config(
        hidden_size=16,
        num_hidden_layers=n_layers,
        num_attention_heads=2,
        patch_size=14,
        image_size=56,
    )


STRIDES = {resnet: (4, 8, 16, 32), convnext: (4, 8, 16, 32), swin: (4, 8, 16, 32)}
KINDS = [resnet, convnext, swin, dinov2]


def written(folder: Path, make: Callable[[], Any], **changes: object) -> str:
    """A folder with a configuration alone, as the name of an architecture."""
    make().save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return f"cerberus-transformers:{folder}"


def backbone_of(model: Any) -> nn.Module:
    encoder = model.encoder
    assert isinstance(encoder, TransformersEncoder)
    return encoder.backbone


def saved(folder: Path, seed: int = 0) -> tuple[str, dict[str, Tensor]]:
    """A whole pretrained model, as repositories hold it, and its weights."""
    from transformers import Dinov2Model

    torch.manual_seed(seed)
    model = Dinov2Model(dinov2())
    model.save_pretrained(folder)
    return f"cerberus-transformers:{folder}", dict(model.state_dict())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_forward_and_backward(kind: Callable[[], Any], tmp_path: Path) -> None:
    name = written(tmp_path, kind)
    spec = architecture(name)
    assert spec.backbone is not None
    assert spec.backbone.strides == STRIDES.get(kind, (14, 14, 14, 14))
    model = create(name, TASKS)
    # multiples of 16, of which neither is one of 14 and only one of 32
    logits = model(torch.rand(2, 3, 48, 64) * 255)
    assert {key: tuple(value.shape) for key, value in logits.items()} == {
        "gland.instance": (2, 3, 48, 64),
        "gland.type": (2, 3, 48, 64),
        "tissue": (2, 9),
    }
    sum(value.square().mean() for value in logits.values()).backward()
    without = {key for key, p in model.named_parameters() if p.grad is None}
    # a token for masked training, and a norm after the last stage that no feature map passes
    unused = ("encoder.backbone.embeddings.mask_token", "encoder.backbone.swin.layernorm.")
    assert all(key.startswith(unused) for key in without), without
    features = model.encode(torch.rand(1, 3, 48, 64) * 255)
    assert [tuple(each.shape[1:]) for each in features] == [
        (64, 48, 64),
        (64, 24, 32),
        (128, 12, 16),
        (256, 6, 8),
        (512, 3, 4),
    ]


def test_layers_of_a_vision_transformer_are_quarters(tmp_path: Path) -> None:
    model = create(written(tmp_path, dinov2), TASKS)
    assert backbone_of(model).config.out_indices == [2, 4, 6, 8]
    with pytest.raises(DataError, match="3 stages, and four are needed"):
        create(written(tmp_path / "three", lambda: dinov2(3)))


@pytest.mark.parametrize(("given", "wanted"), [(14, 16), (14, 2), (32, 16), (4, 2), (16, 16)])
def test_cells_keep_their_place(given: int, wanted: int) -> None:
    def centres(stride: int, n: int) -> Tensor:
        return (torch.arange(n, dtype=torch.float64) + 0.5) * stride

    n = 8
    moved = resized(centres(given, n).view(1, 1, 1, n).expand(1, 1, n, n), given, wanted)[0, 0, 0]
    expected = centres(wanted, len(moved))
    # beyond the outermost centres the outermost value is repeated
    between = (expected >= given / 2) & (expected <= n * given - given / 2)
    assert between.sum() >= 2
    torch.testing.assert_close(moved[between], expected[between])


def test_an_image_is_padded_to_whole_cells(tmp_path: Path) -> None:
    encoder = create(written(tmp_path, dinov2), TASKS).encoder.eval()
    assert isinstance(encoder, TransformersEncoder)
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in IMAGENET)
    image = torch.rand(1, 3, 48, 48)
    rows = torch.arange(56).clamp(max=47)
    by_hand = ((image - mean) / deviation)[:, :, rows][..., rows]
    with torch.inference_mode():
        deepest = encoder.project[3](encoder.backbone(by_hand).feature_maps[3])
        assert deepest.shape[-2:] == (4, 4)
        # 4 cells of 14 px are 3.5 of 16 px, of which the image has 3
        expected = resized(deepest, 14, 16)[..., :3, :3]
        torch.testing.assert_close(encoder(image)[4], expected)


def test_our_bottlenecks_are_those_of_transformers() -> None:
    from transformers import ResNetBackbone, ResNetConfig

    torch.manual_seed(0)
    ours = ResNetEncoder((2, 1, 1, 2), (4, 6, 8, 10), "bottleneck").eval()
    theirs = ResNetBackbone(
        ResNetConfig(
            embedding_size=4,
            hidden_sizes=[16, 24, 32, 40],
            depths=[2, 1, 1, 2],
            layer_type="bottleneck",
            out_features=["stage1", "stage2", "stage3", "stage4"],
        )
    ).eval()
    theirs.load_state_dict({_their_name(k): v for k, v in ours.state_dict().items()})
    theirs.embedder.embedder.convolution.stride = (1, 1)
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        features, expected = ours(image)[1:], theirs(image).feature_maps
    for found, wanted in zip(features, expected, strict=True):
        torch.testing.assert_close(found, wanted)


def _their_name(key: str) -> str:
    """Transformers' name of a tensor that torchvision calls `key`."""
    kinds = {"conv": "convolution", "bn": "normalization"}
    parts = key.split(".")
    if parts[0] in ("conv1", "bn1"):
        return f"embedder.embedder.{kinds[parts[0][:-1]]}.{parts[1]}"
    stage, block, part = int(parts[0].removeprefix("layer")) - 1, parts[1], parts[2]
    head = f"encoder.stages.{stage}.layers.{block}"
    if part == "downsample":
        return f"{head}.shortcut.{('convolution', 'normalization')[int(parts[3])]}.{parts[4]}"
    return f"{head}.layer.{int(part[-1]) - 1}.{kinds[part[:-1]]}.{parts[3]}"


def test_weights_beside_the_configuration_are_taken(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name, state = saved(tmp_path)
    capfd.readouterr()
    backbone = backbone_of(create(name, TASKS)).state_dict()
    assert all(torch.equal(value, state[key]) for key, value in backbone.items())
    assert len(backbone) > 100
    drawn = backbone_of(create(name, TASKS, pretrained=False)).state_dict()
    assert not torch.equal(drawn["embeddings.cls_token"], state["embeddings.cls_token"]), (
        "random weights were asked for"
    )
    assert untrained(name).card is not None
    assert capfd.readouterr().err == ""


def test_the_backbone_sees_what_it_was_trained_on(tmp_path: Path) -> None:
    name = written(tmp_path, resnet)
    spec = architecture(name).backbone
    assert spec is not None
    assert spec.mean == (0.485, 0.456, 0.406)
    said = {"image_mean": [0.7, 0.5, 0.6], "image_std": [0.2, 0.25, 0.5]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    model = create(name, TASKS).eval()
    seen: list[Tensor] = []
    backbone_of(model).register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.inference_mode():
        model.encode(torch.tensor([255.0, 0, 51]).view(1, 3, 1, 1).expand(1, 3, 32, 32))
    expected = [(1 - 0.7) / 0.2, (0 - 0.5) / 0.25, (0.2 - 0.6) / 0.5]
    assert seen[0][0, :, 5, 5].tolist() == pytest.approx(expected)
    (tmp_path / "preprocessor_config.json").write_text('{"image_std": [1, 2]}')
    with pytest.raises(DataError, match="three numbers"):
        architecture(name)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_model_file_needs_its_folder_no_more(kind: Callable[[], Any], tmp_path: Path) -> None:
    name = written(tmp_path / "source", kind)
    model = create(name, TASKS).eval()
    path = save_model(tmp_path / "model.safetensors", model, make_card(model, name))
    shutil.rmtree(tmp_path / "source")
    loaded = load_model(path)
    assert loaded.card is not None
    assert (loaded.window_px, loaded.margin_px) == BACKBONE_WINDOW
    image = torch.rand(1, 3, 64, 64) * 255
    with torch.inference_mode():
        expected, found, fast = model(image), loaded.model(image), loaded.inference(image)
    for output, value in expected.items():
        assert torch.equal(found[output], value)
        torch.testing.assert_close(fast[output], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "bert"}, "no backbone of transformers.*dinov2"),
        ({"model_type": "timm_backbone"}, "no backbone"),
        ({"hidden_act": "nonsense"}, "no backbone can be made|not a configuration"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000, over the bound of 256"),
        ({"hidden_size": 10**9}, "hidden_size is 1000000000, over the bound"),
        ({"num_attention_heads": 0}, "no backbone can be made|not a configuration"),
        ({"mlp_ratio": float("nan")}, "over the bound"),
    ],
)
def test_configurations_that_are_refused(
    changes: dict[str, object], said: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=said):
        architecture(written(tmp_path, dinov2, **changes))


def test_what_could_fetch_code_is_dropped(tmp_path: Path) -> None:
    wild = {
        "auto_map": {"AutoBackbone": "stranger/repo--model.Backbone"},
        "attn_implementation": "stranger/kernel",
        "_attn_implementation": "stranger/kernel",
        "quantization_config": {"quant_method": "gptq"},
        "torch_dtype": "float16",
    }
    written(tmp_path / "wild", dinov2, **wild)
    written(tmp_path / "plain", dinov2)
    wild_spec, plain_spec = (
        read_backbone(find_source(str(tmp_path / name))) for name in ("wild", "plain")
    )
    assert wild_spec == plain_spec
    assert "stranger" not in wild_spec.config


def test_weights_that_are_refused(tmp_path: Path) -> None:
    name, _ = saved(tmp_path)
    weights = tmp_path / "model.safetensors"
    other = written(tmp_path / "other", lambda: dinov2(12))
    shutil.copy(weights, tmp_path / "other")
    with pytest.raises(DataError, match=r"the weights lack .* tensors .*layer\.10"):
        create(other)
    weights.unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(DataError, match=r"pytorch_model\.bin and no \.safetensors"):
        create(name)


def test_sources_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="hf download owner/never-fetched"):
        create("cerberus-transformers:owner/never-fetched@main")
    with pytest.raises(DataError, match="no such folder"):
        create("cerberus-transformers:a/b/c")
    with pytest.raises(DataError, match=r"there is no config\.json"):
        create(f"cerberus-transformers:{tmp_path}")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read as JSON"):
        create(f"cerberus-transformers:{tmp_path}")
    name = written(tmp_path, resnet)
    monkeypatch.setitem(sys.modules, "transformers.models.auto.modeling_auto", None)
    with pytest.raises(DataError, match=r"pip install 'cerberus-bench\[transformers\]'"):
        create(name)


def test_training_keeps_a_frozen_backbone_and_names_its_weights(tmp_path: Path) -> None:
    name, state = saved(tmp_path / "source")
    settings = config(
        architecture=name,
        tasks=TASKS,
        recipe=small_recipe(steps=2, validations=1),
        freeze_encoder=True,
        tensorboard=False,
    )
    sources = [SCENES, PATCHES]
    card = train(settings, sources, sources, tmp_path / "run").card
    trained = torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)["model"]
    kept = {k.removeprefix("encoder.backbone."): v for k, v in trained.items() if "backbone" in k}
    assert all(torch.equal(value, state[key]) for key, value in kept.items())
    torch.manual_seed(settings.seed)
    fresh = create(name, TASKS).state_dict()
    stem = "encoder.stem.0.conv.weight"
    assert not torch.equal(trained[stem], fresh[stem])
    digest = card.provenance["encoder_weights_sha256"]
    assert isinstance(digest, str)
    assert len(digest) == 64
    other = dataclasses.replace(settings, random_encoder=True)
    with pytest.raises(DataError, match="another recipe, model, seed or data"):
        train(other, sources, sources, tmp_path / "run", resume=True)
