"""Starting from an encoder that was trained before: on ImageNet, or on other tasks."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cerberus_bench.model_zoo.cerberus import Cerberus
from cerberus_bench.model_zoo.state_files import parse_state, plain_tensor, read_bytes
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.model import read_card
from cerberus_bench.schema.result import TrainedOn

OURS = "encoder."
CLASSIFIER = "fc."
"""Prefix of torchvision's last layer, which no encoder has."""


@dataclass(frozen=True, slots=True)
class InitialEncoder:
    """Where the encoder of a network came from."""

    sha256: str
    """Hash of the file."""
    trained_on: list[TrainedOn]
    """What its card lists: the new network has seen this too. Empty for a file without a card."""


def load_encoder(model: Cerberus, path: Path) -> InitialEncoder:
    """Put trained weights into a network's encoder; every tensor must fit.

    Args:
        model: the network; its decoders and heads stay as they are.
        path: a model file of ours, of whatever tasks, or a plain `.pt`, `.pth` or `.safetensors`
            file of a ResNet with torchvision's names. A final `fc` layer is left out. The 7 x 7
            stem has the same weights at stride 1 as at stride 2.

    Raises:
        DataError: the file could run code, or a tensor is missing, unknown or of another shape.
    """
    data = read_bytes(path)
    state, card = parse_state(path, data)
    found = _encoder_part(state)
    expected = model.encoder.state_dict()
    missing, unknown = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    counters = [key for key in missing if key.endswith("num_batches_tracked")]
    wrong = [key for key in missing if key not in counters] + unknown
    if wrong:
        raise DataError(
            f"{path}: {len(wrong)} tensors do not fit the encoder, such as {wrong[0]}"
            f" ({'missing' if wrong[0] in missing else 'unknown'}). Give weights of a ResNet of"
            " the same depth with torchvision's names, or choose --arch to match."
        )
    tensors = {k: plain_tensor(path, k, found[k], expected[k]) for k in expected if k in found}
    model.encoder.load_state_dict({**{key: expected[key] for key in counters}, **tensors})
    seen = [] if card is None else read_card(card, str(path)).trained_on or []
    return InitialEncoder(hashlib.sha256(data).hexdigest(), list(seen))


def freeze_encoder(model: Cerberus) -> None:
    """Keep the encoder as it is: no gradients, and batch statistics that do not move."""
    model.encoder.trunk.requires_grad_(False)
    model.encoder.trunk.eval()


def _encoder_part(state: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of the encoder, under torchvision's names."""
    if any(key.startswith(OURS) for key in state):
        return {k.removeprefix(OURS): v for k, v in state.items() if k.startswith(OURS)}
    return {key: value for key, value in state.items() if not key.startswith(CLASSIFIER)}
