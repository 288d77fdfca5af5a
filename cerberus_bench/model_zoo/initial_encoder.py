"""Starting from what was trained before: an encoder of ImageNet, or of a network of other tasks.

Source: Graham et al., "One Model is All You Need", Medical Image Analysis 2023, on transfer
learning: the decoder of the nuclear classes is trained afterwards, on the frozen network.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cerberus_bench.model_zoo.cerberus import Cerberus
from cerberus_bench.model_zoo.checkpoint import locate_model
from cerberus_bench.model_zoo.state_files import parse_state, plain_tensor, read_bytes
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.model import read_card
from cerberus_bench.schema.result import TrainedOn

OURS = "encoder."
CLASSIFIER = "fc."
"""Prefix of torchvision's last layer, which no encoder has."""
INPUT_MEAN, INPUT_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of R, G and B in 0..1: what torchvision's networks take off their input and divide it by."""


@dataclass(frozen=True, slots=True)
class InitialWeights:
    """Where the first weights of a network came from."""

    sha256: str
    """Hash of the file."""
    trained_on: list[TrainedOn]
    """What its card lists: the new network has seen this too. Empty for a file without a card."""
    outputs: tuple[str, ...]
    """Outputs whose decoders and heads came with the encoder."""


def load_initial(model: Cerberus, path: Path, outputs: Sequence[str] = ()) -> InitialWeights:
    """Put trained weights into a network's encoder; every tensor must fit.

    Args:
        model: the network; what is not loaded stays as it is.
        path: a zoo name with shipped weights, a model file of ours, of whatever tasks, or a plain
            `.pt`, `.pth` or `.safetensors` file of a ResNet with torchvision's names. A final `fc`
            layer is left out. The 7 x 7 stem has the same weights at stride 1 as at stride 2. A
            file without a card is taken for trained as torchvision's are, on images without
            ImageNet's mean and deviation, and made to see plain ones (`_on_plain_images`).
        outputs: outputs to take with their decoders and heads, of those that the file has.

    Raises:
        DataError: the file could run code, or a tensor is missing, unknown or of another shape.
    """
    path = locate_model(path)
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
    if card is None:
        tensors |= _on_plain_images(tensors)
    model.encoder.load_state_dict({**{key: expected[key] for key in counters}, **tensors})
    if card is None:
        return InitialWeights(hashlib.sha256(data).hexdigest(), [], ())
    known = read_card(card, str(path))
    there = {output.name for output in known.network.outputs}
    taken = tuple(name for name in outputs if name in there)
    for name in model.parts(taken):
        _load_part(path, model.get_submodule(name), f"{name}.", state)
    return InitialWeights(hashlib.sha256(data).hexdigest(), list(known.trained_on or []), taken)


def freeze(model: Cerberus, outputs: Sequence[str] = ()) -> None:
    """Keep parts as they are: no gradients, no dropout, and batch statistics that do not move.

    Args:
        model: the network; its encoder is frozen.
        outputs: outputs that are frozen too.
    """
    encoder = model.encoder if outputs else model.encoder.trunk
    for part in (encoder, *map(model.get_submodule, model.parts(outputs))):
        part.requires_grad_(False)
        part.eval()


def _load_part(path: Path, part: nn.Module, prefix: str, state: Mapping[str, Any]) -> None:
    expected = part.state_dict()
    missing = sorted(prefix + key for key in expected if prefix + key not in state)
    if missing:
        raise DataError(f"{path}: {missing[0]} is missing, which its card promises. Get it again.")
    part.load_state_dict(
        {key: plain_tensor(path, key, state[prefix + key], expected[key]) for key in expected}
    )


def _on_plain_images(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The first layer of a torchvision network for images in 0..1 of which nothing is taken off.

    The division goes into the convolution, what the mean adds up to into the running mean of the
    normalisation after it. Exact but for the border, where a zero of padding is now black.
    """
    weight = tensors["conv1.weight"]
    mean, deviation = (
        torch.tensor(values, dtype=weight.dtype).view(1, 3, 1, 1)
        for values in (INPUT_MEAN, INPUT_DEVIATION)
    )
    divided = weight / deviation
    shift = (divided * mean).sum((1, 2, 3))
    return {
        "conv1.weight": divided,
        "bn1.running_mean": tensors["bn1.running_mean"] + shift,
    }


def _encoder_part(state: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of the encoder, under torchvision's names."""
    if any(key.startswith(OURS) for key in state):
        return {k.removeprefix(OURS): v for k, v in state.items() if k.startswith(OURS)}
    return {key: value for key, value in state.items() if not key.startswith(CLASSIFIER)}
