"""The authors' checkpoint in our parameter names.

Source of the names: the published state dict of Graham et al. 2023 (558 keys).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from cerberus_bench.model_zoo.cerberus import Cerberus
from cerberus_bench.model_zoo.registry import architecture, restrict
from cerberus_bench.schema.errors import DataError

T = TypeVar("T")

PUBLISHED_ARCHITECTURE = "cerberus-resnet34"
GROUPS = {
    "Lumen": "lumen_instance",
    "Gland": "gland_instance",
    "Nuclei": "nuclei_instance",
    "Gland#TYPE": "gland_type",
    "Nuclei#TYPE": "nuclei_type",
}
_GROUP = "|".join(map(re.escape, sorted(GROUPS, key=len, reverse=True)))
_UNUSED = re.compile(r"backbone\.fc\.")


def _from_encoder(match: re.Match[str]) -> str:
    return f"encoder.{match['rest']}"


def _from_reduce(match: re.Match[str]) -> str:
    return f"reduce.{match['rest']}"


def _from_decoder(match: re.Match[str]) -> str:
    step, conv = int(match["step"]) + 1, int(match["conv"]) + 1
    return f"decoders.{GROUPS[match['group']]}.step{step}.conv{conv}.{match['rest']}"


def _from_hidden(match: re.Match[str]) -> str:
    return f"heads.{GROUPS[match['group']]}.hidden.{match['rest']}"


def _from_logits(match: re.Match[str]) -> str:
    return f"heads.{GROUPS[match['group']]}.logits.{match['rest']}"


def _from_patch(match: re.Match[str]) -> str:
    layer = "logits" if match["layer"] == "conv2" else match["layer"]
    return f"heads.tissue.{layer}.{match['rest']}"


_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = tuple(
    (re.compile(pattern), rename)
    for pattern, rename in (
        (r"backbone\.(?P<rest>.+)", _from_encoder),
        (r"conv_map\.(?P<rest>.+)", _from_reduce),
        (
            rf"decoder_head\.(?P<group>{_GROUP})\.(?P<step>[0-3])\.block\.(?P<conv>[01])\.(?P<rest>.+)",
            _from_decoder,
        ),
        (r"decoder_head\.Patch-Class\.(?P<layer>\w+)\.(?P<rest>.+)", _from_patch),
        (
            rf"output_head\.(?P<group>{_GROUP})\.\w+\.x\.0\.block\.0\.(?P<rest>.+)",
            _from_hidden,
        ),
        (
            rf"output_head\.(?P<group>{_GROUP})\.\w+\.x\.1\.conv\.(?P<rest>.+)",
            _from_logits,
        ),
    )
)


def convert_published(state_dict: Mapping[str, T]) -> dict[str, T]:
    """Rename the parameters of the authors' checkpoint to ours.

    The `module.` prefix of data-parallel training is stripped and the unused `backbone.fc` is
    dropped. Values are passed through. A checkpoint of some of the tasks converts too; load it
    into `published_network(state_dict)`.

    Args:
        state_dict: the checkpoint's `desc` entry, or the checkpoint that holds it.

    Raises:
        DataError: a key is not one of the published network.
    """
    renamed: dict[str, T] = {}
    unknown = []
    for key, value in _inner(state_dict).items():
        name = key.removeprefix("module.")
        if _UNUSED.match(name):
            continue
        ours = _rename(name)
        if ours is None:
            unknown.append(key)
        else:
            renamed[ours] = value
    if unknown or not renamed:
        shown = ", ".join(unknown[:3]) or "an empty state dict"
        raise DataError(
            f"not a published Cerberus checkpoint: {shown} ({len(unknown)} unknown keys). "
            "Give the `desc` entry of the authors' weights.tar."
        )
    return renamed


def published_network(state_dict: Mapping[str, Any]) -> Cerberus:
    """Build the network that a published checkpoint, of all or some tasks, fits, and load it.

    Raises:
        DataError: keys are unknown, missing, or of another shape.
    """
    converted = convert_published(state_dict)
    heads = {key.split(".")[1].replace("_", ".") for key in converted if key.startswith("heads.")}
    model = Cerberus(restrict(architecture(PUBLISHED_ARCHITECTURE), heads))
    try:
        model.load_state_dict(converted)
    except RuntimeError as error:
        raise DataError(f"the published checkpoint does not fit its network: {error}") from error
    return model


def _inner(state_dict: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = state_dict.get("desc")
    return inner if isinstance(inner, Mapping) else state_dict


def _rename(name: str) -> str | None:
    for pattern, rename in _RULES:
        match = pattern.fullmatch(name)
        if match:
            return rename(match)
    return None
