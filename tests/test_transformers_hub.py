"""A backbone of the Hub: its configuration and safetensors are fetched, its pickles are not."""

from pathlib import Path

import pytest
from hub_data import home
from loopback_hub import LoopbackHub, hub, running_hub

from cerberus_bench.hub.client import NotOnHubError
from cerberus_bench.model_zoo import create
from cerberus_bench.model_zoo.transformers_encoder import TransformersEncoder, find_source
from cerberus_bench.schema.errors import DataError
from cerberus_bench.workflows.models import find_model
from cerberus_bench.workflows.train import fetch_backbone

__all__ = ["home", "hub", "running_hub"]

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

REPO = "org/backbone"
NAME = f"cerberus-transformers:{REPO}"


def publish(folder: Path) -> None:
    from huggingface_hub import HfApi
    from transformers import ResNetConfig, ResNetModel

    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 1, 1])
    ResNetModel(config).save_pretrained(folder)
    (folder / "pytorch_model.bin").write_bytes(b"never opened")
    api = HfApi()
    api.create_repo(REPO)
    for path in sorted(folder.iterdir()):
        api.upload_file(path_or_fileobj=path.read_bytes(), path_in_repo=path.name, repo_id=REPO)


def test_a_backbone_is_fetched_without_its_pickles(hub: LoopbackHub, tmp_path: Path) -> None:
    publish(tmp_path)
    with pytest.raises(DataError, match="hf download org/backbone"):
        create(NAME)
    fetch_backbone(NAME)
    folder = find_source(REPO).folder
    assert find_source(f"hf:{REPO}").folder == folder
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors"}
    before = len(hub.requests)
    model = create(NAME, ["gland"])
    assert len(hub.requests) == before
    assert isinstance(model.encoder, TransformersEncoder)
    assert model.encoder.weights_sha256 is not None
    with pytest.raises(DataError, match="no trained weights of it"):
        find_model(NAME)


def test_a_backbone_that_does_not_exist(hub: LoopbackHub) -> None:
    with pytest.raises(NotOnHubError, match="org/nothing"):
        fetch_backbone("cerberus-transformers:org/nothing")
    with pytest.raises(DataError, match="there is no such folder"):
        fetch_backbone("cerberus-transformers:nothing")
    fetch_backbone("cerberus-tiny")
    assert not any("tiny" in request.path for request in hub.requests)
